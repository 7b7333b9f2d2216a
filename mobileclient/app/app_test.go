package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elazarl/goproxy"

	"keyladder/internal/pki"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/protect"
)

// programs are the app as it is shipped, built once for all tests.
var programs build.Programs

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "keyladder-app-")
	if err != nil {
		log.Fatal(err)
	}
	if programs, err = build.Build(context.Background(), dir, catalog.ClearSecrets, catalog.HiddenSecrets); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// bench is a bank that notes what it is asked, over HTTP and over TLS, and a phone with
// the genuine app on it.
type bench struct {
	bank      *fakeBank
	plain     *httptest.Server
	tls       *httptest.Server
	authority *pki.CA
	settings  release.Settings
	developer ed25519.PrivateKey
	device    *device.Device
	log       *traffic.Log
}

const appName = "com.harbourbank.app"

// newBench installs the app with settings that the test may change first.
func newBench(t *testing.T, change ...func(*bench)) *bench {
	t.Helper()
	b := &bench{bank: newFakeBank(), log: traffic.New("phone", 1000)}
	b.authority = newCA(t, "Workshop CA")
	clients := newCA(t, "Harbour Bank apps")
	server := pair(t)(b.authority.Server("bank", "127.0.0.1"))
	backup := pair(t)(b.authority.Server("bank", "127.0.0.1"))
	client := pair(t)(clients.Client("harbour-mobile"))
	pool, err := pki.Pool(clients.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	b.plain = httptest.NewServer(b.bank)
	t.Cleanup(b.plain.Close)
	b.tls = httptest.NewUnstartedServer(b.bank)
	b.tls.TLS = &tls.Config{
		Certificates: []tls.Certificate{certificate(t, server)},
		ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: pool,
	}
	b.tls.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is tested
	b.tls.StartTLS()
	t.Cleanup(b.tls.Close)

	b.settings = release.Settings{
		ClientID: "harbour-mobile", SharedSecret: testSecret,
		ClientCertificate: string(client.Certificate), ClientKey: string(client.Key),
		ServerPins: []string{pinOf(t, server), pinOf(t, backup)},
		APIPlain:   b.plain.URL, APITLS: b.tls.URL, TransferCap: 100_000,
		Stages: map[string]catalog.Call{},
	}
	b.bank.address = b.tls.URL
	for _, c := range change {
		c(b)
	}
	b.developer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	b.device = b.newPhone(t)
	return b
}

// newPhone is a phone without apps.
func (b *bench) newPhone(t *testing.T) *device.Device {
	t.Helper()
	d, err := device.New(device.Config{
		Dir: t.TempDir(), Owner: "alice", Roots: b.authority.Certificate, Log: b.log,
		Developers: []ed25519.PublicKey{b.developer.Public().(ed25519.PublicKey)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// pack packs the release of the app that is used at a stage.
func (b *bench) pack(t *testing.T, stage catalog.Stage, name string) string {
	t.Helper()
	settings := b.settings
	settings.Stages = map[string]catalog.Call{}
	for _, other := range catalog.All().Built() {
		if other.Package.Release == stage.Package.Release {
			settings.Stages[other.Slug] = other.Call
		}
	}
	assets, err := build.Bundle(settings, stage.Package.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "app.pkg")
	manifest := release.Manifest{Name: name, Label: "Harbour Bank", Release: stage.Package.Release, Schemes: []string{name}}
	if err := release.Pack(path, programs[stage.Package.Secrets], manifest, assets, b.developer); err != nil {
		t.Fatal(err)
	}
	return path
}

// install puts the release of the app that is used at a stage on the phone.
func (b *bench) install(t *testing.T, slug string) {
	t.Helper()
	stage, ok := catalog.All().Lookup(slug)
	if !ok {
		t.Fatalf("no stage %q", slug)
	}
	installed := b.device.Installed()
	if len(installed) > 0 && installed[0].Release == stage.Package.Release {
		return
	}
	if _, err := b.device.Install(b.pack(t, stage, appName)); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) launch(t *testing.T, stage string) *device.App {
	t.Helper()
	b.install(t, stage)
	app, err := b.device.Launch(t.Context(), appName, stage)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// shown is what the app shows, where it could be asked.
func shown(t *testing.T) func(device.Screen, error) device.Screen {
	return func(screen device.Screen, err error) device.Screen {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return screen
	}
}

func newCA(t *testing.T, name string) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA(name)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func pair(t *testing.T) func(pki.Pair, error) pki.Pair {
	return func(pair pki.Pair, err error) pki.Pair {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
}

func certificate(t *testing.T, pair pki.Pair) tls.Certificate {
	t.Helper()
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func pinOf(t *testing.T, pair pki.Pair) string {
	t.Helper()
	certificate, err := pki.Certificate(pair.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return string(pin.Of(certificate))
}

// TestStages walks the app through every built stage.
func TestStages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, stage := range catalog.All().Built() {
		t.Run(stage.Slug, func(t *testing.T) {
			app := b.launch(t, stage.Slug)
			signIn(t, app, stage.Call)
			payment := device.Payment{From: "HB-1001", To: "HB-2001", Amount: 1234, Reference: "rent & more"}
			for _, call := range []struct {
				name, method, path, body string
				do                       func() (device.Screen, error)
			}{
				{"rates", "GET", "/v1/rates", "", func() (device.Screen, error) { return app.Rates(t.Context()) }},
				{"accounts", "GET", "/v1/accounts", "", func() (device.Screen, error) { return app.Accounts(t.Context()) }},
				{"account", "GET", "/v1/accounts/HB-1001", "", func() (device.Screen, error) { return app.Account(t.Context(), "HB-1001") }},
				{"an account with a strange name", "GET", "/v1/accounts/..%2Frates", "", func() (device.Screen, error) { return app.Account(t.Context(), "../rates") }},
				{"transfers", "GET", "/v1/accounts/HB-1001/transfers", "", func() (device.Screen, error) { return app.Transfers(t.Context(), "HB-1001") }},
				{
					"transfer", "POST", "/v1/transfers",
					`{"amount":1234,"currency":"EUR","from":"HB-1001","reference":"rent \u0026 more","to":"HB-2001"}`,
					func() (device.Screen, error) { return app.Transfer(t.Context(), payment) },
				},
				{"freeze", "POST", "/v1/accounts/HB-2001/freeze", `{"frozen":true}`, func() (device.Screen, error) { return app.Freeze(t.Context(), "HB-2001", true) }},
			} {
				screen := shown(t)(call.do())
				if !screen.OK || screen.Status != http.StatusOK || len(screen.Body) == 0 {
					t.Errorf("%s: %+v", call.name, screen)
				}
				r, body := b.bank.last(t)
				if r.Method != call.method || r.URL.EscapedPath() != "/"+stage.Slug+call.path || body != call.body {
					t.Errorf("%s: %s %s %s", call.name, r.Method, r.URL.EscapedPath(), body)
				}
				if r.UserAgent() != fmt.Sprintf("HarbourBank/%d.0", stage.Package.Release) || r.Header.Get(traffic.Header) == "" {
					t.Errorf("%s: header %v", call.name, r.Header)
				}
				if (r.TLS != nil) != (stage.Call.Transport != catalog.PlainHTTP) {
					t.Errorf("%s: over TLS: %v", call.name, r.TLS != nil)
				}
				if r.TLS != nil && (len(r.TLS.PeerCertificates) > 0) != (stage.Call.Transport == catalog.MutualTLS) {
					t.Errorf("%s: %d client certificates", call.name, len(r.TLS.PeerCertificates))
				}
				checkFields(t, call.name, r, stage.Call)
			}
			if err := app.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if len(b.bank.conns) != len(catalog.All().Built()) {
		t.Errorf("the app used %d connections in %d runs, it should keep them alive", len(b.bank.conns), len(catalog.All().Built()))
	}
}

func signIn(t *testing.T, app *device.App, policy catalog.Call) {
	t.Helper()
	if policy.UserProof != catalog.UserSession {
		return
	}
	if screen := shown(t)(app.SignIn(t.Context(), "alice", testPassword)); !screen.OK || screen.User != "alice" {
		t.Fatalf("sign in: %+v", screen)
	}
}

// checkFields looks at who the request says that app, user and device are.
func checkFields(t *testing.T, name string, r *http.Request, policy catalog.Call) {
	t.Helper()
	rates := name == "rates"
	want, app := map[catalog.AppProof]string{catalog.AppKey: "key harbour-mobile", catalog.Hawk: "Hawk "}[policy.AppProof], ""
	key := ""
	if policy.KeyPlace == catalog.KeyInPublicURLs && rates {
		want, key = "", "harbour-mobile"
	}
	if policy.UserProof == catalog.UserSession {
		want, app = "Session ", "Hawk "
		if rates {
			want = ""
		}
	}
	got := r.Header.Get("Authorization")
	if !strings.HasPrefix(got, want) || (want == "") != (got == "") {
		t.Errorf("%s: Authorization: %q, want %q", name, got, want)
	}
	if got := r.Header.Get("App-Authorization"); !strings.HasPrefix(got, app) || (app == "") != (got == "") {
		t.Errorf("%s: App-Authorization: %q, want %q", name, got, app)
	}
	if got := r.URL.Query().Get("key"); got != key {
		t.Errorf("%s: key in the URL: %q, want %q", name, got, key)
	}
	registered := policy.Devices == catalog.RegisteredDevices
	if (r.Header.Get("Device-Id") != "") != registered || (r.Header.Get("Device-Guid") != "") != registered {
		t.Errorf("%s: device %q, GUID %q", name, r.Header.Get("Device-Id"), r.Header.Get("Device-Guid"))
	}
	media := ""
	if r.Method == http.MethodPost {
		media = map[catalog.Bodies]string{catalog.PlainBodies: protect.JSON, catalog.SealedBodies: "application/jose"}[policy.Bodies]
	}
	if got := r.Header.Get("Content-Type"); got != media {
		t.Errorf("%s: Content-Type: %q, want %q", name, got, media)
	}
}

// TestLanes looks at what is recorded of a call at each transport.
func TestLanes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		stage   string
		visible bool // to the network
	}{{"app-id", true}, {"tls", false}} {
		t.Run(test.stage, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			app := b.launch(t, test.stage)
			for range 2 { // the second on the same connection
				shown(t)(app.Accounts(t.Context()))
			}
			exchanges := map[string]map[traffic.Lane]int{}
			seen := false
			for _, m := range b.log.After(0) {
				if exchanges[m.Exchange] == nil {
					exchanges[m.Exchange] = map[traffic.Lane]int{}
				}
				exchanges[m.Exchange][m.Lane]++
				if m.Stage != test.stage || m.From == "" || m.To == "" || m.Summary == "" {
					t.Errorf("incomplete: %+v", m)
				}
				if m.Lane == traffic.Network && bytes.Contains(m.Body, []byte("harbour-mobile")) {
					seen = true
				}
				if m.Lane == traffic.App && m.Kind == traffic.Request && !strings.Contains(m.Head, "Authorization: key harbour-mobile\r\n") {
					t.Errorf("head: %q", m.Head)
				}
			}
			if seen != test.visible {
				t.Errorf("the network sees the key: %v", seen)
			}
			if len(exchanges) != 2 {
				t.Errorf("exchanges: %v", exchanges)
			}
			for id, lanes := range exchanges {
				if lanes[traffic.App] != 2 || lanes[traffic.Network] < 2 {
					t.Errorf("exchange %s: %v", id, lanes)
				}
			}
		})
	}
}

// middle is somebody between the app and the bank, with an authority of their own.
func middle(t *testing.T, authority *pki.CA) *httptest.Server {
	t.Helper()
	issuer := certificate(t, authority.Pair)
	proxy := goproxy.NewProxyHttpServer()
	proxy.Logger = log.New(io.Discard, "", 0)
	proxy.OnRequest().HandleConnect(goproxy.FuncHttpsHandler(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return &goproxy.ConnectAction{Action: goproxy.ConnectMitm, TLSConfig: goproxy.TLSConfigFromCA(&issuer)}, host
	}))
	proxy.Tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // it is the attacker's
	proxy.OnRequest().DoFunc(func(r *http.Request, _ *goproxy.ProxyCtx) (*http.Request, *http.Response) {
		r.Header.Set("Seen-By-Proxy", r.Header.Get("Authorization"))
		return r, nil
	})
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server
}

func TestProxy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, stage string
		trusted     bool
		check       catalog.Check // that refuses
	}{
		{"plain", "app-id", false, ""},
		{"tls, unknown authority", "tls", false, "tls"},
		{"tls, authority in the trust store", "tls", true, ""},
		{"pins, unknown authority", "pinned-mtls", false, "tls"},
		{"pins, authority in the trust store", "pinned-mtls", true, "pins"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			app := b.launch(t, test.stage)
			if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
				t.Fatalf("without a proxy: %+v", screen)
			}
			evil := newCA(t, "Mallory's CA")
			if test.trusted {
				if err := b.device.Trust(evil.Certificate); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.device.SetNetwork(device.Network{Proxy: middle(t, evil).URL}); err != nil {
				t.Fatal(err)
			}
			before := b.bank.count()
			screen := shown(t)(app.Accounts(t.Context()))
			if screen.OK != (test.check == "") || screen.Check != test.check {
				t.Fatalf("through the proxy: %+v", screen)
			}
			if test.check == "" {
				if r, _ := b.bank.last(t); r.Header.Get("Seen-By-Proxy") != "key harbour-mobile" {
					t.Errorf("the proxy saw %q", r.Header.Get("Seen-By-Proxy"))
				}
				return
			}
			if b.bank.count() != before || screen.Status != 0 || screen.Error == "" {
				t.Errorf("it was sent all the same, or silently not: %+v", screen)
			}
			var verdict traffic.Verdict
			for _, m := range b.log.After(0) {
				if m.Kind == traffic.Note && m.Verdict != nil {
					verdict = *m.Verdict
				}
			}
			if verdict.Allowed || verdict.Check != test.check || verdict.Reason == "" {
				t.Errorf("recorded: %+v", verdict)
			}
			// The person takes the proxy out again.
			if err := b.device.SetNetwork(device.Network{}); err != nil {
				t.Fatal(err)
			}
			if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
				t.Errorf("afterwards: %+v", screen)
			}
		})
	}
}

// TestBackupKey has the bank change to the key that it kept offline.
func TestBackupKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	backup := pair(t)(b.authority.Server("bank", "127.0.0.1"))
	moved := httptest.NewUnstartedServer(b.bank)
	moved.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t, backup)}, ClientAuth: tls.RequestClientCert}
	moved.Config.ErrorLog = log.New(io.Discard, "", 0)
	moved.StartTLS()
	defer moved.Close()
	for _, test := range []struct {
		name  string
		pins  []string
		check catalog.Check
	}{
		{"pinned as backup", []string{b.settings.ServerPins[0], pinOf(t, backup)}, ""},
		{"not pinned", b.settings.ServerPins, "pins"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newBench(t, func(c *bench) {
				c.authority, c.settings.ServerPins, c.settings.APITLS = b.authority, test.pins, moved.URL
			})
			if screen := shown(t)(c.launch(t, "pinned-mtls").Rates(t.Context())); screen.Check != test.check || screen.OK != (test.check == "") {
				t.Errorf("%+v", screen)
			}
		})
	}
}

