package authserver_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/backend/authserver"
	"keyladder/backend/guard"
	"keyladder/internal/deployment"
	"keyladder/internal/store"
	"keyladder/internal/testenv"

	families "keyladder/backend/refresh"
)

// serverFolder is the variable that makes a server of the test's own program, on the folder that
// it names, so that a test can kill it.
const serverFolder = "KEYLADDER_TEST_AUTH"

func TestMain(m *testing.M) {
	for variable, serve := range map[string]func(dir string) error{serverFolder: serveFolder, mediatorFolder: serveMediator, providerFolder: serveProvider} {
		if dir := os.Getenv(variable); dir != "" {
			fmt.Fprintln(os.Stderr, serve(dir))
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func serveFolder(dir string) error {
	folder, err := deployment.Open(dir, deployment.Auth)
	if err != nil {
		return err
	}
	config := authserver.Config{Folder: folder, Stages: stages(), Logger: slog.New(slog.DiscardHandler)}.With(deployment.DefaultSettings)
	config.Address = guard.Limit{PerSecond: 1e6, Burst: 1e6}
	server, err := authserver.New(config)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return server.Serve(context.Background(), authserver.Listeners{TLS: l})
}

// process starts a server on the world's folder, and returns how it is killed. The variable says
// which server.
func (w *world) process(t *testing.T, variable string) (base string, kill func()) {
	t.Helper()
	said, kill := testenv.Process(t, variable, w.dir)
	return "https://" + said[0], kill
}

// app refreshes its token all the time.
type app struct {
	*program
	renewal  func(token string) *http.Request // asks the authorization server for the next token
	token    string                           // the last that it received
	old      []string                         // those that it used
	key      string                           // of a request without an answer; empty: there is none
	lost     int                              // answers
	repeated int                              // requests for one that was lost
}

// renew asks for the next token; false: there is no answer.
func (a *app) renew(base string) (bool, error) {
	again := a.key != ""
	if !again {
		a.key = rand.Text()
	}
	r := a.renewal(a.token)
	r.URL.Host = strings.TrimPrefix(base, "https://")
	r.Host = r.URL.Host
	r.Header.Set("Idempotency-Key", `"`+a.key+`"`)
	answer, err := a.try(r)
	if err != nil {
		a.lost++
		return false, nil
	}
	if answer.Status != http.StatusOK || answer.Refresh == "" {
		return false, fmt.Errorf("after %d tokens: %d %s", len(a.old), answer.Status, answer.Body)
	}
	if again {
		a.repeated++
	}
	a.old, a.token, a.key = append(a.old, a.token), answer.Refresh, ""
	return true, nil
}

// TestKilledServer kills the authorization server again and again while apps refresh their tokens.
// No token that an app received is lost, no family forks, and no old token is good.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	kills := 50
	if testing.Short() {
		kills = 5
	}
	w := start(t)
	var apps []*app
	for range 8 {
		p := w.program(t, web)
		apps = append(apps, &app{program: p, token: p.tokens(refresh, "alice").Refresh, renewal: func(token string) *http.Request {
			return p.request(refresh, "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
		}})
	}
	w.stop()
	for range kills {
		base, kill := w.process(t, serverFolder)
		first := make(chan struct{})
		answered := sync.OnceFunc(func() { close(first) })
		var wg sync.WaitGroup
		for _, a := range apps {
			wg.Go(func() {
				defer answered()
				for {
					ok, err := a.renew(base)
					if err != nil {
						t.Error(err)
					}
					if !ok {
						return
					}
					answered()
				}
			})
		}
		<-first
		time.Sleep(time.Duration(mathrand.IntN(30_000)) * time.Microsecond) // the moment of death
		kill()
		wg.Wait()
		if t.Failed() {
			return
		}
	}
	base, kill := w.process(t, serverFolder)
	received, lost, repeated := 0, 0, 0
	for _, a := range apps {
		for range 2 { // the answer that is missing, and one more: the last token is good
			if ok, err := a.renew(base); !ok {
				t.Fatalf("the last token is not good: %v", err)
			}
		}
		received, lost, repeated = received+len(a.old)+1, lost+a.lost, repeated+a.repeated
	}
	kill()
	db, err := store.Open(filepath.Join(w.dir, "auth", "auth.db"), families.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	var sums struct{ Rows, Unused int }
	err = db.Table("refresh_tokens").Select("COUNT(*) AS rows, SUM(used_at IS NULL) AS unused").Find(&sums).Error
	if err := store.Close(db); err != nil {
		t.Fatal(err)
	}
	if err != nil || sums.Rows != received || sums.Unused != len(apps) {
		t.Errorf("%d tokens received in %d families, and the database has %+v, %v", received, len(apps), sums, err)
	}
	base, _ = w.process(t, serverFolder)
	for _, a := range apps {
		newest := a.token
		for _, token := range []string{a.old[len(a.old)/2], newest} { // reuse of an old one ends the family
			a.token, a.key = token, ""
			if ok, err := a.renew(base); ok || err == nil || !strings.Contains(err.Error(), "invalid_grant") {
				t.Errorf("the newest: %v: %v, %v", token == newest, ok, err)
			}
		}
	}
	t.Logf("%d kills, %d tokens, %d answers lost, %d asked for again", kills, received, lost, repeated)
	if received < kills || lost < kills/2 {
		t.Error("that shows nothing")
	}
}
