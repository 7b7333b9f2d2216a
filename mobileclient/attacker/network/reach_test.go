package network

import (
	"strings"
	"testing"
)

func TestToolsStayNearby(t *testing.T) {
	t.Parallel()
	tests := []struct {
		address string
		allowed bool
	}{
		{"127.0.0.1:8080", true},
		{"[::1]:8443", true},
		{"172.18.0.3:8443", true},
		{"192.0.2.1:443", false},
		{"[2001:db8::1]:443", false},
		{"169.254.169.254:80", false},
		{"nonsense", false},
	}
	for _, test := range tests {
		if err := onlyNearby(t.Context(), "tcp", test.address, nil); (err == nil) != test.allowed {
			t.Errorf("%s: %v", test.address, err)
		}
	}
	if conn, err := Dialer.DialContext(t.Context(), "tcp", "192.0.2.1:443"); err == nil {
		conn.Close()
		t.Error("connected to a public address")
	} else if !strings.Contains(err.Error(), "never leave") {
		t.Errorf("an attempt was made: %v", err)
	}
}
