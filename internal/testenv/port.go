package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Below listens on a port of 127.0.0.1 that is below those which systems give out by themselves (RFC 6335
// keeps these from 49152 on, and Linux has them from 32768 on). So no connection takes it when the
// listener is closed, for another program to listen there.
func Below(t testing.TB) net.Listener {
	t.Helper()
	for range 100 {
		if listener, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20_000+rand.IntN(12_000))); err == nil {
			return listener
		}
	}
	t.Fatal("no port is free below those that the system gives out")
	return nil
}
