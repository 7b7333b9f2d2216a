package authserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/internal/testenv"
)

// TestFields: no answer may be framed, kept or read by other sites, and no address leaks through
// Referer (RFC 9700, sections 4.2.4, 4.16 and 2.6).
func TestFields(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser(t)
	page := b.authorize(code, ask(code, web))
	consent := b.signIn(page, "alice")
	answers := map[string]shown{
		"sign-in": page, "to the consent": consent, "consent": b.follow(consent), "problem": b.get("/" + code + "/authorize"),
		"back": b.press(b.authorize(code, ask(code, web)), "decision", "deny"), "metadata": b.get("/.well-known/oauth-authorization-server/" + code),
		"nothing": b.get("/nowhere"), "token": b.post("/"+code+"/token", url.Values{}),
	}
	preflight := testenv.Must[*http.Request](t)(http.NewRequest(http.MethodOptions, w.issuer(code)+"/authorize", nil))
	preflight.Header.Set("Origin", "https://evil.example")
	preflight.Header.Set("Access-Control-Request-Method", "GET")
	answers["preflight"] = b.do(preflight)
	foreign := testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, w.issuer(code)+"/authorize?"+ask(code, web).Encode(), nil))
	foreign.Header.Set("Origin", "https://evil.example")
	answers["asked by a script"] = b.do(foreign)
	for name, answer := range answers {
		h := answer.Header
		if h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
			!strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s can be framed: %v", name, h)
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", name, h)
		}
		for field := range h {
			if strings.HasPrefix(field, "Access-Control-") {
				t.Errorf("%s: %s: %s", name, field, h.Get(field))
			}
		}
	}
	cookie := page.Header.Get("Set-Cookie")
	for _, attribute := range []string{"__Host-", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(cookie, attribute) {
			t.Errorf("the cookie lacks %s: %s", attribute, cookie)
		}
	}
	if strings.Contains(cookie, "Domain=") {
		t.Errorf("the cookie: %s", cookie)
	}
}

// TestFormsOfOthers: what another site has a browser send, and what another browser began, is
// refused, and nothing came of it.
func TestFormsOfOthers(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser(t)
	refused := func(what string, answer shown) {
		t.Helper()
		if answer.StatusCode != http.StatusBadRequest || answer.Header.Get("Location") != "" {
			t.Errorf("%s: %s, leads to %q", what, answer.Status, answer.Header.Get("Location"))
		}
	}
	page := b.authorize(code, ask(code, web))
	path, values := page.form(t)
	values.Set("username", "alice")
	values.Set("password", password)
	for name, fields := range map[string][2]string{
		"cross-site": {"Sec-Fetch-Site", "cross-site"}, "same-site": {"Sec-Fetch-Site", "same-site"}, "another origin": {"Origin", "https://evil.example"}, "no origin": {"Origin", "null"},
	} {
		r := b.posted(path, values)
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set(fields[0], fields[1])
		refused(name, b.do(r))
	}
	refused("another browser", w.browser(t).post(path, values))
	withCookie := w.browser(t)
	withCookie.authorize(code, ask(code, web))
	refused("another browser, with a cookie of its own", withCookie.post(path, values))
	refused("at another stage", b.post("/"+refresh+"/sign-in", values))
	refused("an invented sign-in", b.post(path, url.Values{"interaction": {"invented"}, "username": {"alice"}, "password": {password}}))
	refused("none", b.post(path, url.Values{"username": {"alice"}, "password": {password}}))
	refused("a field twice", b.post(path, url.Values{"interaction": values["interaction"], "username": {"alice", "bob"}, "password": {password}}))
	refused("the consent before anybody signed in", b.post("/"+code+"/consent", url.Values{"interaction": values["interaction"], "decision": {"allow"}}))
	refused("the page of consent before that", b.get("/"+code+"/consent?interaction="+values.Get("interaction")))
	consent := b.follow(b.post(path, values))
	path, values = consent.form(t)
	values.Set("decision", "allow")
	refused("the consent in another browser", w.browser(t).post(path, values))
	cross := b.posted(path, values)
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	refused("the consent, sent by another site", b.do(cross))
	if answer := b.post(path, values).answer(t); answer.Get("code") == "" {
		t.Errorf("after all that: %v", answer)
	}
	page = b.authorize(code, ask(code, web))
	w.advance(11 * time.Minute)
	refused("after 11 minutes", b.signIn(page, "alice"))
}

