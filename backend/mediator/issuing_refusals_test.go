package mediator_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pkce"
)

// change is a change of a form.
func change(name, value string) func(url.Values) {
	return func(form url.Values) {
		if value == "" {
			form.Del(name)
			return
		}
		form.Set(name, value)
	}
}

func TestPushRefusals(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.provider("one", nil)
	p := w.phone("d1")
	for name, tt := range map[string]struct {
		change func(url.Values)
		check  catalog.Check
		err    string
	}{
		"a reference":            {change("request_uri", "urn:ietf:params:oauth:request_uri:a"), catalog.CheckPushed, "invalid_request"},
		"a secret":               {change("client_secret", "a"), catalog.CheckForm, "invalid_request"},
		"no client":              {change("client_id", ""), catalog.CheckForm, "invalid_request"},
		"another client":         {change("client_id", other), catalog.CheckClient, "invalid_client"},
		"no response type":       {change("response_type", ""), catalog.CheckForm, "invalid_request"},
		"a token":                {change("response_type", "token"), catalog.CheckGrant, "invalid_request"},
		"no redirect URI":        {change("redirect_uri", ""), catalog.CheckForm, "invalid_request"},
		"below the redirect URI": {change("redirect_uri", redirectURI+"/a"), catalog.CheckRedirect, "invalid_request"},
		"another redirect URI":   {change("redirect_uri", "https://evil.example/"), catalog.CheckRedirect, "invalid_request"},
		"no challenge":           {change("code_challenge", ""), catalog.CheckPKCE, "invalid_request"},
		"no method":              {change("code_challenge_method", ""), catalog.CheckPKCE, "invalid_request"},
		"plain":                  {change("code_challenge_method", "plain"), catalog.CheckPKCE, "invalid_request"},
		"a long state":           {change("state", strings.Repeat("s", 5000)), catalog.CheckForm, "invalid_request"},
		"a scope of others":      {change("scope", "accounts:freeze"), catalog.CheckWanted, "invalid_scope"},
		"no provider":            {change("provider", "nobody"), catalog.CheckProvider, "invalid_request"},
		"a path as provider":     {change("provider", "../one"), catalog.CheckProvider, "invalid_request"},
		"twice":                  {func(form url.Values) { form.Add("state", "b") }, catalog.CheckForm, "invalid_request"},
	} {
		got := p.post("/par", p.request(tt.change))
		if got.status != http.StatusBadRequest || object(t, got.body)["error"] != tt.err || w.verdict() != tt.check {
			t.Errorf("%s: %d %s, by %q", name, got.status, got.body, w.verdict())
		}
	}
	r := w.request("/token", p.request(nil)) // with a client integrity token of another stage
	r.URL.Path = "/" + issuing + "/par"
	if got := w.do(r); got.status != http.StatusUnauthorized || w.verdict() != catalog.CheckIntegrity {
		t.Errorf("not attested: %d %s, by %q", got.status, got.body, w.verdict())
	}
}

// A reference is good once, and for its client alone; nothing beside it counts.
func TestAuthorizeRefusals(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.provider("one", nil)
	p := w.phone("d1")
	good := p.push(nil)
	uri := testenv.Must[*url.URL](t)(url.Parse(good)).Query().Get("request_uri")
	for name, tt := range map[string]struct {
		query url.Values
		check catalog.Check
	}{
		"nothing pushed":   {p.request(nil), catalog.CheckPushed},
		"unknown":          {url.Values{"client_id": {app}, "request_uri": {uri + "a"}}, catalog.CheckPushed},
		"another's":        {url.Values{"client_id": {other}, "request_uri": {uri}}, catalog.CheckPushed},
		"an unknown app":   {url.Values{"client_id": {"nobody"}, "request_uri": {uri}}, catalog.CheckClient},
		"two clients":      {url.Values{"client_id": {app, other}, "request_uri": {uri}}, catalog.CheckForm},
		"a URL to look at": {url.Values{"client_id": {app}, "request_uri": {"https://evil.example/"}}, catalog.CheckPushed},
	} {
		got := p.open(p.at("/authorize?") + tt.query.Encode())
		if got.status != http.StatusBadRequest || got.header.Get("Location") != "" || w.verdict() != tt.check {
			t.Errorf("%s: %d, by %q", name, got.status, w.verdict())
		}
		if got.header.Get("X-Frame-Options") != "DENY" || !strings.Contains(got.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: it can be framed: %v", name, got.header)
		}
	}
	got := p.open(good + "&" + url.Values{"redirect_uri": {"https://evil.example/"}, "scope": {"transfers:write"}}.Encode())
	if to := leads(t, got); !strings.HasPrefix(to, w.providerURL("one")) || strings.Contains(to, "transfers") {
		t.Errorf("it leads to %s", to)
	}
	if got := p.open(good); got.status != http.StatusBadRequest || w.verdict() != catalog.CheckPushed {
		t.Errorf("a second time: %d", got.status)
	}
}

