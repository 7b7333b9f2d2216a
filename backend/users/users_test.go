package users

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
)

var (
	begin   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	home    = netip.MustParseAddr("203.0.113.7")
	work    = netip.MustParseAddr("203.0.113.8")
	mallory = netip.MustParseAddr("198.51.100.66")
)

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

func directory(t testing.TB) *Directory {
	t.Helper()
	d, err := New([]Seed{
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
		user, err := directory(t).SignIn(context.Background(), begin, home, test.name, test.password)
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
		d.SignIn(context.Background(), begin, home, name, "guess")
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
		if _, err := New(seed); err == nil || strings.Contains(err.Error(), "$argon2id$") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// guess makes one failing attempt and says for how long nobody is to try again.
func guess(t *testing.T, d *Directory, at time.Time, from netip.Addr, name string) time.Duration {
	t.Helper()
	_, err := d.SignIn(context.Background(), at, from, name, "guess")
	var throttled *ThrottledError
	if errors.As(err, &throttled) {
		return throttled.Until.Sub(at)
	}
	if !errors.Is(err, ErrPassword) && !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	return 0
}

// TestDelaysDouble follows an attacker who tries again as soon as possible.
func TestDelaysDouble(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"alice", "nobody"} { // both are slowed down, or the difference would tell
		d := directory(t)
		at := begin
		var delays []time.Duration
		for range 20 {
			if wait := guess(t, d, at, mallory, name); wait > 0 {
				delays = append(delays, wait)
				at = at.Add(wait)
				if again := guess(t, d, at, mallory, name); again != 0 {
					t.Fatalf("%s: the attempt after %s waits for %s", name, wait, again)
				}
			}
		}
		want := "[1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 8m32s 15m0s 15m0s 15m0s 15m0s]"
		if got := fmt.Sprint(delays); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestThrottledAttemptsAreNotTried: neither is the password looked at, nor does the attempt
// make anybody wait longer.
func TestThrottledAttemptsAreNotTried(t *testing.T) {
	t.Parallel()
	d := directory(t)
	for range freePerUser + 1 {
		guess(t, d, begin, mallory, "alice")
	}
	d.verify = func(string, string) (bool, error) {
		t.Error("a password was checked")
		return true, nil
	}
	for range 50 {
		if _, err := d.SignIn(context.Background(), begin, mallory, "alice", right); err == nil {
			t.Error("signed in")
		}
	}
	if until := d.throttle.until(begin, "alice"); !until.Equal(begin.Add(firstDelay)) {
		t.Errorf("until %s", until)
	}
}

// TestVictimIsNotLockedOut keeps somebody guessing alice's password, from many addresses,
// while she signs in at home as always.
func TestVictimIsNotLockedOut(t *testing.T) {
	t.Parallel()
	d := directory(t)
	signIn := func(at time.Time, from netip.Addr) error {
		_, err := d.SignIn(context.Background(), at, from, "alice", right)
		return err
	}
	if err := signIn(begin, home); err != nil {
		t.Fatal(err)
	}
	at := begin
	for i := range 200 {
		from := netip.AddrFrom4([4]byte{198, 51, byte(i), 1})
		if wait := guess(t, d, at, from, "alice"); wait > longestDelay {
			t.Fatalf("wait for %s", wait)
		}
		at = at.Add(time.Minute)
		if err := signIn(at, home); err != nil {
			t.Fatalf("at home, after %d guesses: %v", i, err)
		}
	}
	// At a new address she has to wait like the attacker, at most the longest delay.
	var throttled *ThrottledError
	if err := signIn(at, work); !errors.As(err, &throttled) || throttled.Until.Sub(at) > longestDelay {
		t.Fatalf("at work: %v", err)
	}
	if err := signIn(throttled.Until, work); err != nil {
		t.Errorf("at work, when the time has come: %v", err)
	}
	if err := signIn(throttled.Until, work); err != nil {
		t.Errorf("at work, where she is known now: %v", err)
	}
}

// TestSuccessDoesNotClearTheCount, neither the victim's for an attacker, nor that of the
// address for one who has an account.
func TestSuccessDoesNotClearTheCount(t *testing.T) {
	t.Parallel()
	d := directory(t)
	for range freePerUser {
		guess(t, d, begin, mallory, "alice")
	}
	for _, from := range []netip.Addr{home, home, work} {
		if _, err := d.SignIn(context.Background(), begin, from, "alice", right); err != nil {
			t.Fatal(err)
		}
	}
	guess(t, d, begin, mallory, "alice")
	if wait := guess(t, d, begin, mallory, "alice"); wait == 0 {
		t.Error("the victim's sign-in gave the attacker new attempts")
	}

	d = directory(t)
	tried := 0
	for i := range 100 {
		if guess(t, d, begin, mallory, fmt.Sprint("name-", i)) == 0 {
			tried++
		}
		d.SignIn(context.Background(), begin, mallory, "bob", right) // the attacker's own account
	}
	if tried != freePerAddress+1 {
		t.Errorf("%d names were tried from one address", tried)
	}
}

// TestFamiliarAddressesAreThrottledToo: guesses from the victim's own address.
func TestFamiliarAddressesAreThrottledToo(t *testing.T) {
	t.Parallel()
	d := directory(t)
	if _, err := d.SignIn(context.Background(), begin, home, "alice", right); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for range 50 {
		if guess(t, d, begin, home, "alice") == 0 {
			tried++
		}
	}
	if tried != freePerUser+1 {
		t.Errorf("%d guesses", tried)
	}
	if _, err := d.SignIn(context.Background(), begin.Add(longestDelay), home, "alice", right); err != nil {
		t.Errorf("after the delay: %v", err)
	}
	if guess(t, d, begin.Add(longestDelay), home, "alice") != 0 {
		t.Error("a success did not clear the count of what it has proven")
	}
}

func TestCountsAreForgotten(t *testing.T) {
	t.Parallel()
	d := directory(t)
	for range freePerUser + 1 {
		guess(t, d, begin, mallory, "alice")
	}
	later := begin.Add(forgetAfter + time.Second)
	for range freePerUser + 1 {
		if wait := guess(t, d, later, mallory, "alice"); wait != 0 {
			t.Errorf("wait for %s", wait)
		}
	}
}

func TestAddressesOfOneSubscriber(t *testing.T) {
	t.Parallel()
	d := directory(t)
	tried := 0
	for i := range 100 {
		from := netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1))
		if guess(t, d, begin, from, fmt.Sprint("name-", i)) == 0 {
			tried++
		}
	}
	if tried != freePerAddress+1 {
		t.Errorf("%d attempts from one /64", tried)
	}
}

// TestMemoryIsBounded makes up names and addresses. Users who exist are not flushed out.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	throttle := directory(t).throttle
	for range freePerUser + 1 {
		if _, err := throttle.begin(begin, "alice", mallory); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxAddresses + 1000 {
		from := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if _, err := throttle.begin(begin, fmt.Sprint("name-", i), from); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(throttle.strangers.entries); n != maxStrangers || throttle.strangers.order.Len() != n {
		t.Errorf("%d names", n)
	}
	if n := len(throttle.addresses.entries); n != maxAddresses || throttle.addresses.order.Len() != n {
		t.Errorf("%d addresses", n)
	}
	if throttle.until(begin, "alice").IsZero() {
		t.Error("alice's count was flushed out")
	}
	for i := range 10 * maxFamiliar {
		a, err := throttle.begin(begin, "bob", netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
		if err != nil {
			t.Fatal(err)
		}
		a.succeed()
	}
	if n := len(throttle.familiar["bob"].entries); n != maxFamiliar {
		t.Errorf("%d familiar addresses", n)
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
	if n := tried.Load(); n != freePerUser+1 {
		t.Errorf("%d guesses were tried", n)
	}
}

// TestBusy fills all turns and all places to wait. Who is turned away, or gives up, has not
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
		_, err := d.SignIn(ctx, begin, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), "bob", right)
		return err
	}
	d.throttle.users["bob"] = &tries{free: 1 << 20}
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
	if n := d.throttle.users["bob"].failed; n != cap(d.turns) {
		t.Errorf("%d attempts count", n)
	}
	close(proceed)
	for range cap(d.turns) {
		if err := <-inTurn; err != nil {
			t.Error(err)
		}
	}
	if int(most.Load()) > cap(d.turns) || d.waiting.Load() != 0 || d.throttle.users["bob"].failed != 0 {
		t.Errorf("%d at a time, %d wait, %d failed", most.Load(), d.waiting.Load(), d.throttle.users["bob"].failed)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	d := directory(t)
	for range freePerUser + 1 {
		guess(t, d, begin, mallory, "bob")
	}
	list := d.List(begin)
	if len(list) != 3 || list[0].Name != "alice" || list[1].Name != "bob" || !list[2].Staff || list[0].Staff {
		t.Fatalf("%+v", list)
	}
	if list[0].ThrottledUntil != nil || list[1].ThrottledUntil == nil || !list[1].ThrottledUntil.Equal(begin.Add(firstDelay)) {
		t.Errorf("throttled: %v, %v", list[0].ThrottledUntil, list[1].ThrottledUntil)
	}
	d.Reset()
	if d.List(begin)[1].ThrottledUntil != nil {
		t.Error("throttled after a reset")
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
	d, err := New([]Seed{{Name: "alice", PasswordHash: hash(b, argon2id.Params{Memory: 19456, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32})}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.SignIn(context.Background(), begin, home, "alice", right); err != nil {
			b.Fatal(err)
		}
	}
}
