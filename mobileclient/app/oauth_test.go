package main

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

// TestSignInOnAPage signs in on the page, uses what it brings, and signs out.
func TestSignInOnAPage(t *testing.T) {
	t.Parallel()
	for _, grant := range []catalog.Grants{catalog.ImplicitGrant, catalog.CodeGrant, catalog.CodeAndRefresh} {
		t.Run(string(grant), func(t *testing.T) {
			t.Parallel()
			b, issuer := issuing(t, grant)
			app := b.launch(t, tokenStage)
			if home := shown(t)(app.Home(t.Context())); !home.OK || home.SignIn != device.InPage || home.SignedIn {
				t.Errorf("at first: %+v", home)
			}
			if screen := b.enter(t, app, "alice"); !screen.OK || !screen.SignedIn || screen.User != "alice" {
				t.Fatalf("%+v", screen)
			}
			if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK {
				t.Errorf("%+v", screen)
			}
			_, access, err := token.Shown(b.last(t).Header)
			if err != nil {
				t.Fatal(err)
			}
			exchanges := issuer.asked("authorization_code")
			if (len(exchanges) == 1) != (grant != catalog.ImplicitGrant) {
				t.Fatalf("%d exchanges", len(exchanges))
			}
			for _, form := range exchanges {
				r := &http.Request{Header: http.Header{"Authorization": form["Authorization"]}}
				id, secret, _ := r.BasicAuth()
				if id != clientID || secret != url.QueryEscape(clientSecret) || form.Has("client_id") || form.Has("client_secret") ||
					form.Get("redirect_uri") != appName+":/callback" || form.Get("User-Agent") != "HarbourBank/2.0" {
					t.Errorf("exchanged with %v", form)
				}
			}

			stored, err := b.device.Backup(appName)
			if err != nil {
				t.Fatal(err)
			}
			refresh := ""
			if grant == catalog.CodeAndRefresh {
				refresh = issuer.newest()[0]
			}
			item := stored["session."+tokenStage]
			if bytes.Contains(item, []byte(access)) || (item != nil) != (refresh != "") || !bytes.Contains(item, []byte(refresh)) {
				t.Errorf("stored: %s", item)
			}

			if screen := shown(t)(app.SignOut(t.Context())); !screen.OK || screen.SignedIn {
				t.Errorf("sign out: %+v", screen)
			}
			want := url.Values{"token": {access}, "client_id": {clientID}}
			if grant != catalog.ImplicitGrant {
				want.Del("client_id")
			}
			if refresh != "" {
				want = url.Values{"token": {refresh}, "token_type_hint": {"refresh_token"}}
			}
			if len(issuer.revoked) != 1 {
				t.Fatalf("revoked: %v", issuer.revoked)
			}
			authenticated := issuer.revoked[0].Get("Authorization") != ""
			issuer.revoked[0].Del("Authorization")
			if issuer.revoked[0].Encode() != want.Encode() || authenticated != (grant != catalog.ImplicitGrant) {
				t.Errorf("revoked with %v, authenticated: %v", issuer.revoked[0], authenticated)
			}
			if stored, err := b.device.Backup(appName); err != nil || stored["session."+tokenStage] != nil {
				t.Errorf("still stored: %s, %v", stored, err)
			}
		})
	}
}

// TestWhatIsOnRecord looks at what the class is shown of a sign-in on a page, and at what the
// app's log says.
func TestWhatIsOnRecord(t *testing.T) {
	t.Parallel()
	b, issuer := issuing(t, catalog.CodeAndRefresh)
	app := b.launch(t, tokenStage)
	if screen := b.enter(t, app, "alice"); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	sent, got := false, false
	for _, m := range b.log.After(0) {
		if m.Lane != traffic.App {
			continue
		}
		if bytes.Contains(m.Body, []byte("grant_type=authorization_code")) {
			sent = m.To == "auth" && strings.Contains(m.Head, "Authorization: Basic ")
		}
		if bytes.Contains(m.Body, []byte(issuer.newest()[0])) {
			got = m.From == "auth"
		}
		if m.Kind == traffic.Note && (strings.Contains(m.Summary, "code=") || strings.Contains(m.Summary, "state=")) {
			t.Errorf("a note: %s", m.Summary)
		}
	}
	if !sent || !got {
		t.Errorf("the request is on record: %v, the answer: %v", sent, got)
	}
	logged, err := b.device.Log(appName)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(logged), "POST /"+tokenStage+"/token: 200 OK\n") {
		t.Errorf("the log: %s", logged)
	}
	for _, secret := range []string{"code", "state", "Basic", issuer.newest()[0]} {
		if strings.Contains(string(logged), secret) {
			t.Errorf("%q is in the log: %s", secret, logged)
		}
	}
}

