package gateway_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"keyladder/backend/gateway"
	"keyladder/backend/guard"
	"keyladder/stages/mechanism/forwarded"
	"keyladder/stages/mechanism/integrity"
)

func contextOf(r *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	return r.WithContext(ctx), cancel
}

// asks is what another gateway asks about a call.
func (w *world) asks(call *http.Request, fields ...string) *http.Request {
	r := w.request(http.MethodGet, "/check", "")
	r.Header = call.Header.Clone()
	r = r.WithContext(guard.WithListener(w.Context(), guard.Terminated))
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	return r
}

// TestSubrequests: another gateway is told what would become of a call here, and what to say about its
// caller.
func TestSubrequests(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	call := func() *http.Request { return w.request(http.MethodPost, "/v1/transfers", "") }
	nginx := func(method, target string) []string {
		return []string{"X-Original-Method", method, "X-Original-URI", target}
	}
	without := func(r *http.Request, field string) *http.Request { r.Header.Del(field); return r }
	const transfers = "/" + stage + "/v1/transfers"
	for name, test := range map[string]struct {
		r      *http.Request
		status int
	}{
		"as nginx asks":                   {w.asks(call(), nginx("POST", transfers)...), 204},
		"as Caddy asks":                   {w.asks(call(), "X-Forwarded-Method", "POST", "X-Forwarded-Uri", transfers+"?a=b"), 204},
		"public data, and nobody":         {w.asks(without(call(), "Authorization"), nginx("GET", "/"+stage+"/v1/rates")...), 204},
		"nobody, and not public":          {w.asks(without(call(), "Authorization"), nginx("POST", transfers)...), 401},
		"no genuine app":                  {w.asks(without(call(), integrity.Field), nginx("POST", transfers)...), 401},
		"no app":                          {w.asks(call(), append(nginx("POST", transfers), "User-Agent", "curl/8")...), 403},
		"nothing that there is":           {w.asks(call(), nginx("GET", "/"+stage+"/v1/unknown")...), 403},
		"a method that does not go":       {w.asks(call(), nginx("DELETE", transfers)...), 403},
		"another stage":                   {w.asks(call(), nginx("GET", "/mediated/v1/accounts")...), 403},
		"a path that leads out":           {w.asks(call(), nginx("GET", "/"+stage+"/../mediated/v1/accounts")...), 403},
		"an address of somewhere":         {w.asks(call(), nginx("GET", "https://elsewhere.test"+transfers)...), 403},
		"no call at all":                  {w.asks(call()), 403},
		"a question about a question":     {w.asks(call(), nginx("GET", "/"+stage+"/check")...), 403},
		"from somebody who is no gateway": {w.asks(call(), nginx("POST", transfers)...).WithContext(guard.WithListener(t.Context(), guard.TLS)), 404},
	} {
		before := len(w.calls())
		answer := w.do(test.r)
		if answer.Code != test.status {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
		if len(w.calls()) != before {
			t.Errorf("%s: it was sent on", name)
		}
		text := answer.Header().Get(forwarded.Field)
		if (text != "") != (test.status == 204) {
			t.Errorf("%s: it says %q", name, text)
		}
		if name == "as nginx asks" {
			said, err := forwarded.Verifier{Issuer: base, Audience: w.inside, Key: w.key}.Verify(text, http.MethodPost, transfers, time.Now())
			if err != nil || said.Subject != "alice" || said.ClientID != app {
				t.Errorf("it says %+v, %v", said, err)
			}
		}
	}
}

// TestSubrequestLimit: addresses are counted as they are told.
func TestSubrequestLimit(t *testing.T) {
	t.Parallel()
	w := start(t, func(_ *gateway.Config, g *guard.Config) { g.Address = guard.Limit{PerSecond: 0.001, Burst: 1} })
	var got []int
	for _, address := range []string{"203.0.113.7", "203.0.113.7", "203.0.113.8"} {
		r := w.asks(w.request(http.MethodGet, "/v1/rates", ""), "X-Original-Method", "GET", "X-Original-URI", "/"+stage+"/v1/rates", "X-Forwarded-For", address)
		got = append(got, w.do(r).Code)
	}
	if got[0] != 204 || got[1] != 429 || got[2] != 204 {
		t.Errorf("%d", got)
	}
}
