package serve_test

import (
	"testing"

	"keyladder/internal/serve"
)

func TestIsLocal(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "localhost:8000": true, "127.0.0.1:8000": true, "[::1]:8000": true, "192.0.2.7": true,
		"admin": true, "admin:8000": true, "ui.localhost:8000": true,
		"": false, ":8000": false, "mallory.test": false, "mallory.test:8000": false, "127.0.0.1.mallory.test": false,
		"localhost.mallory.test": false, "evil%2ecom": false, "evil%2ecom:8000": false, "evil com": false, "a.b.localhost": true, ".localhost": false, "localhost.": false, "mallorylocalhost.test:8000": false,
	} {
		if got := serve.IsLocal(host); got != want {
			t.Errorf("%q is local: %v", host, got)
		}
	}
}

func TestFurtherNames(t *testing.T) {
	t.Setenv(serve.HostsVariable, "laptop.local, dev-8000.example.test")
	for host, want := range map[string]bool{
		"laptop.local": true, "LAPTOP.local:8000": true, "dev-8000.example.test": true, "localhost:8000": true,
		"other.local": false, "example.test": false, "laptop.local.mallory.test": false, "laptop%2elocal": false, "": false,
	} {
		if got := serve.MayAsk(host); got != want {
			t.Errorf("%q may ask: %v", host, got)
		}
	}
	t.Setenv(serve.HostsVariable, "")
	for _, host := range []string{"", ":8000", "laptop.local"} {
		if serve.MayAsk(host) {
			t.Errorf("%q may ask, though nothing is allowed", host)
		}
	}
}
