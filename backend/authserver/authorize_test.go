package authserver_test

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestNobodyIsSentToAStranger: as long as it is not certain that a redirect URI is the client's,
// whatever else is wrong, the user is told so on a page, and led nowhere (RFC 6749, section
// 4.1.2.1, RFC 9700, section 4.11).
func TestNobodyIsSentToAStranger(t *testing.T) {
	t.Parallel()
	b := start(t).browser(t)
	queries := map[string]string{
		"no client":          "response_type=code&redirect_uri=" + url.QueryEscape(webURI),
		"an empty client":    "response_type=code&client_id=&redirect_uri=" + url.QueryEscape(webURI),
		"an unknown client":  "response_type=code&client_id=unknown&redirect_uri=" + url.QueryEscape(webURI),
		"two clients":        "response_type=code&client_id=web&client_id=web&redirect_uri=" + url.QueryEscape(webURI),
		"client with a null": "response_type=code&client_id=web%00&redirect_uri=" + url.QueryEscape(webURI),
		"two redirect URIs":  "response_type=code&client_id=web&redirect_uri=" + url.QueryEscape(webURI) + "&redirect_uri=" + url.QueryEscape(webURI),
		"a bad and a good":   "response_type=code&client_id=web&redirect_uri=https://evil.example/&redirect_uri=" + url.QueryEscape(webURI),
		"none, of two":       "response_type=code&client_id=native",
		"empty, of two":      "response_type=code&client_id=native&redirect_uri=",
		"unreadable":         "response_type=code&client_id=web&redirect_uri=%zz",
		"a semicolon":        "response_type=code;client_id=web&client_id=web&redirect_uri=" + url.QueryEscape(webURI),
		"all is wrong":       "response_type=nonsense&client_id=web&redirect_uri=https://evil.example/&scope=%22&scope=%22&state=a&state=b",
	}
	for name, uri := range map[string]string{
		"another host":         "https://evil.example/callback?tenant=1",
		"another scheme":       "http://web.example/callback?tenant=1",
		"a subdomain":          "https://a.web.example/callback?tenant=1",
		"a longer host":        "https://web.example.evil.example/callback?tenant=1",
		"user information":     "https://web.example@evil.example/callback?tenant=1",
		"a user of the host":   "https://u@web.example/callback?tenant=1",
		"a port":               "https://web.example:443/callback?tenant=1",
		"a deeper path":        "https://web.example/callback/x?tenant=1",
		"dots":                 "https://web.example/a/../callback?tenant=1",
		"encoded dots":         "https://web.example/a/%2e%2e/callback?tenant=1",
		"encoded letter":       "https://web.example/%63allback?tenant=1",
		"slash at the end":     "https://web.example/callback/?tenant=1",
		"upper case host":      "https://WEB.example/callback?tenant=1",
		"upper case scheme":    "HTTPS://web.example/callback?tenant=1",
		"upper case path":      "https://web.example/Callback?tenant=1",
		"more in the query":    "https://web.example/callback?tenant=1&next=https://evil.example",
		"without the query":    "https://web.example/callback",
		"a fragment":           "https://web.example/callback?tenant=1#x",
		"an empty fragment":    "https://web.example/callback?tenant=1#",
		"a space":              " https://web.example/callback?tenant=1",
		"a line":               "https://web.example/callback?tenant=1\r\nLocation: https://evil.example",
		"a backslash":          `https://web.example\@evil.example/callback?tenant=1`,
		"a null":               "https://web.example/callback?tenant=1\x00",
		"a dot after the host": "https://web.example./callback?tenant=1",
		"no scheme":            "//web.example/callback?tenant=1",
		"script":               "javascript:alert(1)//https://web.example/callback?tenant=1",
		"data":                 "data:text/html,https://web.example/callback?tenant=1",
		"another's":            otherURI,
	} {
		queries[name] = "response_type=code&state=xyz&client_id=web&redirect_uri=" + url.QueryEscape(uri)
	}
	for name, uri := range map[string]string{
		"loopback, another address":    "http://127.0.0.2:8080/callback",
		"loopback, by name":            "http://localhost:8080/callback",
		"loopback of IPv6":             "http://[::1]:8080/callback",
		"loopback, https":              "https://127.0.0.1:8080/callback",
		"loopback, another path":       "http://127.0.0.1:8080/other",
		"loopback, a query":            "http://127.0.0.1:8080/callback?x",
		"loopback, a user":             "http://127.0.0.1:8080@evil.example/callback",
		"loopback, a user before":      "http://evil.example@127.0.0.1:8080/callback",
		"loopback, a port and no port": "http://127.0.0.1:/callback",
		"loopback, two ports":          "http://127.0.0.1:80:80/callback",
		"loopback, as a number":        "http://2130706433:8080/callback",
		"loopback, shorter":            "http://127.1:8080/callback",
		"loopback, a fragment":         "http://127.0.0.1:8080/callback#",
		"loopback, no port there is":   "http://127.0.0.1:99999/callback",
		"private scheme, host":         "com.example.app://callback",
		"private scheme, upper case":   "COM.example.app:/callback",
		"private scheme, longer":       "com.example.app.evil:/callback",
		"private scheme, port":         "com.example.app:1/callback",
	} {
		queries[name] = "response_type=code&state=xyz&client_id=native&redirect_uri=" + url.QueryEscape(uri)
	}
	for name, query := range queries {
		for _, stage := range []string{implicit, code, refresh} {
			page := b.get("/" + stage + "/authorize?" + query)
			if page.StatusCode != http.StatusBadRequest || page.Header.Get("Location") != "" || strings.Contains(page.body, "<form") ||
				!strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") {
				t.Errorf("%s at %s: %d, leads to %q", name, stage, page.StatusCode, page.Header.Get("Location"))
			}
		}
	}
}

