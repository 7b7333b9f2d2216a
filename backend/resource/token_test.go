package resource_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

const granted = "password-grant"

// post sends a form to an endpoint of OAuth.
func post(server *resource.Server, s *site, path string, form url.Values, change func(*http.Request)) *httptest.ResponseRecorder {
	r := s.callAs("", "", granted, http.MethodPost, path, form.Encode())
	if change != nil {
		change(r)
	}
	r.Header.Del(catalog.AppAuthorization)
	answer := httptest.NewRecorder()
	server.Handler().ServeHTTP(answer, r)
	return answer
}

// asked is a good request for alice's token, with some parameters changed; an empty value takes
// one away.
func asked(changes ...string) url.Values {
	form := url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {password}, "client_id": {mobile}}
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}
	return form
}

type given struct {
	Token     string `json:"access_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
	Scope     string `json:"scope"`
}

func tokenOf(t *testing.T, answer *httptest.ResponseRecorder) given {
	t.Helper()
	var told given
	if err := json.Unmarshal(answer.Body.Bytes(), &told); err != nil || answer.Code != http.StatusOK {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	return told
}

// bearing makes a call with a token.
func bearing(server *resource.Server, s *site, app, text, method, path, body string) *httptest.ResponseRecorder {
	r := s.callAs(app, "alice", granted, method, path, body)
	token.Set(r.Header, text)
	answer := httptest.NewRecorder()
	server.Handler().ServeHTTP(answer, r)
	return answer
}

// TestPasswordGrant is the grant as RFC 6749, section 4.3, has it, and what the token is good
// for then.
func TestPasswordGrant(t *testing.T) {
	t.Parallel()
	s := newSite(t, deployment.Addresses{})
	server := newServer(t, s, nil)
	answer := post(server, s, "/v1/token", asked(), func(r *http.Request) { r.Header.Set("User-Agent", "curl/8.5.0") })
	told := tokenOf(t, answer)
	if told.Type != "Bearer" || told.ExpiresIn != 3600 || told.Scope != "rates:read accounts:read transfers:write" {
		t.Errorf("%+v", told)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Pragma": "no-cache", "Content-Type": "application/json"} {
		if got := answer.Header().Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if strings.Contains(told.Token, password) {
		t.Error("the password is in the token")
	}
	for _, test := range []struct {
		name, method, path, body string
		want                     int
	}{
		{"her accounts", http.MethodGet, "/v1/accounts", "", 200},
		{"her transfer", http.MethodPost, "/v1/transfers", order("1", ""), 201},
		{"bob's account", http.MethodGet, "/v1/accounts/HB-2001", "", 404},
		{"what staff may", http.MethodPost, "/v1/accounts/HB-1001/freeze", `{"frozen":true}`, 403},
	} {
		if got := bearing(server, s, mobile, told.Token, test.method, test.path, test.body); got.Code != test.want {
			t.Errorf("%s: %d %s", test.name, got.Code, got.Body)
		}
	}
	// A second sign-in gives another token.
	if again := tokenOf(t, post(server, s, "/v1/token", asked(), nil)); again.Token == told.Token {
		t.Error("two sign-ins gave the same token")
	}
	// What client, user and request have in common.
	if narrow := tokenOf(t, post(server, s, "/v1/token", asked("scope", "accounts:read accounts:freeze accounts:read"), nil)); narrow.Scope != "accounts:read" {
		t.Errorf("narrowed to %q", narrow.Scope)
	}
	if staff := tokenOf(t, post(server, s, "/v1/token", asked("username", "carol", "client_id", ops), nil)); staff.Scope != "rates:read accounts:read accounts:freeze" {
		t.Errorf("carol's: %q", staff.Scope)
	}
}

// TestTokenEndpoint is what RFC 6749, section 5.2, says of bad requests.
func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t, deployment.Addresses{})
	server := newServer(t, s, nil)
	twice := func(name string) url.Values {
		form := asked()
		form.Add(name, form.Get(name))
		return form
	}
	for _, test := range []struct {
		name   string
		form   url.Values
		change func(*http.Request)
		status int
		code   string
	}{
		{"no grant_type", asked("grant_type", ""), nil, 400, "invalid_request"},
		{"no username", asked("username", ""), nil, 400, "invalid_request"},
		{"no password", asked("password", ""), nil, 400, "invalid_request"},
		{"no client", asked("client_id", ""), nil, 400, "invalid_request"},
		{"a parameter twice", twice("username"), nil, 400, "invalid_request"},
		{"an unknown parameter twice", func() url.Values { f := asked(); f["x"] = []string{"1", "2"}; return f }(), nil, 400, "invalid_request"},
		{"an unknown parameter", asked("x", "1"), nil, 200, ""},
		{"the password in the URL", asked(), func(r *http.Request) { r.URL.RawQuery = "password=x" }, 400, "invalid_request"},
		{"JSON", asked(), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 400, "invalid_request"},
		{"a media type with a parameter", asked(), func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
		}, 200, ""},
		{"another grant", asked("grant_type", "client_credentials"), nil, 400, "unsupported_grant_type"},
		{"a grant of a later stage", asked("grant_type", "authorization_code"), nil, 400, "unsupported_grant_type"},
		{"the grant in capitals", asked("grant_type", "PASSWORD"), nil, 400, "unsupported_grant_type"},
		{"an unknown client", asked("client_id", "invented"), nil, 400, "invalid_client"},
		{"a partner", asked("client_id", books), nil, 400, "invalid_client"},
		{"a client with a secret", asked("client_secret", "the secret of "+mobile), nil, 400, "invalid_client"},
		{"a client that authenticates", asked(), func(r *http.Request) { r.SetBasicAuth(mobile, "x") }, 401, "invalid_client"},
		{"a wrong password", asked("password", "guess"), nil, 400, "invalid_grant"},
		{"an unknown user", asked("username", "nobody"), nil, 400, "invalid_grant"},
		{"a scope that can't be had", asked("scope", "accounts:freeze"), nil, 400, "invalid_scope"},
		{"a scope that there is not", asked("scope", "everything"), nil, 400, "invalid_scope"},
		{"no scope's characters", asked("scope", "accounts:read\n"), nil, 400, "invalid_scope"},
	} {
		answer := post(server, s, "/v1/token", test.form, test.change)
		var told struct{ Error string }
		if err := json.Unmarshal(answer.Body.Bytes(), &told); err != nil {
			t.Errorf("%s: %v: %s", test.name, err, answer.Body)
		}
		if answer.Code != test.status || told.Error != test.code {
			t.Errorf("%s: %d %s, want %d %s", test.name, answer.Code, answer.Body, test.status, test.code)
		}
		if (answer.Header().Get("WWW-Authenticate") != "") != (answer.Code == 401) || answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", test.name, answer.Header())
		}
		if strings.Contains(answer.Body.String(), "guess") || strings.Contains(answer.Body.String(), password) {
			t.Errorf("%s: the answer has the password", test.name)
		}
	}
}

// TestGuessingIsThrottled at the token endpoint as at the other sign-in.
func TestGuessingIsThrottled(t *testing.T) {
	t.Parallel()
	s := newSite(t, deployment.Addresses{})
	server := newServer(t, s, nil)
	for range 20 {
		answer := post(server, s, "/v1/token", asked("username", "bob", "password", "guess"), nil)
		if answer.Code == http.StatusTooManyRequests {
			if answer.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if answer := post(server, s, "/v1/token", asked("username", "bob"), nil); answer.Code != http.StatusTooManyRequests {
				t.Errorf("the right password then: %d", answer.Code)
			}
			return
		}
	}
	t.Error("20 guesses were made")
}

// TestRevocationEndpoint is RFC 7009: a client gives back its own tokens.
func TestRevocationEndpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t, deployment.Addresses{})
	server := newServer(t, s, nil)
	told := tokenOf(t, post(server, s, "/v1/token", asked(), nil))
	for _, test := range []struct {
		name string
		form url.Values
		want int
	}{
		{"no token", url.Values{"client_id": {mobile}}, 400},
		{"no client", url.Values{"token": {told.Token}}, 400},
		{"another client's", url.Values{"token": {told.Token}, "client_id": {kiosk}}, 400},
		{"what is no token", url.Values{"token": {"x"}, "client_id": {mobile}}, 200},
	} {
		if answer := post(server, s, "/v1/revoke", test.form, nil); answer.Code != test.want {
			t.Errorf("%s: %d %s", test.name, answer.Code, answer.Body)
		}
	}
	if answer := bearing(server, s, mobile, told.Token, http.MethodGet, "/v1/accounts", ""); answer.Code != http.StatusOK {
		t.Fatalf("the token after that: %d", answer.Code)
	}
	for range 2 { // also when it is revoked already
		if answer := post(server, s, "/v1/revoke", url.Values{"token": {told.Token}, "client_id": {mobile}, "token_type_hint": {"refresh_token"}}, nil); answer.Code != http.StatusOK {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	}
	answer := bearing(server, s, mobile, told.Token, http.MethodGet, "/v1/accounts", "")
	if answer.Code != http.StatusUnauthorized || answer.Header().Get("WWW-Authenticate") != `Bearer realm="Harbour Bank", error="invalid_token"` {
		t.Errorf("%d %v", answer.Code, answer.Header())
	}
}

// TestTwoServersTakeOneToken: the second server knows the user out of the token, and nothing of
// a session. What is revoked through one is refused by the other within a second.
func TestTwoServersTakeOneToken(t *testing.T) {
	t.Parallel()
	first := start(t, nil)
	second := first.second(t)
	told := tokenOf(t, post(first.server, first.site, "/v1/token", asked(), nil))
	call := func() *httptest.ResponseRecorder {
		return bearing(second, first.site, mobile, told.Token, http.MethodGet, "/v1/accounts", "")
	}
	if answer := call(); answer.Code != http.StatusOK {
		t.Fatalf("at the second server: %d %s", answer.Code, answer.Body)
	}
	if err := first.admin.Do(t.Context(), http.MethodPost, "/tokens/revoke", manage.TokenSelection{TokenFilter: manage.TokenFilter{User: "alice"}}, nil); err != nil {
		t.Fatal(err)
	}
	within(t, "after it was revoked through the first", http.StatusUnauthorized, call)
}

// TestManagingTokens: an admin lists and revokes tokens, and rotates the key that signs them.
func TestManagingTokens(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *resource.Config) { c.KeyOverlap = time.Minute })
	ctx := t.Context()
	told := tokenOf(t, post(r.server, r.site, "/v1/token", asked(), nil))
	serve := func(text string) int {
		return bearing(r.server, r.site, mobile, text, http.MethodGet, "/v1/accounts", "").Code
	}
	if code := serve(told.Token); code != http.StatusOK {
		t.Fatal(code)
	}
	begun := time.Now()
	for list := (manage.TokenList{}); ; time.Sleep(10 * time.Millisecond) {
		list = testenv.Must[manage.TokenList](t)(manage.Get[manage.TokenList](ctx, r.admin, "/tokens?user=alice&state=good"))
		if list.Total == 1 && list.Tokens[0].Calls == 1 && list.Tokens[0].Client == mobile {
			break
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("listed: %+v", list)
		}
	}
	// An admin is told of each check what it says; a client is not.
	for text, want := range map[string]string{told.Token: "", told.Token + "x": "signature", "e30.e30.e30": "header"} {
		examined := testenv.Must[manage.TokenExamination](t)(manage.Post[manage.TokenExamination](ctx, r.admin, "/tokens/examine", manage.TokenToExamine{Stage: granted, Token: text}))
		first := ""
		for _, f := range examined.Findings {
			if first == "" && !f.Passed {
				first = f.Name()
			}
		}
		if first != want || want == "" && examined.Subject != "alice" {
			t.Errorf("%.20q: refused by %q, want %q: %+v", text, first, want, examined)
		}
	}
	keys := testenv.Must[[]manage.SigningKey](t)(manage.Get[[]manage.SigningKey](ctx, r.admin, "/signing-keys"))
	if len(keys) != 1 || !keys[0].Signs || keys[0].Stage != granted {
		t.Fatalf("%+v", keys)
	}
	if err := r.admin.Do(ctx, http.MethodPost, "/signing-keys/"+keys[0].ID+"/withdraw", nil, nil); err == nil {
		t.Error("the key that signs was withdrawn")
	}
	if err := r.admin.Do(ctx, http.MethodPost, "/stages/"+granted+"/signing-keys", nil, nil); err != nil {
		t.Fatal(err)
	}
	young := tokenOf(t, post(r.server, r.site, "/v1/token", asked(), nil))
	if a, b := serve(told.Token), serve(young.Token); a != http.StatusOK || b != http.StatusOK {
		t.Errorf("after the rotation the old token gets %d, the new one %d", a, b)
	}
	if err := r.admin.Do(ctx, http.MethodPost, "/signing-keys/"+keys[0].ID+"/withdraw", nil, nil); err != nil {
		t.Fatal(err)
	}
	if a, b := serve(told.Token), serve(young.Token); a != http.StatusUnauthorized || b != http.StatusOK {
		t.Errorf("after the old key was withdrawn the old token gets %d, the new one %d", a, b)
	}
	for _, all := range []manage.TokenSelection{{}} {
		if err := r.admin.Do(ctx, http.MethodPost, "/tokens/revoke", all, nil); err == nil {
			t.Error("all tokens were revoked by a selection of nothing in particular")
		}
	}
	var revoked manage.Changed
	if err := r.admin.Do(ctx, http.MethodPost, "/tokens/revoke", manage.TokenSelection{TokenFilter: manage.TokenFilter{User: "alice"}}, &revoked); err != nil || revoked.Changed != 2 {
		t.Errorf("%+v, %v", revoked, err)
	}
	if code := serve(young.Token); code != http.StatusUnauthorized {
		t.Errorf("the revoked token: %d", code)
	}
	examined := testenv.Must[manage.TokenExamination](t)(manage.Post[manage.TokenExamination](ctx, r.admin, "/tokens/examine", manage.TokenToExamine{Stage: granted, Token: young.Token}))
	for _, f := range examined.Findings {
		if f.Passed == (f.Check == catalog.CheckRevoked) || f.Check.Owner() != catalog.OfGuard {
			t.Errorf("of the revoked token: %+v", f)
		}
	}
}
