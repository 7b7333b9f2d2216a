package guard_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"keyladder/backend/guard"
	"keyladder/backend/tokens"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/mechanism/token"

	"github.com/labstack/echo/v4"
)

const granted = "password-grant"

// withToken makes calls with another access token.
func withToken(text func(*world) string) func(*world) func(*http.Request) {
	return func(w *world) func(*http.Request) {
		return func(r *http.Request) { token.Set(r.Header, text(w)) }
	}
}

// alices is a token of hers.
func alices(w *world) string { return w.token(granted, as{mobile, "alice"}, "accounts:read") }

// tokenless asks nothing of users.
func tokenless(p *catalog.Policies) {
	p.Call.UserProof, p.Call.UserKey, p.Call.Binding, p.API.Authorization = catalog.NoUser, catalog.NoUserKey, catalog.NotBound, catalog.AppScopes
	p.Call.AppProof = catalog.NoAppProof // its field is another one then
	p.Call.Grant = catalog.NoGrants
	first, _ := catalog.All().Lookup("app-id")
	p.Auth = first.Auth
}

var tokenRefusals = []refusal{
	{"no token", granted, func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Del("Authorization") }
	}, "access-token", 401, "token-missing", tokenless},
	{"a session's key for a token", granted, func(*world) func(*http.Request) {
		return func(r *http.Request) { session.SetKey(r.Header, session.NewKey()) }
	}, "access-token", 401, "token-missing", tokenless},
	{"two tokens", granted, func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }
	}, "access-token", 400, "bad-request", tokenless},
	{"an invented token", granted, withToken(func(*world) string { return "invented" }), "access-token", 401, "token-not-accepted", tokenless},
	{"another stage's token", granted, withToken(func(w *world) string {
		return w.token("implicit-grant", as{mobile, "alice"}, "accounts:read")
	}), "access-token", 401, "token-not-accepted", tokenless},
	{"a token with another signature", granted, withToken(func(w *world) string {
		text := alices(w)
		return text[:len(text)-43] + "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	}), "access-token", 401, "token-not-accepted", tokenless},
	{"an expired token", granted, func(w *world) func(*http.Request) {
		text := alices(w)
		w.clock.advance(time.Hour)
		return func(r *http.Request) { token.Set(r.Header, text) }
	}, "access-token", 401, "token-not-accepted", tokenless},
	{"a token under a key that was withdrawn", granted, func(w *world) func(*http.Request) {
		text, old := alices(w), w.keyOf(granted)
		if _, err := w.tokens.Rotate(context.Background(), granted); err != nil {
			w.Fatal(err)
		}
		if err := w.tokens.Withdraw(context.Background(), old); err != nil {
			w.Fatal(err)
		}
		return func(r *http.Request) { token.Set(r.Header, text) }
	}, "access-token", 401, "token-not-accepted", tokenless},
	{"a token of a user who is not there", granted, withToken(func(w *world) string {
		return w.token(granted, as{mobile, "nobody"}, "accounts:read")
	}), "access-token", 401, "token-not-accepted", tokenless},
	{"a revoked token", granted, func(w *world) func(*http.Request) {
		text := alices(w)
		if _, err := w.tokens.RevokeSelected(context.Background(), manage.TokenSelection{TokenFilter: manage.TokenFilter{User: "alice"}}); err != nil {
			w.Fatal(err)
		}
		return func(r *http.Request) { token.Set(r.Header, text) }
	}, "revoked", 401, "token-not-accepted", func(p *catalog.Policies) { p.Auth.Revocations = catalog.RevokedServed }},
	{"another client's token", granted, withToken(func(w *world) string {
		return w.token(granted, as{ops, "alice"}, "accounts:read")
	}), "binding", 401, "token-not-accepted", func(p *catalog.Policies) { p.Call.Binding = catalog.NotBound }},
	{"a token that is not good for it", granted, withToken(func(w *world) string {
		return w.token(granted, as{mobile, "alice"}, "rates:read transfers:write")
	}), "scope", 403, "not-allowed", func(p *catalog.Policies) { p.API.Authorization = catalog.AppAndUser }},
}

// TestRevokedInTheSameMoment: a token that was good a moment ago, and is remembered, is
// refused with the next call.
func TestRevokedInTheSameMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	issued, err := w.tokens.Issue(t.Context(), w.clock.Now(), tokens.Grant{Stage: granted, User: "alice", Client: mobile, Scope: "accounts:read"})
	if err != nil {
		t.Fatal(err)
	}
	call := func() int {
		r := w.request(granted, http.MethodGet, "/v1/accounts", "")
		token.Set(r.Header, issued.Text)
		answer, _ := w.do(r)
		return answer.Code
	}
	if code := call(); code != http.StatusOK {
		t.Fatalf("before: %d", code)
	}
	if err := w.tokens.Revoke(t.Context(), issued.ID); err != nil {
		t.Fatal(err)
	}
	if code := call(); code != http.StatusUnauthorized {
		t.Errorf("after: %d", code)
	}
	if err := w.tokens.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := w.tokens.Query(t.Context(), manage.TokenQuery{TokenFilter: manage.TokenFilter{Search: issued.ID}})
	if err != nil || len(list.Tokens) != 1 || list.Tokens[0].Calls != 1 || list.Tokens[0].RevokedAt == nil {
		t.Errorf("listed as %+v, %v", list, err)
	}
}

// TestHandlersRefuse: what a handler refuses is on record like what a check refuses, and
// counted as refused.
func TestHandlersRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	refusal := &guard.Refusal{Check: catalog.CheckGrant, Problem: problem.New(400, "unsupported-grant-type", "No", ""), Reason: "the private reason"}
	route := guard.Route{Method: http.MethodPost, Path: "/v1/token", Scope: guard.AnyScope, Admission: true, Refusals: problem.OAuth}
	w.guard.Handle(w.echo, route, func(echo.Context, guard.Caller) error { return refusal })
	r := w.request(granted, http.MethodPost, "/v1/token", "")
	r.Header.Del("Authorization")
	r.Header.Del(catalog.AppAuthorization)
	r.Header.Set("User-Agent", "curl/8.5.0") // any client may come here
	answer, verdict := w.do(r)
	if answer.Code != 400 || answer.Body.String() != `{"error":"unsupported_grant_type","error_description":"No"}`+"\n" {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if verdict.Allowed || verdict.Check != catalog.CheckGrant || verdict.Reason != refusal.Reason {
		t.Errorf("verdict %+v", verdict)
	}
	if last := w.outcomes[len(w.outcomes)-1]; last.Check != catalog.CheckGrant {
		t.Errorf("outcome %+v", last)
	}
	if w.usage.counts["|"+granted+"|POST /v1/token|false"] != 1 {
		t.Errorf("counted: %v", w.usage.counts)
	}
	// Admission is asked for here, too.
	r = w.request(granted, http.MethodPost, "/v1/token", "")
	over(guard.Plain, nil)(r)
	if _, verdict := w.do(r); verdict.Check != catalog.CheckTransport {
		t.Errorf("over plain HTTP: %+v", verdict)
	}
}

// TestKeyBesideToken: the app's key has a field of its own where Authorization is the user's.
func TestKeyBesideToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	r := w.request(granted, http.MethodGet, "/v1/rates", "")
	r.Header.Del("Authorization")
	if answer, verdict := w.do(r); answer.Code != http.StatusOK {
		t.Errorf("public data with the key alone: %d, %+v", answer.Code, verdict)
	}
	r = w.request(granted, http.MethodGet, "/v1/rates", "")
	r.Header.Del(catalog.AppAuthorization)
	appkey.Set(r.Header, "Authorization", mobile)
	if _, verdict := w.do(r); verdict.Check != catalog.CheckAppKey {
		t.Errorf("the key in the user's field: %+v", verdict)
	}
}

// TestRevocationsAreOff at one stage: there a token that was revoked is served. Whatever else is
// wrong with one is refused as before.
func TestRevocationsAreOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	off := ""
	w.config.RevocationsOff = func(stage string) bool { return stage == off }
	w.start()
	text := alices(w)
	if _, err := w.tokens.RevokeSelected(t.Context(), manage.TokenSelection{All: true}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		off, text string
		want      int
	}{
		{"", text, http.StatusUnauthorized},
		{"tls", text, http.StatusUnauthorized},
		{granted, text, http.StatusOK},
		{granted, text[:len(text)-1], http.StatusUnauthorized},
		{"", text, http.StatusUnauthorized},
	} {
		off = test.off
		r := w.request(granted, http.MethodGet, "/v1/accounts", "")
		token.Set(r.Header, test.text)
		if answer, _ := w.do(r); answer.Code != test.want {
			t.Errorf("off at %q: %d, want %d", test.off, answer.Code, test.want)
		}
	}
}
