package authserver_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
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
	for _, hint := range []string{"saml_assertion", "Refresh_Token", " "} { // hints that nobody knows are ignored (section 2.2)
		if answer := revoke(p, refresh, "invented", hint); answer.Status != http.StatusOK || answer.Body != "" {
			t.Errorf("the hint %q: %d %s", hint, answer.Status, answer.Body)
		}
	}
	p.post(refresh, "revoke", url.Values{"token": {mine.Refresh}, "token_type_hint": {"refresh_token", "refresh_token"}}).refused(t, "two hints", 400, "invalid_request")
	if answer := revoke(p, refresh, mine.Refresh, "access_token"); answer.Status != http.StatusOK || w.good(refresh, mine.Token) {
		t.Errorf("a refresh token: %d, its access token is good: %v", answer.Status, w.good(refresh, mine.Token))
	}
	p.refresh(mine.Refresh).refused(t, "revoked", 400, "invalid_grant")
	strange := p.tokens(refresh, "alice")
	if answer := revoke(p, refresh, strange.Refresh, "saml_assertion"); answer.Status != http.StatusOK || w.good(refresh, strange.Token) {
		t.Errorf("with a hint that nobody knows: %d, its access token is good: %v", answer.Status, w.good(refresh, strange.Token))
	}
	if !w.good(refresh, kept.Token) || p.refresh(kept.Refresh).Status != http.StatusOK {
		t.Error("another device's tokens ended, too")
	}
	public := w.program(t, native)
	token := w.browser(t).allow(implicit, "alice", ask(implicit, native)).answer(t).Get("access_token")
	if answer := revoke(public, implicit, token, ""); answer.Status != http.StatusOK || w.good(implicit, token) {
		t.Errorf("a public client's: %d", answer.Status)
	}
}

// inactive is all that is said of what is no good token of the client's own (RFC 7662, section 2.2).
func (s said) inactive(t *testing.T, what string) {
	t.Helper()
	if s.Status != http.StatusOK || strings.TrimSpace(s.Body) != `{"active":false}` {
		t.Errorf("%s: %d %s", what, s.Status, s.Body)
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
		answer.inactive(t, name)
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

// TestIntrospectionOfRefreshTokens (RFC 7662, section 2.2): a client is told what its own newest
// one stands for, and when that ends. To ask is no use: it ends no family, and lengthens none.
func TestIntrospectionOfRefreshTokens(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.program(t, web)
	ask := func(from *program, stage, token, hint string) said {
		return from.post(stage, "introspect", url.Values{"token": {token}, "token_type_hint": {hint}})
	}
	first, elsewhere := p.tokens(refresh, "alice"), p.tokens(refresh, "alice")
	begun := w.now()
	w.advance(time.Hour)
	second := p.refresh(first.Refresh)
	used := w.now()
	for _, hint := range []string{"", "refresh_token", "access_token", "saml_assertion"} {
		var got map[string]any
		if answer := ask(p, refresh, second.Refresh, hint); answer.Status != http.StatusOK || answer.Header.Get("Cache-Control") != "no-store" ||
			json.Unmarshal([]byte(answer.Body), &got) != nil {
			t.Fatalf("the hint %q: %d %s", hint, answer.Status, answer.Body)
		}
		for member, at := range map[string]time.Time{"iat": used, "exp": used.Add(24 * time.Hour)} {
			seconds, _ := got[member].(float64)
			if late := at.Sub(time.Unix(int64(seconds), 0)); late < 0 || late > time.Minute {
				t.Errorf("the hint %q: %s is %v, %s before it should be", hint, member, got[member], late)
			}
			delete(got, member)
		}
		want := map[string]any{"active": true, "scope": strings.Join(all, " "), "client_id": web, "username": "alice", "sub": "alice", "iss": w.issuer(refresh)}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the hint %q: %v, want %v", hint, got, want)
		}
	}
	if answer := ask(p, refresh, second.Token, "refresh_token"); !answer.Active || answer.Type != "Bearer" {
		t.Errorf("an access token with the wrong hint: %s", answer.Body)
	}
	p.post(refresh, "introspect", url.Values{"token": {second.Refresh}, "token_type_hint": {"a", "a"}}).refused(t, "two hints", 400, "invalid_request")
	ask(w.program(t, other), refresh, second.Refresh, "").inactive(t, "another client's")
	ask(p, code, second.Refresh, "").inactive(t, "at another stage")
	ask(p, refresh, second.Refresh+"x", "refresh_token").inactive(t, "changed")
	if answer := ask(w.program(t, native), refresh, second.Refresh, ""); answer.Status != http.StatusUnauthorized {
		t.Errorf("a public client asks: %d %s", answer.Status, answer.Body)
	}

	ask(p, refresh, first.Refresh, "").inactive(t, "used")
	third := p.refresh(second.Refresh)
	if third.Status != http.StatusOK {
		t.Fatalf("to ask about a used token has ended the family: %s", third.Body)
	}
	ask(p, refresh, second.Refresh, "").inactive(t, "replaced")
	p.refresh(second.Refresh).refused(t, "reuse", 400, "invalid_grant")
	for name, token := range map[string]string{"reused": second.Refresh, "of a family that ended by reuse": third.Refresh} {
		ask(p, refresh, token, "").inactive(t, name)
	}
	given := p.tokens(refresh, "alice")
	p.post(refresh, "revoke", url.Values{"token": {given.Refresh}})
	ask(p, refresh, given.Refresh, "").inactive(t, "revoked")

	w.advance(begun.Add(23*time.Hour + 59*time.Minute).Sub(w.now()))
	if answer := ask(p, refresh, elsewhere.Refresh, ""); !answer.Active {
		t.Errorf("a minute before its end: %s", answer.Body)
	}
	w.advance(time.Minute)
	ask(p, refresh, elsewhere.Refresh, "").inactive(t, "not used for a day")

	old := p.tokens(refresh, "bob")
	end := w.now().Add(30 * 24 * time.Hour)
	for range 31 {
		w.advance(23 * time.Hour)
		if old = p.refresh(old.Refresh); old.Status != http.StatusOK {
			t.Fatalf("in use: %s", old.Body)
		}
	}
	if answer := ask(p, refresh, old.Refresh, ""); end.Sub(time.Unix(answer.Expires, 0)).Abs() > time.Minute {
		t.Errorf("a family of 30 days ends at %s, want %s", time.Unix(answer.Expires, 0), end)
	}
	w.advance(8 * time.Hour)
	ask(p, refresh, old.Refresh, "").inactive(t, "after 30 days")
}
