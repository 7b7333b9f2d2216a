package users

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// limit is how attempts of one kind are slowed down: so many are free, after which each
// failure doubles the time until the next attempt, up to the longest.
type limit struct {
	of      string // who waits, for people
	free    int
	longest time.Duration
}

const firstDelay = time.Second

// The limits; see [throttle] for what they add up to.
var (
	ofStrangers = limit{"user, on devices that are new to them", 10, 2 * time.Minute}
	ofStranger  = limit{"user, from this address", 5, time.Hour}
	ofAddress   = limit{"address", 20, 15 * time.Minute} // many people can be behind one
	ofFamiliar  = limit{"user, on this device", 5, 15 * time.Minute}
)

// forgetAfter is long enough that waiting for it brings fewer guesses than going on at
// any limit's longest delay.
const forgetAfter = 24 * time.Hour

// maxCounts bounds the memory that strangers can make us use, who can invent names and
// addresses. The count that was not raised for the longest time goes first.
const maxCounts = 1 << 17

// MaxFamiliar is how many places of a user are kept. The one at which the user has not
// signed in for the longest time goes first.
const MaxFamiliar = 100

// Origin is where an attempt comes from.
type Origin struct {
	Device  string // ID of the device that has proven itself; empty: the stage knows none
	Address netip.Addr
}

// place is what can become familiar. An address does only where there are no devices:
// others may share it, and it changes with the network.
func (o Origin) place() string {
	if o.Device != "" {
		return "device " + o.Device
	}
	return "address " + subscriber(o.Address).String()
}

// ThrottledError means that an attempt was not made because of those before it.
type ThrottledError struct {
	Until time.Time
	Of    string // what there were too many attempts of
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many failed sign-ins of this %s: none is tried before %s", e.Of, e.Until.UTC().Format(time.RFC3339))
}

// tries are the failed attempts of one kind.
type tries struct {
	*limit
	failed int
	last   time.Time
}

// count is how many failures still matter.
func (t *tries) count(at time.Time) int {
	if t.last.Before(at.Add(-forgetAfter)) {
		return 0
	}
	return t.failed
}

func (t *tries) until(at time.Time) time.Time {
	doubled := t.count(at) - t.free - 1
	if doubled < 0 {
		return time.Time{}
	}
	delay := t.longest
	if doubled < 12 { // 2^12 s is longer than any
		delay = min(delay, firstDelay<<doubled)
	}
	return t.last.Add(delay)
}

// throttle slows guessing down without shutting users out. It keeps four counts:
//
//	strangers  on a user, on all devices that are new to them together: 720 a day
//	stranger   on a user, on such devices at one address: 24 a day
//	address    from an address, whoever the user: 96 a day
//	familiar   on a user, on a familiar device: 96 a day
//
// Those are the guesses that they leave, and some twenty more on the first day.
//
// A device on which a user has signed in is familiar, for that user; so is an address, at
// stages that know no devices. Its attempts have a count of their own, which the others
// do not touch and nobody without the device's GUID can raise. Familiar places are in the
// database, so a restart puts nobody out. OWASP calls the idea device cookies. The guard
// proves the device first; a banned one does not get here. Anyone who has stolen its GUID can
// keep one device waiting, and none of the user's others.
//
// All others share a slot: one attempt on a user every two minutes while somebody
// guesses. Attempts that come too early change nothing, so who asks all the time would
// get each slot. Therefore one address has to wait much longer for its next one: up to
// an hour, and 32 times as long as the others before that, as fewer are free. A user
// with a new phone gets in between, at another address than the attacker.
//
// Devices do not count among strangers: whoever has the app's secret invents new ones.
// Nor does an address prove much, and who has thirty of them can fill every slot. As long
// as that goes on, a new phone may not get in; those that are familiar do. An admin can
// clear a user's counts ([Directory.Clear]), after which the next ten attempts are free
// for whoever comes first.
//
// A success takes back what its own attempt added to a count and no more. If it cleared
// the count, attackers would begin anew with every sign-in of their victim, or, by an
// account of their own, whenever they like. Only on a familiar device it clears all.
//
// A name that is nobody's is counted in the same way and in the same place, or the
// difference would tell who exists. So the count of a user can be flushed out like any
// other, but only by some 40,000 attempts on other names.
//
// The counts are in memory. A restart forgets them, which gives guessers a few free attempts.
type throttle struct {
	mu       sync.Mutex
	strange  *recent[key, *tries]
	familiar map[string]*recent[string, *tries] // by user and place
}

// key says whose attempts are counted.
type key struct {
	*limit
	name    digest     // zero: whoever
	address netip.Addr // zero: from wherever
}

// digest stands for a name, which can be long.
type digest [sha256.Size]byte

func nameDigest(name string) digest { return sha256.Sum256([]byte(name)) }

func newThrottle() *throttle {
	t := &throttle{}
	t.reset()
	return t
}

