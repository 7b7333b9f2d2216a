package refresh_test

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"keyladder/backend/refresh"
	"keyladder/internal/store"
	"keyladder/internal/testenv"
)

// serverDatabase is the variable that makes a token endpoint of the test's own program, on the
// database that it names, so that a test can kill it.
const serverDatabase = "KEYLADDER_TEST_REFRESH"

func TestMain(m *testing.M) {
	if path := os.Getenv(serverDatabase); path != "" {
		fmt.Fprintln(os.Stderr, serve(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var patient = refresh.Config{Idle: time.Hour, Absolute: time.Hour, Repeat: time.Hour}

// serve answers as a token endpoint does, as far as refresh tokens are concerned.
func serve(path string) error {
	db, err := store.Open(path, append(refresh.Models(), &minted{})...)
	if err != nil {
		return err
	}
	s, err := refresh.Open(context.Background(), db, patient)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rotated, err := s.Rotate(r.Context(), time.Now(), with(r.FormValue("refresh_token"), r.FormValue("key")), mint)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(rotated)
	}))
}

// start starts a server, and returns its address and how it is killed.
func start(t *testing.T, path string) (address string, kill func()) {
	t.Helper()
	said, kill := testenv.Process(t, serverDatabase, path)
	return "http://" + said[0], kill
}

// client is an app that refreshes its token all the time.
type client struct {
	family   string
	token    string   // the last that it received
	old      []string // those that it used
	key      string   // of a request without an answer; empty: there is none
	lost     int      // answers
	repeated int      // times that it got the answer that was lost
}

// signedIn are clients with a family each. Nobody has the database open afterwards.
func signedIn(t *testing.T, path string, number int) (clients []*client) {
	t.Helper()
	db, err := store.Open(path, refresh.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := refresh.Open(t.Context(), db, patient)
	if err != nil {
		t.Fatal(err)
	}
	for i := range number {
		text, family, err := s.Begin(t.Context(), time.Now(), refresh.Grant{Stage: "one", User: fmt.Sprint("user-", i), Client: "app"})
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, &client{family: family.ID, token: text})
	}
	if err := store.Close(db); err != nil {
		t.Fatal(err)
	}
	return clients
}

// refresh refreshes the token until the server is gone, and tells of answers.
func (c *client) refresh(address string, answered func()) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for {
		asked := c.key != ""
		if !asked {
			c.key = cryptorand.Text()
		}
		response, err := (&http.Client{Transport: transport}).PostForm(address, url.Values{"refresh_token": {c.token}, "key": {c.key}})
		if err != nil {
			c.lost++
			return nil
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		var got refresh.Rotated
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("after %d tokens: refused: %s", len(c.old), body)
		}
		if err != nil || json.Unmarshal(body, &got) != nil { // half an answer
			c.lost++
			return nil
		}
		if got.Again && !asked {
			return errors.New("a new key got an old answer")
		}
		if got.Again {
			c.repeated++
		}
		c.old, c.token, c.key = append(c.old, c.token), got.Text, ""
		answered()
	}
}

// TestKilledServer kills a server again and again while clients refresh their tokens. No token
// that a client received is lost, a lost answer is given again, no family forks, and no old
// token is good.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	kills := 50
	if testing.Short() {
		kills = 5
	}
	path := filepath.Join(t.TempDir(), "auth.db")
	clients := signedIn(t, path, 8)
	for range kills {
		address, kill := start(t, path)
		first := make(chan struct{})
		answered := sync.OnceFunc(func() { close(first) })
		var wg sync.WaitGroup
		for _, c := range clients {
			wg.Go(func() {
				if err := c.refresh(address, answered); err != nil {
					t.Errorf("%s: %v", c.family, err)
					answered()
				}
			})
		}
		<-first
		time.Sleep(time.Duration(rand.IntN(30_000)) * time.Microsecond) // the moment of death
		kill()
		wg.Wait()
		if t.Failed() {
			return
		}
	}
	w := openWorld(t, path)
	w.at = time.Now()
	var tokens, lost, repeated int
	for _, c := range clients {
		tokens, lost, repeated = tokens+len(c.old), lost+c.lost, repeated+c.repeated
		w.survived(t, c)
	}
	t.Logf("%d kills, %d tokens, %d answers lost, %d of them given again", kills, tokens, lost, repeated)
	if tokens < kills || lost < kills/2 {
		t.Errorf("that shows nothing: %d tokens, %d answers lost in %d kills", tokens, lost, kills)
	}
}

// survived asks for the answer that a client still misses, and compares what the client has with
// what the database has.
func (w *world) survived(t *testing.T, c *client) {
	t.Helper()
	if c.key != "" {
		last := w.rotate(t, c.token, c.key)
		if last.Again {
			c.repeated++
		}
		c.old, c.token = append(c.old, c.token), last.Text
	}
	var sums struct{ Rows, Used, Last, Repeated int }
	err := w.db.Table("refresh_tokens").Select("COUNT(*) AS rows, COUNT(used_at) AS used, MAX(number) AS last, SUM(repeated) AS repeated").
		Where("family = ?", c.family).Find(&sums).Error
	if err != nil {
		t.Fatal(err)
	}
	received := len(c.old) + 1
	if sums.Rows != received || sums.Last != received || sums.Used != received-1 {
		t.Errorf("the client received %d tokens, and the database has %+v", received, sums)
	}
	var access int64
	if err := w.db.Model(&minted{}).Where("family = ?", c.family).Count(&access).Error; err != nil {
		t.Fatal(err)
	}
	if int(access) != sums.Used+sums.Repeated || sums.Repeated < c.repeated {
		t.Errorf("%d access tokens of %+v; the client got %d answers again", access, sums, c.repeated)
	}
	c.old, c.token = append(c.old, c.token), w.rotate(t, c.token, "").Text // the last one is good
	w.refused(t, "an old one", with(c.old[rand.IntN(len(c.old))], ""), refresh.ErrReused)
	w.refused(t, "the last one, then", with(c.token, ""), refresh.ErrRevoked)
}
