package mediator_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/backend/clients"
	"keyladder/backend/guard"
	"keyladder/backend/mediator"
	sealing "keyladder/backend/mediator/secrets"
	"keyladder/internal/deployment"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/store"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
)

const (
	stage = "mediated"
	// issuing is the stage at which the mediator issues tokens itself.
	issuing = "extended-mediator"
	// keyed is the same, with tokens that are bound to a key.
	keyed = "device-bound"
	// signed is the same, with calls that are signed.
	signed = "signed-calls"
	// redirectURI is the app's.
	redirectURI = "com.example.app:/callback"
	app         = "app"
	other       = "other"
)

// secrets are those of keys, by their IDs. Each has 32 bytes or more.
var secrets = map[string]string{
	app: strings.Repeat("a", 32), app + "-servers": "s:%2B &=" + strings.Repeat("s", 32),
	other: strings.Repeat("o", 32), other + "-servers": strings.Repeat("p", 32),
}

// stages are the catalog, with a mediated stage whether it is built or not, and one without.
func stages() catalog.Set {
	set := catalog.All()
	like, _ := set.Lookup("refresh")
	for i := range set {
		if set[i].Slug == stage && !set[i].Built {
			p := like.Policies
			p.Call.AppProof, p.Call.Nonces, p.Call.Binding, p.Call.ClientAuth = catalog.IntegrityToken, catalog.NoNonces, catalog.TokenOfClient, catalog.Mediated
			p.API.SecretOverlap = catalog.Decide(30 * time.Second)
			p.Attestation.Level, p.Auth.ClientAuth = catalog.PackageHash, catalog.ServersSecret
			set[i].Built, set[i].Policies = true, p
		}
		if set[i].Slug == issuing || set[i].Slug == keyed || set[i].Slug == signed { // its gateway has tests of its own
			set[i].Built, set[i].Policies.Call.Gateway = true, catalog.Direct
		}
	}
	return set
}

// asked is a request that the authorization server has received.
type asked struct {
	path   string
	header http.Header
	form   url.Values
}

// world is a mediator that runs, before an authorization server that a test plays.
type world struct {
	testing.TB
	base     string // the mediator's, https://host:port
	http     *http.Client
	registry *clients.Registry
	manage   *manage.Client
	log      *traffic.Log
	errors   *lockedBuffer // what the mediator has logged
	upstream *httptest.Server
	kill     func()           // stops the mediator
	stop     func(testing.TB) // the same, and waits until it has
	mediator *mediator.Server
	attester *ecdsa.PrivateKey // with which clients are attested
	folder   string            // the mediator's

	mu      sync.Mutex
	asked   []asked
	answers http.HandlerFunc // of the authorization server
}

// given is a usual answer.
const given = `{"access_token":"a1","token_type":"Bearer","expires_in":60,"refresh_token":"r1","scope":"accounts:read"}` + "\n"

func ok(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	io.WriteString(w, given)
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // what can't be read is not there
	w.mu.Lock()
	w.asked = append(w.asked, asked{r.URL.Path, r.Header.Clone(), r.PostForm})
	answer := w.answers
	w.mu.Unlock()
	answer(rw, r)
}

// count is how many requests the authorization server has received.
func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

func (w *world) last() asked {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[len(w.asked)-1]
}

func (w *world) answer(by http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = by
}

// many is a limit that no test comes to by chance.
var many = guard.Limit{PerSecond: 1e6, Burst: 1e6}