func (w *world) providerURL(name string) string {
	w.Helper()
	return testenv.Must[manage.Provider](w)(manage.ProviderNamed(w.Context(), w.manage, name)).AuthorizationURL
}

// The user chooses on a page, and can go back and choose again; one who was not asked can't.
func TestChoice(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	one, two := w.provider("one", nil), w.provider("two", nil)
	p, stranger := w.phone("d1"), w.phone("d2")
	shown := p.open(p.push(nil))
	if shown.status != http.StatusOK || !strings.Contains(shown.body, "Sign in at one") || !strings.Contains(shown.body, "Sign in at two") {
		t.Fatalf("%d %s", shown.status, shown.body)
	}
	if got := stranger.choose(shown.body, "one"); got.status != http.StatusBadRequest || w.verdict() != catalog.CheckProvider {
		t.Errorf("another user agent chooses: %d, by %q", got.status, w.verdict())
	}
	if got := p.choose(shown.body, "nobody"); got.status != http.StatusBadRequest {
		t.Errorf("nobody was chosen: %d", got.status)
	}
	first := one.agree(leads(t, p.choose(shown.body, "one")), "alice")
	second := two.agree(leads(t, p.choose(shown.body, "two")), "alice")
	if got := p.open(first); got.status != http.StatusBadRequest || w.verdict() != catalog.CheckProvider {
		t.Errorf("the one that was chosen first: %d, by %q", got.status, w.verdict())
	}
	if code := p.back(p.open(second)).Get("code"); code == "" {
		t.Error("the one that was chosen last gives no code")
	}
}

// What is wrong with a provider's response, and where it leads then.
func TestCallbackRefusals(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	one, two := w.provider("one", nil), w.provider("two", nil)
	for name, tt := range map[string]struct {
		change func(u *url.URL, q url.Values)
		err    string // told the app; empty: nobody is sent anywhere
	}{
		"no state":                   {func(_ *url.URL, q url.Values) { q.Del("state") }, ""},
		"two states":                 {func(_ *url.URL, q url.Values) { q.Add("state", "a") }, ""},
		"another state":              {func(_ *url.URL, q url.Values) { q.Set("state", "a") }, ""},
		"at the other provider's":    {func(u *url.URL, _ url.Values) { u.Path = strings.Replace(u.Path, "/one", "/two", 1) }, "server_error"},
		"no iss":                     {func(_ *url.URL, q url.Values) { q.Del("iss") }, "server_error"},
		"iss of the other":           {func(_ *url.URL, q url.Values) { q.Set("iss", two.described.Issuer) }, "server_error"},
		"iss with a slash":           {func(_ *url.URL, q url.Values) { q.Set("iss", one.described.Issuer+"/") }, "server_error"},
		"two codes":                  {func(_ *url.URL, q url.Values) { q.Add("code", "a") }, "server_error"},
		"no code":                    {func(_ *url.URL, q url.Values) { q.Del("code") }, "server_error"},
		"an unknown code":            {func(_ *url.URL, q url.Values) { q.Set("code", "a") }, "server_error"},
		"denied":                     {func(_ *url.URL, q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, "access_denied"},
		"denied by another":          {func(_ *url.URL, q url.Values) { q.Del("code"); q.Del("iss"); q.Set("error", "access_denied") }, "server_error"},
		"an error that nobody knows": {func(_ *url.URL, q url.Values) { q.Set("error", "a&b=c\r\n") }, "server_error"},
	} {
		p := w.phone("d1")
		u := testenv.Must[*url.URL](t)(url.Parse(one.agree(p.toProvider(one), "alice")))
		q := u.Query()
		tt.change(u, q)
		u.RawQuery = q.Encode()
		got := p.open(u.String())
		if w.verdict() != catalog.CheckProvider {
			t.Errorf("%s: by %q", name, w.verdict())
		}
		if tt.err == "" {
			if got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
				t.Errorf("%s: %d, to %s", name, got.status, got.header.Get("Location"))
			}
			continue
		}
		if back := p.back(got); back.Get("error") != tt.err || back.Has("code") {
			t.Errorf("%s: %v", name, back)
		}
		if again := p.open(u.String()); again.status != http.StatusBadRequest {
			t.Errorf("%s, a second time: %d", name, again.status)
		}
	}
	if two.asked("/token") > 0 {
		t.Error("a code was sent to another provider")
	}
}

