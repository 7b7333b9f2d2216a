package serve_test

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"keyladder/internal/serve"
)

func TestLocalhostIsBothAddresses(t *testing.T) {
	t.Parallel()
	six, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here")
	}
	six.Close()
	listener, err := serve.Listen("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	port := serve.Port(listener)
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		there, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if there.RemoteAddr().String() != conn.LocalAddr().String() {
			t.Errorf("%s: accepted %s, not %s", host, there.RemoteAddr(), conn.LocalAddr())
		}
		there.Close()
		conn.Close()
	}
	done := make(chan error, 1)
	go func() {
		_, err := listener.Accept()
		done <- err
	}()
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("accept goes on after the end")
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		if conn, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(port))); err == nil {
			conn.Close()
			t.Errorf("%s: still open", host)
		}
	}
}

// A port that somebody else has on one of the addresses is taken.
func TestPortTakenOnOneAddress(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		taken, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Skip(err)
		}
		defer taken.Close()
		if listener, err := serve.Listen(fmt.Sprint("localhost:", serve.Port(taken))); err == nil {
			listener.Close()
			t.Errorf("%s: it listens beside another program", host)
		}
	}
}
