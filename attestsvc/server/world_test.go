package server_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/attestsvc/references"
	"keyladder/attestsvc/server"
	"keyladder/backend/clients"
	"keyladder/backend/guard"
	"keyladder/internal/deployment"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/store"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/mechanism/token"
)

// Stages with attestation, and one without.
const (
	byHash      = "attested-hash"
	byChallenge = "attested-challenge"
	without     = "refresh"
)

// Clients.
const (
	app        = "harbour-mobile"
	staff      = "harbour-ops"
	unshared   = "kiosk" // with no key that servers share
	appPackage = "com.example.app"
)

// Who signs packages.
var (
	developer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	stranger  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
)

func pinOf(t testing.TB, key ed25519.PrivateKey) string {
	return string(testenv.Must[pin.Pin](t)(pin.OfKey(key.Public())))
}

// noise is a program of random bytes, the same for each seed.
func noise(seed byte, size int) []byte {
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

// pack makes a package.
func pack(t testing.TB, name string, number int, program []byte, key ed25519.PrivateKey) []byte {
	t.Helper()
	return testenv.Must[[]byte](t)(release.Assemble(program, release.Manifest{Name: name, Label: "App", Release: number},
		map[string][]byte{"settings.json": []byte(`{"some":"thing"}`)}, key))
}

// world is an attestation service that runs, and the deployment that it belongs to.
type world struct {
	dir      string
	base     string // https://host:port
	http     *http.Client
	registry *clients.Registry // the authorization server's
	admin    *manage.Client
	log      *traffic.Log
	logger   *slog.Logger
	ahead    atomic.Int64 // of its clock
	stop     func()
	stopAuth func() // ends the authorization server
	listen   server.Listeners
	pkg      []byte      // release 2 of the app
	maker    *pki.CA     // of devices
	old      bool        // the deployment was made before there were any
	stages   catalog.Set // nil: all
}

func (w *world) now() time.Time           { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *world) advance(by time.Duration) { w.ahead.Add(int64(by)) }

func listener(t testing.TB) net.Listener {
	return testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
}

func (w *world) folder(t testing.TB, role deployment.Role) *deployment.Folder {
	t.Helper()
	return testenv.Must[*deployment.Folder](t)(deployment.Open(w.dir, role))
}

// start starts an attestation service, with an authorization server that knows clients and nothing
// else.
func start(t testing.TB) *world {
	t.Helper()
	w := deploy(t)
	w.open(t)
	return w
}

func deploy(t testing.TB) *world {
	t.Helper()
	w := &world{}
	w.deploy(t)
	return w
}

func (w *world) deploy(t testing.TB) {
	t.Helper()
	w.dir, w.log, w.logger = t.TempDir(), traffic.New("attestsvc", 1024), slog.New(slog.DiscardHandler)
	w.listen = server.Listeners{TLS: listener(t), Manage: listener(t)}
	w.pkg = pack(t, appPackage, 2, noise(2, 200_000), developer)
	w.base = "https://" + w.listen.TLS.Addr().String()
	auth := listener(t)
	addresses := deployment.Addresses{Public: map[deployment.ServiceName]string{
		deployment.API: "https://localhost:8443", deployment.AttestationService: w.base, deployment.MediatorService: "https://localhost:8447",
		deployment.Manage(deployment.Auth):        "https://" + auth.Addr().String(),
		deployment.Manage(deployment.Attestation): "https://" + w.listen.Manage.Addr().String(),
	}}
	ca, pair := testenv.Must[*pki.CA](t), testenv.Must[pki.Pair](t)
	public, inside := ca(pki.NewCA("public")), ca(pki.NewCA("inside"))
	w.maker = ca(pki.NewRoot("maker"))
	certificate := pair(public.Server("attestation service", "localhost", "127.0.0.1"))
	known := testenv.Must[[]byte](t)(json.Marshal([]references.Known{
		{Client: app, Package: appPackage, Signer: pinOf(t, developer)}, {Client: staff, Package: "com.example.ops", Signer: pinOf(t, developer)},
	}))
	for _, role := range []deployment.Role{deployment.Auth, deployment.Attestation, deployment.Admin} {
		writer := testenv.Must[*deployment.Writer](t)(deployment.NewWriter(w.dir, role, "test", time.Now(), addresses))
		err := errors.Join(
			writer.Pair("manage", pair(inside.Peer(string(role), "localhost", "127.0.0.1", string(role)))),
			writer.File("manage-ca.pem", inside.Certificate),
			writer.Pair("server", certificate),
			writer.File("references.json", known),
			w.writeMaker(t, writer),
			writer.File("app-2.pkg", w.pkg),
			writer.File("ops-1.pkg", pack(t, "com.example.ops", 1, noise(3, 1000), developer)),
			writer.Close())
		if err != nil {
			t.Fatal(err)
		}
	}
	w.serveClients(t, auth)
	roots := testenv.Must[*x509.CertPool](t)(pki.Pool(public.Certificate))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 32}
	t.Cleanup(transport.CloseIdleConnections)
	w.http = &http.Client{Transport: transport}
	w.admin = testenv.Must[*manage.Client](t)(manage.NewClient(w.folder(t, deployment.Admin), deployment.Attestation))
}

