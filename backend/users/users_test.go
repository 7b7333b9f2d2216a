package users

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"gorm.io/gorm"

	"keyladder/internal/store"
)

var (
	begin   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	home    = netip.MustParseAddr("203.0.113.7")
	mallory = Origin{Device: "mallory's", Address: netip.MustParseAddr("198.51.100.66")}
)

// on is an attempt on a device at home.
func on(device string) Origin { return Origin{Device: device, Address: home} }

const right = "correct horse"

var cheap = argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

func hash(t testing.TB, params argon2id.Params) string {
	t.Helper()
	text, err := argon2id.CreateHash(right, &params)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func database(t testing.TB, path string) *gorm.DB {
	t.Helper()
	db, err := store.Open(path, Models()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	return db
}

func directory(t testing.TB) *Directory {
	t.Helper()
	return resume(t, filepath.Join(t.TempDir(), "users.db"))
}

// resume makes a directory with what others have left in the database. A password costs it
// next to nothing.
func resume(t testing.TB, path string) *Directory {
	t.Helper()
	d, err := New(context.Background(), database(t, path), []Seed{
		{Name: "alice", PasswordHash: hash(t, cheap)},
		{Name: "bob", PasswordHash: hash(t, cheap)},
		{Name: "carol", PasswordHash: hash(t, cheap), Staff: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, password string
		want           error
	}{
		{"alice", right, nil},
		{"carol", right, nil},
		{"alice", "wrong", ErrPassword},
		{"alice", "", ErrPassword},
		{"alice", right + " ", ErrPassword},
		{"alice", strings.Repeat("x", 512), ErrPassword},
		{"Alice", right, ErrUnknown},
		{"nobody", right, ErrUnknown},
		{"nobody", "", ErrUnknown},
		{"", "", ErrUnknown},
	} {
		user, err := directory(t).SignIn(context.Background(), begin, on("hers"), test.name, test.password)
		if !errors.Is(err, test.want) || (err == nil) != (user != nil && user.Name == test.name) {
			t.Errorf("%s, %q: %v, %v", test.name, test.password, user, err)
		}
	}
}

// TestUnknownUsersCostTheSame looks at what is computed: a hash each, of the same cost.
func TestUnknownUsersCostTheSame(t *testing.T) {
	t.Parallel()
	d := directory(t)
	var hashes []string
	d.verify = func(_, hash string) (bool, error) {
		hashes = append(hashes, hash)
		return false, nil
	}
	for _, name := range []string{"alice", "nobody"} {
		d.SignIn(context.Background(), begin, on("hers"), name, "guess")
	}
	if len(hashes) != 2 || hashes[0] == hashes[1] {
		t.Fatalf("%d hashes", len(hashes))
	}
	cost := func(hash string) string { return strings.Join(strings.Split(hash, "$")[:4], "$") }
	if cost(hashes[0]) != cost(hashes[1]) {
		t.Errorf("known: %s, unknown: %s", cost(hashes[0]), cost(hashes[1]))
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := hash(t, cheap)
	dear, huge := cheap, cheap
	dear.Iterations, huge.Memory = 2, maxHashMemory+1
	for name, seed := range map[string][]Seed{
		"nobody":          nil,
		"no name":         {{PasswordHash: good}},
		"name with colon": {{Name: "a:b", PasswordHash: good}},
		"twice":           {{Name: "a", PasswordHash: good}, {Name: "a", PasswordHash: good}},
		"no hash":         {{Name: "a"}},
		"clear password":  {{Name: "a", PasswordHash: right}},
		"other cost":      {{Name: "a", PasswordHash: good}, {Name: "b", PasswordHash: hash(t, dear)}},
		"too much memory": {{Name: "a", PasswordHash: hash(t, huge)}},
	} {
		if _, err := New(context.Background(), database(t, filepath.Join(t.TempDir(), "users.db")), seed); err == nil || strings.Contains(err.Error(), "$argon2id$") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestParallelGuesses sends many guesses at once: no more are tried than one after the
// other.
func TestParallelGuesses(t *testing.T) {
	t.Parallel()
	d := directory(t)
	var tried atomic.Int64
	d.verify = func(string, string) (bool, error) {
		tried.Add(1)
		return false, nil
	}
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() { d.SignIn(context.Background(), begin, mallory, "alice", "guess") })
	}
	wait.Wait()
	if n := tried.Load(); int(n) != ofStranger.free+1 {
		t.Errorf("%d guesses were tried", n)
	}
}

// TestBusy fills all turns and all places to wait. Somebody who is turned away, or gives up, has not
// tried.
func TestBusy(t *testing.T) {
	t.Parallel()
	d := directory(t)
	proceed, started := make(chan struct{}), make(chan struct{}, 1000)
	var running, most atomic.Int64
	d.verify = func(string, string) (bool, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		started <- struct{}{}
		<-proceed
		return true, nil
	}
	signIn := func(ctx context.Context, i int) error {
		_, err := d.SignIn(ctx, begin, Origin{Address: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}, "bob", right)
		return err
	}
	bobs := &tries{limit: &limit{free: 1 << 20}}
	d.throttle.strange.put(key{limit: &ofStrangers, name: nameDigest("bob")}, bobs)
	ctx, cancel := context.WithCancel(context.Background())
	inTurn := make(chan error, cap(d.turns))
	for i := range cap(d.turns) {
		go func() { inTurn <- signIn(context.Background(), i) }()
		<-started
	}
	queued := make(chan error, maxWaiting)
	for i := range maxWaiting {
		go func() { queued <- signIn(ctx, 100+i) }()
	}
	for d.waiting.Load() < maxWaiting {
		runtime.Gosched()
	}
	if err := signIn(context.Background(), 1000); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	cancel()
	for range maxWaiting {
		if err := <-queued; !errors.Is(err, context.Canceled) {
			t.Errorf("gave up: %v", err)
		}
	}
	if n := bobs.failed; n != cap(d.turns) {
		t.Errorf("%d attempts count", n)
	}
	close(proceed)
	for range cap(d.turns) {
		if err := <-inTurn; err != nil {
			t.Error(err)
		}
	}
	if int(most.Load()) > cap(d.turns) || d.waiting.Load() != 0 || bobs.failed != 0 {
		t.Errorf("%d at a time, %d wait, %d failed", most.Load(), d.waiting.Load(), bobs.failed)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	d := directory(t)
	for i := range ofStrangers.free + 1 {
		guess(t, d, begin, elsewhere(i), "bob")
	}
	signIn(t, d, begin, on("hers"), "alice")
	guess(t, d, begin, on("hers"), "alice")
	list := d.List(begin)
	if len(list) != 3 || list[0].Name != "alice" || list[1].Name != "bob" || !list[2].Staff || list[0].Staff {
		t.Fatalf("%+v", list)
	}
	if list[0].ThrottledUntil != nil || list[1].ThrottledUntil == nil || !list[1].ThrottledUntil.Equal(begin.Add(firstDelay)) {
		t.Errorf("throttled: %v, %v", list[0].ThrottledUntil, list[1].ThrottledUntil)
	}
	if list[0].FailedSignIns != 1 || list[1].FailedSignIns != ofStrangers.free+1 || list[2].FailedSignIns != 0 {
		t.Errorf("failed: %d, %d, %d", list[0].FailedSignIns, list[1].FailedSignIns, list[2].FailedSignIns)
	}
	if after := d.List(begin.Add(forgetAfter + time.Second)); after[1].FailedSignIns != 0 {
		t.Errorf("after a day: %+v", after[1])
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	d := directory(t)
	for scope, want := range map[string][2]bool{ // customers, staff
		"rates:read": {true, true}, "accounts:read": {true, true}, "transfers:write": {true, false}, "accounts:freeze": {false, true},
		"settlements:read": {false, false}, "": {false, false}, "*": {false, false},
	} {
		if got := [2]bool{d.Lookup("alice").May(scope), d.Lookup("carol").May(scope)}; got != want {
			t.Errorf("%q: %v, want %v", scope, got, want)
		}
	}
}

// BenchmarkSignIn is the cost of one password at the deployment's parameters.
func BenchmarkSignIn(b *testing.B) {
	d, err := New(context.Background(), database(b, filepath.Join(b.TempDir(), "users.db")), []Seed{{Name: "alice", PasswordHash: hash(b, argon2id.Params{Memory: 19456, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32})}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.SignIn(context.Background(), begin, on("hers"), "alice", right); err != nil {
			b.Fatal(err)
		}
	}
}