// A response belongs to the user agent in which the sign-in was begun, and waits for it.
func TestCallbackElsewhere(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	one := w.provider("one", nil)
	p, stranger := w.phone("d1"), w.phone("d2")
	came := one.agree(p.toProvider(one), "alice")
	stranger.toProvider(one) // it has a cookie of its own
	if got := stranger.open(came); got.status != http.StatusBadRequest || got.header.Get("Location") != "" || w.verdict() != catalog.CheckProvider {
		t.Errorf("in another user agent: %d, by %q", got.status, w.verdict())
	}
	if p.back(p.open(came)).Get("code") == "" {
		t.Error("the user agent that it is for has lost it")
	}
	if got := p.open(came); got.status != http.StatusBadRequest {
		t.Errorf("a second time: %d", got.status)
	}
}

// Somebody whom a provider knows and the bank does not gets nothing.
func TestStranger(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	one := w.provider("one", func(p *manage.Provider) { p.SameNames = false })
	p := w.phone("d1")
	if back := p.back(p.open(one.agree(p.toProvider(one), "alice"))); back.Get("error") != "access_denied" {
		t.Errorf("%v", back)
	}
}

// Code and family belong to the installation that pushed the request. Another one is refused, and
// what it had stays good; but where it shows a refresh token that was used, the family ends.
func TestDeviceOfFamily(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	one := w.provider("one", nil)
	p, thief := w.phone("d1"), w.phone("d2")
	code := p.back(p.open(one.agree(p.toProvider(one), "alice"))).Get("code")
	thief.verifier = p.verifier
	refused := func(what string, got said, by catalog.Check) {
		t.Helper()
		if got.status != http.StatusBadRequest || object(t, got.body)["error"] != "invalid_grant" || w.verdict() != by {
			t.Errorf("%s: %d %s, by %q", what, got.status, got.body, w.verdict())
		}
	}
	refused("the code", thief.redeem(code), catalog.CheckFamilyDevice)
	thief.verifier = pkce.NewVerifier()
	refused("the code with another verifier", thief.redeem(code), catalog.CheckPKCE)
	given := object(t, p.redeem(code).body)
	first, _ := given["refresh_token"].(string)
	refused("the refresh token", thief.refresh(first), catalog.CheckFamilyDevice)
	second, _ := object(t, p.refresh(first).body)["refresh_token"].(string)
	third, _ := object(t, p.refresh(second).body)["refresh_token"].(string)
	if third == "" {
		t.Error("the family has ended")
	}
	refused("one that was used", thief.refresh(second), catalog.CheckRefresh)
	refused("the newest, on the family's own device", p.refresh(third), catalog.CheckRefresh)
}

