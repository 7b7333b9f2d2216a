package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Network is how the device reaches the network.
type Network struct {
	AccessPoint string `json:"access_point"` // host:port of the router that it joined; empty: direct
	Proxy       string `json:"proxy"`        // URL of an HTTP proxy that apps honour; empty: none
}

// ErrProxy means that a text is not the URL of an HTTP proxy.
var ErrProxy = errors.New("a proxy is given as http://host:port")

// SetNetwork joins a network, or leaves it. As on a phone, open connections do not
// survive that.
func (d *Device) SetNetwork(network Network) error {
	if network.Proxy != "" {
		u, err := url.Parse(network.Proxy)
		if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.Path != "" && u.Path != "/" {
			return fmt.Errorf("set the proxy %q: %w", network.Proxy, ErrProxy)
		}
	}
	if network.AccessPoint != "" {
		if _, _, err := net.SplitHostPort(network.AccessPoint); err != nil {
			return fmt.Errorf("join an access point: %w", err)
		}
	}
	d.mu.Lock()
	d.state.Network = network
	d.changed()
	err := d.save()
	d.mu.Unlock()
	d.hangUp()
	return err
}

// Network is the network that the device is in.
func (d *Device) Network() Network {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state.Network
}

// dialTimeout is how long a connection may take to open.
const dialTimeout = 10 * time.Second

// dial opens a connection to host:port, through the access point if there is one. The
// access point gets one line with the destination, which stands for the address in IP
// packets; after it there are the app's bytes and nothing else.
func (d *Device) dial(ctx context.Context, address string) (net.Conn, error) {
	if _, _, err := net.SplitHostPort(address); err != nil || strings.ContainsAny(address, "\r\n") {
		return nil, fmt.Errorf("%q is not host:port", address)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	router := d.Network().AccessPoint
	if router == "" {
		return d.config.Routes.Dial(nil)(ctx, "tcp", address)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", router)
	if err != nil {
		return nil, fmt.Errorf("the access point does not answer: %w", err)
	}
	if _, err := fmt.Fprintf(conn, "%s\n", address); err != nil {
		conn.Close()
		return nil, fmt.Errorf("the access point does not listen: %w", err)
	}
	return conn, nil
}
