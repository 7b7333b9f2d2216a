package authserver_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyladder/internal/testenv"
)

// TestCode: a code is good once, for a minute, for its client, its redirect URI and its stage
// (RFC 6749, section 4.1.3). A refusal does not use it up.
func TestCode(t *testing.T) {
	t.Parallel()
	w := start(t)
	p, stranger := w.program(t, web), w.program(t, other)
	text := w.code(t, code, "alice", web)
	for _, test := range []struct {
		name  string
		from  *program
		stage string
		form  url.Values
		error string
	}{
		{"another client's", stranger, code, redemption(text, webURI), "invalid_grant"},
		{"a public client's", w.program(t, native), code, redemption(text, webURI), "invalid_grant"},
		{"another redirect URI", p, code, redemption(text, webURI+"&x"), "invalid_grant"},
		{"no redirect URI", p, code, redemption(text, ""), "invalid_grant"},
		{"at another stage", p, refresh, redemption(text, webURI), "invalid_grant"},
		{"an invented code", p, code, redemption("invented", webURI), "invalid_grant"},
		{"no code", p, code, redemption("", webURI), "invalid_request"},
		{"a code with a space", p, code, redemption(text+" ", webURI), "invalid_grant"},
		{"two codes", p, code, url.Values{"grant_type": {"authorization_code"}, "code": {text, text}, "redirect_uri": {webURI}}, "invalid_request"},
		{"two grant types", p, code, url.Values{"grant_type": {"authorization_code", "authorization_code"}, "code": {text}, "redirect_uri": {webURI}}, "invalid_request"},
		{"an unknown parameter twice", p, code, url.Values{"grant_type": {"authorization_code"}, "code": {text}, "redirect_uri": {webURI}, "x": {"1", "1"}}, "invalid_request"},
		{"no grant type", p, code, url.Values{"code": {text}, "redirect_uri": {webURI}}, "invalid_request"},
	} {
		test.from.post(test.stage, "token", test.form).refused(t, test.name, 400, test.error)
	}
	w.advance(59 * time.Second)
	answer := p.redeem(code, text)
	if answer.Status != http.StatusOK || answer.Type != "Bearer" || answer.ExpiresIn != 3600 || answer.Refresh != "" || answer.Scope != strings.Join(all, " ") ||
		answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("Pragma") != "no-cache" || answer.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %s", answer.Status, answer.Header, answer.Body)
	}
	late := w.code(t, code, "alice", web)
	w.advance(time.Minute)
	p.redeem(code, late).refused(t, "after a minute", 400, "invalid_grant")

	// Without a redirect URI in the first request there is none in the second.
	query := ask(code, web)
	query.Del("redirect_uri")
	without := w.browser(t).allow(code, "alice", query).answer(t).Get("code")
	p.post(code, "token", redemption(without, webURI)).refused(t, "a redirect URI that was not asked with", 400, "invalid_grant")
	if answer := p.post(code, "token", redemption(without, "")); answer.Status != http.StatusOK {
		t.Errorf("without a redirect URI: %s", answer.Body)
	}
}

// TestSecondUseOfCode ends what came of the first, refreshed or not, and nothing else of that
// user (RFC 6749, section 4.1.2).
func TestSecondUseOfCode(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.program(t, web)
	before := p.tokens(refresh, "alice")
	text := w.code(t, refresh, "alice", web)
	first := p.redeem(refresh, text)
	next := p.refresh(first.Refresh)
	if next.Status != http.StatusOK {
		t.Fatal(next.Body)
	}
	w.program(t, other).redeem(refresh, text).refused(t, "another client has the code", 400, "invalid_grant")
	if !w.good(refresh, next.Token) {
		t.Error("another client's try has ended the tokens")
	}
	w.advance(30 * time.Second)
	p.redeem(refresh, text).refused(t, "the second use", 400, "invalid_grant")
	if w.good(refresh, first.Token) || w.good(refresh, next.Token) {
		t.Error("an access token is good after the second use of its code")
	}
	p.refresh(next.Refresh).refused(t, "the refresh token", 400, "invalid_grant")
	if !w.good(refresh, before.Token) {
		t.Error("an access token that came of another code ended, too")
	}
	if answer := p.refresh(before.Refresh); answer.Status != http.StatusOK {
		t.Errorf("a refresh token that came of another code: %s", answer.Body)
	}
}

