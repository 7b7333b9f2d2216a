package authserver_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// TestMetadata says what the stage has, and nothing else (RFC 8414, section 2).
func TestMetadata(t *testing.T) {
	t.Parallel()
	w := start(t)
	for stage, want := range map[string]map[string]any{
		implicit: {"grant_types_supported": []any{"implicit"}, "response_types_supported": []any{"token"}, "response_modes_supported": []any{"fragment"}},
		code:     {"grant_types_supported": []any{"authorization_code"}, "response_types_supported": []any{"code"}, "token_endpoint": w.issuer(code) + "/token"},
		refresh:  {"grant_types_supported": []any{"authorization_code", "refresh_token"}, "response_types_supported": []any{"code"}, "introspection_endpoint": w.issuer(refresh) + "/introspect"},
	} {
		answer := w.browser(t).get("/.well-known/oauth-authorization-server/" + stage)
		var got map[string]any
		if err := json.Unmarshal([]byte(answer.body), &got); err != nil || answer.StatusCode != http.StatusOK || !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") {
			t.Fatalf("%s: %s %v", stage, answer.Status, err)
		}
		want["issuer"], want["authorization_response_iss_parameter_supported"] = w.issuer(stage), true
		want["authorization_endpoint"], want["revocation_endpoint"] = w.issuer(stage)+"/authorize", w.issuer(stage)+"/revoke"
		for name, value := range want {
			if !reflect.DeepEqual(got[name], value) {
				t.Errorf("%s: %s is %v, want %v", stage, name, got[name], value)
			}
		}
		for name, value := range got {
			if list, ok := value.([]any); ok && len(list) == 0 {
				t.Errorf("%s: %s is empty", stage, name)
			}
		}
		if _, has := got["token_endpoint"]; has != (stage != implicit) {
			t.Errorf("%s: a token endpoint: %v", stage, has)
		}
	}
}

// TestRevocation (RFC 7009): whoever has a token gives it back, and nobody else does.
func TestRevocation(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.program(t, web)
	revoke := func(from *program, stage, token, hint string) said {
		return from.post(stage, "revoke", url.Values{"token": {token}, "token_type_hint": {hint}})
	}
	mine, kept := p.tokens(refresh, "alice"), p.tokens(refresh, "alice")
	revoke(w.program(t, other), refresh, mine.Token, "").refused(t, "another client's access token", 400, "unauthorized_client")
	revoke(w.program(t, other), refresh, mine.Refresh, "").refused(t, "another client's refresh token", 400, "unauthorized_client")
	p.post(refresh, "revoke", url.Values{}).refused(t, "no token", 400, "invalid_request")
	p.post(refresh, "revoke", url.Values{"token": {mine.Token, mine.Token}}).refused(t, "two tokens", 400, "invalid_request")
	for _, token := range []string{"invented", mine.Token + "x", w.code(t, refresh, "alice", web)} {
		if answer := revoke(p, refresh, token, ""); answer.Status != http.StatusOK || answer.Body != "" {
			t.Errorf("a token that is none: %d %s", answer.Status, answer.Body)
		}
	}
	if answer := revoke(p, code, mine.Token, ""); answer.Status != http.StatusOK || !w.good(refresh, mine.Token) {
		t.Errorf("at another stage: %d, still good: %v", answer.Status, w.good(refresh, mine.Token))
	}
	for range 2 { // with a wrong hint, and once more
		if answer := revoke(p, refresh, mine.Token, "refresh_token"); answer.Status != http.StatusOK || w.good(refresh, mine.Token) {
			t.Errorf("an access token: %d, still good: %v", answer.Status, w.good(refresh, mine.Token))
		}
	}
	mine = p.refresh(mine.Refresh)
	if mine.Status != http.StatusOK {
		t.Fatalf("the family ended with one access token: %s", mine.Body)
	}
	if answer := revoke(p, refresh, mine.Refresh, "access_token"); answer.Status != http.StatusOK || w.good(refresh, mine.Token) {
		t.Errorf("a refresh token: %d, its access token is good: %v", answer.Status, w.good(refresh, mine.Token))
	}
	p.refresh(mine.Refresh).refused(t, "revoked", 400, "invalid_grant")
	if !w.good(refresh, kept.Token) || p.refresh(kept.Refresh).Status != http.StatusOK {
		t.Error("another device's tokens ended, too")
	}
	public := w.program(t, native)
	token := w.browser(t).allow(implicit, "alice", ask(implicit, native)).answer(t).Get("access_token")
	if answer := revoke(public, implicit, token, ""); answer.Status != http.StatusOK || w.good(implicit, token) {
		t.Errorf("a public client's: %d", answer.Status)
	}
}

// TestIntrospection (RFC 7662): of what is no good access token of its own, a client is told that
// it is not active, and nothing more. Kinds of tokens exclude each other.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.program(t, web)
	mine := p.tokens(refresh, "alice")
	ask := func(from *program, stage, token string) said {
		return from.post(stage, "introspect", url.Values{"token": {token}})
	}
	if answer := ask(p, refresh, mine.Token); !answer.Active || answer.Subject != "alice" || answer.Scope != strings.Join(all, " ") || answer.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s", answer.Body)
	}
	unused := w.code(t, refresh, "alice", web)
	revoked := p.tokens(refresh, "alice")
	p.post(refresh, "revoke", url.Values{"token": {revoked.Token}})
	for name, answer := range map[string]said{
		"another client's": ask(w.program(t, other), refresh, mine.Token), "at another stage": ask(p, code, mine.Token), "a code": ask(p, refresh, unused),
		"changed": ask(p, refresh, mine.Token[:len(mine.Token)-2]), "revoked": ask(p, refresh, revoked.Token), "invented": ask(p, refresh, "invented"),
	} {
		if answer.Status != http.StatusOK || strings.TrimSpace(answer.Body) != `{"active":false}` {
			t.Errorf("%s: %d %s", name, answer.Status, answer.Body)
		}
	}
	for name, text := range map[string]string{"an access token": mine.Token, "a code": unused} {
		p.refresh(text).refused(t, name+" as refresh token", 400, "invalid_grant")
	}
	for name, text := range map[string]string{"an access token": mine.Token, "a refresh token": mine.Refresh} {
		p.redeem(refresh, text).refused(t, name+" as code", 400, "invalid_grant")
	}
	if w.good(refresh, mine.Refresh) || w.good(refresh, unused) {
		t.Error("something else is good as access token")
	}
}
