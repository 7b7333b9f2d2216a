package resource_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"keyladder/backend/guard"
	"keyladder/backend/resource"
	"keyladder/backend/users"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/problem"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/pin"
)

const (
	mobile = "harbour-mobile"
	ops    = "harbour-ops"
	kiosk  = "harbour-kiosk"
	books  = "quayside-books"

	password = "correct horse" // of everybody
)

var apps = []manage.App{
	{ID: mobile, Name: "Harbour Bank", UserAgent: "HarbourBank/", Scopes: []string{"rates:read", "accounts:read", "transfers:write"}, PerSecond: 200, Burst: 600},
	{ID: ops, Name: "Operations", UserAgent: "HarbourOps/", Scopes: []string{"rates:read", "accounts:read", "accounts:freeze"}, PerSecond: 200, Burst: 600},
	{ID: kiosk, Name: "Kiosk", UserAgent: "HarbourKiosk/", Scopes: []string{"rates:read", "accounts:read"}, PerSecond: 200, Burst: 600},
	{ID: books, Kind: manage.Partner, Name: "Quayside Books", UserAgent: "QuaysideBooks/", Scopes: []string{"settlements:read"}, PerSecond: 200, Burst: 600},
}

// passwordHash is as cheap as can be: tests are not about its cost.
var passwordHash = sync.OnceValues(func() (string, error) {
	return argon2id.CreateHash(password, &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
})

// site is a small deployment: a folder for the resource server, and what others hold.
type site struct {
	dir        string
	roots      *x509.CertPool
	clientCAs  *x509.CertPool
	api        tls.Certificate // of the API
	terminator tls.Certificate
	clients    map[string]tls.Certificate
	strangers  tls.Certificate // a client certificate of another authority
	unpinned   tls.Certificate // one of the right authority in the partner's name, with another key
	secrets    map[string]string

	mu     sync.Mutex
	phones map[phoneID]*phone
}

// forwarding is the key that gateway and API share.
var forwarding = []byte(`{"ID":"gateway","Secret":"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="}`)

func newSite(t testing.TB, addresses deployment.Addresses) *site {
	t.Helper()
	ca, pair, certificate := testenv.Must[*pki.CA](t), testenv.Must[pki.Pair](t), testenv.Must[tls.Certificate](t)
	serverCA, clientCA, manageCA, strangersCA := ca(pki.NewCA("public")), ca(pki.NewCA("apps")), ca(pki.NewCA("manage")), ca(pki.NewCA("apps"))
	s := &site{dir: t.TempDir(), clients: map[string]tls.Certificate{}, secrets: map[string]string{}, phones: map[phoneID]*phone{}}
	if addresses.Public == nil {
		addresses.Public = map[deployment.ServiceName]string{}
	}
	addresses.Public[deployment.API] = cmp.Or(addresses.Public[deployment.API], "https://localhost:8443")
	s.roots = testenv.Must[*x509.CertPool](t)(pki.Pool(serverCA.Certificate))
	s.clientCAs = testenv.Must[*x509.CertPool](t)(pki.Pool(clientCA.Certificate))
	server := pair(serverCA.Server("API", "localhost", "127.0.0.1"))
	s.api = certificate(server.TLS())
	s.terminator = certificate(pair(manageCA.Client("terminator")).TLS())
	s.strangers = certificate(pair(strangersCA.Client(mobile)).TLS())
	s.unpinned = certificate(pair(clientCA.Client(books)).TLS())
	seed := append([]manage.App{}, apps...)
	for i := range seed {
		client := pair(clientCA.Client(seed[i].ID))
		s.clients[seed[i].ID] = certificate(client.TLS())
		seed[i].Certificates = []string{string(pin.Of(testenv.Must[*x509.Certificate](t)(pki.Certificate(client.Certificate))))}
	}
	for _, app := range []string{mobile, ops, kiosk} {
		s.secrets[app] = "the secret of " + app
	}
	var people []users.Seed
	for _, name := range []string{"alice", "bob", "mallory", "carol"} {
		people = append(people, users.Seed{Name: name, PasswordHash: testenv.Must[string](t)(passwordHash()), Staff: name == "carol"})
	}
	registry := testenv.Must[[]byte](t)(json.Marshal(seed))
	secrets, persons := testenv.Must[[]byte](t)(json.Marshal(s.secrets)), testenv.Must[[]byte](t)(json.Marshal(people))
	for _, role := range []deployment.Role{deployment.Resource, deployment.Admin, deployment.Phone} {
		w := testenv.Must[*deployment.Writer](t)(deployment.NewWriter(s.dir, role, "test", time.Now(), addresses))
		write := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		write(w.Pair("manage", pair(manageCA.Peer(string(role), "localhost", "127.0.0.1", string(role)))))
		write(w.File("manage-ca.pem", manageCA.Certificate))
		if role == deployment.Resource {
			write(w.Pair("server", server))
			write(w.File("client-ca.pem", clientCA.Certificate))
			write(w.File("apps.json", registry))
			write(w.File("secrets.json", secrets))
			write(w.File("users.json", persons))
			write(w.File(deployment.ForwardingKey, forwarding))
		}
		write(w.Close())
	}
	return s
}

func (s *site) folder(t testing.TB, role deployment.Role) *deployment.Folder {
	t.Helper()
	return testenv.Must[*deployment.Folder](t)(deployment.Open(s.dir, role))
}

// lines collects what is logged.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

// newServer makes a server that has no listeners.
func newServer(t testing.TB, s *site, change func(*resource.Config)) *resource.Server {
	t.Helper()
	config := resource.Config{
		Folder: s.folder(t, deployment.Resource), Stages: catalog.All(), Log: traffic.New("resource", 256),
		Logger:  slog.New(slog.DiscardHandler),
		Address: guard.Limit{PerSecond: 1e6, Burst: 1e6},
	}
	if change != nil {
		change(&config)
	}
	server := testenv.Must[*resource.Server](t)(resource.New(config))
	t.Cleanup(func() { server.Close() })
	return server
}

// call makes a good request of an app at a stage, for handlers without listeners. Where
// it has to be signed, do does that.
func (s *site) call(app, stage, method, path, body string) *http.Request {
	user := "alice"
	if app == ops {
		user = "carol"
	}
	return s.callAs(app, user, stage, method, path, body)
}

func (s *site) callAs(app, user, stage, method, path, body string) *http.Request {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, "/"+stage+path, content)
	listener := guard.TLS
	found, _ := catalog.All().Lookup(stage)
	identify(r, app)
	if found.Call.UserProof == catalog.AccessToken {
		appkey.Set(r.Header, found.Call.AppProofField(), app)
		r.Header.Set("Authorization", unsigned)
	}
	if isForm(path) && found.Auth.Issuer == catalog.ResourceServer {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Del("Authorization")
	}
	if found.Call.Transport == catalog.PlainHTTP {
		listener = guard.Plain
	} else {
		r.TLS = &tls.ConnectionState{}
		if client, ok := s.clients[app]; ok {
			r.TLS.PeerCertificates = []*x509.Certificate{client.Leaf}
			r.TLS.VerifiedChains = [][]*x509.Certificate{r.TLS.PeerCertificates}
		}
	}
	if found.Call.AppProof == catalog.Hawk && app != books {
		r.Header.Set("Authorization", unsigned)
	}
	return r.WithContext(context.WithValue(guard.WithListener(context.Background(), listener), senderKey{}, sender{s, app, user, found, body}))
}

