package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
)

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"good": http.StatusOK, "bad": http.StatusServiceUnavailable} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		defer server.Close()
		cmd := command()
		cmd.SetArgs([]string{"healthcheck", "--url", server.URL})
		if err := cmd.ExecuteContext(t.Context()); (err == nil) != (status == http.StatusOK) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The first password is printed once. It is not made before it can be.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	w, err := deployment.NewWriter(dir, deployment.Admin, "test", time.Now(), deployment.Addresses{
		Manage: map[deployment.Role]string{deployment.Resource: "https://localhost:1", deployment.Phone: "https://localhost:1", deployment.Attacker: "https://localhost:1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	authority, err := pki.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Peer("admin")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Pair("manage", pair), w.File("manage-ca.pem", authority.Certificate), w.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadDir(filepath.Join(dir, "admin"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := command()
	cmd.SetOut(io.Discard)
	cmd.SetArgs([]string{"--data", dir, "--listen", taken.Addr().String()})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "is the admin UI running already") {
		t.Errorf("error: %v", err)
	}
	if after, err := os.ReadDir(filepath.Join(dir, "admin")); err != nil || len(after) != len(before) {
		t.Errorf("%d files became %d (%v): a password was made", len(before), len(after), err)
	}
}

func TestWithoutADeployment(t *testing.T) {
	t.Parallel()
	cmd := command()
	cmd.SetOut(io.Discard)
	cmd.SetArgs([]string{"--data", t.TempDir()})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "stages init") {
		t.Errorf("error: %v", err)
	}
}
