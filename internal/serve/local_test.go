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
		"localhost.mallory.test": false, "localhost.": false, "mallorylocalhost.test:8000": false,
	} {
		if got := serve.IsLocal(host); got != want {
			t.Errorf("%q is local: %v", host, got)
		}
	}
}
