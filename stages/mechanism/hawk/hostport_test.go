package hawk_test

import (
	"testing"

	"keyladder/stages/mechanism/hawk"
)

func TestHostPort(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]struct {
		host string
		port int
	}{
		"https://api.harbourbank.test:8443": {"api.harbourbank.test", 8443},
		"https://api.harbourbank.test":      {"api.harbourbank.test", 443},
		"https://api.harbourbank.test/hmac": {"api.harbourbank.test", 443},
		"http://localhost":                  {"localhost", 80},
		"https://[::1]:8443":                {"::1", 8443},
		"https://[::1]":                     {"::1", 443},
		"https://api.harbourbank.test:":     {"api.harbourbank.test", 443},
		"":                                  {},
		"api.harbourbank.test:8443":         {},
		"localhost":                         {},
		"https://":                          {},
		"https://:8443":                     {},
		"ftp://localhost":                   {},
		"ftp://localhost:21":                {},
		"https://localhost:0":               {},
		"https://localhost:65536":           {},
		"https://localhost:8443x":           {},
		"https://localhost:-1":              {},
		"https://localhost:8443:8443":       {},
		"https://local host":                {},
	} {
		host, port, err := hawk.HostPort(address)
		if host != want.host || port != want.port || (err == nil) != (want.host != "") {
			t.Errorf("%q: got %q, %d, %v; want %q, %d", address, host, port, err, want.host, want.port)
		}
	}
}
