package mediator_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyladder/backend/guard"
	"keyladder/backend/mediator"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
)

// TestRefusals: whatever is wrong, the authorization server is not asked, and the answer is an
// error of OAuth.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	type change = func(*token.Key, *integrity.Claims)
	attested := func(c change) func(*http.Request) {
		return func(r *http.Request) { integrity.Set(r.Header, w.attested(c)) }
	}
	form := func(change func(url.Values)) func(*http.Request) {
		return func(r *http.Request) {
			values := redemption()
			change(values)
			*r = *w.request("/token", values)
		}
	}
	for _, test := range []struct {
		name   string
		spoil  func(*http.Request)
		status int
		error  string
		check  catalog.Check
	}{
		{"no integrity token", func(r *http.Request) { r.Header.Del(integrity.Field) }, 401, "invalid_client", catalog.CheckIntegrity},
		{"an invented one", func(r *http.Request) { integrity.Set(r.Header, "x.y.z") }, 401, "invalid_client", catalog.CheckIntegrity},
		{"two", func(r *http.Request) { r.Header.Add(integrity.Field, w.attested(nil)) }, 400, "invalid_request", catalog.CheckIntegrity},
		{"a failing one", func(r *http.Request) {
			integrity.Set(r.Header, testenv.Must[string](t)(integrity.Fail(app+"-servers", integrity.Claims{
				Issuer: "https://localhost:8445/" + stage, ClientID: app, Audience: []string{w.base + "/" + stage},
				Issued: time.Now(), Expires: time.Now().Add(time.Minute), ID: "one", Release: 3, Level: "package-challenge",
			})))
		}, 401, "invalid_client", catalog.CheckIntegrity},
		{"expired", attested(func(_ *token.Key, c *integrity.Claims) { c.Expires = c.Issued }), 401, "invalid_client", catalog.CheckIntegrity},
		{"from the future", attested(func(_ *token.Key, c *integrity.Claims) { c.Issued = c.Issued.Add(10 * time.Second) }), 401, "invalid_client", catalog.CheckIntegrity},
		{"for the API alone", attested(func(_ *token.Key, c *integrity.Claims) { c.Audience = c.Audience[:1] }), 401, "invalid_client", catalog.CheckIntegrity},
		{"of another stage", attested(func(_ *token.Key, c *integrity.Claims) { c.Issuer = "https://localhost:8445/attested-challenge" }), 401, "invalid_client", catalog.CheckIntegrity},
		{"signed with the app's own secret", attested(func(k *token.Key, _ *integrity.Claims) { *k = token.Key{ID: app, Secret: token.Secret(secrets[app])} }), 401, "invalid_client", catalog.CheckIntegrity},
		{"signed with another client's key", attested(func(k *token.Key, _ *integrity.Claims) {
			*k = token.Key{ID: other + "-servers", Secret: token.Secret(secrets[other+"-servers"])}
		}), 401, "invalid_client", catalog.CheckIntegrity},
		{"an access token in its place", func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+r.Header.Get(integrity.Field))
			r.Header.Del(integrity.Field)
		}, 401, "invalid_client", catalog.CheckIntegrity},

		{"Basic authentication", func(r *http.Request) { r.SetBasicAuth(app, secrets[app]) }, 400, "invalid_request", catalog.CheckForm},
		{"an empty Authorization field", func(r *http.Request) { r.Header["Authorization"] = []string{""} }, 400, "invalid_request", catalog.CheckForm},
		{"a secret in the body", form(func(f url.Values) { f.Set("client_secret", secrets[app]) }), 400, "invalid_request", catalog.CheckForm},
		{"an assertion in the body", form(func(f url.Values) { f.Set("client_assertion", "x.y.z") }), 400, "invalid_request", catalog.CheckForm},
		{"another client", form(func(f url.Values) { f.Set("client_id", other) }), 400, "invalid_client", catalog.CheckClient},
		{"the servers' key as client", form(func(f url.Values) { f.Set("client_id", app+"-servers") }), 400, "invalid_client", catalog.CheckClient},
		{"two clients", form(func(f url.Values) { f["client_id"] = []string{app, other} }), 400, "invalid_request", catalog.CheckForm},
		{"two codes", form(func(f url.Values) { f.Add("code", "c2") }), 400, "invalid_request", catalog.CheckForm},
		{"no grant", form(func(f url.Values) { f.Del("grant_type") }), 400, "invalid_request", catalog.CheckForm},
		{"a grant that is not passed on", form(func(f url.Values) { f.Set("grant_type", "client_credentials") }), 400, "unsupported_grant_type", catalog.CheckGrant},
		{"no form", func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 400, "invalid_request", catalog.CheckForm},
		{"a code in the URL", func(r *http.Request) { r.URL.RawQuery = "code=c1" }, 400, "invalid_request", catalog.CheckForm},
		{"revocation of nothing", func(r *http.Request) { *r = *w.request("/revoke", url.Values{"token_type_hint": {"refresh_token"}}) }, 400, "invalid_request", catalog.CheckForm},
		{"too long", form(func(f url.Values) { f.Set("x", strings.Repeat("x", 64<<10)) }), 413, "invalid_request", catalog.CheckBody},
	} {
		r := w.request("/token", redemption())
		test.spoil(r)
		got := w.do(r)
		var e struct{ Error string }
		if err := json.Unmarshal([]byte(got.body), &e); err != nil || got.status != test.status || e.Error != test.error {
			t.Errorf("%s: %d %s, want %d %s", test.name, got.status, got.body, test.status, test.error)
		}
		if got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Pragma") != "no-cache" {
			t.Errorf("%s: %v", test.name, got.header)
		}
		if check := w.verdict(); check != test.check {
			t.Errorf("%s: refused by %q, want %s", test.name, check, test.check)
		}
		if n := w.count(); n != 0 {
			t.Fatalf("%s: the authorization server was asked", test.name)
		}
		for _, secret := range secrets {
			if strings.Contains(got.body, secret) {
				t.Errorf("%s: a secret in %s", test.name, got.body)
			}
		}
	}
	if logged := w.errors.String(); logged != "" {
		t.Errorf("logged: %s", logged)
	}
}

