package guard_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/labstack/echo/v4"

	"keyladder/backend/clients"
	"keyladder/backend/devices"
	"keyladder/backend/guard"
	"keyladder/backend/sessions"
	"keyladder/backend/users"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/problem"
	"keyladder/internal/store"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
)

const (
	mobile  = "harbour-mobile"
	kiosk   = "harbour-kiosk"
	ops     = "harbour-ops"
	partner = "quayside-books"

	host = "api.harbourbank.test"
	port = 8443

	password = "correct horse" // of everybody
)

// world is a guard with some routes, whose handlers tell who calls, and an app that has
// what it needs for calls at all stages.
type world struct {
	testing.TB
	stages   catalog.Set
	config   guard.Config
	guard    *guard.Guard
	echo     *echo.Echo
	apps     *clients.Registry
	users    *users.Directory
	sessions *sessions.Store
	devices  *devices.Registry
	closeDB  func() error
	log      *traffic.Log
	usage    *counter
	mu       sync.Mutex
	outcomes []guard.Outcome
	clock    *clock
	clients  map[string]*x509.Certificate
	secrets  map[string]string
	guids    map[string]string      // by stage and app
	keys     map[string]session.Key // by stage, app and user
	sent     sync.Map               // field of the signature → *hawk.Sent
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

type counter struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *counter) Count(_ time.Time, app, stage, route string, served bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[fmt.Sprintf("%s|%s|%s|%v", app, stage, route, served)]++
}

// authority issues the certificates of all worlds, which takes time.
var authority = sync.OnceValues(func() (*pki.CA, error) { return pki.NewCA("apps") })