func start(t testing.TB, change func(*mediator.Config)) *world {
	t.Helper()
	w := &world{TB: t, log: traffic.New("mediator", 256), errors: &lockedBuffer{}, answers: ok}
	w.attester = newKey(t)
	attester := testenv.Must[[]byte](t)(x509.MarshalPKIXPublicKey(w.attester.Public()))
	ca := testenv.Must[*pki.CA](t)
	public, inside := ca(pki.NewCA("public")), ca(pki.NewCA("inside"))
	pair := testenv.Must[pki.Pair](t)
	server := pair(public.Server("server", "localhost", "127.0.0.1"))
	roots := testenv.Must[*x509.CertPool](t)(pki.Pool(public.Certificate))

	w.upstream = httptest.NewUnstartedServer(w)
	w.upstream.TLS = &tls.Config{Certificates: []tls.Certificate{testenv.Must[tls.Certificate](t)(server.TLS())}}
	w.upstream.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	w.upstream.StartTLS()
	t.Cleanup(w.upstream.Close)

	listen := func() net.Listener { return testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0")) }
	l, authManage := mediator.Listeners{TLS: listen(), Manage: listen()}, listen()
	w.base = "https://" + l.TLS.Addr().String()
	dir := t.TempDir()
	addresses := deployment.Addresses{Public: map[deployment.ServiceName]string{
		deployment.AuthServer: "https://" + w.upstream.Listener.Addr().String(), deployment.MediatorService: w.base,
		deployment.AttestationService:          "https://localhost:8445",
		deployment.Manage(deployment.Auth):     "https://" + authManage.Addr().String(),
		deployment.Manage(deployment.Mediator): "https://" + l.Manage.Addr().String(),
	}}
	folder := func(role deployment.Role) *deployment.Folder {
		writer := testenv.Must[*deployment.Writer](t)(deployment.NewWriter(dir, role, "test", time.Now(), addresses))
		err := errors.Join(
			writer.Pair("manage", pair(inside.Peer(string(role), string(role)))),
			writer.File("manage-ca.pem", inside.Certificate), writer.Pair("server", server), writer.File("roots.pem", public.Certificate),
			writer.File(deployment.AttesterFile, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: attester})),
			writer.File("providers.json", []byte("[]")), writer.File("secrets.json", []byte(`{"market-rates":"a key"}`)),
			writer.File(deployment.ForwardingKey, []byte(`{"ID":"gateway","Secret":"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="}`)), writer.File(sealing.File, []byte(strings.Repeat("0f", 32))), writer.Close())
		if err != nil {
			t.Fatal(err)
		}
		return testenv.Must[*deployment.Folder](t)(deployment.Open(dir, role))
	}

	db := testenv.Must[*gorm.DB](t)(store.Open(filepath.Join(dir, "auth.db"), append(clients.Models(), durable.Models()...)...))
	t.Cleanup(func() { store.Close(db) })
	w.registry = testenv.Must[*clients.Registry](t)(clients.Open(t.Context(), db, clients.Config{Seed: []manage.App{
		{ID: app, Name: "An app", UserAgent: "App/", Scopes: []string{"rates:read", "accounts:read"}, RedirectURIs: []string{redirectURI}, ServersKey: app + "-servers", PerSecond: 1e6, Burst: 1e6},
		{ID: other, Name: "Another", UserAgent: "Other/", ServersKey: other + "-servers", PerSecond: 1e6, Burst: 1e6},
	}, Secrets: secrets, Overlap: time.Minute}))
	auth := manage.NewServer(folder(deployment.Auth), nil, nil)
	w.registry.Serve(auth.For(deployment.Mediator))

	config := mediator.Config{
		Folder: folder(deployment.Mediator), Stages: stages(), Log: w.log, Logger: slog.New(slog.NewTextHandler(w.errors, nil)), Address: many, Device: many, Leeway: 5 * time.Second,
		TokenLifetime: time.Hour, ShortLifetime: time.Minute, KeyOverlap: time.Minute,
		CodeLifetime: time.Minute, PushedLifetime: time.Minute, RefreshIdle: time.Hour, RefreshLifetime: 24 * time.Hour,
	}
	if change != nil {
		change(&config)
	}
	m := testenv.Must[*mediator.Server](t)(mediator.New(config))
	ctx, cancel := context.WithCancel(context.Background())
	served, mediated := make(chan error, 1), make(chan error, 1)
	mediating, stop := context.WithCancel(ctx)
	go func() { served <- auth.Serve(ctx, authManage) }()
	go func() { mediated <- m.Serve(mediating, l) }()
	w.kill, w.folder = stop, config.Folder.Dir
	end := sync.OnceValue(func() error {
		stop()
		return errors.Join(<-mediated, m.Close())
	})
	w.stop = func(t testing.TB) {
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(end(), <-served); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	w.http = &http.Client{Transport: transport, Timeout: time.Minute}
	w.mediator = m
	w.manage = testenv.Must[*manage.Client](t)(manage.NewClient(folder(deployment.Admin), deployment.Mediator))
	testenv.Within(t, 10*time.Second, "it knows the clients", func() bool { return w.manage.Healthy(t.Context()) == nil })
	return w
}

// attested is a client integrity token, good for a minute, but for what is changed.
func (w *world) attested(change func(key *token.Key, claims *integrity.Claims)) string {
	w.Helper()
	now := time.Now()
	key := token.Key{ID: app + "-servers", Secret: token.Secret(secrets[app+"-servers"])}
	claims := integrity.Claims{
		Issuer: "https://localhost:8445/" + stage, ClientID: app, Audience: []string{"https://localhost:8443/" + stage + "/v1", w.base + "/" + stage},
		Issued: now.Truncate(time.Second), Expires: now.Add(time.Minute).Truncate(time.Second), ID: token.NewID(), Release: 3, Device: "d1", Level: "package-challenge",
	}
	if change != nil {
		change(&key, &claims)
	}
	return testenv.Must[string](w)(integrity.Sign(key, claims))
}

// request asks for a token for a code, with a good client integrity token.
func (w *world) request(endpoint string, form url.Values) *http.Request {
	w.Helper()
	r := testenv.Must[*http.Request](w)(http.NewRequest(http.MethodPost, w.base+"/"+stage+endpoint, strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	integrity.Set(r.Header, w.attested(nil))
	return r
}

func redemption() url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {"c1"}, "redirect_uri": {"com.example.app:/callback"}}
}

// said is an answer of the mediator.
type said struct {
	status int
	header http.Header
	body   string
}

func (w *world) try(r *http.Request) (said, error) {
	response, err := w.http.Do(r)
	if err != nil {
		return said{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return said{response.StatusCode, response.Header, string(body)}, err
}

func (w *world) do(r *http.Request) said {
	w.Helper()
	return testenv.Must[said](w)(w.try(r))
}

// verdict is the check that refused the last request that is on record; empty: none did.
func (w *world) verdict() catalog.Check {
	w.Helper()
	var check catalog.Check
	for _, m := range w.log.After(0) {
		if m.Verdict != nil {
			check = m.Verdict.Check
			if m.Verdict.Allowed {
				check = ""
			}
		}
	}
	return check
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// again is the authorization server, at the address where it was.
func (w *world) again(at string, config *tls.Config) *httptest.Server {
	w.Helper()
	server := httptest.NewUnstartedServer(w)
	server.Listener.Close()
	server.Listener = testenv.Must[net.Listener](w)(net.Listen("tcp", at))
	server.TLS = config.Clone()
	server.StartTLS()
	return server
}