// serveClients runs what the service needs of an authorization server.
func (w *world) serveClients(t testing.TB, at net.Listener) {
	t.Helper()
	folder := w.folder(t, deployment.Auth)
	db := testenv.Must[*gorm.DB](t)(store.Open(folder.Path("auth.db"), append(clients.Models(), durable.Models()...)...))
	seed := []manage.App{
		{ID: app, Name: "The app", UserAgent: "App/", Scopes: []string{"rates:read"}, PerSecond: 1e6, Burst: 1e6, ServersKey: app + "-servers"},
		{ID: staff, Name: "The staff's", UserAgent: "Ops/", Scopes: []string{"rates:read"}, PerSecond: 1e6, Burst: 1e6, ServersKey: staff + "-servers"},
		{ID: unshared, Name: "A kiosk", UserAgent: "Kiosk/", Scopes: []string{"rates:read"}, PerSecond: 1e6, Burst: 1e6},
	}
	secrets := map[string]string{}
	for _, id := range []string{app, staff, unshared, app + "-servers", staff + "-servers"} {
		secrets[id] = "the secret of " + id + " that is long enough"
	}
	w.registry = testenv.Must[*clients.Registry](t)(clients.Open(t.Context(), db, clients.Config{Seed: seed, Secrets: secrets, Overlap: time.Hour}))
	auth := manage.NewServer(folder, traffic.New("auth", 64), nil)
	w.registry.Serve(auth.For(deployment.Attestation))
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- auth.Serve(ctx, at) }()
	w.stopAuth = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-served, store.Close(db)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stopAuth)
}

func (w *world) config(t testing.TB) server.Config {
	t.Helper()
	config := server.Config{
		Folder: w.folder(t, deployment.Attestation), Stages: w.stages, Log: w.log, Logger: w.logger, Now: w.now,
	}.With(deployment.DefaultSettings)
	if config.Stages == nil {
		config.Stages = catalog.All()
	}
	config.Address = guard.Limit{PerSecond: 1e6, Burst: 1e6}
	return config
}

// open starts the service, and waits until it knows the clients.
func (w *world) open(t testing.TB) {
	t.Helper()
	service := testenv.Must[*server.Server](t)(server.New(w.config(t)))
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- service.Serve(ctx, w.listen) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-served, service.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
	testenv.Within(t, 20*time.Second, "the service is healthy", func() bool { return w.admin.Healthy(t.Context()) == nil })
}

// tryOpen is the error with which the service does not start.
func (w *world) tryOpen(t testing.TB) error {
	t.Helper()
	service, err := server.New(w.config(t))
	if err == nil {
		err = service.Close()
	}
	return err
}

// reopen stops the service and starts it again.
func (w *world) reopen(t testing.TB) {
	t.Helper()
	w.stop()
	w.listen = server.Listeners{TLS: again(t, w.listen.TLS), Manage: again(t, w.listen.Manage)}
	w.open(t)
}

func again(t testing.TB, l net.Listener) net.Listener {
	return testenv.Must[net.Listener](t)(net.Listen("tcp", l.Addr().String()))
}

