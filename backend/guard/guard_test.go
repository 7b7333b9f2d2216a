package guard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/backend/guard"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
)

func kindOf(answer *httptest.ResponseRecorder) string {
	p := problem.Parse(answer.Header().Get("Content-Type"), answer.Body.Bytes())
	if p == nil {
		return ""
	}
	return p.Kind()
}

func TestGoodCalls(t *testing.T) {
	t.Parallel()
	for _, stage := range catalog.All().Built() {
		t.Run(stage.Slug, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, catalog.All())
			user := ""
			if stage.Call.UserProof != catalog.NoUser {
				user = "alice"
			}
			for _, call := range []struct{ method, path, body, user string }{
				{http.MethodGet, "/v1/accounts", "", user},
				{http.MethodHead, "/v1/accounts", "", user},
				{http.MethodGet, "/v1/accounts/HB-1001/transfers?x=1", "", user},
				{http.MethodPost, "/v1/transfers", "12345", user},
				{http.MethodGet, "/v1/rates", "", ""},
			} {
				answer, verdict := w.do(w.request(stage.Slug, call.method, call.path, call.body))
				want := fmt.Sprintf("%s|%s|%s|%d", mobile, call.user, stage.Slug, len(call.body))
				if answer.Code != http.StatusOK || answer.Body.String() != want || !verdict.Allowed {
					t.Errorf("%s %s: %d %s, want %s; %+v", call.method, call.path, answer.Code, answer.Body, want, verdict)
				}
			}
		})
	}
}

func setKey(key string) func(*http.Request) {
	return func(r *http.Request) { appkey.Set(r.Header, "Authorization", key) }
}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestRevokedAndUnknownLookTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	unknown := w.request("app-id", http.MethodGet, "/v1/accounts", "")
	appkey.Set(unknown.Header, "Authorization", "harbour-nobody")
	first, _ := w.do(unknown)
	if _, err := w.apps.Revoke(context.Background(), mobile); err != nil {
		t.Fatal(err)
	}
	second, _ := w.do(w.request("app-id", http.MethodGet, "/v1/accounts", ""))
	first.Header().Del("RateLimit") // counts calls
	second.Header().Del("RateLimit")
	if diff := cmp.Diff(first.Body.String(), second.Body.String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(first.Header(), second.Header()); diff != "" {
		t.Error(diff)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, target string
		status         int
		kind           string
	}{
		{"GET", "/app-id", 404, "no-such-resource"},
		{"GET", "/app-id/", 404, "no-such-resource"},
		{"GET", "/app-id/v1/accounts/", 404, "no-such-resource"},
		{"GET", "/app-id//v1/accounts", 404, "no-such-resource"},
		{"GET", "/app-id/v1//accounts", 404, "no-such-resource"},
		{"GET", "/app-id/v1/accounts//transfers", 404, "no-such-resource"},
		{"GET", "/app-id/v1/%61ccounts", 404, "no-such-resource"}, // the same path, but who writes it like that?
		{"GET", "/app-id/v1/accounts/HB%2F1/transfers", 404, "no-such-resource"},
		{"GET", "/app-id/v1%2Faccounts", 404, "no-such-resource"},
		{"GET", "/app-id/../tls/v1/accounts", 404, "no-such-resource"},
		{"GET", "/app-id/V1/accounts", 404, "no-such-resource"},
		{"GET", "/app-id/v1/accounts?x=1", 200, ""},
		{"GET", "//app-id/v1/accounts", 404, "no-such-stage"},
		{"GET", "/app-id%2Fv1/accounts", 404, "no-such-stage"},
		{"GET", "/app-id;x=1/v1/accounts", 404, "no-such-stage"},
		{"HEAD", "/app-id/v1/accounts", 200, ""},
		{"OPTIONS", "/app-id/v1/accounts", 204, ""},
		{"POST", "/app-id/v1/accounts", 405, "method-not-allowed"},
		{"DELETE", "/app-id/v1/transfers", 405, "method-not-allowed"},
		{"BREW", "/app-id/v1/transfers", 405, "method-not-allowed"},
		{"HEAD", "/app-id/v1/transfers", 405, "method-not-allowed"},
	}
	w := newWorld(t, catalog.All())
	for _, test := range tests {
		good := httptest.NewRequest(test.method, "http://localhost"+test.target, nil)
		good.Header = w.request("app-id", "GET", "/", "").Header
		over(guard.Plain, nil)(good)
		answer, verdict := w.do(good)
		if answer.Code != test.status || kindOf(answer) != test.kind {
			t.Errorf("%s %s: %d %s, want %d %s; %+v", test.method, test.target, answer.Code, kindOf(answer), test.status, test.kind, verdict)
		}
		if test.status == http.StatusMethodNotAllowed && !strings.Contains(answer.Header().Get("Allow"), "T") {
			t.Errorf("%s %s: Allow %q", test.method, test.target, answer.Header().Get("Allow"))
		}
		// Whatever the path, nobody gets to know without a key whether it is there.
		good.Header.Del("Authorization")
		if answer, _ := w.do(good); test.kind != "no-such-stage" && answer.Code != http.StatusUnauthorized {
			t.Errorf("%s %s without a key: %d", test.method, test.target, answer.Code)
		}
		w.clock.advance(time.Second)
	}
}