// TestRedirectURIsOfClients: what is registered is good, and of a loopback address any port.
func TestRedirectURIsOfClients(t *testing.T) {
	t.Parallel()
	b := start(t).browser(t)
	for _, test := range []struct{ client, uri string }{
		{web, webURI}, {web, ""}, {native, privateURI}, {native, loopbackURI}, {native, "http://127.0.0.1:49152/callback"}, {native, "http://127.0.0.1:1/callback"},
	} {
		query := ask(code, test.client)
		query.Set("redirect_uri", test.uri)
		answer := b.allow(code, "alice", query)
		to := answer.Header.Get("Location")
		if !strings.HasPrefix(to, cmp.Or(test.uri, webURI)) || answer.answer(t).Get("code") == "" {
			t.Errorf("%s leads to %s", test.uri, to)
		}
	}
}

// TestErrorsOfAuthorization are told to the client by a redirect with error, state and iss
// (RFC 6749, sections 4.1.2.1 and 4.2.2.1, RFC 9207, section 2).
func TestErrorsOfAuthorization(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser(t)
	type change = func(url.Values)
	set := func(name, value string) change { return func(q url.Values) { q.Set(name, value) } }
	twice := func(name, value string) change { return func(q url.Values) { q[name] = []string{value, value} } }
	for _, test := range []struct {
		name   string
		stages []string
		change change
		error  string
	}{
		{"no response type", []string{implicit, code, refresh}, func(q url.Values) { q.Del("response_type") }, "invalid_request"},
		{"an empty response type", []string{implicit, code, refresh}, set("response_type", ""), "invalid_request"},
		{"a token where there are codes", []string{code, refresh}, set("response_type", "token"), "unsupported_response_type"},
		{"a code where there are tokens", []string{implicit}, set("response_type", "code"), "unsupported_response_type"},
		{"both", []string{implicit, code, refresh}, set("response_type", "code token"), "unsupported_response_type"},
		{"an ID token", []string{implicit, code, refresh}, set("response_type", "id_token"), "unsupported_response_type"},
		{"in capitals", []string{code, refresh}, set("response_type", "CODE"), "unsupported_response_type"},
		{"two response types", []string{code, refresh}, twice("response_type", "code"), "invalid_request"},
		{"two scopes", []string{implicit, code, refresh}, twice("scope", "rates:read"), "invalid_request"},
		{"an unknown parameter twice", []string{implicit, code, refresh}, twice("unknown", "x"), "invalid_request"},
		{"a scope with quotes", []string{implicit, code, refresh}, set("scope", `rates:read"`), "invalid_scope"},
		{"a scope with a line", []string{implicit, code, refresh}, set("scope", "rates:read\naccounts:read"), "invalid_scope"},
		{"a scope that is not ASCII", []string{implicit, code, refresh}, set("scope", "ratés:read"), "invalid_scope"},
		{"a scope that there is not", []string{implicit, code, refresh}, set("scope", "everything"), "invalid_scope"},
		{"a scope of others", []string{implicit, code, refresh}, set("scope", "accounts:freeze"), "invalid_scope"},
	} {
		for _, stage := range test.stages {
			query := ask(stage, web)
			test.change(query)
			page := b.authorize(stage, query)
			answer := page.answer(t)
			inFragment := strings.Contains(page.Header.Get("Location"), "#")
			if answer.Get("error") != test.error || answer.Get("state") != "xyz" || answer.Get("iss") != w.issuer(stage) ||
				answer.Has("code") || answer.Has("access_token") || inFragment != (query.Get("response_type") == "token") {
				t.Errorf("%s at %s: %s", test.name, stage, page.Header.Get("Location"))
			}
			for name, values := range answer { // RFC 6749, section 4.1.2.1
				if strings.HasPrefix(name, "error") && strings.ContainsFunc(values[0], func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
					t.Errorf("%s at %s: %s is %q", test.name, stage, name, values[0])
				}
			}
		}
	}
	query := ask(code, web)
	query["state"] = []string{"a", "b"}
	if answer := b.authorize(code, query).answer(t); answer.Get("error") != "invalid_request" || answer.Has("state") {
		t.Errorf("two states: %v", answer)
	}
	query.Set("state", strings.Repeat("x", 5000))
	if answer := b.authorize(code, query).answer(t); answer.Get("error") != "invalid_request" || answer.Has("state") {
		t.Errorf("a state of 5,000 bytes: %v", answer)
	}
}

