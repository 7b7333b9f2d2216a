// Package fronted tests what stands in front of the API: the mediator's gateway in the lab, with the
// third party that it asks, and gateways of others in its place, set up as the files beside package
// gateway say.
package fronted

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/backend/tokens"
	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/store"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/workshop/lab"
)

const (
	slug = "extended-mediator"
	app  = "harbour-mobile"
)

// world is a lab whose stage with a gateway is built, and people who are signed in there.
type world struct {
	testing.TB
	*lab.Lab
	http   *http.Client
	issued *tokens.Store // a second one on the mediator's database
	keys   map[string]string
}

func start(t testing.TB, settings map[string]string) *world {
	t.Helper()
	stages := catalog.All()
	i := slices.IndexFunc(stages, func(s catalog.Stage) bool { return s.Slug == slug })
	stages[i].Built = true
	w := &world{TB: t}
	w.Lab = testenv.Must[*lab.Lab](t)(lab.Start(t.Context(), lab.Options{Stages: stages, Settings: settings}))
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := json.Unmarshal(w.read(deployment.Auth, "secrets.json"), &w.keys); err != nil {
		t.Fatal(err)
	}
	db := testenv.Must[*gorm.DB](t)(store.Open(filepath.Join(w.Dir, string(deployment.Mediator), "mediator.db"), append(tokens.Models(), durable.Models()...)...))
	t.Cleanup(func() { store.Close(db) })
	url := w.Addresses.Stage(deployment.MediatorService, slug)
	w.issued = testenv.Must[*tokens.Store](t)(tokens.Open(t.Context(), db, tokens.Config{Issuers: []tokens.Issuer{{Stage: slug, URL: url, Audience: url + "/v1", Lifetime: time.Minute}}}))
	w.http = w.client(nil)
	return w
}

func (w *world) read(role deployment.Role, name string) []byte {
	w.Helper()
	return testenv.Must[[]byte](w)(os.ReadFile(filepath.Join(w.Dir, string(role), name)))
}

// client trusts the deployment's servers, and shows a certificate (nil: none).
func (w *world) client(certificate *tls.Certificate) *http.Client {
	w.Helper()
	config := &tls.Config{RootCAs: testenv.Must[*x509.CertPool](w)(pki.Pool(w.Roots))}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	transport := &http.Transport{TLSClientConfig: config}
	w.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// pair is a certificate in a role's folder.
func (w *world) pair(role deployment.Role, name string) *tls.Certificate {
	w.Helper()
	pair := testenv.Must[tls.Certificate](w)(tls.X509KeyPair(w.read(role, name+".pem"), w.read(role, name+"-key.pem")))
	return &pair
}

// access is an access token of a user's, on a device.
func (w *world) access(user, device string) string {
	w.Helper()
	return testenv.Must[tokens.Issued](w)(w.issued.Issue(w.Context(), time.Now(), tokens.Grant{
		Stage: slug, User: user, Client: app, Scope: "rates:read accounts:read transfers:write", Device: device,
	})).Text
}

// attested is a client integrity token of a device, signed with a secret.
func (w *world) attested(device, secret string) string {
	w.Helper()
	now, issuer := time.Now().Truncate(time.Second), w.Addresses.Stage(deployment.MediatorService, slug)
	return testenv.Must[string](w)(integrity.Sign(token.Key{ID: app + "-servers", Secret: token.Secret(secret)}, integrity.Claims{
		Issuer: w.Addresses.Stage(deployment.AttestationService, slug), ClientID: app, Audience: []string{issuer + "/v1", issuer},
		Issued: now, Expires: now.Add(time.Minute), ID: token.NewID(), Release: 3, Device: device, Level: "package-challenge",
	}))
}

// call is one of the app's: as alice, with both tokens of her phone.
func (w *world) call(base, method, path, body string) *http.Request {
	w.Helper()
	r := testenv.Must[*http.Request](w)(http.NewRequest(method, base+"/"+slug+path, strings.NewReader(body)))
	r.Header.Set("User-Agent", "HarbourBank/3.0")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	token.Set(r.Header, w.access("alice", "phone"))
	integrity.Set(r.Header, w.attested("phone", w.keys[app+"-servers"]))
	return r
}

func (w *world) do(client *http.Client, r *http.Request) (*http.Response, string) {
	w.Helper()
	response := testenv.Must[*http.Response](w)(client.Do(r))
	defer response.Body.Close()
	return response, string(testenv.Must[[]byte](w)(io.ReadAll(response.Body)))
}

// arrived is the latest request that the API has got at the stage, as it has recorded it.
func (w *world) arrived() traffic.Message {
	w.Helper()
	page, err := w.Resource.Traffic(w.Context(), feed.Cursor{})
	if err != nil {
		w.Fatal(err)
	}
	for _, m := range slices.Backward(page.Entries) {
		if m.Kind == traffic.Request && m.Stage == slug && m.To == string(deployment.Resource) {
			return m
		}
	}
	return traffic.Message{}
}

// ledger is what is booked.
func (w *world) booked(reference string) bool {
	w.Helper()
	transfers := testenv.Must[[]manage.Transfer](w)(manage.Get[[]manage.Transfer](w.Context(), w.Resource, "/transfers?reference="+reference))
	return len(transfers) == 1
}