// TestRefusalsInTheRoutesFormat looks at the same refusals on routes that write them in one
// way and the other.
func TestRefusalsInTheRoutesFormat(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path, media string
		status      int
		challenge   string
		member      string
	}{
		{"/v1/accounts", problem.ContentType, 401, "key", `"type":"urn:keyladder:problem:client-not-accepted"`},
		{"/oauth/token", "application/json", 401, "key", `"error":"invalid_client"`},
		{"/oauth/userinfo", problem.ContentType, 401, `Bearer realm="Harbour Bank", error="invalid_token"`, `"type":"urn:keyladder:problem:client-not-accepted"`},
	} {
		w := newWorld(t, catalog.All())
		r := w.request("tls", http.MethodGet, test.path, "")
		appkey.Set(r.Header, "Authorization", "invented")
		answer, verdict := w.do(r)
		if answer.Code != test.status || answer.Header().Get("Content-Type") != test.media || !strings.Contains(answer.Body.String(), test.member) ||
			!strings.HasPrefix(answer.Header().Get("WWW-Authenticate"), test.challenge) || answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %v, %s", test.path, answer.Code, answer.Header(), answer.Body)
		}
		if verdict.Check != catalog.CheckAppKey || strings.Contains(answer.Body.String(), verdict.Reason) {
			t.Errorf("%s: %+v", test.path, verdict)
		}
	}
}

func TestTerminatedMutualTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	r := w.request("pinned-mtls", http.MethodGet, "/v1/accounts", "")
	terminated(w.clients[mobile])(r)
	if answer, verdict := w.do(r); answer.Code != http.StatusOK {
		t.Errorf("%d, %+v", answer.Code, verdict)
	}
}

func TestBodyUpToTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	answer, _ := w.do(w.request("app-id", http.MethodPost, "/v1/transfers", strings.Repeat("x", guard.MaxBody)))
	if answer.Code != http.StatusOK || !strings.HasSuffix(answer.Body.String(), "|65536") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestPanickingHandler(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	answer, _ := w.do(w.request("app-id", http.MethodPost, "/v1/panic", ""))
	if answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), "a fault") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

// TestNobody shows that a caller which the guard did not make is of no use.
func TestNobody(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(guard.Caller){
		"App":     func(c guard.Caller) { c.App() },
		"User":    func(c guard.Caller) { c.User() },
		"Staff":   func(c guard.Caller) { c.Staff() },
		"SeesAll": func(c guard.Caller) { c.SeesAll() },
		"Sees":    func(c guard.Caller) { c.Sees("alice") },
		"Session": func(c guard.Caller) { c.Session() },
		"Device":  func(c guard.Caller) { c.Device() },
		"Stage":   func(c guard.Caller) { c.Stage() },
		"Body":    func(c guard.Caller) { c.Body() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of the zero Caller answers", name)
				}
			}()
			ask(guard.Caller{})
		}()
	}
}

