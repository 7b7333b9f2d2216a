package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/backend/clients"
	"keyladder/backend/gateway"
	"keyladder/backend/guard"
	"keyladder/backend/serving"
	"keyladder/backend/tokens"
	"keyladder/internal/deployment"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/store"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/forwarded"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

const (
	stage   = "extended-mediator"
	app     = "harbour-mobile"
	servers = app + "-servers"
	bound   = "device-bound"
	origin  = "https://mediator.test"
	base    = origin + "/" + stage
	attests = "https://attest.test/" + stage
	device  = "phone"
)

var secret = strings.Repeat("s", 32) // that servers share about the app

// stages are those at which nobody is asked for proofs of the sender.
func stages() catalog.Set {
	return slices.DeleteFunc(catalog.All(), func(s catalog.Stage) bool { return s.Call.Sender != catalog.AnySender })
}

// world is a gateway between clients and an API that a test plays.
type world struct {
	testing.TB
	gateway *gateway.Gateway
	handler http.Handler
	log     *traffic.Log
	key     token.Key // that gateway and API share
	inside  string    // aud of what the gateway says
	issued  *tokens.Store
	access  string // an access token of alice's
	stop    func() // the API
	again   func() // starts it anew, at the same address

	mu      sync.Mutex
	called  []*http.Request // the calls that the API has got
	bodies  []string
	answers http.HandlerFunc // of the API
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // one that ends early is as long as it is
	w.mu.Lock()
	w.called, w.bodies = append(w.called, r), append(w.bodies, string(body))
	answer := w.answers
	w.mu.Unlock()
	answer(rw, r)
}

func (w *world) calls() []*http.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.called)
}

func (w *world) answer(by http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = by
}

func start(t testing.TB, change func(*gateway.Config, *guard.Config)) *world {
	t.Helper()
	w := &world{TB: t, log: traffic.New("mediator", 256), key: token.Key{ID: "gateway", Secret: token.Secret(strings.Repeat("k", 32))}}
	w.answers = func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "[]") }
	ca, pair := testenv.Must[*pki.CA](t), testenv.Must[pki.Pair](t)
	public, management := ca(pki.NewCA("public")), ca(pki.NewCA("inside"))
	server := testenv.Must[tls.Certificate](t)(pair(public.Server("api", "localhost", "127.0.0.1")).TLS())
	listener := testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	address := listener.Addr().String()
	w.inside = "https://" + address + "/" + stage + "/v1"

	dir := t.TempDir()
	writer := testenv.Must[*deployment.Writer](t)(deployment.NewWriter(dir, deployment.Mediator, "test", time.Now(), deployment.Addresses{
		Public: map[deployment.ServiceName]string{deployment.InsideAPI: "https://" + address, deployment.MediatorService: "https://mediator.test"},
	}))
	err := errors.Join(
		writer.Pair("manage", pair(management.Peer(string(deployment.Mediator)))), writer.File("manage-ca.pem", management.Certificate),
		writer.File("roots.pem", public.Certificate),
		writer.File(deployment.ForwardingKey, []byte(`{"ID":"gateway","Secret":"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="}`)), writer.Close())
	if err != nil {
		t.Fatal(err)
	}
	folder := testenv.Must[*deployment.Folder](t)(deployment.Open(dir, deployment.Mediator))

	w.again = func() {
		if listener == nil {
			listener = testenv.Must[net.Listener](t)(net.Listen("tcp", address))
		}
		api := httptest.NewUnstartedServer(w)
		api.Listener.Close()
		api.Listener, listener = listener, nil
		api.TLS = serving.For(string(deployment.Mediator), server, testenv.Must[*x509.CertPool](t)(folder.Pool("manage-ca.pem")))
		api.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		api.StartTLS()
		w.stop = func() { api.CloseClientConnections(); api.Close() }
		t.Cleanup(w.stop)
	}
	w.again()

	db := testenv.Must[*gorm.DB](t)(store.Open(filepath.Join(dir, "test.db"), slices.Concat(clients.Models(), tokens.Models(), durable.Models())...))
	t.Cleanup(func() { store.Close(db) })
	registry := testenv.Must[*clients.Registry](t)(clients.Open(t.Context(), db, clients.Config{Seed: []manage.App{
		{ID: app, Name: "The app", UserAgent: "HarbourBank/", ServersKey: servers, Scopes: []string{"accounts:read", "transfers:write"}, PerSecond: 1e6, Burst: 1e6},
	}, Secrets: map[string]string{app: strings.Repeat("a", 32), servers: secret}}))
	issuer := func(stage string) tokens.Issuer {
		return tokens.Issuer{Stage: stage, URL: origin + "/" + stage, Audience: origin + "/" + stage + "/v1", Lifetime: time.Minute}
	}
	w.issued = testenv.Must[*tokens.Store](t)(tokens.Open(t.Context(), db, tokens.Config{Issuers: []tokens.Issuer{issuer(stage), issuer(bound)}, Leeway: 5 * time.Second}))
	w.access = w.token(tokens.Grant{Stage: stage})

	config := gateway.Config{Folder: folder, Log: w.log, Logger: slog.New(slog.DiscardHandler), Every: 20 * time.Millisecond}
	guarded := guard.Config{
		Stages: stages(), Gateway: true, Issued: guard.Issued{Clients: registry.Book, Tokens: w.issued.Book}, Usage: guard.Uncounted{}, Server: "mediator", Log: w.log,
		Address:  guard.Limit{PerSecond: 1e6, Burst: 1e6},
		Attested: guard.Attested{Issuer: func(string) string { return attests }, Audience: func(string) string { return base }, Leeway: 5 * time.Second},
	}
	if change != nil {
		change(&config, &guarded)
	}
	w.gateway = testenv.Must[*gateway.Gateway](t)(gateway.New(config))
	t.Cleanup(w.gateway.Close)
	g := testenv.Must[*guard.Guard](t)(guard.New(guarded))
	e := serving.Echo(config.Logger, g.Middleware)
	w.gateway.Routes(e, g)
	w.handler = gateway.Subrequests(catalog.All(), e)
	return w
}

