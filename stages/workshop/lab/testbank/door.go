package testbank

import (
	"net"
	"sync"
)

// door is where a server listens that is stopped and started again. Its port stays taken meanwhile, so
// that nothing else gets it; whoever connects then is hung up on.
type door struct {
	listener net.Listener
	mu       sync.Mutex
	run      *run // of the server; nil: it does not run
}

func newDoor(listener net.Listener) *door {
	d := &door{listener: listener}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			d.hand(conn)
		}
	}()
	return d
}

// address is host:port.
func (d *door) address() string { return d.listener.Addr().String() }

// hand gives a connection to the server that runs.
func (d *door) hand(conn net.Conn) {
	d.mu.Lock()
	now := d.run
	d.mu.Unlock()
	if now == nil {
		conn.Close()
		return
	}
	select {
	case now.conns <- conn:
	case <-now.over:
		conn.Close()
	}
}

// open is the listener of one run of the server, which closes it.
func (d *door) open() net.Listener {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.run = &run{door: d, conns: make(chan net.Conn), over: make(chan struct{})}
	return d.run
}

// run is from one start of a server to its end.
type run struct {
	door  *door
	conns chan net.Conn
	once  sync.Once
	over  chan struct{}
}

// Accept is that of [net.Listener].
func (r *run) Accept() (net.Conn, error) {
	select {
	case conn := <-r.conns:
		return conn, nil
	case <-r.over:
		return nil, net.ErrClosed
	}
}

// Close is that of [net.Listener].
func (r *run) Close() error {
	r.once.Do(func() {
		r.door.mu.Lock()
		if r.door.run == r {
			r.door.run = nil
		}
		r.door.mu.Unlock()
		close(r.over)
	})
	return nil
}

// Addr is that of [net.Listener].
func (r *run) Addr() net.Addr { return r.door.listener.Addr() }