// TestRefresh: rotation and reuse (RFC 9700, section 4.14.2), scope (RFC 6749, section 6) and the
// ends of a family.
func TestRefresh(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.program(t, web)
	phone, laptop := p.tokens(refresh, "alice"), p.tokens(refresh, "alice")
	if phone.ExpiresIn != 60 {
		t.Errorf("the access token lives for %d s", phone.ExpiresIn)
	}
	w.program(t, other).refresh(phone.Refresh).refused(t, "another client's", 400, "invalid_grant")
	w.program(t, native).refresh(phone.Refresh).refused(t, "a public client's", 400, "invalid_grant")
	for name, form := range map[string]url.Values{
		"two":       {"grant_type": {"refresh_token"}, "refresh_token": {phone.Refresh, phone.Refresh}},
		"none":      {"grant_type": {"refresh_token"}},
		"short key": {"grant_type": {"refresh_token"}, "refresh_token": {""}},
	} {
		p.post(refresh, "token", form).refused(t, name, 400, "invalid_request")
	}
	for _, scope := range []string{"accounts:freeze", "rates:read accounts:freeze", "nonsense", `"`} {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {phone.Refresh}, "scope": {scope}}
		p.post(refresh, "token", form).refused(t, "the scope "+scope, 400, "invalid_scope")
	}
	narrowed := p.post(refresh, "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {phone.Refresh}, "scope": {"rates:read"}})
	if narrowed.Status != http.StatusOK || narrowed.Scope != "rates:read" {
		t.Fatalf("narrowed: %s", narrowed.Body)
	}
	whole := p.refresh(narrowed.Refresh)
	if whole.Scope != strings.Join(all, " ") || whole.Refresh == "" || whole.Refresh == narrowed.Refresh {
		t.Errorf("the family was narrowed: %s", whole.Body)
	}
	p.refresh(phone.Refresh).refused(t, "reuse", 400, "invalid_grant")
	p.refresh(whole.Refresh).refused(t, "the newest after a reuse", 400, "invalid_grant")
	if w.good(refresh, whole.Token) || w.good(refresh, narrowed.Token) {
		t.Error("an access token outlives its family")
	}
	if !w.good(refresh, laptop.Token) {
		t.Error("the other device's access token ended, too")
	}
	laptop = p.refresh(laptop.Refresh)
	if laptop.Status != http.StatusOK {
		t.Fatalf("the other device: %s", laptop.Body)
	}
	// An answer that got lost is asked for again with the same key.
	again := func(key string) said {
		r := p.request(refresh, "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {laptop.Refresh}})
		r.Header.Set("Idempotency-Key", key)
		return testenv.Must[said](t)(p.try(r))
	}
	again(`"short"`).refused(t, "a short key", 400, "invalid_request")
	const key = `"22-to-255-random-characters"`
	first, second := again(key), again(key)
	if first.Status != http.StatusOK || first.Refresh != second.Refresh {
		t.Errorf("asked for again: %s, then %s", first.Body, second.Body)
	}
	w.advance(25 * time.Hour)
	p.refresh(second.Refresh).refused(t, "not used for a day", 400, "invalid_grant")
	old := p.tokens(refresh, "bob")
	for range 32 {
		if old = p.refresh(old.Refresh); old.Status != http.StatusOK {
			t.Fatalf("in use: %s", old.Body)
		}
		w.advance(23 * time.Hour)
		if w.ahead.Load() > int64(25*time.Hour+29*24*time.Hour) {
			break
		}
	}
	w.advance(23 * time.Hour)
	p.refresh(old.Refresh).refused(t, "a family of 30 days", 400, "invalid_grant")
}

// TestGrantsOfStages: only those of the stage are there.
func TestGrantsOfStages(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.program(t, web)
	newest := p.tokens(refresh, "alice").Refresh
	p.post(code, "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {newest}}).refused(t, "refresh where there are codes alone", 400, "unsupported_grant_type")
	for _, stage := range []string{code, refresh} {
		for _, grant := range []string{
			"password", "client_credentials", "implicit", "Authorization_Code", "authorization_code ", "urn:ietf:params:oauth:grant-type:jwt-bearer",
			"urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange",
		} {
			form := url.Values{"grant_type": {grant}, "username": {"alice"}, "password": {password}, "refresh_token": {newest}}
			p.post(stage, "token", form).refused(t, grant+" at "+stage, 400, "unsupported_grant_type")
		}
	}
	b := w.browser(t)
	for _, path := range []string{
		"/" + implicit + "/token", "/" + implicit + "/introspect", "/password-grant/token", "/password-grant/authorize", "/app-id/authorize", "/tls/consents",
		"/.well-known/oauth-authorization-server/password-grant", "/.well-known/oauth-authorization-server", "/" + code + "/.well-known/oauth-authorization-server", "/nowhere/authorize",
	} {
		for _, answer := range []shown{b.get(path), b.post(path, url.Values{"client_id": {native}})} {
			if answer.StatusCode != http.StatusNotFound && answer.StatusCode != http.StatusMethodNotAllowed { // of a path that other stages have
				t.Errorf("%s %s: %s", answer.Request.Method, path, answer.Status)
			}
		}
	}
	for _, endpoint := range []string{"token", "revoke", "introspect"} {
		answer := b.get("/" + code + "/" + endpoint + "?grant_type=authorization_code")
		if answer.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(answer.Header.Get("Allow"), "POST") {
			t.Errorf("GET %s: %s, allows %q", endpoint, answer.Status, answer.Header.Get("Allow"))
		}
	}
}

// TestClientAuthentication by Basic, form-encoded, and by body (RFC 6749, section 2.3.1), at all
// endpoints of OAuth.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.program(t, web)
	basic := func(id, secret string) []string {
		return []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))}
	}
	raw := func(text string) []string {
		return []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(text))}
	}
	for _, test := range []struct {
		name   string
		fields []string   // Authorization
		body   url.Values // beside the token
		status int        // 200: accepted
		error  string
	}{
		{"Basic", basic(web, secrets[web]), nil, 200, ""},
		{"basic", []string{strings.Replace(basic(web, secrets[web])[0], "Basic", "bASIC", 1)}, nil, 200, ""},
		{"an odd secret", basic(odd, secrets[odd]), nil, 200, ""},
		{"an odd secret in the body", nil, url.Values{"client_id": {odd}, "client_secret": {secrets[odd]}}, 200, ""},
		{"an odd secret, not form-encoded", raw(odd + ":" + secrets[odd]), nil, 401, "invalid_client"},
		{"the body", nil, url.Values{"client_id": {web}, "client_secret": {secrets[web]}}, 200, ""},
		{"the ID in both", basic(web, secrets[web]), url.Values{"client_id": {web}}, 200, ""},
		{"a public client", nil, url.Values{"client_id": {native}}, 200, ""},
		{"a public client, with an empty secret", nil, url.Values{"client_id": {native}, "client_secret": {""}}, 200, ""},

		{"twice", basic(web, secrets[web]), url.Values{"client_id": {web}, "client_secret": {secrets[web]}}, 400, "invalid_request"},
		{"two clients", basic(web, secrets[web]), url.Values{"client_id": {other}}, 400, "invalid_request"},
		{"two fields", append(basic(web, secrets[web]), basic(web, secrets[web])...), nil, 401, "invalid_client"},
		{"two IDs", nil, url.Values{"client_id": {web, web}, "client_secret": {secrets[web]}}, 400, "invalid_request"},
		{"two secrets", nil, url.Values{"client_id": {web}, "client_secret": {secrets[web], secrets[web]}}, 400, "invalid_request"},
		{"nobody", nil, nil, 400, "invalid_request"},
		{"a wrong secret", basic(web, "wrong"), nil, 401, "invalid_client"},
		{"a wrong secret in the body", nil, url.Values{"client_id": {web}, "client_secret": {"wrong"}}, 401, "invalid_client"},
		{"no secret", nil, url.Values{"client_id": {web}}, 401, "invalid_client"},
		{"an empty secret", basic(web, ""), nil, 401, "invalid_client"},
		{"another's secret", basic(web, secrets[other]), nil, 401, "invalid_client"},
		{"an unknown client", basic("unknown", secrets[web]), nil, 401, "invalid_client"},
		{"an unknown client in the body", nil, url.Values{"client_id": {"unknown"}, "client_secret": {"x"}}, 401, "invalid_client"},
		{"a public client with a secret", nil, url.Values{"client_id": {native}, "client_secret": {"x"}}, 401, "invalid_client"},
		{"Bearer", []string{"Bearer x"}, url.Values{"client_id": {web}, "client_secret": {secrets[web]}}, 401, "invalid_client"},
		{"no base64", []string{"Basic !"}, nil, 401, "invalid_client"},
		{"no colon", raw("web"), nil, 401, "invalid_client"},
		{"a bad escape", raw("web:%zz"), nil, 401, "invalid_client"},
		{"an empty field", []string{""}, url.Values{"client_id": {web}, "client_secret": {secrets[web]}}, 401, "invalid_client"},
	} {
		for _, endpoint := range []string{"token", "revoke", "introspect"} {
			if endpoint == "introspect" && strings.HasPrefix(test.name, "a public client") {
				test.status, test.error = 401, "invalid_client" // RFC 7662, section 2.1
			}
			form := url.Values{"token": {"x"}, "grant_type": {"authorization_code"}, "code": {"x"}}
			for name, values := range test.body {
				form[name] = values
			}
			r := testenv.Must[*http.Request](t)(http.NewRequest(http.MethodPost, w.issuer(code)+"/"+endpoint, strings.NewReader(form.Encode())))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header["Authorization"] = test.fields
			answer := testenv.Must[said](t)(p.try(r))
			status, wanted := test.status, test.error
			if endpoint == "token" && status == 200 {
				status, wanted = 400, "invalid_grant" // the client is accepted, and the code is none
			}
			if answer.Status != status || answer.Error != wanted || (status == 401) != strings.HasPrefix(answer.Header.Get("WWW-Authenticate"), `Basic realm="`) {
				t.Errorf("%s at %s: %d %s, challenge %q", test.name, endpoint, answer.Status, answer.Body, answer.Header.Get("WWW-Authenticate"))
			}
		}
	}
	// The URL is no place for secrets, nor is JSON a form.
	for _, query := range []string{"client_secret=" + url.QueryEscape(secrets[web]), "code=x", "token=x", "refresh_token=x", "password=x"} {
		r := p.request(code, "token", redemption("x", webURI))
		r.URL.RawQuery = query
		testenv.Must[said](t)(p.try(r)).refused(t, query, 400, "invalid_request")
	}
	for _, media := range []string{"", "application/json", "multipart/form-data; boundary=x", "text/plain"} {
		r := p.request(code, "token", redemption("x", webURI))
		r.Header.Set("Content-Type", media)
		testenv.Must[said](t)(p.try(r)).refused(t, media, 400, "invalid_request")
	}
}

// TestSecretRotation: the old secret is accepted for the stage's overlap, and not longer.
func TestSecretRotation(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.program(t, web)
	try := func(secret string) int {
		r := p.request(code, "introspect", url.Values{"token": {"x"}})
		r.SetBasicAuth(web, url.QueryEscape(secret))
		return testenv.Must[said](t)(p.try(r)).Status
	}
	made, err := w.server.Clients().RotateSecret(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := try(secrets[web]), try(made.Secret); a != 200 || b != 200 {
		t.Errorf("in the overlap: %d and %d", a, b)
	}
	w.advance(time.Hour + time.Second)
	if a, b := try(secrets[web]), try(made.Secret); a != 401 || b != 200 {
		t.Errorf("after it: %d and %d", a, b)
	}
}
