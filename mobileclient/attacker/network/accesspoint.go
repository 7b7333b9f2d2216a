package network

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"keyladder/internal/traffic"
)

const (
	maxHeard     = 1 << 20 // of a conversation, in each direction
	maxFirstLine = 300     // the destination that a phone names
	tlsHandshake = 22      // first byte of a TLS connection (RFC 8446, section 5.1)
)

// AccessPoint is the router of the wireless network that a victim's phone has joined.
// A phone opens a connection, sends a line with the destination, host:port, and then
// what it would have sent there: the line stands for the address on IP packets. A
// router carries bytes; it holds no certificate that anybody trusts.
type AccessPoint struct {
	// Hear, when it is set before the first phone joins, is given what passes before it is
	// passed on, where nothing is tampered with. It is called concurrently.
	Hear func(data []byte, encrypted bool)

	uplink   Uplink
	tamper   Tampering // nil: everything passes as it is
	listener net.Listener
	stop     context.CancelFunc
	open     sync.WaitGroup
	idle     chan struct{} // told when the last connection has ended

	mu            sync.Mutex
	connections   int
	conversations []*Conversation
	alerts        []string // with which phones refused the access point's own certificate
	failures      []error
}

// Tampering changes a request on its way. It says whether it did.
type Tampering func(*http.Request) (bool, error)

// Conversation is one connection, as an access point hears it.
type Conversation struct {
	destination string
	mu          sync.Mutex
	up, down    bytes.Buffer // what the phone sent, and what came back
}

// NewAccessPoint opens an access point. A tampering changes messages on their
// way; with none, the access point listens. Close it.
func NewAccessPoint(ctx context.Context, uplink Uplink, tamper Tampering) (*AccessPoint, error) {
	listener, err := uplink.listen()
	if err != nil {
		return nil, fmt.Errorf("open an access point: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	ap := &AccessPoint{uplink: uplink, tamper: tamper, listener: listener, stop: stop, idle: make(chan struct{}, 1)}
	ap.open.Go(func() { ap.accept(ctx) })
	return ap, nil
}

// Address is what a phone joins, host:port.
func (ap *AccessPoint) Address() string { return ap.listener.Addr().String() }

// Close hangs up and waits until nothing moves any more.
func (ap *AccessPoint) Close() {
	ap.stop()
	_ = ap.listener.Close()
	ap.open.Wait()
}

// count keeps count of the connections.
func (ap *AccessPoint) count(change int) {
	ap.mu.Lock()
	defer ap.mu.Unlock()
	ap.connections += change
	if ap.connections == 0 {
		select {
		case ap.idle <- struct{}{}:
		default: // told already
		}
	}
}

// Settle waits, a moment at most, for connections to end that have no more to say: a
// phone that gave up may be ahead of what the access point made of it.
func (ap *AccessPoint) Settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		ap.mu.Lock()
		quiet := ap.connections == 0
		ap.mu.Unlock()
		if quiet {
			return
		}
		select {
		case <-ap.idle:
		case <-ctx.Done():
			return
		}
	}
}

func (ap *AccessPoint) accept(ctx context.Context) {
	for {
		phone, err := ap.listener.Accept()
		if err != nil {
			return
		}
		ap.count(+1)
		ap.open.Go(func() {
			defer ap.count(-1)
			defer phone.Close()
			defer context.AfterFunc(ctx, func() { _ = phone.Close() })()
			if err := ap.carry(ctx, phone); err != nil && ctx.Err() == nil {
				ap.mu.Lock()
				ap.failures = append(ap.failures, err)
				ap.mu.Unlock()
			}
		})
	}
}

// carry relays one connection.
func (ap *AccessPoint) carry(ctx context.Context, phone net.Conn) error {
	_ = phone.SetReadDeadline(time.Now().Add(Timeout))
	reader := bufio.NewReaderSize(phone, 4096)
	line, err := reader.ReadSlice('\n')
	if err != nil || len(line) > maxFirstLine {
		return fmt.Errorf("a phone did not say where it wants to go: %w", err)
	}
	destination := strings.TrimSpace(string(line))
	first, err := reader.Peek(1)
	if err != nil {
		return nil // it opened a connection and thought better of it
	}
	_ = phone.SetReadDeadline(time.Time{})
	from := &bufferedConn{phone, reader}
	switch {
	case ap.tamper == nil:
		return ap.listen(ctx, from, destination)
	case first[0] == tlsHandshake:
		return ap.impersonate(ctx, from, destination)
	default:
		server, err := ap.uplink.Routes.Dial(Dialer)(ctx, "tcp", destination)
		if err != nil {
			return fmt.Errorf("relay to %s: %w", destination, err)
		}
		return ap.rewrite(ctx, from, server)
	}
}

// listen relays bytes as they are and keeps a copy.
func (ap *AccessPoint) listen(ctx context.Context, phone net.Conn, destination string) error {
	server, err := ap.uplink.Routes.Dial(Dialer)(ctx, "tcp", destination)
	if err != nil {
		return fmt.Errorf("relay to %s: %w", destination, err)
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	c := &Conversation{destination: destination}
	ap.mu.Lock()
	ap.conversations = append(ap.conversations, c)
	ap.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { pipe(server, io.TeeReader(phone, ap.hearing(c, &c.up))) })
	both.Go(func() { pipe(phone, io.TeeReader(server, ap.hearing(c, &c.down))) })
	both.Wait()
	return nil
}

