package problem_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"keyladder/internal/problem"
)

// TestOAuth is the format of RFC 6749, section 5.2.
func TestOAuth(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		p    *problem.Problem
		want string // status, challenge, body
	}{
		{
			"client with a challenge", problem.New(401, "client-not-accepted", "No client", "Send “one”.").With("WWW-Authenticate", "Basic"),
			`401 Basic {"error":"invalid_client","error_description":"No client: Send ?one?."}`,
		},
		{"client by certificate", problem.New(403, "client-certificate-required", "No certificate", ""), `400  {"error":"invalid_client","error_description":"No certificate"}`},
		{
			"wrong password", problem.New(401, "sign-in-failed", "Wrong", "").With("WWW-Authenticate", "Basic"),
			`400  {"error":"invalid_grant","error_description":"Wrong"}`,
		},
		{"no right", problem.New(403, "not-allowed", "No", ""), `400  {"error":"unauthorized_client","error_description":"No"}`},
		{"unreadable", problem.New(400, "bad-request", `A "quote" and a \`, "two\nlines"), `400  {"error":"invalid_request","error_description":"A 'quote' and a ': two?lines"}`},
		{"no TLS", problem.New(403, "tls-required", "Use TLS", ""), `400  {"error":"invalid_request","error_description":"Use TLS"}`},
		{"too many", problem.New(429, "rate-limited", "Later", "").With("Retry-After", "3"), `429  {"error":"temporarily_unavailable","error_description":"Later"}`},
		{"too large", problem.New(413, "too-large", "Too large", ""), `413  {"error":"invalid_request","error_description":"Too large"}`},
	} {
		w := httptest.NewRecorder()
		problem.OAuth(w, test.p)
		got := fmt.Sprintf("%d %s %s", w.Code, w.Header().Get("WWW-Authenticate"), strings.TrimSpace(w.Body.String()))
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Retry-After") != test.p.Header.Get("Retry-After") {
			t.Errorf("%s: %v", test.name, w.Header())
		}
	}
}

// TestBearer is the format of RFC 6750, section 3.
func TestBearer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		p         *problem.Problem
		challenge string
	}{
		{"no token", problem.New(401, "token-missing", "None", "").With("WWW-Authenticate", "Other"), `Bearer realm="it's"`},
		{"bad token", problem.New(401, "token-not-accepted", "Expired", "Get another."), `Bearer realm="it's", error="invalid_token", error_description="Expired: Get another."`},
		{"no right", problem.New(403, "not-allowed", "No", ""), `Bearer realm="it's", error="insufficient_scope", error_description="No"`},
		{"unreadable", problem.New(400, "bad-request", "Twice", ""), `Bearer realm="it's", error="invalid_request", error_description="Twice"`},
		{"too many", problem.New(429, "rate-limited", "Later", ""), ""},
	} {
		before := test.p.Header.Get("WWW-Authenticate")
		w := httptest.NewRecorder()
		problem.Bearer("it's")(w, test.p)
		if w.Code != test.p.Status || w.Header().Get("WWW-Authenticate") != test.challenge || len(w.Header().Values("WWW-Authenticate")) > 1 {
			t.Errorf("%s: %d %q", test.name, w.Code, w.Header().Values("WWW-Authenticate"))
		}
		if p := problem.Parse(w.Header().Get("Content-Type"), w.Body.Bytes()); p == nil || p.Type != test.p.Type {
			t.Errorf("%s: %s", test.name, w.Body)
		}
		if test.p.Header.Get("WWW-Authenticate") != before {
			t.Errorf("%s: the problem was changed", test.name)
		}
	}
}
