package serve

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// Listen listens on a TCP address. For localhost, that is 127.0.0.1 and ::1, with the same
// port; where the machine has no IPv6, 127.0.0.1 alone, with one warning. Port 0 is a free one.
func Listen(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host != "localhost" {
		return net.Listen("tcp", address)
	}
	for tries := 0; ; tries++ {
		listener, err := listenLocally(port)
		if port == "0" && errors.Is(err, syscall.EADDRINUSE) && tries < 10 {
			continue // what is free for IPv4 is not for IPv6
		}
		return listener, err
	}
}

// withoutIPv6 is for the one warning of a program with many listeners.
var withoutIPv6 sync.Once

func listenLocally(port string) (net.Listener, error) {
	four, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, err
	}
	port = strconv.Itoa(Port(four))
	six, err := net.Listen("tcp6", net.JoinHostPort("::1", port))
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		withoutIPv6.Do(func() {
			slog.Warn("this machine has no IPv6: what is at localhost listens at 127.0.0.1 alone, and [::1] does not answer", "error", err)
		})
		return four, nil
	}
	if err != nil {
		four.Close()
		return nil, err
	}
	return newBoth(four, six), nil
}

// Port is the port that a listener has.
func Port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// both is two listeners as one.
type both struct {
	listeners [2]net.Listener
	accepted  chan result
	closed    chan struct{}
	close     sync.Once
}

type result struct {
	conn net.Conn
	err  error
}

func newBoth(one, other net.Listener) *both {
	b := &both{listeners: [2]net.Listener{one, other}, accepted: make(chan result), closed: make(chan struct{})}
	for _, listener := range b.listeners {
		go b.accept(listener)
	}
	return b
}

func (b *both) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		select {
		case b.accepted <- result{conn, err}:
		case <-b.closed:
			if conn != nil {
				conn.Close()
			}
			return
		}
	}
}

// Accept waits for a connection to either.
func (b *both) Accept() (net.Conn, error) {
	select {
	case r := <-b.accepted:
		return r.conn, r.err
	case <-b.closed:
		return nil, fmt.Errorf("accept on %s: %w", b.Addr(), net.ErrClosed)
	}
}

// Addr is the first one's.
func (b *both) Addr() net.Addr { return b.listeners[0].Addr() }

// Close closes both.
func (b *both) Close() error {
	b.close.Do(func() { close(b.closed) })
	return errors.Join(b.listeners[0].Close(), b.listeners[1].Close())
}
