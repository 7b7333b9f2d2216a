package mediator_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyladder/backend/mediator"
	"keyladder/internal/deployment"
	"keyladder/internal/testenv"
)

// mediatorFolder is the variable that makes a mediator of the test's own program, out of the folder
// that it names, so that a test can kill it.
const mediatorFolder = "KEYLADDER_TEST_MEDIATOR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(mediatorFolder); dir != "" {
		fmt.Fprintln(os.Stderr, serve(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serve(dir string) error {
	folder, err := deployment.Open(filepath.Dir(dir), deployment.Mediator)
	if err != nil {
		return err
	}
	m, err := mediator.New(mediator.Config{
		Folder: folder, Stages: stages(), Logger: slog.New(slog.DiscardHandler), Address: many, Device: many, Leeway: 5 * time.Second, TokenLifetime: time.Hour, ShortLifetime: time.Minute,
		KeyOverlap: time.Minute, CodeLifetime: time.Minute, PushedLifetime: time.Minute, RefreshIdle: time.Hour, RefreshLifetime: 24 * time.Hour,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", strings.TrimPrefix(folder.Addresses.URL(deployment.MediatorService), "https://"))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return m.Serve(context.Background(), mediator.Listeners{TLS: listener})
}

// process starts a mediator on the world's folder, and returns how it is killed.
func (w *world) process(t *testing.T) (kill func()) {
	t.Helper()
	_, kill = testenv.Process(t, mediatorFolder, w.folder)
	testenv.Within(t, 20*time.Second, "it knows the clients", func() bool {
		got, err := w.try(testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, w.at("/authorize?client_id="+app), nil)))
		return err == nil && !strings.Contains(got.body, "does not know this app")
	})
	w.http.CloseIdleConnections()
	return kill
}

// TestKilled: a mediator that is killed between any two steps, or while it waits for its provider,
// loses one sign-in at most, and never a family.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("a session that was being renewed waits half a minute")
	}
	t.Parallel()
	w := start(t, nil)
	one, strange := w.provider("one", nil), w.provider("strange", nil)
	strange.set(func() { strange.forgets, strange.lifetime = true, 2 })
	w.stop(t)
	var kill func()
	run := func() { kill = w.process(t) }
	again := func() {
		t.Helper()
		kill()
		run()
	}
	run()
	defer func() { kill() }()

	p := w.phone("d1")
	address := p.push(change("provider", "one"))
	again()
	page := leads(t, p.open(address))
	again()
	came := one.agree(page, "alice")
	again()
	code := p.back(p.open(came)).Get("code")
	again()
	given := object(t, p.redeem(code).body)
	again()
	token, _ := given["refresh_token"].(string)
	answer := object(t, p.refresh(token).body)
	again()
	token, _ = answer["refresh_token"].(string)
	if got := p.refresh(token); got.status != http.StatusOK {
		t.Fatalf("the family got lost: %d %s", got.status, got.body)
	}

	// While it exchanges a code: this sign-in is lost, and the next one is good.
	page = leads(t, p.open(p.push(change("provider", "one"))))
	one.set(func() { one.fault = func(http.ResponseWriter, *http.Request) { kill() } })
	if _, err := p.agent.Get(one.agree(page, "alice")); err == nil {
		t.Error("it was not killed")
	}
	one.set(func() { one.fault, one.lifetime = nil, 2 })
	run()
	token, _ = p.signIn(one, "alice")["refresh_token"].(string)

	// While it renews a session, when the provider has given another refresh token already: one that
	// knows the request by its key gives the same once more, and of one that does not the session goes on
	// without it. The mediator that is started next does that by itself.
	another, _ := p.signIn(strange, "alice")["refresh_token"].(string)
	for _, test := range []struct {
		of    *fake
		token string
	}{{one, token}, {strange, another}} {
		time.Sleep(2100 * time.Millisecond)
		test.of.set(func() {
			test.of.fault = func(rw http.ResponseWriter, r *http.Request) {
				kill()
				test.of.token(rw, r)
				test.of.fault = nil
			}
		})
		if _, err := w.try(p.form("/token", refreshing(test.token))); err == nil {
			t.Error("it was not killed")
		}
		before := test.of.asked("/token")
		run()
		testenv.Within(t, time.Minute, "the session is renewed when it starts", func() bool { return test.of.asked("/token") > before })
		testenv.Within(t, 10*time.Second, "the family lives", func() bool {
			got := p.refresh(test.token)
			if got.status != http.StatusOK && got.status != http.StatusServiceUnavailable {
				t.Fatalf("the family got lost: %d %s", got.status, got.body)
			}
			return got.status == http.StatusOK
		})
	}
}