// TestRedirectsThatAreRefused sends the app links that are no answer to its request, and says
// whether it still waits for that.
func TestRedirectsThatAreRefused(t *testing.T) {
	t.Parallel()
	const code, implicit = catalog.CodeGrant, catalog.ImplicitGrant
	for _, test := range []struct {
		name  string
		grant catalog.Grants
		link  func(good url.Values, iss string) string
		over  bool // the request
	}{
		{"another state", code, func(v url.Values, _ string) string { v.Set("state", "another"); return "?" + v.Encode() }, false},
		{"no state", code, func(v url.Values, _ string) string { v.Del("state"); return "?" + v.Encode() }, false},
		{"an empty state", code, func(v url.Values, _ string) string { v.Set("state", ""); return "?" + v.Encode() }, false},
		{"two states", code, func(v url.Values, _ string) string { v.Add("state", "another"); return "?" + v.Encode() }, false},
		{"a code in the fragment", code, func(v url.Values, _ string) string { return "#" + v.Encode() }, false},
		{"a token in the query", implicit, func(v url.Values, _ string) string { return "?" + v.Encode() }, false},
		{"parameters that can't be read", code, func(v url.Values, _ string) string { return "?" + v.Encode() + "&x=%zz" }, true},
		{"another redirect URI", code, func(v url.Values, _ string) string { return "/more?" + v.Encode() }, false},
		{"another issuer", code, func(v url.Values, iss string) string { v.Set("iss", iss+"x"); return "?" + v.Encode() }, true},
		{"the issuer with a slash", code, func(v url.Values, iss string) string { v.Set("iss", iss+"/"); return "?" + v.Encode() }, true},
		{"no issuer", code, func(v url.Values, _ string) string { v.Del("iss"); return "?" + v.Encode() }, true},
		{"another issuer's error", code, func(v url.Values, _ string) string {
			return "?" + url.Values{"error": {"access_denied"}, "state": v["state"]}.Encode()
		}, true},
		{"two codes", code, func(v url.Values, _ string) string { v.Add("code", "another"); return "?" + v.Encode() }, true},
		{"no code", code, func(v url.Values, _ string) string { v.Del("code"); return "?" + v.Encode() }, true},
		{"no token", implicit, func(v url.Values, _ string) string { v.Del("access_token"); return "#" + v.Encode() }, true},
		{"a token without end", implicit, func(v url.Values, _ string) string { v.Del("expires_in"); return "#" + v.Encode() }, true},
		{"a token of another type", implicit, func(v url.Values, _ string) string { v.Set("token_type", "DPoP"); return "#" + v.Encode() }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, issuer := issuing(t, test.grant)
			app := b.launch(t, tokenStage)
			good := b.responseHeldBack(t, issuer, app)
			if _, err := b.device.HandOver(t.Context(), appName+":/callback"+test.link(clone(good), issuer.url()), tokenStage); err != nil {
				t.Fatal(err)
			}
			home := shown(t)(app.Home(t.Context()))
			if home.OK || home.SignedIn || home.Check != catalog.CheckResponse || len(issuer.asked("authorization_code")) != 0 {
				t.Errorf("%+v", home)
			}
			if !slices.ContainsFunc(b.log.After(0), func(m traffic.Message) bool { return m.Verdict != nil && m.Verdict.Check == catalog.CheckResponse }) {
				t.Error("the refusal is not on record")
			}
			kind := map[catalog.Grants]string{code: "?", implicit: "#"}[test.grant]
			if _, err := b.device.HandOver(t.Context(), appName+":/callback"+kind+good.Encode(), tokenStage); err != nil {
				t.Fatal(err)
			}
			if home := shown(t)(app.Home(t.Context())); home.SignedIn == test.over {
				t.Errorf("the good response afterwards: %+v", home)
			}
		})
	}
}

// responseHeldBack has alice sign in, and the good response go astray before it is in the app.
func (b *bench) responseHeldBack(t *testing.T, issuer *issuer, app *device.App) url.Values {
	t.Helper()
	var good url.Values
	issuer.change(func() {
		issuer.redirect = func(answer url.Values) {
			good = clone(answer)
			clear(answer)
		}
	})
	if screen := b.enter(t, app, "alice"); screen.SignedIn {
		t.Fatalf("signed in by an empty response: %+v", screen)
	}
	if good == nil {
		t.Fatal("the issuer did not answer")
	}
	return good
}

func clone(values url.Values) url.Values {
	copied := url.Values{}
	for name, list := range values {
		copied[name] = slices.Clone(list)
	}
	return copied
}

