package attacker

import (
	"errors"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/problem"
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
	if conn, err := dialer.DialContext(t.Context(), "tcp", "192.0.2.1:443"); err == nil {
		conn.Close()
		t.Error("connected to a public address")
	} else if !strings.Contains(err.Error(), "never leave") {
		t.Errorf("an attempt was made: %v", err)
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		status      int
		contentType string
		body        string
		served      bool
		refused     bool
	}{
		{"served", 200, "application/json", "{}", true, false},
		{"booked", 201, "application/json", "{}", true, false},
		{"unknown app", 401, problem.ContentType, `{"type":"urn:keyladder:problem:client-not-accepted","title":"No"}`, false, true},
		{"no certificate", 403, problem.ContentType, `{"type":"urn:keyladder:problem:client-certificate-required","title":"No"}`, false, true},
		{"401 of something else", 401, "text/html", "<h1>No</h1>", false, false},
		{"wrong door", 403, problem.ContentType, `{"type":"urn:keyladder:problem:tls-required","title":"No"}`, false, false},
		{"too often", 429, problem.ContentType, `{"type":"urn:keyladder:problem:rate-limited","title":"No"}`, false, false},
		{"not there", 404, problem.ContentType, `{"type":"urn:keyladder:problem:no-such-stage","title":"No"}`, false, false},
		{"not good", 422, problem.ContentType, `{"type":"urn:keyladder:problem:unprocessable","title":"No"}`, false, false},
		{"broken", 500, problem.ContentType, `{"type":"urn:keyladder:problem:internal","title":"No"}`, false, false},
		{"elsewhere", 302, "text/html", "", false, false},
	}
	for _, test := range tests {
		err := judge(test.status, test.contentType, []byte(test.body))
		var r *refusal
		if (err == nil) != test.served || errors.As(err, &r) != test.refused {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestProgramsWaitWhenTheyCallTooEarly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		field string
		wait  time.Duration
		worth bool
	}{
		{"2", 2 * time.Second, true},
		{"600", 600 * time.Second, false},
		{"soon", time.Second, true},
		{"", time.Second, true},
	}
	for _, test := range tests {
		got, worth := retryAfter(&http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {test.field}}})
		if got != test.wait || worth != test.worth {
			t.Errorf("Retry-After %q: %v, %v", test.field, got, worth)
		}
	}
	if _, limited := retryAfter(&http.Response{StatusCode: http.StatusOK}); limited {
		t.Error("it waits without need")
	}
}

// An attacker that could import the servers, the PKI or the lab would not have to
// steal anything.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	allowed := []string{
		"keyladder/mobileclient/attacker", "keyladder/mobileclient/device", "keyladder/mobileclient/release",
		"keyladder/stages/catalog", "keyladder/stages/mechanism", "keyladder/stages/protect",
		"keyladder/internal/traffic", "keyladder/internal/feed", "keyladder/internal/problem", "keyladder/internal/route",
		"keyladder/internal/statefile",
	}
	own := 0
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		if !strings.HasPrefix(path, "keyladder/") {
			continue
		}
		own++
		if !slices.ContainsFunc(allowed, func(prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }) {
			t.Errorf("the attacker depends on %s", path)
		}
	}
	if own == 0 {
		t.Error("go list named none of our packages")
	}
}