// TestFormSentTwice: of many who send a form at once, one gets an answer that leads back.
func TestFormSentTwice(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser(t)
	together := func(what, path string, values url.Values) {
		t.Helper()
		var mu sync.Mutex
		var wg sync.WaitGroup
		statuses := map[int]int{}
		for range 20 {
			wg.Go(func() {
				response, err := b.http.Do(b.posted(path, values))
				if err != nil {
					t.Error(err)
					return
				}
				response.Body.Close()
				mu.Lock()
				defer mu.Unlock()
				statuses[response.StatusCode]++
			})
		}
		wg.Wait()
		// The server makes few hashes of passwords at once; others are asked to wait, with 429.
		if statuses[http.StatusSeeOther] != 1 || statuses[http.StatusBadRequest]+statuses[http.StatusTooManyRequests] != 19 {
			t.Errorf("%s: %v", what, statuses)
		}
	}
	path, values := b.follow(b.signIn(b.authorize(code, ask(code, web)), "alice")).form(t)
	values.Set("decision", "allow")
	together("consent", path, values)
	path, values = b.authorize(code, ask(code, web)).form(t)
	values.Set("username", "alice")
	values.Set("password", password)
	together("sign-in, where consent is remembered", path, values)
	path, values = b.authorize(code, ask(code, web)).form(t)
	values.Set("decision", "deny")
	together("cancelled", path, values)
}

// TestDenied: the client is told, and gets nothing.
func TestDenied(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser(t)
	for _, stage := range []string{implicit, code} {
		for what, page := range map[string]shown{
			"sign-in": b.authorize(stage, ask(stage, web)), "consent": b.follow(b.signIn(b.authorize(stage, ask(stage, web)), "alice")),
		} {
			for _, decision := range []string{"deny", "", "Allow"} {
				if what == "sign-in" && decision != "deny" {
					continue
				}
				answer := b.press(page, "decision", decision)
				if decision != "deny" { // the one before has ended it
					continue
				}
				if got := answer.answer(t); got.Get("error") != "access_denied" || got.Get("iss") != w.issuer(stage) || got.Has("code") || got.Has("access_token") {
					t.Errorf("%s at %s: %v", what, stage, got)
				}
				if again := b.press(page, "decision", "allow"); again.StatusCode != http.StatusBadRequest {
					t.Errorf("%s at %s, allowed after it was denied: %s", what, stage, again.Status)
				}
			}
		}
		// What is no "allow" is none.
		page := b.follow(b.signIn(b.authorize(stage, ask(stage, web)), "alice"))
		if got := b.press(page, "decision", "Allow").answer(t); got.Get("error") != "access_denied" {
			t.Errorf("in capitals: %v", got)
		}
	}
}

// TestThrottledSignIn: after some wrong passwords from one address the right one is not looked at
// for a while, and nobody is told whether a name is known.
func TestThrottledSignIn(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser(t)
	page := b.authorize(code, ask(code, web))
	unknown := b.press(page, "username", "nobody", "password", "wrong").body
	var last shown
	for range 10 {
		last = b.press(page, "username", "alice", "password", "wrong")
		if last.StatusCode == http.StatusSeeOther {
			t.Fatal("a wrong password is good")
		}
	}
	if !strings.Contains(last.body, "There were too many attempts.") {
		t.Errorf("10 wrong passwords: %s", last.body)
	}
	first := w.browser(t)
	if wrong := first.press(first.authorize(code, ask(code, web)), "username", "bob", "password", "wrong").body; strings.Contains(unknown, "belong together") != strings.Contains(wrong, "belong together") {
		t.Error("it says whether a name is known")
	}
	if right := b.signIn(page, "alice"); right.StatusCode == http.StatusSeeOther {
		t.Error("the right password is let through while it is throttled")
	}
	w.advance(2 * time.Hour)
	if right := b.signIn(b.authorize(code, ask(code, web)), "alice"); right.StatusCode != http.StatusSeeOther {
		t.Errorf("two hours later: %s", right.Status)
	}
}