// TestNobodyAsked sends a good response to an app that has asked for nothing, and the answer to
// an earlier request.
func TestNobodyAsked(t *testing.T) {
	t.Parallel()
	b, issuer := issuing(t, catalog.CodeGrant)
	app := b.launch(t, tokenStage)
	good := b.responseHeldBack(t, issuer, app)
	link := appName + ":/callback?" + good.Encode()
	if screen := shown(t)(app.OpenSignIn(t.Context())); !screen.OK { // once more: one at a time
		t.Fatalf("%+v", screen)
	}
	for what := range map[string]bool{"an earlier request's": true} {
		if _, err := b.device.HandOver(t.Context(), link, tokenStage); err != nil {
			t.Fatal(err)
		}
		if home := shown(t)(app.Home(t.Context())); home.SignedIn || home.Check != catalog.CheckResponse {
			t.Errorf("%s: %+v", what, home)
		}
	}
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.device.HandOver(t.Context(), link, tokenStage); err != nil { // it starts the app
		t.Fatal(err)
	}
	if n := len(issuer.asked("authorization_code")); n != 0 {
		t.Errorf("%d codes were exchanged", n)
	}
}

// TestSignInIsDenied has the user deny, and the code not be good.
func TestSignInIsDenied(t *testing.T) {
	t.Parallel()
	b, issuer := issuing(t, catalog.CodeGrant)
	app := b.launch(t, tokenStage)
	shown(t)(app.OpenSignIn(t.Context()))
	agent := b.device.Agent()
	form := agent.Current().Forms[0]
	if _, err := agent.Submit(t.Context(), agent.Current(), form, nil, form.Buttons[1]); err != nil {
		t.Fatal(err)
	}
	if home := shown(t)(app.Home(t.Context())); home.OK || home.SignedIn || !strings.Contains(home.Error, "not allowed") || home.Check != "" {
		t.Errorf("denied: %+v", home)
	}
	issuer.change(func() { issuer.redirect = func(answer url.Values) { answer.Set("code", "another") } })
	if screen := b.enter(t, app, "alice"); screen.OK || screen.SignedIn || !strings.Contains(screen.Error, "Sign in again") {
		t.Errorf("another code: %+v", screen)
	}
	issuer.change(func() { issuer.redirect = nil })
	if screen := b.enter(t, app, "alice"); !screen.OK || screen.User != "alice" {
		t.Errorf("allowed: %+v", screen)
	}
	if screen := b.enter(t, app, "bob"); !screen.OK || screen.User != "bob" || len(issuer.revoked) != 1 {
		t.Errorf("somebody else: %+v, revoked: %v", screen, issuer.revoked)
	}
}

// TestATokenOfAnotherClient is put into the response to the app: the API does not take it.
func TestATokenOfAnotherClient(t *testing.T) {
	t.Parallel()
	b, issuer := issuing(t, catalog.ImplicitGrant)
	issuer.change(func() {
		issuer.redirect = func(answer url.Values) {
			answer.Set("access_token", answer.Get("access_token")+"x")
		}
	})
	app := b.launch(t, tokenStage)
	if screen := b.enter(t, app, "alice"); screen.OK || screen.SignedIn || !strings.Contains(screen.Error, "Sign in again") {
		t.Errorf("%+v", screen)
	}
}

// TestStaffOnAPage signs in somebody who is shown everybody's accounts: their app does not know
// their name.
func TestStaffOnAPage(t *testing.T) {
	t.Parallel()
	b, _ := issuing(t, catalog.CodeGrant)
	b.bank.ChangeAnswers(func(r *http.Response, body []byte) []byte {
		return bytes.Replace(body, []byte(`"owner":"alice"`), []byte(`"owner":"bob"`), 1)
	})
	app := b.launch(t, tokenStage)
	screen := b.enter(t, app, "alice")
	if !screen.OK || !screen.SignedIn || screen.User != "" {
		t.Errorf("%+v", screen)
	}
	if screen := shown(t)(app.Rates(t.Context())); !screen.OK || !screen.SignedIn {
		t.Errorf("%+v", screen)
	}
}

// TestNoAuthorizationServer has packages that do not say where users sign in.
func TestNoAuthorizationServer(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "http://localhost:8444", "https://localhost:8444/path", "localhost:8444", "https://"} {
		b, _ := issuing(t, catalog.CodeGrant)
		b.settings.AuthServer = address
		b.install(t, tokenStage)
		if _, err := b.device.Launch(t.Context(), appName, tokenStage); err == nil || !strings.Contains(err.Error(), "authorization server") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
