package sdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"sync"
	"sync/atomic"
)

// System is the operating system, as the app sees it.
type System struct {
	client *rpc.Client

	last    atomic.Uint64 // number of the latest connection
	mu      sync.Mutex
	waiting map[uint64]chan net.Conn
}

// Settings are the device's settings now.
func (s *System) Settings() (Settings, error) {
	var settings Settings
	err := s.client.Call("System.Settings", None{}, &settings)
	return settings, system(err)
}

// Identifier is what the device calls this installation of the app. It stays the same
// until the app is uninstalled, and no other app gets the same.
func (s *System) Identifier() (string, error) {
	var identifier string
	err := s.client.Call("System.Identifier", None{}, &identifier)
	return identifier, system(err)
}

// Report tells the device about a message, for the class to look at.
func (s *System) Report(record Record) error {
	return system(s.client.Call("System.Report", record, &None{}))
}

// OpenURL asks the device to open a URL: pages in the user agent, other schemes in the
// app that claimed them.
func (s *System) OpenURL(url string) error {
	return system(s.client.Call("System.OpenURL", url, &None{}))
}

// Store keeps a value in the app's storage.
func (s *System) Store(key string, value []byte) error {
	return system(s.client.Call("System.Store", Item{Key: key, Value: value}, &None{}))
}

// Load returns a value of the app's storage, or [ErrNotStored].
func (s *System) Load(key string) ([]byte, error) {
	var item Item
	if err := s.client.Call("System.Load", key, &item); err != nil {
		return nil, system(err)
	}
	if !item.Found {
		return nil, ErrNotStored
	}
	return item.Value, nil
}

// Delete removes a value from the app's storage, if it is there.
func (s *System) Delete(key string) error {
	return system(s.client.Call("System.Delete", key, &None{}))
}

// Conn is a connection that the device opened for the app.
type Conn struct {
	net.Conn
	number uint64
}

type exchangeKey struct{}

// WithExchange marks what is dialed under the context as done for an exchange, so
// that the device can say which bytes belonged to which call.
func WithExchange(ctx context.Context, exchange string) context.Context {
	return context.WithValue(ctx, exchangeKey{}, exchange)
}

// Dial asks the device for a connection to host:port, in the form that
// [net/http.Transport] wants. An app has no other way to the network.
func (s *System) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, fmt.Errorf("dial %s: %w", network, errors.ErrUnsupported)
	}
	exchange, _ := ctx.Value(exchangeKey{}).(string)
	number := s.last.Add(1)
	arrived := make(chan net.Conn, 1)
	s.mu.Lock()
	s.waiting[number] = arrived
	s.mu.Unlock()
	abandon := func() {
		s.mu.Lock()
		delete(s.waiting, number)
		s.mu.Unlock()
		select {
		case conn := <-arrived:
			conn.Close()
		default:
		}
	}

	call := s.client.Go("System.Dial", Dialing{Connection: number, Address: address, Exchange: exchange}, &None{}, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		if call.Error != nil {
			abandon()
			return nil, system(call.Error)
		}
	case <-ctx.Done():
		abandon()
		return nil, ctx.Err()
	}
	select {
	case conn := <-arrived:
		return &Conn{Conn: conn, number: number}, nil
	case <-ctx.Done():
		abandon()
		return nil, ctx.Err()
	}
}

// deliver hands a connection to whoever waits for it.
func (s *System) deliver(number uint64, conn net.Conn) {
	s.mu.Lock()
	arrived, wanted := s.waiting[number]
	delete(s.waiting, number)
	if wanted {
		arrived <- conn // has room for the one
	}
	s.mu.Unlock()
	if !wanted {
		conn.Close()
	}
}

// Use says that a connection of Dial, bare or inside TLS, now carries another exchange.
func (s *System) Use(conn net.Conn, exchange string) error {
	for conn != nil {
		switch c := conn.(type) {
		case *Conn:
			return system(s.client.Call("System.Use", Using{Connection: c.number, Exchange: exchange}, &None{}))
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil // not one of ours, so there is nobody to tell
		}
	}
	return nil
}

func system(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the phone says: %w", err)
}