// Where the provider's access token has expired, it is asked; what it gives is kept, and when it has
// ended the sign-in so does the family.
func TestRenew(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	one := w.provider("one", nil)
	one.set(func() { one.lifetime = 1 })
	p := w.phone("d1")
	given := p.signIn(one, "alice")
	refresh := func() said {
		time.Sleep(1100 * time.Millisecond) // until the provider's token has expired
		return p.refresh(fmt.Sprint(given["refresh_token"]))
	}
	for range 2 {
		got := refresh()
		if got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		given = object(t, got.body)
	}
	if asked := one.asked("/token"); asked != 3 {
		t.Errorf("the provider was asked %d times", asked)
	}
	one.set(func() {
		one.fault = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	})
	if got := refresh(); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("without its provider: %d %s", got.status, got.body)
	}
	one.set(func() { one.fault, one.tokens = nil, map[string]string{} })
	got := refresh()
	if got.status != http.StatusBadRequest || object(t, got.body)["error"] != "invalid_grant" || w.verdict() != catalog.CheckProvider {
		t.Errorf("the provider has ended it: %d %s, by %q", got.status, got.body, w.verdict())
	}
	if got := p.refresh(fmt.Sprint(given["refresh_token"])); w.verdict() != catalog.CheckRefresh {
		t.Errorf("the family lives: %d %s, by %q", got.status, got.body, w.verdict())
	}
}

// Sessions are listed and ended by the admin; what the provider gave is given back to it.
func TestEndSession(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	one := w.provider("one", nil)
	p := w.phone("d1")
	given := p.signIn(one, "alice")
	kept := p.signIn(one, "alice")
	list := testenv.Must[manage.MediatorSessionList](t)(manage.MediatorSessions(t.Context(), w.manage, manage.MediatorSessionQuery{MediatorSessionFilter: manage.MediatorSessionFilter{User: "alice", State: "good"}, Part: manage.Part{Sort: "begun"}}))
	if list.Total != 2 || list.Sessions[0].Device != "d1" || list.Sessions[0].Provider != "one" {
		t.Fatalf("%+v", list)
	}
	ended := testenv.Must[manage.Changed](t)(manage.EndMediatorSessions(t.Context(), w.manage, manage.MediatorSessionSelection{IDs: []string{list.Sessions[0].ID}}))
	if ended.Changed != 1 {
		t.Errorf("%+v", ended)
	}
	if got := p.refresh(fmt.Sprint(given["refresh_token"])); got.status != http.StatusBadRequest {
		t.Errorf("its family lives: %d %s", got.status, got.body)
	}
	if got := p.refresh(fmt.Sprint(kept["refresh_token"])); got.status != http.StatusOK {
		t.Errorf("another family has ended: %d %s", got.status, got.body)
	}
	list = testenv.Must[manage.MediatorSessionList](t)(manage.MediatorSessions(t.Context(), w.manage, manage.MediatorSessionQuery{Part: manage.Part{Sort: "begun"}}))
	if over := list.Sessions[0]; over.EndedAt == nil || over.Family == nil || over.Family.RevokedAt == nil || over.Family.Number != 1 || over.Family.Origin != over.ID {
		t.Errorf("the one that was ended: %+v, with the family %+v", over, over.Family)
	}
	if goes := list.Sessions[1]; goes.EndedAt != nil || goes.Family == nil || goes.Family.RevokedAt != nil || goes.Family.Number != 2 || len(goes.Family.Generations) != 2 || goes.Family.Device != "d1" {
		t.Errorf("the one that goes on: %+v, with the family %+v", goes, goes.Family)
	}
	testenv.Within(t, 10*time.Second, "the provider has its tokens back", func() bool { return one.asked("/revoke") == 2 })
	if _, err := manage.EndMediatorSessions(t.Context(), w.manage, manage.MediatorSessionSelection{}); err == nil {
		t.Error("nothing in particular was ended")
	}
}