func identify(r *http.Request, app string) {
	appkey.Set(r.Header, "Authorization", app)
	for _, a := range apps {
		if a.ID == app {
			r.Header.Set("User-Agent", a.UserAgent+"1.0")
		}
	}
}

// do makes a call. What call left to be signed is, and the answer is checked and opened.
func do(server *resource.Server, r *http.Request) *httptest.ResponseRecorder {
	sent := prepare(server, r)
	answer := httptest.NewRecorder()
	server.Handler().ServeHTTP(answer, r)
	if sent != nil {
		sent.receive(answer)
	}
	return answer
}

func kindOf(answer *httptest.ResponseRecorder) string {
	if p := problem.Parse(answer.Header().Get("Content-Type"), answer.Body.Bytes()); p != nil {
		return p.Kind()
	}
	return ""
}

// running is a server with all its listeners.
type running struct {
	*site
	server                         *resource.Server
	plain, tls, terminated, inside string // URLs
	admin                          *manage.Client
	stop                           func() // waits until it has stopped
	log                            *lines
}

func start(t *testing.T, change func(*resource.Config)) *running {
	t.Helper()
	listen := func() net.Listener { return testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0")) }
	l := resource.Listeners{Plain: listen(), TLS: listen(), Terminated: listen(), Inside: listen(), Manage: listen()}
	r := &running{log: &lines{}}
	r.site = newSite(t, deployment.Addresses{
		Public: map[deployment.ServiceName]string{deployment.Manage(deployment.Resource): "https://" + l.Manage.Addr().String()},
	})
	r.plain, r.tls, r.terminated, r.inside = "http://"+l.Plain.Addr().String(), "https://"+l.TLS.Addr().String(), "https://"+l.Terminated.Addr().String(), "https://"+l.Inside.Addr().String()
	r.serve(t, l, change)
	r.admin = testenv.Must[*manage.Client](t)(manage.NewClient(r.folder(t, deployment.Admin), deployment.Resource))
	return r
}

func (r *running) serve(t *testing.T, l resource.Listeners, change func(*resource.Config)) {
	t.Helper()
	r.server = newServer(t, r.site, func(c *resource.Config) {
		c.Logger = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		if change != nil {
			change(c)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.server.Serve(ctx, l) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := r.server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	t.Cleanup(r.stop)
}

// get makes a call over the network.
func (r *running) get(t *testing.T, url, app string, client *tls.Certificate) (*http.Response, error) {
	t.Helper()
	req := testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, url, nil))
	identify(req, app)
	config := &tls.Config{RootCAs: r.roots}
	if client != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return client, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err == nil {
		body := testenv.Must[[]byte](t)(io.ReadAll(resp.Body))
		resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return resp, err
}

func (r *running) status(t *testing.T, url, app string, client *tls.Certificate) int {
	t.Helper()
	resp, err := r.get(t, url, app, client)
	if err != nil {
		return 0
	}
	return resp.StatusCode
}

// isForm says whether a path is one of the endpoints of OAuth, which take forms.
func isForm(path string) bool { return path == "/v1/token" || path == "/v1/revoke" }