// watch has the gateway look at the API in the background, until the test ends.
func (w *world) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.gateway.Watch(ctx) }()
	w.Cleanup(func() { cancel(); <-done })
}

// token is an access token of alice's, at the grant's stage.
func (w *world) token(grant tokens.Grant) string {
	w.Helper()
	grant.User, grant.Client, grant.Scope, grant.Device = "alice", app, "accounts:read transfers:write", device
	return testenv.Must[tokens.Issued](w)(w.issued.Issue(w.Context(), time.Now(), grant)).Text
}

// request is a good call of the app's.
func (w *world) request(method, path, body string) *http.Request {
	w.Helper()
	r := httptest.NewRequest(method, "/"+stage+path, strings.NewReader(body))
	r.RemoteAddr = "203.0.113.7:4711"
	*r = *r.WithContext(guard.WithListener(w.Context(), guard.TLS))
	r.Header.Set("User-Agent", "HarbourBank/3")
	r.Header.Set(traffic.Header, "one-exchange")
	token.Set(r.Header, w.access)
	integrity.Set(r.Header, w.attested(jwk.Key{}))
	return r
}

// attested is a client integrity token, bound to a key.
func (w *world) attested(key jwk.Key) string {
	w.Helper()
	now := time.Now().Truncate(time.Second)
	text, err := integrity.Sign(token.Key{ID: servers, Secret: token.Secret(secret)}, integrity.Claims{
		Issuer: attests, ClientID: app, Audience: []string{base + "/v1", base}, Issued: now, Expires: now.Add(time.Minute), ID: "i", Release: 3, Device: device, Level: "package-challenge", Key: key,
	})
	if err != nil {
		w.Fatal(err)
	}
	return text
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	w.Helper()
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	return answer
}

// refusedBy is the check that is on record as the last that refused something.
func (w *world) refusedBy() catalog.Check {
	for _, m := range slices.Backward(w.log.After(0)) {
		if m.Verdict != nil && !m.Verdict.Allowed {
			return m.Verdict.Check
		}
	}
	return ""
}

// said is what the gateway says about the caller of a call, as the API finds it.
func (w *world) said(r *http.Request) (forwarded.Claims, error) {
	text, err := forwarded.From(r.Header)
	if err != nil {
		return forwarded.Claims{}, err
	}
	return forwarded.Verifier{Issuer: base, Audience: w.inside, Key: w.key}.Verify(text, r.Method, forwarded.Path(r), time.Now())
}