// TestNoDatabaseOnTheWay makes calls when there is no database any more.
func TestNoDatabaseOnTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for _, stage := range catalog.All().Built() {
		w.request(stage.Slug, http.MethodGet, "/v1/accounts", "") // registers the device, signs in
	}
	if err := w.closeDB(); err != nil {
		t.Fatal(err)
	}
	for _, stage := range catalog.All().Built() {
		if answer, verdict := w.do(w.request(stage.Slug, http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusOK {
			t.Errorf("%s: %d, %+v", stage.Slug, answer.Code, verdict)
		}
	}
	if _, err := w.apps.Revoke(context.Background(), mobile); err == nil {
		t.Error("a revocation that is not in the database was acknowledged")
	}
	if answer, _ := w.do(w.request("app-id", http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusOK {
		t.Errorf("a revocation that is not in the database took effect: %d", answer.Code)
	}
}

// TestRevokeWhileCalling revokes and restores a key while calls come in: each change is
// in force when it is acknowledged.
func TestRevokeWhileCalling(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All().With("app-id", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	call := func() int {
		answer := httptest.NewRecorder()
		w.echo.ServeHTTP(answer, w.request("app-id", http.MethodGet, "/v1/accounts", ""))
		return answer.Code
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for ctx.Err() == nil {
				if status := call(); status != http.StatusOK && status != http.StatusUnauthorized {
					t.Errorf("a call while the key changes: %d", status)
					return
				}
			}
		})
	}
	for range 20 {
		for _, step := range []struct {
			change func(context.Context, string) (manage.Key, error)
			want   int
		}{{w.apps.Revoke, http.StatusUnauthorized}, {w.apps.Restore, http.StatusOK}} {
			if _, err := step.change(ctx, mobile); err != nil {
				t.Fatal(err)
			}
			if status := call(); status != step.want {
				t.Errorf("after the change: %d, want %d", status, step.want)
			}
		}
	}
	cancel()
	wait.Wait()
}

// TestOrder fails when a step of the pipeline is moved or lost.
func TestOrder(t *testing.T) {
	t.Parallel()
	want := []catalog.Check{
		"address-limit", "stage", "transport", "user-agent", "body",
		"gateway", "client-certificate", "key-in-url", "app-key", "hawk", "integrity-token", "client-attestation", "dpop", "message-signature", "signed-fields", "nonce", "certificate-of-app", "partner", "app",
		"app-limit", "nonce-kept", "proof-new", "sealed-body", "device", "sign-in", "session", "access-token", "revoked", "binding",
		"scope",
	}
	if diff := cmp.Diff(want, guard.Checks()); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkGuard is the guard, with its traffic records, around a handler that does
// nothing. Requests are made, and signed, while the clock is stopped.
func BenchmarkGuard(b *testing.B) {
	for _, stage := range catalog.All().Built() {
		b.Run(stage.Slug, func(b *testing.B) {
			w := newWorld(b, catalog.All())
			w.config.Address = guard.Limit{PerSecond: 1e6, Burst: 1e6} // limits are looked at and never reached
			perSecond, burst := 1e6, 1_000_000
			if _, err := w.apps.Change(context.Background(), mobile, manage.AppChange{PerSecond: &perSecond, Burst: &burst}); err != nil {
				b.Fatal(err)
			}
			w.start()
			var ready []*http.Request
			b.ReportAllocs()
			for b.Loop() {
				if len(ready) == 0 {
					b.StopTimer()
					for range 1000 {
						ready = append(ready, w.request(stage.Slug, http.MethodGet, "/v1/empty", ""))
					}
					w.sent.Clear()
					w.outcomes = w.outcomes[:0]
					w.clock.advance(time.Second)
					b.StartTimer()
				}
				r := ready[len(ready)-1]
				ready = ready[:len(ready)-1]
				answer := httptest.NewRecorder()
				if w.echo.ServeHTTP(answer, r); answer.Code != http.StatusNoContent {
					b.Fatalf("%d %s", answer.Code, answer.Body)
				}
			}
		})
	}
}

// TestProblems keeps what clients see stable.
func TestProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	r := w.request("tls", http.MethodGet, "/v1/accounts", "")
	over(guard.Plain, nil)(r)
	answer, _ := w.do(r)
	var got map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	members := slices.Sorted(func(yield func(string) bool) {
		for name := range got {
			if !yield(name) {
				return
			}
		}
	})
	if diff := cmp.Diff([]string{"detail", "status", "title", "type"}, members); diff != "" {
		t.Error(diff)
	}
	if got["type"] != "urn:keyladder:problem:tls-required" {
		t.Errorf("type %v", got["type"])
	}
}