// publish puts a package into the service's folder, as a new release comes.
func (w *world) publish(t testing.TB, name string, pkg []byte) {
	t.Helper()
	path := filepath.Join(w.dir, string(deployment.Attestation), name)
	if err := errors.Join(os.WriteFile(path+".new", pkg, 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// reply is an answer of the service.
type reply struct {
	*http.Response
	body []byte
}

func (w *world) call(t testing.TB, method, path string, body any) reply {
	t.Helper()
	var sent io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		sent = bytes.NewReader([]byte(body))
	default:
		sent = bytes.NewReader(testenv.Must[[]byte](t)(json.Marshal(body)))
	}
	r := testenv.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), method, w.base+path, sent))
	r.Header.Set("Content-Type", "application/json")
	response := testenv.Must[*http.Response](t)(w.http.Do(r))
	defer response.Body.Close()
	return reply{response, testenv.Must[[]byte](t)(io.ReadAll(response.Body))}
}

func decoded[T any](t testing.TB, r reply, status int) (v T) {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", r.StatusCode, status, r.body)
	}
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	return v
}

// opened is a session.
type opened struct {
	path string
	attestation.Session
}

func (w *world) opens(t testing.TB, stage string, o attestation.Opening) opened {
	t.Helper()
	r := w.call(t, http.MethodPost, "/"+stage+attestation.SessionsPath, o)
	return opened{r.Header.Get("Location"), decoded[attestation.Session](t, r, http.StatusCreated)}
}

// mine is what the app says of itself.
func mine() attestation.Opening {
	return attestation.Opening{ClientID: app, Release: 2, Device: "device-1"}
}

// evidence is what somebody with that package answers.
func evidence(t testing.TB, pkg []byte, challenge attestation.Challenge, found attestation.Findings) attestation.Evidence {
	t.Helper()
	e := attestation.Evidence{Measurement: testenv.Must[attestation.Measurement](t)(attestation.Measure(bytes.NewReader(pkg)))}
	if len(challenge.Nonce) > 0 {
		e.Findings = &found
		e.Answer = testenv.Must[[]byte](t)(challenge.Answer(bytes.NewReader(pkg), int64(len(pkg)), found))
	}
	return e
}

// attests goes through a session with a package, and returns what the app is told.
func (w *world) attests(t testing.TB, stage string, o attestation.Opening, pkg []byte, found attestation.Findings) attestation.Result {
	t.Helper()
	session := w.opens(t, stage, o)
	answer := decoded[attestation.Session](t, w.call(t, http.MethodPost, session.path, evidence(t, pkg, session.Challenge, found)), http.StatusOK)
	if answer.Result == nil || answer.State != attestation.Complete {
		t.Fatalf("an answer without a result: %+v", answer)
	}
	return *answer.Result
}

// good says whether a token is, by what the servers know now.
func (w *world) good(t testing.TB, stage, text string) bool {
	t.Helper()
	_, err := w.verify(stage, text)
	return err == nil
}

func (w *world) verify(stage, text string) (integrity.Claims, error) {
	return integrity.Verifier{
		Issuer: w.base + "/" + stage, Audience: "https://localhost:8443/" + stage + "/v1", Leeway: time.Second,
		Key: func(id string) (string, []token.Secret) {
			found, key, err := w.registry.LookupServers(id)
			if err != nil {
				return "", nil
			}
			var secrets []token.Secret
			for _, secret := range key.Secrets(w.now(), 30*time.Second) {
				secrets = append(secrets, token.Secret(secret.Text()))
			}
			return found.ID, secrets
		},
	}.Verify(text, w.now())
}

// result is what the admin sees of an attestation.
func (w *world) result(t testing.TB, r attestation.Result) manage.Attestation {
	t.Helper()
	return testenv.Must[manage.Attestation](t)(manage.AttestationBy(t.Context(), w.admin, r.Reference))
}

// only is a key that has one secret.
func only(secret string) func(string) (string, []token.Secret) {
	return func(string) (string, []token.Secret) { return app, []token.Secret{token.Secret(secret)} }
}
