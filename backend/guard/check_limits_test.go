package guard_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/backend/guard"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

func TestRateLimitFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	call := func() *httptest.ResponseRecorder {
		answer, _ := w.do(w.request("app-id", http.MethodGet, "/v1/accounts", ""))
		return answer
	}
	first := call()
	wantPolicy := []string{`"address";q=60;w=3, "app";q=600;w=3`}
	if diff := cmp.Diff(wantPolicy, first.Header().Values("RateLimit-Policy")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`"address";r=59;t=3, "app";r=599;t=3`}, first.Header().Values("RateLimit")); diff != "" {
		t.Error(diff)
	}
	if first.Header().Get("Retry-After") != "" {
		t.Error("Retry-After with an answer")
	}
	for range 59 {
		if answer := call(); answer.Code != http.StatusOK {
			t.Fatalf("%d within the limit", answer.Code)
		}
	}
	refused := call()
	if refused.Code != http.StatusTooManyRequests || refused.Header().Get("Retry-After") != "1" {
		t.Errorf("past the limit: %d, Retry-After %q", refused.Code, refused.Header().Get("Retry-After"))
	}
	if diff := cmp.Diff([]string{`"address";r=0;t=1`}, refused.Header().Values("RateLimit")); diff != "" {
		t.Error(diff)
	}
	w.clock.advance(time.Second)
	served := 0
	for range 30 {
		if call().Code == http.StatusOK {
			served++
		}
	}
	if served != 20 {
		t.Errorf("%d calls served in the second after the burst, want 20", served)
	}
}

// TestRefusalsCount: whatever a call is refused for, it uses up the limit of its address.
func TestRefusalsCount(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*http.Request){
		"browser":         func(r *http.Request) { r.Header.Set("User-Agent", "curl/8.5.0") },
		"plain HTTP":      over(guard.Plain, nil),
		"no key":          func(r *http.Request) { r.Header.Del("Authorization") },
		"no stage":        func(r *http.Request) { r.URL.Path = "/" },
		"unknown stage":   func(r *http.Request) { r.URL.Path = "/no-such-stage/v1/accounts" },
		"stage not built": func(r *http.Request) { r.URL.Path = "/signed-calls/v1/accounts" },
		"no such path":    func(r *http.Request) { r.URL.Path = "/tls/v1/whatever" },
		"partner's route": func(r *http.Request) { r.URL.Path = "/tls/partner/v1/settlements" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, declared())
			for range guard.DefaultAddressLimit.Burst {
				r := w.request("tls", http.MethodGet, "/v1/accounts", "")
				spoil(r)
				if answer, verdict := w.do(r); verdict.Check == "address-limit" || answer.Header().Get("RateLimit") == "" {
					t.Fatalf("%d, %+v, RateLimit %q", answer.Code, verdict, answer.Header().Get("RateLimit"))
				}
			}
			if answer, verdict := w.do(w.request("tls", http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusTooManyRequests || verdict.Check != "address-limit" {
				t.Errorf("a good call after them: %d, %+v", answer.Code, verdict)
			}
			r := w.request("tls", http.MethodGet, "/v1/accounts", "")
			spoil(r)
			if answer, _ := w.do(r); answer.Code != http.StatusTooManyRequests {
				t.Errorf("one more of them: %d", answer.Code)
			}
		})
	}
}

