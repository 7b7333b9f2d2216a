package refresh_test

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

	"keyladder/backend/refresh"
	"keyladder/internal/manage"
	"keyladder/internal/store"
)

var begin = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

const key, otherKey = "8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9325"

// minted is a row that stands for an access token.
type minted struct {
	ID     int
	Family string
}

func mint(tx *gorm.DB, f refresh.Family) error { return tx.Create(&minted{Family: f.ID}).Error }

// world is a store, and a clock.
type world struct {
	*refresh.Store
	db *gorm.DB
	at time.Time
}

func newWorld(t testing.TB) *world { return openWorld(t, filepath.Join(t.TempDir(), "auth.db")) }

func openWorld(t testing.TB, path string) *world {
	t.Helper()
	db, err := store.Open(path, append(refresh.Models(), &minted{})...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	w := &world{db: db, at: begin}
	w.Store, err = refresh.Open(t.Context(), db, refresh.Config{
		Idle: time.Hour, Absolute: 24 * time.Hour, Repeat: time.Minute, Now: func() time.Time { return w.at },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) begin(t testing.TB, user string) (string, refresh.Family) {
	t.Helper()
	text, family, err := w.Begin(t.Context(), w.at, refresh.Grant{Stage: "one", User: user, Client: "app", Scope: "a b", Origin: "code of " + user})
	if err != nil {
		t.Fatal(err)
	}
	return text, family
}

func with(text, key string) refresh.Presented {
	return refresh.Presented{Stage: "one", Text: text, Client: "app", Key: key}
}

func (w *world) rotate(t testing.TB, text, key string) refresh.Rotated {
	t.Helper()
	rotated, err := w.Rotate(t.Context(), w.at, with(text, key), mint)
	if err != nil {
		t.Fatal(err)
	}
	return rotated
}

func (w *world) refused(t testing.TB, what string, p refresh.Presented, want error) {
	t.Helper()
	before := w.minted(t)
	if rotated, err := w.Rotate(t.Context(), w.at, p, mint); !errors.Is(err, want) || rotated != (refresh.Rotated{}) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	if n := w.minted(t); n != before {
		t.Errorf("%s: refused, and %d access tokens are minted", what, n-before)
	}
}

func (w *world) minted(t testing.TB) (n int64) {
	t.Helper()
	if err := w.db.Model(&minted{}).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func (w *world) family(t testing.TB, id string) manage.Family {
	t.Helper()
	list, err := w.Query(t.Context(), manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{Search: id}})
	if err != nil || len(list.Families) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list.Families[0]
}

func TestRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, family := w.begin(t, "alice")
	want := refresh.Grant{Stage: "one", User: "alice", Client: "app", Scope: "a b", Origin: "code of alice"}
	seen := map[string]bool{text: true}
	for number := 2; number < 6; number++ {
		rotated := w.rotate(t, text, []string{"", key}[number%2])
		if len(rotated.Text) != 43 || seen[rotated.Text] || rotated.Again || rotated.Family != (refresh.Family{ID: family.ID, Grant: want, Number: number}) {
			t.Errorf("%+v", rotated)
		}
		text, seen[rotated.Text] = rotated.Text, true
	}
	if n := w.minted(t); n != 4 {
		t.Errorf("minted %d", n)
	}
}

// TestReuse ends the family, and not the user's other one.
func TestReuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, family := w.begin(t, "alice")
	other, _ := w.begin(t, "alice")
	second := w.rotate(t, first, "").Text
	third := w.rotate(t, second, "").Text
	_, err := w.Rotate(t.Context(), w.at, with(first, ""), mint)
	var reused *refresh.ReusedError
	if !errors.As(err, &reused) || reused.Family.ID != family.ID || reused.Family.User != "alice" {
		t.Fatalf("reuse: %v", err)
	}
	for name, text := range map[string]string{"the good one": third, "the one before": second, "the first": first} {
		w.refused(t, name, with(text, ""), refresh.ErrRevoked)
	}
	w.rotate(t, other, "")
	found := w.family(t, family.ID)
	if found.RevokedAt == nil || !found.Reused || found.Number != 3 || len(found.Generations) != 3 || found.Generations[2].ReusedAt == nil ||
		found.Generations[1].ReusedAt != nil || found.Generations[1].UsedAt == nil || found.Generations[0].UsedAt != nil {
		t.Errorf("%+v", found)
	}
}

// TestLostAnswer: the same token with the same key gets the same successor, for a while and
// until that is used. All else is reuse.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first, second string // idempotency keys
		used          bool   // the successor, meanwhile
		after         time.Duration
		want          error
	}{
		"at once":                          {first: key, second: key},
		"in the last moment":               {first: key, second: key, after: time.Minute - 1},
		"too late":                         {first: key, second: key, after: time.Minute, want: refresh.ErrReused},
		"the clock was set back too far":   {first: key, second: key, after: -time.Minute, want: refresh.ErrExpired},
		"another key":                      {first: key, second: otherKey, want: refresh.ErrReused},
		"no key the second time":           {first: key, second: "", want: refresh.ErrReused},
		"no key the first time":            {first: "", second: key, want: refresh.ErrReused},
		"no key at all":                    {want: refresh.ErrReused},
		"the successor was used":           {first: key, second: key, used: true, want: refresh.ErrReused},
		"a key that can be guessed":        {first: key, second: strings.Repeat("1", 21), want: refresh.ErrKey},
		"a key that is longer than is fit": {first: key, second: strings.Repeat("1", 256), want: refresh.ErrKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			text, family := w.begin(t, "alice")
			rotated := w.rotate(t, text, test.first)
			newest := rotated.Text
			if test.used {
				newest = w.rotate(t, newest, key).Text
			}
			w.at = begin.Add(test.after)
			if test.want != nil {
				w.refused(t, "again", with(text, test.second), test.want)
			} else {
				for range 3 {
					again := w.rotate(t, text, test.second)
					if again.Text != rotated.Text || !again.Again || again.Family != rotated.Family {
						t.Errorf("again: %+v, the first time %+v", again, rotated)
					}
				}
				if found := w.family(t, family.ID); found.Number != 2 || found.Generations[1].Repeated != 3 {
					t.Errorf("%+v", found)
				}
			}
			w.at = begin.Add(max(0, test.after))
			if errors.Is(test.want, refresh.ErrReused) {
				w.refused(t, "the newest", with(newest, ""), refresh.ErrRevoked)
			} else {
				w.rotate(t, newest, "")
			}
		})
	}
}