// clientOf is an app's certificate.
func clientOf(t testing.TB, id string) *x509.Certificate {
	t.Helper()
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	made, _ := clientCertificates.LoadOrStore(id, sync.OnceValues(func() (*x509.Certificate, error) {
		pair, err := ca.Client(id)
		if err != nil {
			return nil, err
		}
		return pki.Certificate(pair.Certificate)
	}))
	certificate, err := made.(func() (*x509.Certificate, error))()
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

var clientCertificates sync.Map

// passwordHash is as cheap as can be: tests are not about its cost.
var passwordHash = sync.OnceValues(func() (string, error) {
	return argon2id.CreateHash(password, &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
})

func newWorld(t testing.TB, stages catalog.Set) *world {
	t.Helper()
	w := &world{
		TB: t, stages: stages, log: traffic.New("resource", 64), usage: &counter{counts: map[string]int{}},
		clock: &clock{now: time.Now()}, clients: map[string]*x509.Certificate{}, secrets: map[string]string{},
		guids: map[string]string{}, keys: map[string]session.Key{},
	}
	var seed []manage.App
	for id, scopes := range map[string][]string{
		mobile: {"accounts:read", "transfers:write", "rates:read"}, kiosk: {"rates:read"}, ops: {"accounts:read", "accounts:freeze"},
		partner: {"settlements:read"},
	} {
		w.clients[id] = clientOf(t, id)
		app := manage.App{
			ID: id, Name: id, UserAgent: "HarbourBank/", Scopes: scopes, PerSecond: 200, Burst: 600,
			Certificates: []string{string(pin.Of(w.clients[id]))},
		}
		if id == partner {
			app.Kind = manage.Partner
		} else {
			w.secrets[id] = "the secret of " + id
		}
		seed = append(seed, app)
	}
	hash, err := passwordHash()
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(filepath.Join(t.TempDir(), "guard.db"), slices.Concat(clients.Models(), durable.Models(), sessions.Models(), devices.Models(), users.Models())...)
	if err != nil {
		t.Fatal(err)
	}
	w.closeDB = func() error { return store.Close(db) }
	t.Cleanup(func() { w.closeDB() })
	ctx := context.Background()
	people := []users.Seed{{Name: "alice", PasswordHash: hash}, {Name: "bob", PasswordHash: hash}, {Name: "carol", PasswordHash: hash, Staff: true}}
	if w.users, err = users.New(ctx, db, people); err != nil {
		t.Fatal(err)
	}
	if w.apps, err = clients.Open(ctx, db, clients.Config{Seed: seed, Secrets: w.secrets, Overlap: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if w.sessions, err = sessions.Open(ctx, db, sessions.Default); err != nil {
		t.Fatal(err)
	}
	if w.devices, err = devices.Open(ctx, db); err != nil {
		t.Fatal(err)
	}
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pki.Pool(ca.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	w.config = guard.Config{
		Stages: stages, Apps: w.apps, Users: w.users, Sessions: w.sessions, Devices: w.devices, ClientCAs: pool,
		Host: host, Port: port, Usage: w.usage, Log: w.log, Now: w.clock.Now,
		Observe: func(o guard.Outcome) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.outcomes = append(w.outcomes, o)
		},
	}
	w.start()
	return w
}

// start makes a guard, with an empty memory.
func (w *world) start() {
	w.Helper()
	g, err := guard.New(w.config)
	if err != nil {
		w.Fatal(err)
	}
	w.guard = g
	w.echo = echo.New()
	w.echo.HTTPErrorHandler = problem.Handler(func(error) {})
	w.echo.Use(g.Middleware)
	who := func(c echo.Context, caller guard.Caller) error {
		return c.String(http.StatusOK, fmt.Sprintf("%s|%s|%s|%d", caller.App(), caller.User(), caller.Stage().Slug, len(caller.Body())))
	}
	for _, r := range []guard.Route{
		{Method: http.MethodGet, Path: "/v1/accounts", Scope: "accounts:read"},
		{Method: http.MethodGet, Path: "/v1/accounts/:id/transfers", Scope: "accounts:read"},
		{Method: http.MethodPost, Path: "/v1/transfers", Scope: "transfers:write"},
		{Method: http.MethodPost, Path: "/v1/accounts/:id/freeze", Scope: "accounts:freeze"},
		{Method: http.MethodGet, Path: "/v1/rates", Scope: "rates:read", User: guard.NobodyNeeded},
		{Method: http.MethodPost, Path: "/v1/session", Scope: guard.AnyScope, User: guard.ByPassword},
		{Method: http.MethodPost, Path: "/v1/devices", Scope: guard.AnyScope, User: guard.NobodyNeeded, WithoutDevice: true},
		{Method: http.MethodGet, Path: "/oauth/token", Scope: guard.AnyScope, Refusals: problem.OAuth},
		{Method: http.MethodGet, Path: "/oauth/userinfo", Scope: guard.AnyScope, Refusals: problem.Bearer("Harbour Bank")},
		{Method: http.MethodGet, Path: "/v1/nothing", Scope: ""},
		{Method: http.MethodGet, Path: "/v1/later", Scope: guard.AnyScope, At: func(p catalog.Policies) bool { return p.Call.AppProof == catalog.Hawk }},
		{Method: http.MethodGet, Path: "/partner/v1/settlements", Scope: "settlements:read", Partner: true},
	} {
		g.Handle(w.echo, r, who)
	}
	g.Handle(w.echo, guard.Route{Method: http.MethodPost, Path: "/v1/panic", Scope: "transfers:write"}, func(echo.Context, guard.Caller) error { panic("a fault") })
	g.Handle(w.echo, guard.Route{Method: http.MethodGet, Path: "/v1/empty", Scope: "accounts:read"}, func(c echo.Context, _ guard.Caller) error {
		return c.NoContent(http.StatusNoContent)
	})
}

// as is who calls, and from which device.
type as struct{ app, user string }

// request is a good one of the mobile app at the stage, as alice where users are known;
// tests spoil it.
func (w *world) request(stage, method, path, body string) *http.Request {
	return w.requestAs(as{mobile, "alice"}, stage, method, path, body)
}

func (w *world) requestAs(who as, stage, method, path, body string) *http.Request {
	w.Helper()
	found, _ := catalog.All().Lookup(stage)
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, "/"+stage+path, content)
	r.Header.Set("User-Agent", "HarbourBank/1.0")
	r.RemoteAddr = "203.0.113.7:4711"
	switch found.Call.Transport {
	case catalog.TLS:
		over(guard.TLS, nil)(r)
	case catalog.MutualTLS:
		over(guard.TLS, w.clients[who.app])(r)
	default:
		over(guard.Plain, nil)(r)
	}
	if found.Call.Devices == catalog.RegisteredDevices {
		deviceid.Set(r.Header, "device-of-"+who.app, w.guid(stage, who.app))
	}
	if found.Call.UserProof == catalog.UserSession {
		if strings.HasPrefix(path, "/v1/session") {
			if err := session.SetBasic(r.Header, who.user, password); err != nil {
				w.Fatal(err)
			}
		} else {
			session.SetKey(r.Header, w.key(stage, who))
		}
	}
	switch found.Call.AppProof {
	case catalog.Hawk:
		w.prove(r, found.Call, who.app, body)
	default:
		appkey.Set(r, who.app)
	}
	return r
}

// registered are all devices.
func (w *world) registered() []manage.Device {
	list, err := w.devices.Query(context.Background(), manage.DeviceQuery{})
	if err != nil {
		panic(err)
	}
	return list.Devices
}

func (w *world) guid(stage, app string) string {
	w.Helper()
	if w.guids[stage+app] == "" {
		guid, err := w.devices.Register(context.Background(), w.clock.Now(), stage, app, "device-of-"+app)
		if err != nil {
			w.Fatal(err)
		}
		w.guids[stage+app] = guid
	}
	return w.guids[stage+app]
}

func (w *world) key(stage string, who as) session.Key {
	w.Helper()
	name := stage + who.app + who.user
	if w.keys[name] == "" {
		key, _, err := w.sessions.Begin(context.Background(), w.clock.Now(), who.user, who.app, stage, "device-of-"+who.app)
		if err != nil {
			w.Fatal(err)
		}
		w.keys[name] = key
	}
	return w.keys[name]
}

// client signs for an app.
func (w *world) client(p catalog.Call, app string) *hawk.Client {
	return &hawk.Client{Credentials: hawk.Credentials{ID: app, Key: w.secrets[app]}, Host: host, Port: port, Field: p.AppProofField()}
}

// prove gives a request its body, sealed where the policy wants that, and signs it.
func (w *world) prove(r *http.Request, p catalog.Call, app, body string) {
	w.Helper()
	sent := []byte(body)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
		if p.Bodies == catalog.SealedBodies {
			sent = w.seal(app, body)
			r.Header.Set("Content-Type", sealed.MediaType)
		}
		if p.Bodies == catalog.SealedPortions {
			var err error
			if sent, _, err = w.sealing(app).Requests.SealMembers(sent, catalog.Confidential()); err != nil {
				w.Fatal(err)
			}
		}
	}
	w.sign(w.client(p, app), r, sent)
}

// sealing are the keys under which an app's bodies are sealed.
func (w *world) sealing(app string) sealed.Keys {
	w.Helper()
	keys, err := sealed.DeriveKeys(w.secrets[app])
	if err != nil {
		w.Fatal(err)
	}
	return keys
}

func (w *world) seal(app, body string) []byte {
	w.Helper()
	sent, err := w.sealing(app).Requests.Seal([]byte(body), "application/json")
	if err != nil {
		w.Fatal(err)
	}
	return sent
}

// sign signs a request as the app does: with what says who the user and the device are,
// where the stage knows users.
func (w *world) sign(client *hawk.Client, r *http.Request, body []byte) {
	w.Helper()
	setBody(r, body)
	ext := ""
	if client.Field == catalog.AppAuthorization {
		var err error
		if ext, err = session.Covered(r.Header); err != nil {
			w.Fatal(err)
		}
	}
	sent, err := client.Sign(r, body, ext, w.clock.Now())
	if err != nil {
		w.Fatal(err)
	}
	w.sent.Store(signature(r), sent)
}

func setBody(r *http.Request, body []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		r.Body = http.NoBody
	}
}

// over brings a request in on a listener, with a verified client certificate, if any.
func over(listener guard.Listener, certificate *x509.Certificate) func(*http.Request) {
	return func(r *http.Request) {
		*r = *r.WithContext(guard.WithListener(context.Background(), listener))
		r.TLS = nil
		if listener != guard.Plain {
			r.TLS = &tls.ConnectionState{}
		}
		if certificate != nil {
			r.TLS.PeerCertificates = []*x509.Certificate{certificate}
			r.TLS.VerifiedChains = [][]*x509.Certificate{r.TLS.PeerCertificates}
		}
	}
}

// do makes the call and returns the answer and the verdict of the traffic record. An
// authenticated answer is checked, and opened where it is sealed, as the app would.
func (w *world) do(r *http.Request) (*httptest.ResponseRecorder, traffic.Verdict) {
	w.Helper()
	answer := httptest.NewRecorder()
	before := w.log.Last()
	w.echo.ServeHTTP(answer, r)
	records := w.log.After(before)
	if len(records) != 2 || records[0].Kind != traffic.Request || records[1].Verdict == nil {
		w.Fatalf("%d records of one call: %+v", len(records), records)
	}
	w.receive(r, answer)
	return answer, *records[1].Verdict
}

// signature is the field with the request's signature, wherever it is.
func signature(r *http.Request) string {
	if field := r.Header.Get(catalog.AppAuthorization); field != "" {
		return field
	}
	return r.Header.Get("Authorization")
}

func (w *world) receive(r *http.Request, answer *httptest.ResponseRecorder) {
	w.Helper()
	header := answer.Header()
	if header.Get(hawk.ServerAuthorization) == "" {
		if header.Get("Content-Type") == sealed.MediaType {
			w.Errorf("%s: a sealed answer that is not authenticated", r.URL)
		}
		return
	}
	body := answer.Body.Bytes()
	if r.Method == http.MethodHead {
		body = nil // net/http does not send it
	}
	sent, _ := w.sent.Load(signature(r))
	if _, err := sent.(*hawk.Sent).CheckResponse(header, body); err != nil {
		w.Errorf("%s: the answer is not good: %v", r.URL, err)
	}
	if header.Get("Content-Type") != sealed.MediaType {
		return
	}
	signed, err := hawk.Parse(signature(r))
	if err != nil {
		w.Fatal(err)
	}
	keys, err := sealed.DeriveKeys(w.secrets[signed.ID])
	if err != nil {
		w.Fatal(err)
	}
	content, contentType, err := keys.Responses.Open(answer.Body.Bytes())
	if err != nil {
		w.Errorf("%s: the answer can't be opened: %v", r.URL, err)
		return
	}
	answer.Body = bytes.NewBuffer(content)
	header.Set("Content-Type", contentType)
}
