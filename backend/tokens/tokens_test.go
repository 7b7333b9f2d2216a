package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/backend/tokens"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/store"
	"keyladder/stages/mechanism/token"
)

// world is a store with two issuers, and a clock.
type world struct {
	*tokens.Store
	db  *gorm.DB
	mu  sync.Mutex
	now time.Time
}

func (w *world) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(by)
}

func (w *world) open(t testing.TB) *tokens.Store {
	t.Helper()
	s, err := tokens.Open(context.Background(), w.db, tokens.Config{
		Issuers: []tokens.Issuer{
			{Stage: "one", URL: "https://localhost/one", Audience: "https://localhost/one/v1", Lifetime: time.Hour},
			{Stage: "two", URL: "https://localhost/two", Audience: "https://localhost/two/v1", Lifetime: time.Hour},
		},
		Leeway: 5 * time.Second, Overlap: 10 * time.Minute, Now: w.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newWorld(t testing.TB) *world {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "tokens.db"), slices.Concat(tokens.Models(), durable.Models())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	w := &world{db: db, now: time.Unix(1_790_000_000, 0)}
	w.Store = w.open(t)
	return w
}

func (w *world) issue(t testing.TB, stage, user string) tokens.Issued {
	t.Helper()
	issued, err := w.Issue(context.Background(), w.Now(), tokens.Grant{Stage: stage, User: user, Client: "app", Scope: "a b"})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func TestIssuedIsGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	issued := w.issue(t, "one", "alice")
	for range 2 { // the second time out of memory
		found, err := w.Verify("one", issued.Text, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		if found.Subject != "alice" || found.ClientID != "app" || !found.May("a") || !found.May("b") || found.May("c") || found.May("") || w.Revoked(found) {
			t.Errorf("%+v", found)
		}
	}
	if _, err := w.Issue(context.Background(), w.Now(), tokens.Grant{Stage: "three", User: "alice"}); !errors.Is(err, tokens.ErrNoIssuer) {
		t.Errorf("a stage without an issuer: %v", err)
	}
	if _, err := w.Verify("three", issued.Text, w.Now()); !errors.Is(err, token.ErrIssuer) {
		t.Errorf("verified there: %v", err)
	}
}

// TestStagesAreWorlds: another stage's token is refused, whether it was seen before or not.
func TestStagesAreWorlds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	issued := w.issue(t, "one", "alice")
	if _, err := w.Verify("two", issued.Text, w.Now()); !errors.Is(err, token.ErrKey) {
		t.Errorf("at another stage: %v", err)
	}
	if _, err := w.Verify("one", issued.Text, w.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Verify("two", issued.Text, w.Now()); !errors.Is(err, token.ErrIssuer) {
		t.Errorf("at another stage, when it is remembered: %v", err)
	}
}

// TestRemembered: what is remembered of a token is looked at with the clock and the keys of
// now.
func TestRemembered(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		happens func(*testing.T, *world)
		want    error
	}{
		"nothing":               {func(*testing.T, *world) {}, nil},
		"it expires":            {func(_ *testing.T, w *world) { w.advance(time.Hour) }, token.ErrExpired},
		"the clock is set back": {func(_ *testing.T, w *world) { w.advance(-6 * time.Second) }, token.ErrNotYet},
		"the key is replaced": {func(t *testing.T, w *world) {
			if _, err := w.Rotate(t.Context(), "one"); err != nil {
				t.Fatal(err)
			}
			w.advance(10*time.Minute - time.Second)
		}, nil},
		"and the overlap is over": {func(t *testing.T, w *world) {
			if _, err := w.Rotate(t.Context(), "one"); err != nil {
				t.Fatal(err)
			}
			w.advance(10 * time.Minute)
		}, token.ErrKey},
		"another stage's key is replaced": {func(t *testing.T, w *world) {
			if _, err := w.Rotate(t.Context(), "two"); err != nil {
				t.Fatal(err)
			}
			w.advance(11 * time.Minute)
		}, nil},
		"the key is withdrawn": {func(t *testing.T, w *world) {
			old := w.newest("one")
			if err := w.Withdraw(t.Context(), old); !errors.Is(err, tokens.ErrNewest) {
				t.Errorf("withdrawn while it signs: %v", err)
			}
			if _, err := w.Rotate(t.Context(), "one"); err != nil {
				t.Fatal(err)
			}
			if err := w.Withdraw(t.Context(), old); err != nil {
				t.Fatal(err)
			}
		}, token.ErrKey},
		"everything is reset": {func(t *testing.T, w *world) {
			if err := w.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, token.ErrKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			issued := w.issue(t, "one", "alice")
			if _, err := w.Verify("one", issued.Text, w.Now()); err != nil {
				t.Fatal(err)
			}
			test.happens(t, w)
			if _, err := w.Verify("one", issued.Text, w.Now()); !errors.Is(err, test.want) {
				t.Errorf("remembered: %v, want %v", err, test.want)
			}
			if _, err := w.open(t).Verify("one", issued.Text, w.Now()); !errors.Is(err, test.want) {
				t.Errorf("by a server that starts now: %v, want %v", err, test.want)
			}
		})
	}
}

func (w *world) newest(stage string) string {
	for _, k := range w.Keys() {
		if k.Stage == stage && k.Signs {
			return k.ID
		}
	}
	return ""
}

// TestRevocationsReachOthers: another server on the same database refuses what one revokes,
// and signs with the key that it made.
func TestRevocationsReachOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.open(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); other.Follow(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	issued := w.issue(t, "one", "alice")
	found, err := other.Verify("one", issued.Text, w.Now())
	if err != nil || other.Revoked(found) {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := w.Revoke(t.Context(), issued.ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the revocation", func() bool { return other.Revoked(found) })
	t.Logf("after %s", time.Since(begun))
	if _, err := w.Rotate(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the new key", func() bool {
		_, err := other.Verify("one", w.issue(t, "one", "bob").Text, w.Now())
		return err == nil
	})
	// More than are told one by one.
	var last tokens.Issued
	for range 1001 {
		last = w.issue(t, "two", "carol")
	}
	found, err = other.Verify("two", last.Text, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.RevokeSelected(t.Context(), manage.TokenSelection{TokenFilter: manage.TokenFilter{User: "carol"}}); n != 1001 || err != nil {
		t.Fatalf("revoked %d, %v", n, err)
	}
	waitFor(t, "many revocations", func() bool { return other.Revoked(found) })
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begun := time.Now(); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatalf("%s does not arrive", what)
		}
	}
}

// TestRevokeOf ends what came of a family or a code, and nothing else.
func TestRevokeOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	issue := func(family, origin string) string {
		t.Helper()
		issued, err := w.Issue(t.Context(), w.Now(), tokens.Grant{Stage: "one", User: "alice", Client: "app", Family: family, Origin: origin})
		if err != nil {
			t.Fatal(err)
		}
		return issued.ID
	}
	first, second, code, other, alone := issue("F1", "C1"), issue("F1", "C1"), issue("", "C2"), issue("F2", "C3"), issue("", "")
	good := func() (ids []string) {
		t.Helper()
		list, err := w.Query(t.Context(), manage.TokenQuery{TokenFilter: manage.TokenFilter{State: "good"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range list.Tokens {
			ids = append(ids, one.ID)
		}
		slices.Sort(ids)
		return ids
	}
	for _, step := range []struct {
		of      []string
		revoked int
		left    []string
	}{
		{nil, 0, []string{first, second, code, other, alone}},
		{[]string{"", "no such", "alice"}, 0, []string{first, second, code, other, alone}},
		{[]string{"C2"}, 1, []string{first, second, other, alone}},
		{[]string{"F1", "C1", "F1"}, 2, []string{other, alone}},
		{[]string{"F1"}, 0, []string{other, alone}},
	} {
		n, err := w.RevokeOf(t.Context(), step.of...)
		slices.Sort(step.left)
		if err != nil || n != step.revoked || !slices.Equal(good(), step.left) {
			t.Errorf("of %q: revoked %d, %v, left %v", step.of, n, err, good())
		}
	}
	list, err := w.Query(t.Context(), manage.TokenQuery{TokenFilter: manage.TokenFilter{Family: "F1"}})
	if err != nil || list.Total != 2 || list.Tokens[0].Origin != "C1" || list.Tokens[0].Issuer != "https://localhost/one" || list.Tokens[0].Audience != "https://localhost/one/v1" {
		t.Errorf("the family's: %+v, %v", list, err)
	}
}

// TestIssueIn: a token of a transaction that does not come about was never issued.
func TestIssueIn(t *testing.T) {
	t.Parallel()
	w, full := newWorld(t), errors.New("the disk is full")
	for _, want := range []error{full, nil} {
		err := w.db.Transaction(func(tx *gorm.DB) error {
			_, err := w.IssueIn(tx, w.Now(), tokens.Grant{Stage: "one", User: "alice", Client: "app"})
			return errors.Join(err, want)
		})
		list, listed := w.Query(t.Context(), manage.TokenQuery{})
		if !errors.Is(err, want) || listed != nil || (list.Total == 0) != (want != nil) {
			t.Errorf("%v: %+v, %v", err, list, listed)
		}
	}
}

// TestRevocationsSurvive: a server that starts anew knows what was revoked before, as long as
// it matters.
func TestRevocationsSurvive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	issued := w.issue(t, "one", "alice")
	if err := w.Revoke(t.Context(), issued.ID); err != nil {
		t.Fatal(err)
	}
	again := w.open(t)
	found, err := again.Verify("one", issued.Text, w.Now())
	if err != nil || !again.Revoked(found) {
		t.Errorf("revoked %v, %v", found, err)
	}
	if err := w.Revoke(t.Context(), issued.ID); err != nil {
		t.Errorf("revoked once more: %v", err)
	}
	if err := w.Revoke(t.Context(), "no-such-token"); !errors.Is(err, tokens.ErrNoToken) {
		t.Errorf("what there is not: %v", err)
	}
	w.advance(time.Hour)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.Revoked(found) {
		t.Error("the revocation is kept, though the token has expired")
	}
	w.advance(2 * time.Hour)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := w.Query(t.Context(), manage.TokenQuery{}); err != nil || list.Total != 0 {
		t.Errorf("still listed: %+v, %v", list, err)
	}
}

// TestList searches, sorts and pages.
func TestList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 30 {
		w.issue(t, "one", fmt.Sprintf("user-%02d", i))
		w.advance(time.Second)
	}
	used := w.issue(t, "two", "100%_sure")
	found, err := w.Verify("two", used.Text, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		found.Touch(w.Now())
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Revoke(t.Context(), used.ID); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		query manage.TokenQuery
		total int
		first string
	}{
		"all":               {manage.TokenQuery{}, 31, "100%_sure"},
		"from":              {manage.TokenQuery{Part: manage.Part{From: 30}}, 31, "user-00"},
		"past the end":      {manage.TokenQuery{Part: manage.Part{From: 31}}, 31, ""},
		"by user":           {manage.TokenQuery{TokenFilter: manage.TokenFilter{User: "user-07"}}, 1, "user-07"},
		"by stage":          {manage.TokenQuery{TokenFilter: manage.TokenFilter{Stage: "two"}}, 1, "100%_sure"},
		"a search":          {manage.TokenQuery{TokenFilter: manage.TokenFilter{Search: "ser-1"}}, 10, "user-19"},
		"what LIKE expands": {manage.TokenQuery{TokenFilter: manage.TokenFilter{Search: "%_s"}}, 1, "100%_sure"},
		"good ones":         {manage.TokenQuery{TokenFilter: manage.TokenFilter{State: "good"}}, 30, "user-29"},
		"revoked ones":      {manage.TokenQuery{TokenFilter: manage.TokenFilter{State: "revoked"}}, 1, "100%_sure"},
		"expired ones":      {manage.TokenQuery{TokenFilter: manage.TokenFilter{State: "expired"}}, 0, ""},
		"most used":         {manage.TokenQuery{Part: manage.Part{Sort: "-calls"}}, 31, "100%_sure"},
		"first to expire":   {manage.TokenQuery{Part: manage.Part{Sort: "expires", Limit: 10}}, 31, "user-00"},
		"none":              {manage.TokenQuery{TokenFilter: manage.TokenFilter{User: "' OR 1=1 --"}}, 0, ""},
	} {
		list, err := w.Query(t.Context(), test.query)
		if err != nil {
			t.Fatal(err)
		}
		first := ""
		if len(list.Tokens) > 0 {
			first = list.Tokens[0].User
		}
		if list.Total != test.total || first != test.first {
			t.Errorf("%s: %d, %d listed, first %q", name, list.Total, len(list.Tokens), first)
		}
	}
	list, err := w.Query(t.Context(), manage.TokenQuery{TokenFilter: manage.TokenFilter{Search: used.ID}})
	if err != nil || len(list.Tokens) != 1 || list.Tokens[0].Calls != 3 || list.Tokens[0].LastUsedAt == nil {
		t.Errorf("used three times: %+v, %v", list, err)
	}
}

// TestTokensAreNotStored: a copy of the database is no bundle of tokens.
func TestTokensAreNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	issued := w.issue(t, "one", "alice")
	var rows []map[string]any
	if err := w.db.Table("access_tokens").Find(&rows).Error; err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	signature := issued.Text[strings.LastIndexByte(issued.Text, '.')+1:]
	if text := fmt.Sprint(rows); strings.Contains(text, signature) {
		t.Error("the token is in the database")
	}
}

// TestConcurrentVerification: all who verify a token at once count into one place.
func TestConcurrentVerification(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	issued := w.issue(t, "one", "alice")
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			found, err := w.Verify("one", issued.Text, w.Now())
			if err != nil {
				t.Error(err)
				return
			}
			found.Touch(w.Now())
		})
	}
	group.Wait()
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := w.Query(t.Context(), manage.TokenQuery{TokenFilter: manage.TokenFilter{Search: issued.ID}}); err != nil || list.Tokens[0].Calls != 50 {
		t.Errorf("%+v, %v", list, err)
	}
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	issued := w.issue(b, "one", "alice")
	b.ReportAllocs()
	for b.Loop() {
		found, err := w.Verify("one", issued.Text, w.now)
		if err != nil || w.Revoked(found) {
			b.Fatal(err)
		}
	}
}

// BenchmarkRevoked looks a token up beside a million revocations, and says what they take.
func BenchmarkRevoked(b *testing.B) {
	w := newWorld(b)
	found, err := w.Verify("one", w.issue(b, "one", "alice").Text, w.now)
	if err != nil {
		b.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w.FillRevocations(1_000_000, w.now.Add(time.Hour))
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	for b.Loop() {
		if w.Revoked(found) {
			b.Fatal("revoked")
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
}

func BenchmarkIssue(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		w.issue(b, "one", "alice")
	}
}
