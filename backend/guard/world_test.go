package guard_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/labstack/echo/v4"

	"keyladder/backend/clients"
	"keyladder/backend/devices"
	"keyladder/backend/guard"
	"keyladder/backend/sessions"
	"keyladder/backend/tokens"
	"keyladder/backend/users"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/problem"
	"keyladder/internal/store"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
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
	tokens   *tokens.Store
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
	issued   map[string]string      // access tokens, by these and scope
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
		guids: map[string]string{}, keys: map[string]session.Key{}, issued: map[string]string{},
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
			app.ServersKey = servers(id)
			w.secrets[servers(id)] = "the secret that servers share about " + id
		}
		seed = append(seed, app)
	}
	hash, err := passwordHash()
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(filepath.Join(t.TempDir(), "guard.db"), slices.Concat(clients.Models(), durable.Models(), sessions.Models(), tokens.Models(), devices.Models(), users.Models())...)
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
	var issuers []tokens.Issuer
	for _, s := range catalog.All().Built() { // whatever the test makes of them
		if s.Auth.Issuer != catalog.NoIssuer {
			url := "https://" + host + "/" + s.Slug
			issuers = append(issuers, tokens.Issuer{Stage: s.Slug, URL: url, Audience: url + "/v1", Lifetime: time.Hour})
		}
	}
	if w.tokens, err = tokens.Open(ctx, db, tokens.Config{Issuers: issuers, Leeway: 5 * time.Second, Overlap: time.Minute, Now: w.clock.Now}); err != nil {
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
		Stages: stages, Apps: w.apps, Users: w.users, Sessions: w.sessions, Tokens: w.tokens, Devices: w.devices, ClientCAs: pool,
		Issued: guard.Issued{Clients: w.apps.Book, Tokens: w.tokens.Book}, // one server for all
		Attested: guard.Attested{
			Issuer: func(stage string) string { return attester + stage }, Audience: func(stage string) string { return "https://" + host + "/" + stage + "/v1" }, Leeway: 5 * time.Second,
		},
		Forwarded: guard.Forwarded{
			Issuer: func(stage string) string { return gatewayURL + stage }, Audience: func(stage string) string { return insideURL + stage }, Key: forwardingKey, Leeway: 5 * time.Second,
		},
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

// sealing are the keys under which an app's bodies are sealed.
func (w *world) sealing(app string) sealed.Keys {
	w.Helper()
	keys, err := sealed.DeriveKeys(w.secrets[app])
	if err != nil {
		w.Fatal(err)
	}
	return keys
}

// keyOf is the ID of the key with which a stage's tokens are signed.
func (w *world) keyOf(stage string) string {
	for _, key := range w.tokens.Keys() {
		if key.Stage == stage && key.Signs {
			return key.ID
		}
	}
	w.Fatalf("no key signs at %s", stage)
	return ""
}
