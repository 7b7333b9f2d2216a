package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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

func TestWithoutADeployment(t *testing.T) {
	t.Parallel()
	cmd := command()
	cmd.SetOut(io.Discard)
	cmd.SetArgs([]string{"--data", t.TempDir()})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "stages init") {
		t.Errorf("error: %v", err)
	}
}
