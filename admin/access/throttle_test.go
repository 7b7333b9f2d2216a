package access

import (
	"net/netip"
	"strconv"
	"testing"
	"time"
)

func TestGuessingIsThrottledOverAll(t *testing.T) {
	t.Parallel()
	throttle, now := newThrottle(), time.Unix(1_800_000_000, 0)
	address := func(i int) string { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String() }
	throttle.try("198.51.100.7", now)
	throttle.succeeded("198.51.100.7", now)
	for i := range globalBurst - 1 {
		if _, ok := throttle.try(address(i), now); !ok {
			t.Fatalf("try %d was refused", i)
		}
	}
	wait, ok := throttle.try(address(100), now)
	if ok || wait <= 0 || wait > globalEvery {
		t.Errorf("from another address: %v, %v", wait, ok)
	}
	if _, ok := throttle.try("198.51.100.7", now); !ok {
		t.Error("the admin's address pays for the others")
	}
	if _, ok := throttle.try(address(100), now.Add(wait)); !ok {
		t.Error("refused after waiting as told")
	}
}

func TestThrottleCountsIPv6ByNetworkAndIsBounded(t *testing.T) {
	t.Parallel()
	throttle, now := newThrottle(), time.Unix(1_800_000_000, 0)
	for i := range addressBurst {
		throttle.try("2001:db8::"+strconv.Itoa(i+1), now)
	}
	if _, ok := throttle.try("2001:db8::ffff", now); ok {
		t.Error("another address of the same /64 has tries of its own")
	}
	for i := range maxAddresses + 50 {
		throttle.try(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}).String(), now.Add(time.Duration(i)*time.Minute))
	}
	if len(throttle.addresses) > maxAddresses {
		t.Errorf("%d addresses are remembered", len(throttle.addresses))
	}
}
