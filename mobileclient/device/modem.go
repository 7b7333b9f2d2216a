package device

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"keyladder/internal/traffic"
)

// line is a connection that the modem carries: what an app, or the user agent, holds
// on one side and the network on the other.
type line struct {
	*notes
	device   *Device
	near     net.Conn // the app's end
	far      net.Conn // the network's
	hangOnce sync.Once
}

// newNotes begins the notes about a connection.
func (d *Device) newNotes(stage, exchange string) *notes {
	return &notes{log: d.config.Log, participant: d.config.Participant, stage: stage, exchange: exchange}
}

// carry moves bytes between near and far until either ends, and then calls ended.
func (d *Device) carry(n *notes, near, far net.Conn, ended func()) {
	l := &line{notes: n, device: d, near: near, far: far}
	d.mu.Lock()
	closed := d.closed
	d.lines[l] = true
	d.mu.Unlock()
	if closed {
		l.hangUp()
	}
	var both sync.WaitGroup
	both.Go(func() {
		pump(far, near, l.sent)
		// Apps do not half-close and then listen for long.
		_ = far.SetReadDeadline(time.Now().Add(5 * time.Second))
	})
	both.Go(func() { pump(near, far, l.received) })
	go func() {
		both.Wait()
		l.hangUp()
		d.mu.Lock()
		delete(d.lines, l)
		d.mu.Unlock()
		ended()
	}()
}

func (l *line) hangUp() {
	l.hangOnce.Do(func() {
		l.near.Close()
		l.far.Close()
	})
}

// hangUp ends all connections, as happens when a phone changes networks.
func (d *Device) hangUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for l := range d.lines {
		l.hangUp()
	}
}

// pump copies until src ends, tells dst so, and shows every piece to note before it is
// passed on, so that records are in the order in which things happened.
func pump(dst, src net.Conn, note func([]byte)) {
	b := make([]byte, 32<<10)
	for {
		n, err := src.Read(b)
		if n > 0 {
			note(b[:n])
			if _, err := dst.Write(b[:n]); err != nil {
				src.Close() // nobody to bring it to
				return
			}
		}
		if err != nil {
			if half, ok := dst.(interface{ CloseWrite() error }); ok && err == io.EOF {
				_ = half.CloseWrite() // gone already: just as well
			} else {
				dst.Close()
			}
			return
		}
	}
}

// connect opens a connection on behalf of an app or the user agent, and notes it when
// that fails.
func (d *Device) connect(ctx context.Context, n *notes, address string) (net.Conn, error) {
	conn, err := d.dial(ctx, address)
	if err != nil {
		n.mu.Lock()
		exchange := n.exchange
		n.mu.Unlock()
		d.record(traffic.Message{
			Lane: traffic.Network, Kind: traffic.Note, Stage: n.stage, Exchange: exchange,
			From: n.participant, To: "network", Summary: "no connection to " + address,
		})
		return nil, err
	}
	return conn, nil
}
