package codes_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/backend/codes"
	"keyladder/internal/store"
)

var begin = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

const redirect = "com.example.harbour:/cb"

// minted is a row that stands for a token.
type minted struct {
	ID     int
	Origin string
}

func database(t testing.TB) *gorm.DB {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "auth.db"))
}

func reopen(t testing.TB, path string) *gorm.DB {
	t.Helper()
	db, err := store.Open(path, append(codes.Models(), &minted{})...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	return db
}

func open(t testing.TB, db *gorm.DB, now time.Time) *codes.Store {
	t.Helper()
	s, err := codes.Open(t.Context(), db, codes.Config{Lifetime: time.Minute, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func issue(t testing.TB, s *codes.Store) string {
	t.Helper()
	text, err := s.Issue(t.Context(), begin, codes.Code{Stage: "one", Client: "app", User: "alice", Scope: "a b", RedirectURI: redirect})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// rightly is how the owner presents a code.
func rightly(text string) codes.Presented {
	return codes.Presented{Stage: "one", Text: text, Client: "app", RedirectURI: redirect}
}

func mint(tx *gorm.DB, c codes.Code) error { return tx.Create(&minted{Origin: c.ID}).Error }

func count(t testing.TB, db *gorm.DB) (n int64) {
	t.Helper()
	if err := db.Model(&minted{}).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRedeem(t *testing.T) {
	t.Parallel()
	db := database(t)
	s := open(t, db, begin)
	text := issue(t, s)
	if len(text) != 43 || text == issue(t, s) {
		t.Errorf("the code %q", text)
	}
	code, err := s.Redeem(t.Context(), begin.Add(time.Second), rightly(text), mint)
	if err != nil {
		t.Fatal(err)
	}
	want := codes.Code{ID: code.ID, Stage: "one", Client: "app", User: "alice", Scope: "a b", RedirectURI: redirect}
	if code != want || code.ID == "" || strings.Contains(text, code.ID) || count(t, db) != 1 {
		t.Errorf("%+v", code)
	}
	// A second time, also when it would have expired meanwhile, and after a start.
	for _, later := range []time.Duration{2 * time.Second, time.Hour} {
		_, err = open(t, db, begin).Redeem(t.Context(), begin.Add(later), rightly(text), mint)
		var used *codes.UsedError
		if !errors.Is(err, codes.ErrUsed) || !errors.As(err, &used) || used.Code != code {
			t.Errorf("a second time: %v", err)
		}
	}
	if n := count(t, db); n != 1 {
		t.Errorf("minted %d times", n)
	}
}

// TestRefusalsDoNotBurn: nobody but its owner can use up a code.
func TestRefusalsDoNotBurn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*codes.Presented)
		after  time.Duration
		want   error
		dead   bool
	}{
		"another client":             {change: func(p *codes.Presented) { p.Client = "other" }, want: codes.ErrClient},
		"no client":                  {change: func(p *codes.Presented) { p.Client = "" }, want: codes.ErrClient},
		"another stage":              {change: func(p *codes.Presented) { p.Stage = "two" }, want: codes.ErrUnknown},
		"another redirect URI":       {change: func(p *codes.Presented) { p.RedirectURI = "com.example.harbour:/cb/" }, want: codes.ErrRedirect},
		"one in capitals":            {change: func(p *codes.Presented) { p.RedirectURI = strings.ToUpper(redirect) }, want: codes.ErrRedirect},
		"none":                       {change: func(p *codes.Presented) { p.RedirectURI = "" }, want: codes.ErrRedirect},
		"another client in capitals": {change: func(p *codes.Presented) { p.Client = "APP" }, want: codes.ErrClient},
		"another code":               {change: func(p *codes.Presented) { p.Text = strings.Repeat("A", 43) }, want: codes.ErrUnknown},
		"the code with a tail":       {change: func(p *codes.Presented) { p.Text += "=" }, want: codes.ErrUnknown},
		"no code":                    {change: func(p *codes.Presented) { p.Text = "" }, want: codes.ErrUnknown},
		"before it was issued":       {change: func(*codes.Presented) {}, after: -time.Nanosecond, want: codes.ErrExpired},
		"in its last moment":         {change: func(*codes.Presented) {}, after: time.Minute - time.Nanosecond, dead: true},
		"too late":                   {change: func(*codes.Presented) {}, after: time.Minute, want: codes.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := database(t)
			s := open(t, db, begin)
			text := issue(t, s)
			p := rightly(text)
			test.change(&p)
			if _, err := s.Redeem(t.Context(), begin.Add(test.after), p, mint); !errors.Is(err, test.want) {
				t.Fatalf("%v, want %v", err, test.want)
			}
			if test.want != nil && count(t, db) != 0 {
				t.Error("minted nevertheless")
			}
			if _, err := s.Redeem(t.Context(), begin, rightly(text), mint); (err != nil) != test.dead {
				t.Errorf("the owner, afterwards: %v", err)
			}
			if test.want == nil {
				return
			}
			if _, err := s.Redeem(t.Context(), begin.Add(test.after), p, mint); !errors.Is(err, test.want) && !errors.Is(err, codes.ErrUsed) {
				t.Errorf("once more: %v", err)
			}
		})
	}
}

// TestNoRedirectURI: what the authorization request did not have, the token request must not
// have.
func TestNoRedirectURI(t *testing.T) {
	t.Parallel()
	s := open(t, database(t), begin)
	text, err := s.Issue(t.Context(), begin, codes.Code{Stage: "one", Client: "app", User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Redeem(t.Context(), begin, rightly(text), mint); !errors.Is(err, codes.ErrRedirect) {
		t.Errorf("with one: %v", err)
	}
	if _, err := s.Redeem(t.Context(), begin, codes.Presented{Stage: "one", Text: text, Client: "app"}, mint); err != nil {
		t.Errorf("without: %v", err)
	}
}

// TestOthersLearnNothing: whether a code was used is its owner's business.
func TestOthersLearnNothing(t *testing.T) {
	t.Parallel()
	s := open(t, database(t), begin)
	text := issue(t, s)
	if _, err := s.Redeem(t.Context(), begin, rightly(text), mint); err != nil {
		t.Fatal(err)
	}
	p := rightly(text)
	p.Client = "other"
	if _, err := s.Redeem(t.Context(), begin, p, mint); !errors.Is(err, codes.ErrClient) {
		t.Errorf("another client, after its use: %v", err)
	}
}

// TestNothingMinted: a code whose tokens could not be minted was not used.
func TestNothingMinted(t *testing.T) {
	t.Parallel()
	db := database(t)
	s, full := open(t, db, begin), errors.New("the disk is full")
	text := issue(t, s)
	_, err := s.Redeem(t.Context(), begin, rightly(text), func(tx *gorm.DB, c codes.Code) error { return errors.Join(mint(tx, c), full) })
	if !errors.Is(err, full) || count(t, db) != 0 {
		t.Errorf("%v, minted %d", err, count(t, db))
	}
	if _, err := s.Redeem(t.Context(), begin, rightly(text), mint); err != nil || count(t, db) != 1 {
		t.Errorf("then: %v, minted %d", err, count(t, db))
	}
}

// TestThousandAtOnce redeems one code a thousand times, through two servers on one database.
func TestThousandAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth.db")
	databases := []*gorm.DB{reopen(t, path), reopen(t, path)}
	servers := []*codes.Store{open(t, databases[0], begin), open(t, databases[1], begin)}
	text := issue(t, servers[0])
	var succeeded, used atomic.Int64
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			_, err := servers[i%2].Redeem(t.Context(), begin, rightly(text), mint)
			switch {
			case err == nil:
				succeeded.Add(1)
			case errors.Is(err, codes.ErrUsed):
				used.Add(1)
				if n := count(t, databases[i%2]); n != 1 { // what has to be ended is there to be found
					t.Errorf("refused as used, and %d are minted", n)
				}
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if succeeded.Load() != 1 || used.Load() != 999 || count(t, databases[0]) != 1 {
		t.Errorf("%d succeeded, %d were refused as used, %d were minted", succeeded.Load(), used.Load(), count(t, databases[0]))
	}
}

// TestCodesAreNotStored: a copy of the database is no bundle of codes.
func TestCodesAreNotStored(t *testing.T) {
	t.Parallel()
	db := database(t)
	text := issue(t, open(t, db, begin))
	var rows []map[string]any
	if err := db.Table("authorization_codes").Find(&rows).Error; err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if strings.Contains(fmt.Sprint(rows), text) {
		t.Error("the code is in the database")
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s := open(t, database(t), begin)
	used, text := issue(t, s), issue(t, s)
	if _, err := s.Redeem(t.Context(), begin, rightly(used), mint); err != nil {
		t.Fatal(err)
	}
	for _, of := range []codes.Owner{{User: "bob"}, {Stage: "two", User: "alice"}, {User: "alice", Client: "other"}} {
		if n, err := s.Cancel(t.Context(), of); n != 0 || err != nil {
			t.Errorf("%+v: cancelled %d, %v", of, n, err)
		}
	}
	if n, err := s.Cancel(t.Context(), codes.Owner{Stage: "one", User: "alice", Client: "app"}); n != 1 || err != nil {
		t.Errorf("cancelled %d, %v", n, err)
	}
	if _, err := s.Redeem(t.Context(), begin, rightly(text), mint); !errors.Is(err, codes.ErrUnknown) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := s.Redeem(t.Context(), begin, rightly(used), mint); !errors.Is(err, codes.ErrUsed) {
		t.Errorf("used before: %v", err)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	db := database(t)
	s := open(t, db, begin)
	text := issue(t, s)
	if _, err := s.Redeem(t.Context(), begin, rightly(text), mint); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		want  error
	}{{24 * time.Hour, codes.ErrUsed}, {24*time.Hour + time.Second, codes.ErrUnknown}} {
		later := open(t, db, begin.Add(step.after))
		if err := later.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := later.Redeem(t.Context(), begin.Add(step.after), rightly(text), mint); !errors.Is(err, step.want) {
			t.Errorf("after %v: %v, want %v", step.after, err, step.want)
		}
	}
	text = issue(t, s)
	if err := s.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Redeem(t.Context(), begin, rightly(text), mint); !errors.Is(err, codes.ErrUnknown) {
		t.Errorf("after a reset: %v", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	if _, err := codes.Open(t.Context(), nil, codes.Config{}); err == nil {
		t.Error("codes without a lifetime")
	}
}

func BenchmarkIssue(b *testing.B) {
	s := open(b, database(b), begin)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			issue(b, s)
		}
	})
}

func BenchmarkRedeem(b *testing.B) {
	s := open(b, database(b), begin)
	texts := make(chan string, b.N)
	var wg sync.WaitGroup
	for worker := range 64 {
		wg.Go(func() {
			for i := worker; i < b.N; i += 64 {
				texts <- issue(b, s)
			}
		})
	}
	wg.Wait()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Redeem(b.Context(), begin, rightly(<-texts), mint); err != nil {
				b.Error(err)
			}
		}
	})
}