func TestHostsTrustStoreDoesNotCount(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(b *bench) { b.authority = newCA(t, "Some other CA") })
	screen := shown(t)(b.launch(t, "tls").Accounts(t.Context()))
	if screen.OK || screen.Check != "tls" || b.bank.count() != 0 {
		t.Errorf("%+v", screen)
	}
}

func TestServerWithoutTLS(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(b *bench) { b.settings.APITLS = strings.Replace(b.plain.URL, "http:", "https:", 1) })
	if screen := shown(t)(b.launch(t, "tls").Accounts(t.Context())); screen.OK || screen.Check != "tls" {
		t.Errorf("%+v", screen)
	}
}

func TestAccessPoint(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var heard bytes.Buffer
	var mu sync.Mutex
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				destination, err := r.ReadString('\n')
				if err != nil {
					return
				}
				up, err := net.Dial("tcp", strings.TrimSpace(destination))
				if err != nil {
					return
				}
				defer up.Close()
				go func() { _, _ = io.Copy(conn, up) }()
				chunk := make([]byte, 4096)
				for {
					n, err := r.Read(chunk)
					mu.Lock()
					heard.Write(chunk[:n])
					mu.Unlock()
					if _, werr := up.Write(chunk[:n]); err != nil || werr != nil {
						return
					}
				}
			}()
		}
	}()
	if err := b.device.SetNetwork(device.Network{AccessPoint: listener.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		stage string
		hears bool
	}{{"app-id", true}, {"tls", false}} {
		mu.Lock()
		heard.Reset()
		mu.Unlock()
		if screen := shown(t)(b.launch(t, test.stage).Accounts(t.Context())); !screen.OK {
			t.Fatalf("%s: %+v", test.stage, screen)
		}
		mu.Lock()
		if got := strings.Contains(heard.String(), "key harbour-mobile"); got != test.hears || heard.Len() == 0 {
			t.Errorf("%s: it hears the key: %v, of %d bytes", test.stage, got, heard.Len())
		}
		mu.Unlock()
	}
}

