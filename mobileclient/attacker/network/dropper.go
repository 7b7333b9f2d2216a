package network

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Drops is what a [Dropper] does not carry.
type Drops int32

// The messages that can be dropped.
const (
	DropNothing Drops = iota
	DropRequests
	DropAnswers
)

// Dropper is a router, as an [AccessPoint] is, that carries the phone's connections until it
// is told to drop what goes one way: then it ends them in place of passing it on. It reads
// nothing and needs no key, so whether connections are encrypted does not matter.
//
//keyladder:code network-dropper
type Dropper struct {
	uplink   Uplink
	listener net.Listener
	stop     context.CancelFunc
	open     sync.WaitGroup
	drops    atomic.Int32
	dropped  atomic.Int32
}

// NewDropper opens a router that drops nothing so far. Close it.
func NewDropper(ctx context.Context, uplink Uplink) (*Dropper, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a router: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	d := &Dropper{uplink: uplink, listener: listener, stop: stop}
	d.open.Go(func() {
		for {
			phone, err := listener.Accept()
			if err != nil {
				return
			}
			d.open.Go(func() { d.carry(ctx, phone) })
		}
	})
	return d, nil
}

// Address is what a phone joins, host:port.
func (d *Dropper) Address() string { return d.listener.Addr().String() }

// Drop says what is not carried from now on.
func (d *Dropper) Drop(what Drops) { d.drops.Store(int32(what)) }

// Dropped is how many connections ended in that way.
func (d *Dropper) Dropped() int { return int(d.dropped.Load()) }

// Close ends all connections.
func (d *Dropper) Close() {
	d.stop()
	_ = d.listener.Close()
	d.open.Wait()
}

func (d *Dropper) carry(ctx context.Context, phone net.Conn) {
	defer phone.Close()
	defer context.AfterFunc(ctx, func() { _ = phone.Close() })()
	_ = phone.SetReadDeadline(time.Now().Add(Timeout))
	reader := bufio.NewReaderSize(phone, 4096)
	line, err := reader.ReadSlice('\n')
	if err != nil || len(line) > maxFirstLine {
		return // it does not say where it wants to go
	}
	_ = phone.SetReadDeadline(time.Time{})
	server, err := d.uplink.Routes.Dial(Dialer)(ctx, "tcp", strings.TrimSpace(string(line)))
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	var both sync.WaitGroup
	both.Go(func() { d.pass(server, &bufferedConn{phone, reader}, DropRequests) })
	both.Go(func() { d.pass(phone, server, DropAnswers) })
	both.Wait()
}

// pass carries one direction, until it is to be dropped.
func (d *Dropper) pass(to, from net.Conn, as Drops) {
	defer to.Close()
	defer from.Close()
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 && Drops(d.drops.Load()) == as {
			d.dropped.Add(1)
			return
		}
		if n > 0 {
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