// TestAppLimitIsTheAppsOwn lets strangers who know an app's key, but can't prove that
// they are the app, call as often as they like.
func TestAppLimitIsTheAppsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	burst, perSecond := 5, 0.001
	if _, err := w.apps.Change(context.Background(), mobile, manage.AppChange{PerSecond: &perSecond, Burst: &burst}); err != nil {
		t.Fatal(err)
	}
	for _, certificate := range []*x509.Certificate{nil, w.clients[kiosk]} {
		for range 20 {
			r := w.request("pinned-mtls", http.MethodGet, "/v1/accounts", "")
			over(guard.TLS, certificate)(r)
			if answer, _ := w.do(r); answer.Code != http.StatusForbidden {
				t.Fatalf("a stranger gets %d", answer.Code)
			}
		}
	}
	for range burst {
		if answer, verdict := w.do(w.request("pinned-mtls", http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusOK {
			t.Fatalf("the app gets %d, %+v", answer.Code, verdict)
		}
	}
	answer, verdict := w.do(w.request("pinned-mtls", http.MethodGet, "/v1/accounts", ""))
	if answer.Code != http.StatusTooManyRequests || verdict.Check != "app-limit" || answer.Header().Get("Retry-After") != "1000" {
		t.Errorf("past its limit the app gets %d, %+v, Retry-After %q", answer.Code, verdict, answer.Header().Get("Retry-After"))
	}
}

// reader is a body that is still on its way.
type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

// TestSlowBodiesRefillNothing lets calls begin, and others be served while their bodies
// come.
func TestSlowBodiesRefillNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	perSecond, burst, seconds := 1.0, 4, 20
	if _, err := w.apps.Change(context.Background(), mobile, manage.AppChange{PerSecond: &perSecond, Burst: &burst}); err != nil {
		t.Fatal(err)
	}
	served := 0
	call := func(body io.Reader) {
		r := w.request("app-id", http.MethodPost, "/v1/transfers", "")
		if body != nil {
			r.Body, r.ContentLength = io.NopCloser(body), -1
		}
		answer := httptest.NewRecorder()
		w.echo.ServeHTTP(answer, r)
		if answer.Code == http.StatusOK {
			served++
		}
	}
	for range seconds {
		call(reader(func([]byte) (int, error) {
			w.clock.advance(time.Second)
			call(nil)
			return 0, io.EOF
		}))
	}
	if want := burst + seconds - 1; served != want { // the bucket is full until the first call
		t.Errorf("%d calls were served in %d s, want %d", served, seconds, want)
	}
}

// TestAddresses counts calls by the address of the connection, whatever the client
// says, and behind the terminator by what the terminator says.
func TestAddresses(t *testing.T) {
	t.Parallel()
	burst := guard.DefaultAddressLimit.Burst
	flood := func(t *testing.T, vary func(i int, r *http.Request)) (served int) {
		w := newWorld(t, catalog.All())
		for i := range burst + 10 {
			r := w.request("tls", http.MethodGet, "/v1/accounts", "")
			vary(i, r)
			if answer, _ := w.do(r); answer.Code == http.StatusOK {
				served++
			}
		}
		return served
	}
	tests := []struct {
		name   string
		vary   func(i int, r *http.Request)
		served int
	}{
		{"other ports", func(i int, r *http.Request) { r.RemoteAddr = fmt.Sprintf("203.0.113.7:%d", 1000+i) }, burst},
		{"other addresses", func(i int, r *http.Request) { r.RemoteAddr = fmt.Sprintf("203.0.113.%d:1000", i) }, burst + 10},
		{"invented X-Forwarded-For", func(i int, r *http.Request) { r.Header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i)) }, burst},
		{"IPv4 written as IPv6", func(i int, r *http.Request) {
			r.RemoteAddr = []string{"203.0.113.7:1000", "[::ffff:203.0.113.7]:1000"}[i%2]
		}, burst},
		{"IPv6 of one subscriber", func(i int, r *http.Request) { r.RemoteAddr = fmt.Sprintf("[2001:db8::%x]:1000", i+1) }, burst},
		{"IPv6 of many", func(i int, r *http.Request) { r.RemoteAddr = fmt.Sprintf("[2001:db8:0:%x::1]:1000", i) }, burst + 10},
		{"one client behind the terminator", func(i int, r *http.Request) {
			terminated(nil)(r)
			r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1000", i)
		}, burst},
		{"many clients behind the terminator", func(i int, r *http.Request) {
			terminated(nil)(r)
			r.Header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
		}, burst + 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if served := flood(t, test.vary); served != test.served {
				t.Errorf("%d calls served, want %d", served, test.served)
			}
		})
	}
}
