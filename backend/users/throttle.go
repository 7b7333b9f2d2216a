package users

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// How attempts are slowed down: so many are free, after which each failure doubles the
// time until the next one.
const (
	freePerUser    = 5
	freePerAddress = 20 // many people can be behind one address
	firstDelay     = time.Second
	longestDelay   = 15 * time.Minute
	// forgetAfter is long enough that waiting for it brings fewer guesses than going on
	// at the longest delay.
	forgetAfter = 24 * time.Hour
)

// Bounds of the memory that strangers can make us use. The least recently used goes first.
const (
	maxStrangers = 1 << 14 // names that are nobody's
	maxAddresses = 1 << 16
	maxFamiliar  = 32 // addresses of one user
)

// ThrottledError means that an attempt was not made because of those before it.
type ThrottledError struct {
	Until time.Time
	By    string // what there were too many attempts for: user, address, user at address
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many failed sign-ins of this %s: none is tried before %s", e.By, e.Until.UTC().Format(time.RFC3339))
}

// tries are the failed attempts of somebody or from somewhere.
type tries struct {
	failed int
	last   time.Time
	free   int
}

func (t *tries) until() time.Time {
	if t.failed <= t.free {
		return time.Time{}
	}
	delay := longestDelay
	if doubled := t.failed - t.free - 1; doubled < 10 {
		delay = min(delay, firstDelay<<doubled)
	}
	return t.last.Add(delay)
}

// throttle slows guessing down, in two dimensions: attempts on a user, from wherever, and
// attempts from an address, on whomever.
//
// The first alone would be a weapon. Anybody could keep a user's count high, and so the
// user out. Therefore an address from which a user has signed in before is familiar: its
// attempts on that user have a count of their own, and neither the user's nor the
// address's count touches them. An attacker elsewhere can make the user wait at a new
// address, for 15 minutes at most, and nowhere else.
//
// A success takes back what its own attempt added to a count and no more. If it cleared
// the count, attackers would begin anew with every sign-in of their victim, or, by an
// account of their own, whenever they like.
//
// All of it is in memory. A restart forgets it, which gives guessers a few free attempts.
type throttle struct {
	known func(name string) bool

	mu        sync.Mutex
	users     map[string]*tries // of users who exist: never dropped, so nobody can flush them out
	strangers *recent[[sha256.Size]byte, *tries]
	addresses *recent[netip.Addr, *tries]
	familiar  map[string]*recent[netip.Addr, *tries]
}

func newThrottle(known func(name string) bool) *throttle {
	t := &throttle{known: known}
	t.reset()
	return t
}

func (t *throttle) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users, t.familiar = map[string]*tries{}, map[string]*recent[netip.Addr, *tries]{}
	t.strangers = newRecent[[sha256.Size]byte, *tries](maxStrangers)
	t.addresses = newRecent[netip.Addr, *tries](maxAddresses)
}

// attempt is one sign-in, which counts as failed until it is known not to be.
type attempt struct {
	throttle *throttle
	name     string
	from     netip.Addr
	counts   []*tries
	before   []time.Time // when each count had its last attempt before this one
	at       time.Time
	familiar bool
}

// begin counts an attempt, or refuses it with a [*ThrottledError]. A refused attempt
// changes nothing: it does not make anybody wait longer.
//
//keyladder:code throttle
func (t *throttle) begin(at time.Time, name string, from netip.Addr) (*attempt, error) {
	from = subscriber(from)
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &attempt{throttle: t, name: name, from: from, at: at}
	by := []string{"user", "address"}
	if own, ok := t.familiarWith(name, from); ok {
		a.counts, a.familiar, by = []*tries{own}, true, []string{"user at this address"}
	} else {
		a.counts = []*tries{t.user(name), t.addresses.get(from, func() *tries { return &tries{free: freePerAddress} })}
	}
	for i, count := range a.counts {
		if count.last.Before(at.Add(-forgetAfter)) {
			count.failed = 0
		}
		if until := count.until(); at.Before(until) {
			return nil, &ThrottledError{Until: until, By: by[i]}
		}
	}
	for _, count := range a.counts {
		a.before = append(a.before, count.last)
		count.failed++
		count.last = at
	}
	return a, nil
}

func (t *throttle) familiarWith(name string, from netip.Addr) (*tries, bool) {
	known, ok := t.familiar[name]
	if !ok {
		return nil, false
	}
	return known.peek(from)
}

func (t *throttle) user(name string) *tries {
	fresh := func() *tries { return &tries{free: freePerUser} }
	if !t.known(name) {
		return t.strangers.get(sha256.Sum256([]byte(name)), fresh)
	}
	if t.users[name] == nil {
		t.users[name] = fresh()
	}
	return t.users[name]
}

// cancel takes the attempt back: no password was tried.
func (a *attempt) cancel() {
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	a.takeBack()
}

func (a *attempt) takeBack() {
	for i, count := range a.counts {
		count.failed = max(0, count.failed-1)
		if count.last.Equal(a.at) { // nobody has tried since
			count.last = a.before[i]
		}
	}
}

// succeed makes the address a familiar one of the user.
func (a *attempt) succeed() {
	t := a.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	a.takeBack()
	if a.familiar {
		a.counts[0].failed = 0
		return
	}
	if t.familiar[a.name] == nil {
		t.familiar[a.name] = newRecent[netip.Addr, *tries](maxFamiliar)
	}
	t.familiar[a.name].get(a.from, func() *tries { return &tries{free: freePerUser} })
}

// until is when a user can next sign in from an address that is not familiar; zero: now.
func (t *throttle) until(at time.Time, name string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if count, ok := t.users[name]; ok {
		if until := count.until(); at.Before(until) {
			return until
		}
	}
	return time.Time{}
}

// subscriber is the address by which attempts are counted. One subscriber gets a whole
// /64 of IPv6 addresses.
func subscriber(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if address.Is6() {
		prefix, _ := address.Prefix(64)
		return prefix.Addr()
	}
	return address
}

// recent is a map of bounded size, out of which the least recently used entry goes.
type recent[K comparable, V any] struct {
	max     int
	entries map[K]*list.Element
	order   *list.List // the most recently used at the front
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](most int) *recent[K, V] {
	return &recent[K, V]{max: most, entries: map[K]*list.Element{}, order: list.New()}
}

func (r *recent[K, V]) peek(key K) (value V, ok bool) {
	element, ok := r.entries[key]
	if !ok {
		return value, false
	}
	r.order.MoveToFront(element)
	return element.Value.(*entry[K, V]).value, true
}

func (r *recent[K, V]) get(key K, fresh func() V) V {
	if value, ok := r.peek(key); ok {
		return value
	}
	if len(r.entries) >= r.max {
		oldest := r.order.Back()
		r.order.Remove(oldest)
		delete(r.entries, oldest.Value.(*entry[K, V]).key)
	}
	value := fresh()
	r.entries[key] = r.order.PushFront(&entry[K, V]{key, value})
	return value
}