// pipe copies until one side ends, and passes the end on.
func pipe(to net.Conn, from io.Reader) {
	_, _ = io.Copy(to, from) // the ends see a broken connection themselves
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	_ = to.Close()
}

// hearing writes into one of the conversation's buffers, up to a limit.
func (ap *AccessPoint) hearing(c *Conversation, into *bytes.Buffer) io.Writer {
	return writerFunc(func(p []byte) {
		c.mu.Lock()
		into.Write(p[:min(len(p), maxHeard-into.Len())])
		encrypted := isTLS(into.Bytes())
		c.mu.Unlock()
		if ap.Hear != nil {
			ap.Hear(p, encrypted)
		}
	})
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// rewrite reads requests from the phone, lets the tampering change them, and passes
// them on, and the answers back.
func (ap *AccessPoint) rewrite(ctx context.Context, phone, server net.Conn) error {
	defer server.Close()
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	requests, responses := bufio.NewReader(phone), bufio.NewReader(server)
	for {
		request, err := http.ReadRequest(requests)
		if err != nil {
			return nil // the phone is done
		}
		changed, err := ap.tamper(request)
		if err != nil {
			return fmt.Errorf("change a request: %w", err)
		}
		if changed {
			ap.uplink.Record(Changed("on its way", request.Method, request.URL.RequestURI(), request.Header))
		}
		if err := passOn(server, request); err != nil {
			return fmt.Errorf("pass a request on: %w", err)
		}
		response, err := http.ReadResponse(responses, request)
		if err != nil {
			return fmt.Errorf("read the answer to a request: %w", err)
		}
		err = response.Write(phone)
		_ = response.Body.Close()
		if err != nil || response.Close || request.Close {
			return nil
		}
	}
}

// passOn writes a request as it came: Go's own Request.Write would add a User-Agent.
func passOn(server io.Writer, request *http.Request) error {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return err
	}
	fields := request.Header.Clone()
	if len(body) > 0 {
		fields.Set("Content-Length", fmt.Sprint(len(body)))
	}
	text := Head(request.Method+" "+request.URL.RequestURI()+" HTTP/1.1", "Host: "+request.Host, fields)
	_, err = server.Write(append([]byte(text+"\r\n"), body...))
	return err
}

// impersonate answers a TLS handshake in the server's place, with a certificate that
// the access point made itself. If the phone accepts that, requests are changed and
// passed on over a TLS connection of the access point's own.
func (ap *AccessPoint) impersonate(ctx context.Context, phone net.Conn, destination string) error {
	host, _, err := net.SplitHostPort(destination)
	if err != nil {
		return fmt.Errorf("a phone wants to go to %q: %w", destination, err)
	}
	certificate, err := selfSignedServer(host)
	if err != nil {
		return err
	}
	fooled := tls.Server(phone, &tls.Config{
		Certificates: []tls.Certificate{*certificate},
		ClientAuth:   tls.RequestClientCert,
		MinVersion:   tls.VersionTLS12,
	})
	handshake, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	err = fooled.HandshakeContext(handshake)
	if err == nil {
		// In TLS 1.3 the client's alert comes after the server's side is done.
		_ = phone.SetReadDeadline(time.Now().Add(Timeout))
		reader := bufio.NewReader(fooled)
		if _, err = reader.Peek(1); err == nil {
			_ = phone.SetReadDeadline(time.Time{})
			return ap.passOnTLS(ctx, &bufferedConn{fooled, reader}, destination)
		}
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		ap.mu.Lock()
		ap.alerts = append(ap.alerts, op.Err.Error())
		ap.mu.Unlock()
		ap.uplink.Record(traffic.Message{
			Lane: traffic.Network, Kind: traffic.Note, From: "app", To: Party,
			Summary: "refused the access point's own certificate: " + op.Err.Error(),
		})
		return nil
	}
	return fmt.Errorf("answer the handshake in the server's place: %w", err)
}

func (ap *AccessPoint) passOnTLS(ctx context.Context, phone net.Conn, destination string) error {
	server, err := ap.uplink.Routes.DialTLS(Dialer, ap.uplink.TLS)(ctx, "tcp", destination)
	if err != nil {
		return fmt.Errorf("relay to %s: %w", destination, err)
	}
	return ap.rewrite(ctx, phone, server)
}

// RefusedWith is the TLS alert with which phones refused the access point's own
// certificate; empty where none did.
func (ap *AccessPoint) RefusedWith() string {
	ap.mu.Lock()
	defer ap.mu.Unlock()
	return strings.Join(ap.alerts, "; ")
}

// Err is what went wrong on the access point itself.
func (ap *AccessPoint) Err() error {
	ap.mu.Lock()
	defer ap.mu.Unlock()
	return errors.Join(ap.failures...)
}

// Heard is what was listened to so far.
func (ap *AccessPoint) Heard() []*Conversation {
	ap.mu.Lock()
	defer ap.mu.Unlock()
	return append([]*Conversation(nil), ap.conversations...)
}

// Sent is what the phone sent.
func (c *Conversation) Sent() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.up.Bytes())
}

// Received is what came back.
func (c *Conversation) Received() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.down.Bytes())
}

// Encrypted tells whether both sides sent TLS records, as far as can be seen.
func (c *Conversation) Encrypted() bool { return isTLS(c.Sent()) && isTLS(c.Received()) }

func isTLS(data []byte) bool { return len(data) > 2 && data[0] == tlsHandshake && data[1] == 3 }

// bufferedConn reads what was read ahead first.
type bufferedConn struct {
	net.Conn
	reader *bufio.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.reader.Read(p) }

func (c *bufferedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
