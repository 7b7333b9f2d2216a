package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/elazarl/goproxy"
	"github.com/rogpeppe/go-internal/testscript"

	"keyladder/internal/pki"
	"keyladder/internal/testenv"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

func TestMain(m *testing.M) {
	testscript.Main(cleaned{m}, map[string]func(){"mobileclient": main})
}

// cleaned removes what labs share when the tests are done.
type cleaned struct{ *testing.M }

func (c cleaned) Run() int {
	code := c.M.Run()
	if err := lab.Cleanup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScripts uses the command line as people do, against a bank that runs.
func TestScripts(t *testing.T) {
	bank, err := lab.Start(context.Background(), lab.Options{Phones: true, Settings: testbank.ManyCalls()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bank.Close(); err != nil {
			t.Error(err)
		}
	})
	evil, err := pki.NewCA("Mallory's CA")
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(middle(t, evil, bank.Roots))
	t.Cleanup(proxy.Close)
	var passwords map[string]string
	data, err := os.ReadFile(filepath.Join(bank.Dir, "phone", "passwords.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &passwords); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("DATA", bank.Dir)
			env.Setenv("PROXY", proxy.URL)
			env.Setenv("STAGE", "")
			for user, password := range passwords {
				if err := os.WriteFile(filepath.Join(env.WorkDir, user+".txt"), []byte(password+"\n"), 0o600); err != nil {
					return err
				}
			}
			for name := range map[string]bool{"SCREEN": true, "MANAGE": true} {
				listener := testenv.FreePort(t)
				env.Setenv(name, listener.Addr().String())
				defer listener.Close() // later, so that the two are not the same
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "evil.pem"), evil.Certificate, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"healthy": healthy,
		},
	})
}

// healthy runs a command until it succeeds.
func healthy(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.After(time.Minute)
	for ts.Exec(args[0], args[1:]...) != nil {
		select {
		case <-deadline:
			ts.Fatalf("it does not get healthy")
		case <-time.After(50 * time.Millisecond): // until it listens
		}
	}
}

// middle is a proxy with an authority of its own.
func middle(t *testing.T, evil *pki.CA, roots []byte) http.Handler {
	t.Helper()
	issuer, err := evil.TLS()
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pki.Pool(roots)
	if err != nil {
		t.Fatal(err)
	}
	proxy := goproxy.NewProxyHttpServer()
	proxy.Logger = log.New(io.Discard, "", 0) // refused handshakes are what is tested
	proxy.Tr.TLSClientConfig.RootCAs, proxy.Tr.TLSClientConfig.InsecureSkipVerify = pool, false
	proxy.OnRequest().HandleConnect(goproxy.FuncHttpsHandler(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return &goproxy.ConnectAction{Action: goproxy.ConnectMitm, TLSConfig: goproxy.TLSConfigFromCA(&issuer)}, host
	}))
	proxy.OnResponse().DoFunc(func(r *http.Response, _ *goproxy.ProxyCtx) *http.Response {
		if r != nil {
			r.Header.Set("Content-Type", "application/json")
			r.Body.Close()
			r.Body = http.NoBody
			r = goproxy.NewResponse(r.Request, "application/json", http.StatusOK, `{"accounts":[{"id":"HB-1001","owner":"alice","name":"Read by Mallory"}]}`)
		}
		return r
	})
	return proxy
}
