package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"keyladder/backend/sessions"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/store"
	"keyladder/internal/testenv"
	"keyladder/stages/mechanism/session"
)

// deploy makes the folder of the resource server, and only that.
func deploy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	w, err := deployment.NewWriter(dir, deployment.Resource, "test", time.Now(), deployment.Local(deployment.Ports{deployment.API: 8443, deployment.Manage(deployment.Resource): 9443}))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ca.Peer("resource", "localhost", "127.0.0.1", "resource")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := argon2id.CreateHash("correct horse", &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		w.Pair("manage", peer), w.Pair("server", peer),
		w.File("manage-ca.pem", ca.Certificate), w.File("client-ca.pem", ca.Certificate),
		w.File("apps.json", []byte(`[{"id":"tester","name":"Tester","user_agent":"Tester/","scopes":["rates:read"],"per_second":1,"burst":5}]`)),
		w.File("secrets.json", []byte(`{"tester":"the secret of tester"}`)),
		w.File(deployment.ForwardingKey, []byte(`{"ID":"gateway","Secret":"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="}`)),
		w.File("users.json", []byte(`[{"name":"alice","password_hash":"`+hash+`","staff":false}]`)),
		w.Close(),
	); err != nil {
		t.Fatal(err)
	}
	return dir
}

func run(ctx context.Context, args ...string) error {
	cmd := command()
	cmd.SetArgs(args)
	return cmd.ExecuteContext(ctx)
}

// freeAddresses are two on which nobody listens just now.
func freeAddresses(t *testing.T) (one, other string) {
	t.Helper()
	first, second := testenv.FreePort(t), testenv.FreePort(t) // both at once, so that they are two
	defer first.Close()
	defer second.Close()
	return first.Addr().String(), second.Addr().String()
}

// running is a resource server that is healthy.
type running struct {
	plain   string // address
	healthy func() error
	stop    func() error
}

func start(t *testing.T, dir string) running {
	t.Helper()
	plain, management := freeAddresses(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	args := []string{
		"resource", "--data", dir, "--listen", "api-plain=" + plain, "--listen", "api=127.0.0.1:0", "--listen", "api-terminated=127.0.0.1:0", "--listen", "api-inside=127.0.0.1:0",
		"--listen", "manage-resource=" + management,
	}
	go func() { done <- run(ctx, args...) }()
	healthy := func() error {
		return run(t.Context(), "healthcheck", "--data", dir, "--listen", "manage-resource="+management)
	}
	for healthy() != nil { // it starts
		select {
		case err := <-done:
			t.Fatalf("it did not start: %v", err)
		default:
		}
	}
	return running{plain, healthy, func() error {
		cancel()
		return <-done
	}}
}

func TestResourceAndHealthcheck(t *testing.T) {
	server := start(t, deploy(t))
	req, err := http.NewRequest(http.MethodGet, "http://"+server.plain+"/app-id/v1/rates", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Tester/1.0")
	req.Header.Set("Authorization", "key tester")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a call: %s", resp.Status)
	}
	if err := server.stop(); err != nil {
		t.Errorf("it did not stop cleanly: %v", err)
	}
	if server.healthy() == nil {
		t.Error("healthy, but stopped")
	}
}

// TestSessionSettings starts with a session that was opened some time ago, and looks whether it
// is still there when the server has stopped.
func TestSessionSettings(t *testing.T) {
	for _, test := range []struct {
		age      time.Duration
		settings string
		kept     bool
	}{
		{30 * time.Minute, `{}`, false},
		{30 * time.Minute, `{"session_idle": "1h"}`, true},
		{13 * time.Hour, `{"session_idle": "12h"}`, false},
		{13 * time.Hour, `{"session_idle": "24h", "session_lifetime": "24h"}`, true},
	} {
		dir := deploy(t)
		db, err := store.Open(filepath.Join(dir, "resource", "resource.db"), sessions.Models()...)
		if err != nil {
			t.Fatal(err)
		}
		open := func() *sessions.Store {
			long := 48 * time.Hour
			opened, err := sessions.Open(t.Context(), db, session.Lifetimes{Idle: long, Absolute: long})
			if err != nil {
				t.Fatal(err)
			}
			return opened
		}
		if _, _, err := open().Begin(t.Context(), time.Now().Add(-test.age), "alice", "tester", "user-session", "phone"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "resource", deployment.SettingsFile), []byte(test.settings), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := start(t, dir).stop(); err != nil {
			t.Error(err)
		}
		list, err := open().Query(t.Context(), time.Now(), manage.SessionQuery{})
		if kept := list.Total == 1; err != nil || kept != test.kept {
			t.Errorf("%s old, %v: kept %v, %v", test.age, test.settings, kept, err)
		}
		if err := store.Close(db); err != nil {
			t.Error(err)
		}
	}
}

func TestMistakes(t *testing.T) {
	dir := deploy(t)
	nonsense := deploy(t)
	if err := os.WriteFile(filepath.Join(nonsense, "resource", deployment.SettingsFile), []byte(`{"session_idle": "0s"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no deployment":  {[]string{"resource", "--data", t.TempDir()}, "stages init"},
		"port taken":     {[]string{"resource", "--data", dir, "--listen", "api-plain=" + taken.Addr().String()}, "the API over HTTP can't listen"},
		"no sessions":    {[]string{"resource", "--data", nonsense}, "session_idle is \"0s\""},
		"unknown role":   {[]string{"healthcheck", "--data", dir, "nobody"}, `invalid argument "nobody"`},
		"unknown place":  {[]string{"resource", "--data", dir, "--listen", "nothing=127.0.0.1:0"}, "they are auth, manage-auth"},
		"no address":     {[]string{"resource", "--data", dir}, "--listen api-plain=HOST:PORT"},
		"argument":       {[]string{"resource", "extra"}, "unknown command"},
		"unknown server": {[]string{"sourcerer"}, "unknown command"},
	} {
		if err := run(t.Context(), test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want something with %q", name, err, test.want)
		}
	}
}