// TestStateIsAsItCame (RFC 6749, section 4.1.2), with success and with errors.
func TestStateIsAsItCame(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser(t)
	for _, state := range []string{
		"xyz", "", " ", "a b", "a+b", "a%20b", "a&code=evil", "a=b#c?d", "ü€😀", "\"'<script>", "\r\nLocation: x", "%zz", "\x00\xff", strings.Repeat("long", 500),
	} {
		for _, stage := range []string{implicit, code} {
			query := ask(stage, web)
			query.Set("state", state)
			for what, answer := range map[string]url.Values{
				"denied": b.press(b.authorize(stage, query), "decision", "deny").answer(t), "allowed": b.allow(stage, "alice", query).answer(t),
			} {
				if !slices.Equal(answer["state"], []string{state}) || answer.Get("iss") != w.issuer(stage) {
					t.Errorf("%q, %s at %s: %v", state, what, stage, answer)
				}
			}
		}
	}
	query := ask(code, web)
	query.Del("state")
	if answer := b.allow(code, "alice", query).answer(t); answer.Has("state") {
		t.Errorf("no state: %v", answer)
	}
}

// TestImplicitAnswer is a token in the fragment, and nothing to renew it with (RFC 6749, section
// 4.2.2).
func TestImplicitAnswer(t *testing.T) {
	t.Parallel()
	w := start(t)
	page := w.browser(t).allow(implicit, "alice", ask(implicit, native))
	to, answer := page.Header.Get("Location"), page.answer(t)
	if !strings.HasPrefix(to, loopbackURI+"#") || answer.Get("token_type") != "Bearer" || answer.Get("expires_in") != "3600" || answer.Get("scope") != strings.Join(all, " ") ||
		answer.Has("refresh_token") || answer.Has("code") || !w.good(implicit, answer.Get("access_token")) {
		t.Errorf("%s", to)
	}
	for _, stage := range []string{code, refresh} {
		if w.good(stage, answer.Get("access_token")) {
			t.Errorf("it is good at %s", stage)
		}
	}
}

// TestScope: what request, client and owner have in common.
func TestScope(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, test := range []struct{ name, user, client, scope, want string }{
		{"none asked for", "alice", web, "", "rates:read accounts:read transfers:write"},
		{"one", "alice", web, "accounts:read", "accounts:read"},
		{"one twice", "alice", web, "accounts:read accounts:read", "accounts:read"},
		{"more than there is", "alice", web, "accounts:read accounts:freeze nonsense", "accounts:read"},
		{"of staff", "carol", web, "rates:read transfers:write", "rates:read"},
	} {
		query := ask(code, test.client)
		query.Set("scope", test.scope)
		got := w.browser(t).allow(code, test.user, query).answer(t)
		answer := w.program(t, test.client).redeem(code, got.Get("code"))
		if answer.Status != http.StatusOK || answer.Scope != test.want {
			t.Errorf("%s: %d %s", test.name, answer.Status, answer.Body)
		}
	}
	b := w.browser(t)
	query := ask(code, ops)
	query.Set("scope", "accounts:freeze")
	if answer := b.signIn(b.authorize(code, query), "alice").answer(t); answer.Get("error") != "invalid_scope" || answer.Get("iss") != w.issuer(code) {
		t.Errorf("nothing in common with the owner: %v", answer)
	}
}
