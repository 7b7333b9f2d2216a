package hawk

import (
	"fmt"
	"net/url"
	"strconv"
)

// HostPort are the host and the port of a server as MACs name them, out of its address: an
// http or https URL, from the settings of whoever signs or verifies. A port that is not
// written is the scheme's, and IPv6 addresses go without brackets.
func HostPort(address string) (host string, port int, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", 0, fmt.Errorf("read a server's address: %w", err)
	}
	port, known := map[string]int{"http": 80, "https": 443}[u.Scheme]
	if text := u.Port(); text != "" {
		port, err = strconv.Atoi(text)
	}
	if host = u.Hostname(); !known || host == "" || err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("the server's address %q is not an http or https URL with a usable port", address)
	}
	return host, port, nil
}

// NewClient signs for the server that has that address; see [HostPort].
func NewClient(credentials Credentials, address string) (*Client, error) {
	host, port, err := HostPort(address)
	if err != nil {
		return nil, err
	}
	return &Client{Credentials: credentials, Host: host, Port: port}, nil
}