// TestConsentIsRemembered, for this client and this scope. Withdrawn by its user, it is asked for
// anew, and everything that came of it ends, and nothing else.
func TestConsentIsRemembered(t *testing.T) {
	t.Parallel()
	w := start(t)
	b := w.browser(t)
	narrow := ask(refresh, web)
	narrow.Set("scope", "rates:read")
	asked := func(user string, query url.Values) bool {
		to := b.signIn(b.authorize(refresh, query), user).Header.Get("Location")
		return strings.HasPrefix(to, "/"+refresh+"/consent?")
	}
	b.allow(refresh, "alice", narrow).answer(t)
	for _, test := range []struct {
		name, user string
		query      url.Values
		asked      bool
	}{
		{"the same", "alice", narrow, false},
		{"more", "alice", ask(refresh, web), true},
		{"another user", "bob", narrow, true},
		{"another client", "alice", ask(refresh, native), true},
	} {
		if got := asked(test.user, test.query); got != test.asked {
			t.Errorf("%s: asked %v", test.name, got)
		}
	}
	mine, others := w.program(t, web).tokens(refresh, "alice"), w.program(t, native).tokens(refresh, "alice")
	bobs, elsewhere := w.program(t, web).tokens(refresh, "bob"), w.program(t, web).tokens(code, "alice")
	unused := w.code(t, refresh, "alice", web)
	if asked("alice", ask(refresh, web)) {
		t.Error("more was allowed, and is asked for again")
	}
	page := b.follow(b.signIn(b.get("/"+refresh+"/consents"), "alice"))
	var withdrawn shown
	for _, id := range consentID.FindAllStringSubmatch(page.body, -1) {
		if w.clientOf(t, id[1]) == web {
			withdrawn = b.press(page, "consent", id[1])
		}
	}
	if !strings.Contains(withdrawn.body, "A web server") {
		t.Errorf("the page does not say whose it was: %s", withdrawn.body)
	}
	if !asked("alice", narrow) {
		t.Error("withdrawn, and not asked for anew")
	}
	if w.good(refresh, mine.Token) {
		t.Error("the access token outlives the consent")
	}
	w.program(t, web).refresh(mine.Refresh).refused(t, "its refresh token", 400, "invalid_grant")
	w.program(t, web).redeem(refresh, unused).refused(t, "a code that was not used", 400, "invalid_grant")
	for name, token := range map[string]string{"another client's": others.Token, "another user's": bobs.Token} {
		if !w.good(refresh, token) {
			t.Errorf("%s token ended, too", name)
		}
	}
	if !w.good(code, elsewhere.Token) {
		t.Error("another stage's token ended, too")
	}
	if got := w.program(t, native).refresh(others.Refresh); got.Status != http.StatusOK {
		t.Errorf("another client's refresh token: %s", got.Body)
	}
	// Nobody withdraws what is another's.
	before := testenv.Must[manage.ConsentList](t)(w.server.Consents().Query(t.Context(), manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{User: "bob"}}))
	page = b.follow(b.signIn(b.get("/"+refresh+"/consents"), "alice"))
	path, values := page.form(t)
	values.Set("consent", before.Consents[0].ID)
	b.post(path, values)
	if after := testenv.Must[manage.ConsentList](t)(w.server.Consents().Query(t.Context(), manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{User: "bob"}})); after.Total != before.Total {
		t.Errorf("alice withdraws bob's: %d, then %d", before.Total, after.Total)
	}
	// And after signing out the page is closed.
	signOut := url.Values{"interaction": values["interaction"]}
	b.post("/"+refresh+"/consents/sign-out", signOut)
	if again := b.post(path, values); again.StatusCode != http.StatusBadRequest {
		t.Errorf("after signing out: %s", again.Status)
	}
}

// clientOf is whom a consent is for.
func (w *world) clientOf(t *testing.T, id string) string {
	t.Helper()
	list := testenv.Must[manage.ConsentList](t)(w.server.Consents().Query(t.Context(), manage.ConsentQuery{}))
	for _, consent := range list.Consents {
		if consent.ID == id {
			return consent.Client
		}
	}
	t.Fatalf("there is no consent %s", id)
	return ""
}

// TestConsentWithdrawnBeforeTheCodeIsRedeemed: a code is worth what its user still allows.
func TestConsentWithdrawnBeforeTheCodeIsRedeemed(t *testing.T) {
	t.Parallel()
	w := start(t)
	text := w.code(t, code, "bob", web)
	if _, err := w.server.Consents().WithdrawSelected(t.Context(), manage.ConsentSelection{All: true}); err != nil {
		t.Fatal(err)
	}
	w.program(t, web).redeem(code, text).refused(t, "a code without a consent", 400, "invalid_grant")
}