func TestTransferCap(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "app-id")
	payment := device.Payment{From: "HB-1001", To: "HB-2001", Amount: 100_001, Reference: "r"}
	screen := shown(t)(app.Transfer(t.Context(), payment))
	if screen.OK || screen.Check != "transfer-cap" || !strings.Contains(screen.Error, "1,000.00 EUR") || b.bank.count() != 0 {
		t.Errorf("above: %+v", screen)
	}
	payment.Amount--
	if screen := shown(t)(app.Transfer(t.Context(), payment)); !screen.OK {
		t.Errorf("at the limit: %+v", screen)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		after string
		times int // that the bank refuses
		calls int // that it gets
		ok    bool
	}{
		{"soon", "1", 1, 2, true},
		{"still too early", "0", 2, 2, false},
		{"too late", "11", 1, 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			var refusals atomic.Int32
			b.bank.respond = func(w http.ResponseWriter, _ *http.Request) {
				if int(refusals.Add(1)) <= test.times {
					w.Header().Set("Retry-After", test.after)
					w.Header().Set("Content-Type", "application/problem+json")
					w.WriteHeader(http.StatusTooManyRequests)
					fmt.Fprint(w, `{"type":"urn:keyladder:problem:rate-limited","title":"Too many calls","detail":"Wait a moment.","status":429}`)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{}`)
			}
			start := time.Now()
			screen := shown(t)(b.launch(t, "app-id").Transfer(t.Context(), device.Payment{Amount: 1}))
			if screen.OK != test.ok || b.bank.count() != test.calls {
				t.Errorf("%d calls, %+v", b.bank.count(), screen)
			}
			if !screen.OK && screen.Error != "Too many calls. Wait a moment." {
				t.Errorf("the user is told %q", screen.Error)
			}
			if test.ok && time.Since(start) < time.Second {
				t.Error("it did not wait")
			}
			if len(b.bank.requests) == 2 && b.bank.requests[0].Header.Get(traffic.Header) == b.bank.requests[1].Header.Get(traffic.Header) {
				t.Error("two calls under one exchange")
			}
		})
	}
}

func TestAnswersThatAreNotTheBanks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, media, body string
		status            int
		want              string
	}{
		{"a portal's page", "text/html", "<h1>Pay for Wi-Fi</h1>", 200, "can't be read"},
		{"a redirect", "text/html", "", 302, "302"},
		{"a plain error", "text/plain", "no", 502, "502"},
		{"broken JSON", "application/json", `{"a":`, 200, "can't be read"},
		{"a problem", "application/problem+json", `{"title":"Not allowed","detail":"Ask for the scope."}`, 403, "Not allowed. Ask for the scope."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.bank.respond = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.media)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			}
			screen := shown(t)(b.launch(t, "app-id").Accounts(t.Context()))
			if screen.OK || screen.Status != test.status || screen.Check != "" || !strings.Contains(screen.Error, test.want) {
				t.Errorf("%+v", screen)
			}
			if b.bank.count() != 1 {
				t.Errorf("%d calls", b.bank.count())
			}
		})
	}
}

func TestBankIsDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "app-id")
	address := b.plain.Listener.Addr().String()
	shown(t)(app.Accounts(t.Context()))
	b.plain.Close()
	screen := shown(t)(app.Rates(t.Context()))
	if screen.OK || screen.Check != "" || !strings.Contains(screen.Error, "can't be reached") || strings.Contains(screen.Error, "key=") {
		t.Errorf("%+v", screen)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip("somebody else took the port")
	}
	again := &http.Server{Handler: b.bank}
	defer again.Close()
	go func() { _ = again.Serve(listener) }()
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Errorf("when it is up again: %+v", screen)
	}
}

// TestUnknownPolicy changes every field of every stage's policy, and leaves each out.
func TestUnknownPolicy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, stage := range catalog.All().Built() {
		settings := b.settings
		settings.Stages = map[string]catalog.Call{"s": stage.Call}
		if _, err := newCaller(&settings, 1, "s"); err != nil {
			t.Fatalf("%s: %v", stage.Slug, err)
		}
		data, err := json.Marshal(stage.Call)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]string
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatal(err)
		}
		for field := range fields {
			for _, value := range []string{"", "of-a-later-release"} {
				changed := maps.Clone(fields)
				changed[field] = value
				data, err := json.Marshal(changed)
				if err != nil {
					t.Fatal(err)
				}
				var policy catalog.Call
				if err := json.Unmarshal(data, &policy); err != nil {
					t.Fatal(err)
				}
				settings.Stages = map[string]catalog.Call{"s": policy}
				if _, err := newCaller(&settings, 1, "s"); !errors.Is(err, protect.ErrPolicy) {
					t.Errorf("%s, %s is %q: got %v, want %v", stage.Slug, field, value, err, protect.ErrPolicy)
				}
			}
		}
	}
	if _, err := newCaller(&b.settings, 1, "no-such-stage"); !errors.Is(err, errSettings) {
		t.Errorf("an unknown stage: %v", err)
	}
	b.install(t, "app-id")
	if _, err := b.device.Launch(t.Context(), appName, "hidden-secrets"); err == nil || !strings.Contains(err.Error(), "hidden-secrets") {
		t.Errorf("launched for a stage of another release: %v", err)
	}
}

// TestContradictions has policies whose parts do not go together.
func TestContradictions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, test := range []struct {
		name, stage string
		change      func(*catalog.Policies)
	}{
		{"pins without TLS", "pinned-mtls", func(p *catalog.Policies) { p.Call.Transport = catalog.PlainHTTP }},
		{"sealed and not signed", "hidden-secrets", func(p *catalog.Policies) { p.Call.AppProof = catalog.AppKey }},
		{"sessions and app keys in one field", "user-session", func(p *catalog.Policies) { p.Call.AppProof, p.Call.Bodies = catalog.AppKey, catalog.PlainBodies }},
		{"passwords without TLS", "user-session", func(p *catalog.Policies) { p.Call.Transport, p.Call.Pins = catalog.PlainHTTP, catalog.NotPinned }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			stage, _ := catalog.All().Lookup(test.stage)
			test.change(&stage.Policies)
			settings := b.settings
			settings.Stages = map[string]catalog.Call{"s": stage.Call}
			if _, err := newCaller(&settings, 1, "s"); !errors.Is(err, protect.ErrPolicy) {
				t.Errorf("got %v, want %v", err, protect.ErrPolicy)
			}
		})
	}
}

// TestBrokenSettings has packages whose settings can't protect a call: they refuse
// rather than do less.
func TestBrokenSettings(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, test := range []struct {
		name   string
		change func(*release.Settings)
	}{
		{"no pins", func(s *release.Settings) { s.ServerPins = nil }},
		{"a mistyped pin", func(s *release.Settings) { s.ServerPins = []string{s.ServerPins[0], "sha256/oops"} }},
		{"no client key", func(s *release.Settings) { s.ClientKey = "" }},
		{"no client ID", func(s *release.Settings) { s.ClientID = "" }},
		{"HTTP where TLS is due", func(s *release.Settings) { s.APITLS = s.APIPlain }},
		{"a stranger's client ID", func(s *release.Settings) { s.ClientID = "harbour-kiosk" }},
		{"no shared secret", func(s *release.Settings) { s.SharedSecret = "" }},
		{"a port that is none", func(s *release.Settings) { s.APITLS = "https://bank:99999" }},
	} {
		settings := b.settings
		stage, _ := catalog.All().Lookup("user-session")
		settings.Stages = map[string]catalog.Call{"s": stage.Call}
		if _, err := newCaller(&settings, 1, "s"); err != nil {
			t.Fatal(err)
		}
		test.change(&settings)
		if _, err := newCaller(&settings, 1, "s"); err == nil {
			t.Errorf("%s: it was accepted", test.name)
		}
	}
}

func TestRetryAfterField(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		value string
		want  time.Duration
	}{
		{"3", 3 * time.Second},
		{"0", time.Millisecond},
		{now.Add(5 * time.Second).Format(http.TimeFormat), 5 * time.Second},
		{now.Add(-time.Minute).Format(http.TimeFormat), time.Millisecond},
		{"", time.Second},
		{"-1", time.Second},
		{"soon", time.Second},
	} {
		if got := retryAfter(test.value, now); got != test.want {
			t.Errorf("%q: got %v, want %v", test.value, got, test.want)
		}
	}
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for minor, want := range map[int64]string{
		0: "0.00 EUR", 5: "0.05 EUR", 100_000: "1,000.00 EUR", 500_000_000: "5,000,000.00 EUR", -123: "-1.23 EUR",
	} {
		if got := amount(minor); got != want {
			t.Errorf("%d: got %s, want %s", minor, got, want)
		}
	}
}
