package guard

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

func numbered(i uint32) netip.Addr {
	var bytes [4]byte
	binary.BigEndian.PutUint32(bytes[:], i)
	return netip.AddrFrom4(bytes)
}

func TestAddressLimitsAreBounded(t *testing.T) {
	t.Parallel()
	limits, err := newAddressLimits(Limit{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	limits.max = 100
	now := time.Now()
	for i := range uint32(1000) {
		limits.of(numbered(i), now)
	}
	if len(limits.parts[0].entries) != 100 || limits.parts[0].recent.Len() != 100 {
		t.Errorf("%d addresses are kept, %d in the list", len(limits.parts[0].entries), limits.parts[0].recent.Len())
	}
	// Those that are used stay, however many others come along.
	busy := numbered(999)
	limits.of(busy, now).AllowN(now, 60)
	for i := range uint32(1000) {
		limits.of(numbered(10_000+i), now)
		if limits.of(busy, now).TokensAt(now) >= 1 {
			t.Fatal("an address that goes on calling was forgotten")
		}
	}
}

func TestIdleAddressesAreForgotten(t *testing.T) {
	t.Parallel()
	limits, err := newAddressLimits(Limit{PerSecond: 20, Burst: 60}, 1)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range uint32(100) {
		limits.of(numbered(i), now)
	}
	limits.of(numbered(1000), now.Add(2*time.Second))
	if len(limits.parts[0].entries) != 101 {
		t.Errorf("%d addresses are kept before their buckets are full", len(limits.parts[0].entries))
	}
	limits.of(numbered(1001), now.Add(3*time.Second))
	if len(limits.parts[0].entries) != 2 {
		t.Errorf("%d addresses are kept when 100 were idle", len(limits.parts[0].entries))
	}
}

// TestNonceLimit is for 5,000 calls a second in the whole window, whatever the clocks say.
func TestNonceLimit(t *testing.T) {
	t.Parallel()
	if limit := (Config{}).nonceLimit(); limit < 600_000 {
		t.Errorf("%d nonces are remembered", limit)
	}
}

func TestBadLimits(t *testing.T) {
	t.Parallel()
	for _, limit := range []Limit{{PerSecond: -1, Burst: 1}, {PerSecond: 1}, {Burst: 1}} {
		if _, err := newAddressLimits(limit, 1); err == nil {
			t.Errorf("%+v was taken", limit)
		}
	}
}