// TestRefusalsDoNotKill: nobody but its client can end a family, and nothing but reuse.
func TestRefusalsDoNotKill(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*refresh.Presented)
		want   error
	}{
		"another client":   {func(p *refresh.Presented) { p.Client = "other" }, refresh.ErrClient},
		"no client":        {func(p *refresh.Presented) { p.Client = "" }, refresh.ErrClient},
		"another stage":    {func(p *refresh.Presented) { p.Stage = "two" }, refresh.ErrUnknown},
		"another token":    {func(p *refresh.Presented) { p.Text = strings.Repeat("A", 43) }, refresh.ErrUnknown},
		"a token cut off":  {func(p *refresh.Presented) { p.Text = p.Text[1:] }, refresh.ErrUnknown},
		"no token":         {func(p *refresh.Presented) { p.Text = "" }, refresh.ErrUnknown},
		"the family's ID":  {func(p *refresh.Presented) { p.Text = "ID" }, refresh.ErrUnknown},
		"a key of no kind": {func(p *refresh.Presented) { p.Key = "1" }, refresh.ErrKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			old, _ := w.begin(t, "alice")
			newest := w.rotate(t, old, "").Text
			for what, text := range map[string]string{"the old one": old, "the good one": newest} {
				p := with(text, "")
				test.change(&p)
				w.refused(t, what, p, test.want)
			}
			w.rotate(t, newest, "")
		})
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, _ := w.begin(t, "alice")
	w.at = begin.Add(-1)
	w.refused(t, "before it was begun", with(text, ""), refresh.ErrExpired)
	w.at = begin.Add(time.Hour)
	w.refused(t, "not used for too long", with(text, ""), refresh.ErrIdle)
	w.at = begin
	for w.at.Before(begin.Add(23 * time.Hour)) {
		w.at = w.at.Add(time.Hour - 1)
		text = w.rotate(t, text, "").Text
	}
	w.at = begin.Add(24*time.Hour - 1)
	text = w.rotate(t, text, "").Text
	w.at = begin.Add(24 * time.Hour)
	w.refused(t, "too old, however busy", with(text, ""), refresh.ErrExpired)
}

