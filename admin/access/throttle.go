package access

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	addressBurst = 5                // wrong passwords of one address at once
	addressEvery = 12 * time.Second // and then one in this time
	globalBurst  = 20
	globalEvery  = 3 * time.Second
	maxAddresses = 4096
)

// throttle slows down the guessing of passwords, by address and over all. Nobody is
// locked out: a try comes back every few seconds, and addresses from which somebody has
// signed in are spared what others use up.
type throttle struct {
	mu        sync.Mutex
	global    *rate.Limiter
	addresses map[netip.Prefix]*addressState
}

type addressState struct {
	limiter *rate.Limiter
	used    time.Time
	known   bool // the admin signed in from here
}

func newThrottle() *throttle {
	return &throttle{
		global:    rate.NewLimiter(rate.Every(globalEvery), globalBurst),
		addresses: map[netip.Prefix]*addressState{},
	}
}

// network is what counts as one address: an IPv4 address, or the /64 that a single
// IPv6 customer gets.
func network(address string) netip.Prefix {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.Prefix(bits)
	return prefix
}

// try takes one try of the address. Where there is none left it says how long to wait.
func (t *throttle) try(address string, now time.Time) (wait time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	state := t.state(network(address), now)
	own := state.limiter.ReserveN(now, 1)
	if wait := own.DelayFrom(now); wait > 0 {
		own.CancelAt(now)
		return wait, false
	}
	if state.known {
		return 0, true
	}
	all := t.global.ReserveN(now, 1)
	if wait := all.DelayFrom(now); wait > 0 {
		all.CancelAt(now)
		own.CancelAt(now)
		return wait, false
	}
	return 0, true
}

// succeeded gives the address its tries back: the admin sits there.
func (t *throttle) succeeded(address string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	state := t.state(network(address), now)
	state.known = true
	state.limiter = rate.NewLimiter(rate.Every(addressEvery), addressBurst)
}

func (t *throttle) state(prefix netip.Prefix, now time.Time) *addressState {
	state, ok := t.addresses[prefix]
	if !ok {
		if len(t.addresses) >= maxAddresses {
			t.drop()
		}
		state = &addressState{limiter: rate.NewLimiter(rate.Every(addressEvery), addressBurst)}
		t.addresses[prefix] = state
	}
	state.used = now
	return state
}

// drop forgets the address that was heard of least recently; what it guesses from now on
// still counts over all.
func (t *throttle) drop() {
	var oldest netip.Prefix
	var at time.Time
	for prefix, state := range t.addresses {
		if !state.known && (at.IsZero() || state.used.Before(at)) {
			oldest, at = prefix, state.used
		}
	}
	delete(t.addresses, oldest)
}
