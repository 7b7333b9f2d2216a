// Package route leads from addresses as everybody knows them to where the programs are.
//
// Clients, servers and signatures all name an API by one public address, such as
// localhost:8443. A program in a container of its own finds nothing there: for it the table
// has the address on the network between the containers. Names in URLs, Host fields and
// certificates stay the public ones, as with curl's --connect-to.
package route

import (
	"context"
	"crypto/tls"
	"net"
)

// Table leads from public addresses to those that are connected to, both host:port.
// An address that is not in it is connected to as it is.
type Table map[string]string

// To is where an address leads.
func (t Table) To(address string) string {
	if inside, ok := t[address]; ok {
		return inside
	}
	return address
}

// Dial makes the dialer (nil: an ordinary one) follow the table, as [http.Transport] wants it.
func (t Table) Dial(dialer *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	if dialer == nil {
		dialer = &net.Dialer{}
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, t.To(address))
	}
}

// DialTLS does the same and begins TLS, with the public name.
func (t Table) DialTLS(dialer *net.Dialer, config *tls.Config) func(ctx context.Context, network, address string) (*tls.Conn, error) {
	dial := t.Dial(dialer)
	return func(ctx context.Context, network, address string) (*tls.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		config := config.Clone()
		config.ServerName = host
		conn := tls.Client(raw, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, err
		}
		return conn, nil
	}
}