// TestNothingMinted: a token whose access token could not be minted was not used.
func TestNothingMinted(t *testing.T) {
	t.Parallel()
	w, full := newWorld(t), errors.New("the disk is full")
	text, family := w.begin(t, "alice")
	_, err := w.Rotate(t.Context(), w.at, with(text, ""), func(tx *gorm.DB, f refresh.Family) error { return errors.Join(mint(tx, f), full) })
	if !errors.Is(err, full) || w.minted(t) != 0 || w.family(t, family.ID).Number != 1 {
		t.Errorf("%v, minted %d", err, w.minted(t))
	}
	w.rotate(t, text, "")
}

// TestThousandAtOnce uses one token a thousand times, through two servers on one database.
func TestThousandAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key  string
		dies bool
	}{"without keys": {"", true}, "with one key": {key, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "auth.db")
			servers := []*world{openWorld(t, path), openWorld(t, path)}
			text, family := servers[0].begin(t, "alice")
			var first, again, reused, revoked atomic.Int64
			var successors sync.Map
			var wg sync.WaitGroup
			for i := range 1000 {
				wg.Go(func() {
					rotated, err := servers[i%2].Rotate(t.Context(), begin, with(text, test.key), mint)
					switch {
					case err == nil && rotated.Again:
						again.Add(1)
					case err == nil:
						first.Add(1)
					case errors.Is(err, refresh.ErrReused):
						reused.Add(1)
					case errors.Is(err, refresh.ErrRevoked):
						revoked.Add(1)
					default:
						t.Error(err)
					}
					if err == nil {
						successors.Store(rotated.Text, true)
					}
				})
			}
			wg.Wait()
			got := []int64{first.Load(), again.Load(), reused.Load(), revoked.Load()}
			want := []int64{1, 999, 0, 0}
			if test.dies {
				want = []int64{1, 0, 1, 998}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v succeeded, got it again, ended the family, came too late; want %v", got, want)
			}
			n := 0
			successors.Range(func(any, any) bool { n++; return true })
			if found := servers[1].family(t, family.ID); n != 1 || found.Number != 2 || (found.RevokedAt != nil) != test.dies {
				t.Errorf("%d successors, %+v", n, found)
			}
		})
	}
}

// TestTokensAreNotStored: a copy of the database is no bundle of tokens, and has no keys to
// make any.
func TestTokensAreNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, _ := w.begin(t, "alice")
	successor := w.rotate(t, text, key).Text
	var rows []map[string]any
	if err := w.db.Table("refresh_tokens").Find(&rows).Error; err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	for _, row := range rows {
		for name, value := range row {
			content := fmt.Sprintf("%v %s", value, value)
			if strings.Contains(content, text) || strings.Contains(content, successor) || strings.Contains(content, key) {
				t.Errorf("in the database: %s", name)
			}
		}
	}
}

func BenchmarkRotate(b *testing.B) {
	for name, key := range map[string]string{"without key": "", "with key": key} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				text, _ := w.begin(b, "alice")
				for pb.Next() {
					text = w.rotate(b, text, key).Text
				}
			})
		})
	}
}