// TestUnattestedLearnsNothing: without a good client integrity token the answer is the same whatever
// is in the form.
func TestUnattestedLearnsNothing(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	var first said
	for i, form := range []url.Values{
		redemption(),
		{},
		{"grant_type": {"nonsense"}},
		{"code": {"c1", "c2"}},
		{"client_secret": {"x"}, "client_id": {other}},
		{"grant_type": {"refresh_token"}, "refresh_token": {"r1"}},
	} {
		r := w.request("/token", form)
		r.Header.Del(integrity.Field)
		got := w.do(r)
		if i == 0 {
			first = got
		}
		if got.status != http.StatusUnauthorized || got.body != first.body || got.header.Get("WWW-Authenticate") != integrity.Field {
			t.Errorf("%v: %d %s %v", form, got.status, got.body, got.header)
		}
	}
	if w.count() != 0 {
		t.Error("the authorization server was asked")
	}
}

// TestWhereItIs: at stages whose apps get their tokens elsewhere there is nothing, nor at what is none.
func TestWhereItIs(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	for path, status := range map[string]int{
		"/refresh/token": 404, "/app-id/token": 404, "/nowhere/token": 404, "/" + stage + "/introspect": 404, "/" + stage + "/par": 404,
		"/" + stage + "/token/": 404, "/token": 404,
	} {
		r := w.request("/token", redemption())
		r.URL.Path = path
		if got := w.do(r); got.status != status {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	r := w.request("/token", redemption())
	r.Method = http.MethodPut
	if got := w.do(r); got.status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: %d", got.status)
	}
	if w.count() != 0 {
		t.Error("the authorization server was asked")
	}
}

// TestLimits: each installation has its own, of each app; an address has one for all.
func TestLimits(t *testing.T) {
	t.Parallel()
	few := guard.Limit{PerSecond: 0.001, Burst: 2}
	w := start(t, func(c *mediator.Config) { c.Device = few })
	from := func(client, device string) said {
		r := w.request("/token", redemption())
		integrity.Set(r.Header, w.attested(func(k *token.Key, c *integrity.Claims) {
			*k = token.Key{ID: client + "-servers", Secret: token.Secret(secrets[client+"-servers"])}
			c.ClientID, c.Device = client, device
		}))
		return w.do(r)
	}
	for _, who := range [][2]string{{app, "d1"}, {app, "d2"}, {app, ""}, {other, "d1"}} {
		for range few.Burst {
			if got := from(who[0], who[1]); got.status != http.StatusOK {
				t.Errorf("%v: %d %s", who, got.status, got.body)
			}
		}
	}
	before := w.count()
	got := from(app, "d1")
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") != "1000" || !strings.Contains(got.body, `"temporarily_unavailable"`) || w.verdict() != catalog.CheckDeviceLimit {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if w.count() != before {
		t.Error("the authorization server was asked")
	}
	r := w.request("/revoke", url.Values{"token": {"r1"}})
	if got := w.do(r); got.status != http.StatusTooManyRequests {
		t.Errorf("revocation: %d", got.status)
	}

	w = start(t, func(c *mediator.Config) { c.Address = few })
	for i := range few.Burst + 1 {
		r := w.request("/token", redemption())
		if i > 0 {
			r.Header.Del(integrity.Field) // refusals count as well
		}
		got = w.do(r)
	}
	if got.status != http.StatusTooManyRequests || w.verdict() != catalog.CheckAddressLimit {
		t.Errorf("an address: %d %s", got.status, got.body)
	}
}

// TestLimitsAreLimits: a mediator without one does not start.
func TestLimitsAreLimits(t *testing.T) {
	t.Parallel()
	for _, limit := range []guard.Limit{{}, {PerSecond: 1}, {Burst: 1}, {PerSecond: -1, Burst: 1}} {
		if _, err := mediator.NewDeviceLimits(limit); err == nil {
			t.Errorf("%+v is a limit", limit)
		}
	}
}
