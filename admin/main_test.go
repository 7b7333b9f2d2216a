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
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" {
				w.WriteHeader(status)
			}
		}))
		defer server.Close()
		cmd := command("")
		cmd.SetArgs([]string{"healthcheck", "--data", deploy(t), "--listen", "admin=" + server.Listener.Addr().String()})
		if err := cmd.ExecuteContext(t.Context()); (err == nil) != (status == http.StatusOK) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// deploy makes the folder of the admin UI, and only that.
func deploy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	w, err := deployment.NewWriter(dir, deployment.Admin, "test", time.Now(), deployment.Local(deployment.Ports{
		deployment.Manage(deployment.Resource): 1, deployment.Manage(deployment.Phone): 1, deployment.Manage(deployment.Attacker): 1,
	}))
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
	return dir
}

// The first password is printed once. It is not made before it can be.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := deploy(t)
	before, err := os.ReadDir(filepath.Join(dir, "admin"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := command("")
	cmd.SetOut(io.Discard)
	cmd.SetArgs([]string{"--data", dir, "--listen", "admin=" + taken.Addr().String()})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "is Keyladder running already") {
		t.Errorf("error: %v", err)
	}
	if after, err := os.ReadDir(filepath.Join(dir, "admin")); err != nil || len(after) != len(before) {
		t.Errorf("%d files became %d (%v): a password was made", len(before), len(after), err)
	}
}

func TestWithoutADeployment(t *testing.T) {
	t.Parallel()
	cmd := command("")
	cmd.SetOut(io.Discard)
	cmd.SetArgs([]string{"--data", t.TempDir()})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "stages init") {
		t.Errorf("error: %v", err)
	}
}