func (t *throttle) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.strange, t.familiar = newRecent[key, *tries](maxCounts), map[string]*recent[string, *tries]{}
}

// attempt is one sign-in, which counts as failed until it is known not to be.
type attempt struct {
	throttle *throttle
	name     string
	from     Origin
	counts   []*tries
	before   []time.Time // when each count had its last attempt before this one
	at       time.Time
}

// begin counts an attempt, or refuses it with a [*ThrottledError]. A refused attempt
// changes nothing: it does not make anybody wait longer.
//
//keyladder:code throttle
func (t *throttle) begin(at time.Time, name string, from Origin) (*attempt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &attempt{throttle: t, name: name, from: from, at: at}
	var keys []key
	if own := t.familiarWith(name, from); own != nil {
		a.counts = []*tries{own}
	} else {
		who, address := nameDigest(name), subscriber(from.Address)
		keys = []key{{&ofStrangers, who, netip.Addr{}}, {&ofStranger, who, address}, {&ofAddress, digest{}, address}}
		for _, k := range keys {
			a.counts = append(a.counts, t.countOf(k))
		}
	}
	refused := &ThrottledError{Until: at}
	for _, count := range a.counts {
		if until := count.until(at); until.After(refused.Until) {
			refused.Until, refused.Of = until, count.of
		}
	}
	if refused.Of != "" {
		return nil, refused
	}
	for _, count := range a.counts {
		a.before = append(a.before, count.last)
		count.failed, count.last = count.count(at)+1, at
	}
	for i, k := range keys {
		t.strange.put(k, a.counts[i])
	}
	return a, nil
}

func (t *throttle) familiarWith(name string, from Origin) *tries {
	places, ok := t.familiar[name]
	if !ok {
		return nil
	}
	own, _ := places.get(from.place())
	return own
}

func (t *throttle) countOf(k key) *tries {
	if count, ok := t.strange.get(k); ok {
		return count
	}
	return &tries{limit: k.limit}
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

// succeed makes the attempt's place a familiar one of the user.
func (a *attempt) succeed() {
	t := a.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	a.takeBack()
	t.befriend(a.name, a.from.place()).failed = 0
}

// befriend makes a place familiar, as the latest of the user's, and needs mu.
func (t *throttle) befriend(name, place string) *tries {
	places := t.familiar[name]
	if places == nil {
		places = newRecent[string, *tries](MaxFamiliar)
		t.familiar[name] = places
	}
	count, ok := places.get(place)
	if !ok {
		count = &tries{limit: &ofFamiliar}
	}
	places.put(place, count)
	return count
}

// clear forgets the failed attempts on a user, but not which places are familiar.
func (t *throttle) clear(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	who := nameDigest(name)
	t.strange.drop(func(k key) bool { return k.name == who })
	for _, count := range t.ofPlaces(name) {
		count.failed = 0
	}
}

// state says how many failed attempts on a user count, and when the user can next sign in
// at a place that is not familiar; zero: now.
func (t *throttle) state(at time.Time, name string) (failed int, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	strangers := t.countOf(key{limit: &ofStrangers, name: nameDigest(name)})
	for _, count := range append(t.ofPlaces(name), strangers) {
		failed += count.count(at)
	}
	if next := strangers.until(at); at.Before(next) {
		until = next
	}
	return failed, until
}

func (t *throttle) ofPlaces(name string) []*tries {
	if places, ok := t.familiar[name]; ok {
		return places.all()
	}
	return nil
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

// recent is a map of bounded size, out of which goes what was not put in for the longest
// time.
type recent[K comparable, V any] struct {
	max     int
	entries map[K]*list.Element
	order   *list.List // the latest at the front
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](most int) *recent[K, V] {
	return &recent[K, V]{max: most, entries: map[K]*list.Element{}, order: list.New()}
}

func (r *recent[K, V]) get(key K) (value V, ok bool) {
	element, ok := r.entries[key]
	if !ok {
		return value, false
	}
	return element.Value.(entry[K, V]).value, true
}

func (r *recent[K, V]) put(key K, value V) {
	if element, ok := r.entries[key]; ok {
		r.remove(element)
	}
	if len(r.entries) >= r.max {
		r.remove(r.order.Back())
	}
	r.entries[key] = r.order.PushFront(entry[K, V]{key, value})
}

func (r *recent[K, V]) remove(element *list.Element) {
	r.order.Remove(element)
	delete(r.entries, element.Value.(entry[K, V]).key)
}

func (r *recent[K, V]) drop(which func(K) bool) {
	for key, element := range r.entries {
		if which(key) {
			r.remove(element)
		}
	}
}

func (r *recent[K, V]) all() []V {
	all := make([]V, 0, len(r.entries))
	for _, element := range r.entries {
		all = append(all, element.Value.(entry[K, V]).value)
	}
	return all
}
