package authserver_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"keyladder/backend/authserver"
	"keyladder/backend/guard"
	mediatorsecrets "keyladder/backend/mediator/secrets"
	"keyladder/backend/users"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

// The stages that have an authorization server.
const (
	implicit = "implicit-grant"
	code     = "code-grant"
	refresh  = "refresh"
	mediated = "mediated" // the client secrets are those of servers
	plain    = "pkce-plain"
	s256     = "pkce-s256"
)

// Clients, and where their users come back to.
const (
	web    = "web" // confidential
	native = "native"
	odd    = "odd" // confidential, with a secret that form-encoding changes
	ops    = "ops"
	other  = "other"  // confidential
	mobile = "mobile" // confidential, with a key that servers share

	mobileServers = "mobile-servers" // that key

	webURI      = "https://web.example/callback?tenant=1"
	otherURI    = "https://other.example/callback"
	oddURI      = "https://odd.example/callback"
	loopbackURI = "http://127.0.0.1/callback"
	privateURI  = "com.example.app:/callback"
	opsURI      = "com.example.ops:/callback"
	mobileURI   = "com.example.mobile:/callback"
)

const password = "correct horse" // of everybody

var clientsOf = []manage.App{
	{ID: web, Name: "A web server", UserAgent: "Web/", Scopes: all, RedirectURIs: []string{webURI}, PerSecond: 1e6, Burst: 1e6},
	{ID: other, Name: "Another web server", UserAgent: "Web/", Scopes: all, RedirectURIs: []string{otherURI}, PerSecond: 1e6, Burst: 1e6},
	{ID: odd, Name: "A client with an odd secret", UserAgent: "Web/", Scopes: all, RedirectURIs: []string{oddURI}, PerSecond: 1e6, Burst: 1e6},
	{ID: native, Name: "A program", UserAgent: "Native/", Scopes: all, RedirectURIs: []string{loopbackURI, privateURI}, Public: true, PerSecond: 1e6, Burst: 1e6},
	{ID: mobile, Name: "An app", UserAgent: "Mobile/", Scopes: all, RedirectURIs: []string{mobileURI}, ServersKey: mobileServers, PerSecond: 1e6, Burst: 1e6},
	{ID: ops, Name: "For staff", UserAgent: "Ops/", Scopes: []string{"accounts:freeze"}, RedirectURIs: []string{opsURI}, Public: true, PerSecond: 1e6, Burst: 1e6},
}

var all = []string{"rates:read", "accounts:read", "transfers:write"}

var secrets = map[string]string{web: "the secret of web", other: "the secret of other", odd: `s:%2B+é "&=`, mobile: "the secret of mobile", mobileServers: "the secret of servers, of full length"}

// uriOf is where a client's answers go.
var uriOf = map[string]string{web: webURI, other: otherURI, odd: oddURI, native: loopbackURI, ops: opsURI, mobile: mobileURI}

// stages are those at which nobody is asked for proofs of the sender: mediators here have none to look at.
func stages() catalog.Set {
	return slices.DeleteFunc(catalog.All(), func(s catalog.Stage) bool { return s.Call.Sender != catalog.AnySender })
}

// passwordHash is as cheap as can be: tests are not about its cost.
var passwordHash = sync.OnceValues(func() (string, error) {
	return argon2id.CreateHash(password, &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
})

// world is an authorization server that runs, and its deployment.
type world struct {
	dir    string
	base   string // https://host:port
	roots  *x509.CertPool
	server *authserver.Server
	log    *traffic.Log
	ahead  atomic.Int64 // of its clock
	stop   func()
	listen authserver.Listeners
}

func (w *world) now() time.Time             { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *world) advance(by time.Duration)   { w.ahead.Add(int64(by)) }
func (w *world) issuer(stage string) string { return w.base + "/" + stage }
func listener(t testing.TB) net.Listener {
	return testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
}

func (w *world) folder(t testing.TB, role deployment.Role) *deployment.Folder {
	t.Helper()
	return testenv.Must[*deployment.Folder](t)(deployment.Open(w.dir, role))
}

// deploy makes a deployment's folders, and finds ports for its authorization server. What others have,
// by role and name of a file, takes the place of what is usual.
func deploy(t testing.TB, others map[string]any) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), log: traffic.New("auth", 256), listen: authserver.Listeners{TLS: listener(t), Manage: listener(t)}}
	w.base = "https://" + w.listen.TLS.Addr().String()
	addresses := deployment.Addresses{Public: map[deployment.ServiceName]string{
		deployment.API: "https://localhost:8443", deployment.AuthServer: w.base, deployment.MediatorService: "https://localhost:8447", deployment.AttestationService: "https://localhost:8445",
		deployment.Manage(deployment.Auth): "https://" + w.listen.Manage.Addr().String(),
	}}
	ca, pair := testenv.Must[*pki.CA](t), testenv.Must[pki.Pair](t)
	public, inside, apps := ca(pki.NewCA("public")), ca(pki.NewCA("inside")), ca(pki.NewCA("apps"))
	w.roots = testenv.Must[*x509.CertPool](t)(pki.Pool(public.Certificate))
	server := pair(public.Server("API", "localhost", "127.0.0.1"))
	var people []users.Seed
	for _, name := range []string{"alice", "bob", "carol"} {
		people = append(people, users.Seed{Name: name, PasswordHash: testenv.Must[string](t)(passwordHash()), Staff: name == "carol"})
	}
	for _, role := range []deployment.Role{deployment.Auth, deployment.Mediator, deployment.Resource, deployment.Admin} {
		writer := testenv.Must[*deployment.Writer](t)(deployment.NewWriter(w.dir, role, "test", time.Now(), addresses))
		write := func(name string, content any) error {
			if other, ok := others[string(role)+"/"+name]; ok {
				content = other
			}
			return writer.File(name, testenv.Must[[]byte](t)(json.Marshal(content)))
		}
		known := secrets
		if role == deployment.Mediator {
			known = maps.Clone(secrets)
			known["market-rates"] = "the bank's key"
		}
		err := errors.Join(
			writer.Pair("manage", pair(inside.Peer(string(role), "localhost", "127.0.0.1", string(role)))),
			writer.File("manage-ca.pem", inside.Certificate),
			writer.Pair("server", server),
			writer.File("roots.pem", public.Certificate),
			writer.File("client-ca.pem", apps.Certificate),
			write("clients.json", clientsOf),
			write("apps.json", clientsOf),
			write("secrets.json", known),
			write("users.json", people),
			write("providers.json", []manage.Provider{}), // of the mediator, where it is the issuer
			write(deployment.ForwardingKey, token.Key{ID: "gateway", Secret: []byte(strings.Repeat("k", 32))}),
			writer.File(mediatorsecrets.File, []byte(strings.Repeat("0f", 32))),
			writer.Close())
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// start starts an authorization server with the deployment's usual lifetimes.
func start(t testing.TB) *world {
	t.Helper()
	w := deploy(t, nil)
	w.open(t)
	return w
}

func (w *world) config(t testing.TB) authserver.Config {
	t.Helper()
	config := authserver.Config{
		Folder: w.folder(t, deployment.Auth), Stages: stages(), Log: w.log, Logger: slog.New(slog.DiscardHandler), Now: w.now,
	}.With(deployment.DefaultSettings)
	config.Address = guard.Limit{PerSecond: 1e6, Burst: 1e6}
	return config
}

func (w *world) open(t testing.TB) {
	t.Helper()
	w.server = testenv.Must[*authserver.Server](t)(authserver.New(w.config(t)))
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(ctx, w.listen) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-served, w.server.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
}
