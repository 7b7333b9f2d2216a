package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreePort listens on a port of 127.0.0.1 that another program is to listen on when the listener is closed.
// It is below those which systems give out by themselves (RFC 6335 keeps these from 49152 on, and Linux
// has them from 32768 on), so no connection takes it meanwhile.
func FreePort(t testing.TB) net.Listener {
	t.Helper()
	for range 100 {
		if listener, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20_000+rand.IntN(12_000))); err == nil {
			return listener
		}
	}
	t.Fatal("no port is free below those that the system gives out")
	return nil
}
