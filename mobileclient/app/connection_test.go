package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/elazarl/goproxy"

	"keyladder/internal/pki"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

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
			before := len(b.bank.Calls())
			screen := shown(t)(app.Accounts(t.Context()))
			if screen.OK != (test.check == "") || screen.Check != test.check {
				t.Fatalf("through the proxy: %+v", screen)
			}
			if test.check == "" {
				if r := b.last(t); r.Header.Get("Seen-By-Proxy") != "key harbour-mobile" {
					t.Errorf("the proxy saw %q", r.Header.Get("Seen-By-Proxy"))
				}
				return
			}
			if len(b.bank.Calls()) != before || screen.Status != 0 || screen.Error == "" {
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
	bank := testbank.Start(t, testbank.Options{BackupKey: true})
	pins := bank.Pins()
	for _, test := range []struct {
		name  string
		pins  []string
		check catalog.Check
	}{
		{"pinned as backup", pins, ""},
		{"not pinned", pins[:1], "pins"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBenchAt(t, bank, func(b *bench) { b.settings.ServerPins = test.pins })
			if screen := shown(t)(b.launch(t, "pinned-mtls").Rates(t.Context())); screen.Check != test.check || screen.OK != (test.check == "") {
				t.Errorf("%+v", screen)
			}
		})
	}
}

func TestHostsTrustStoreDoesNotCount(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(b *bench) { b.roots = newCA(t, "Some other CA").Certificate })
	screen := shown(t)(b.launch(t, "tls").Accounts(t.Context()))
	if screen.OK || screen.Check != "tls" || len(b.bank.Calls()) != 0 {
		t.Errorf("%+v", screen)
	}
}

func TestServerWithoutTLS(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(b *bench) { b.settings.APITLS = strings.Replace(b.bank.Plain, "http:", "https:", 1) })
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

func TestBankIsDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "app-id")
	address := strings.TrimPrefix(b.bank.Plain, "http://")
	shown(t)(app.Accounts(t.Context()))
	b.bank.Leave()
	screen := shown(t)(app.Rates(t.Context()))
	if screen.OK || screen.Check != "" || !strings.Contains(screen.Error, "can't be reached") || strings.Contains(screen.Error, "key=") {
		t.Errorf("%+v", screen)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip("somebody else took the port")
	}
	again := &http.Server{Handler: b.bank.Front}
	defer again.Close()
	go func() { _ = again.Serve(listener) }()
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Errorf("when it is up again: %+v", screen)
	}
}
