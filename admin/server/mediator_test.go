package server

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// described is a form with a good provider.
func described(change ...string) []string {
	form := url.Values{
		"name": {"third"}, "title": {"Third Party"}, "issuer": {"https://third.example"}, "authorization_url": {"https://third.example/auth"},
		"token_url": {"https://third.example/token"}, "client_id": {"mediator"}, "secret": {"s3cret-of-third"}, "client_auth": {"client_secret_post"}, "pkce": {"none"},
		"tokens": {"jwt"}, "user": {"token"}, "user_claim": {"sub"}, "scopes": {"accounts:read = balance history\n\nrates:read=rates"}, "fields": {"expires_in = expires"},
		"links": {"ann=1@third.example = alice"}, "apps": {"harbour-mobile = s3cret-of-app"},
	}
	for i := 0; i < len(change); i += 2 {
		form.Set(change[i], change[i+1])
	}
	var fields []string
	for name, values := range form {
		fields = append(fields, name, values[0])
	}
	return fields
}

func TestPagesAboutProvidersAsTheyAre(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, newSetting(t)).signIn()
	for name, path := range map[string]string{
		"providers": "/mediator/providers", "provider": "/mediator/providers/lite", "provider-question": "/mediator/providers/lite/disable",
	} {
		golden(t, name, b.get(path).Body)
	}
}

func TestProvidersAreAdded(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	if r := b.post("/mediator/providers", described()...); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/mediator/providers/third" {
		t.Fatalf("%d to %q: %s", r.StatusCode, r.Header.Get("Location"), r.Body)
	}
	b.get("/mediator/providers/third").want(t, http.StatusOK, `data-notice="done"`, "Users can choose “Third Party” from now on", "https://localhost:8447/{stage}/callback/third", "as it was added")
	got := set.mediate.latest("third")
	if !got.Enabled || got.Scopes["accounts:read"] != "balance history" || got.Scopes["rates:read"] != "rates" || got.Fields["expires_in"] != "expires" ||
		got.Links["ann=1@third.example"] != "alice" || got.Apps["harbour-mobile"] != "s3cret-of-app" || got.PKCE != catalog.NoPKCE || got.AnnouncesIss {
		t.Errorf("%+v", got)
	}
	b.get("/mediator/providers").want(t, http.StatusOK, `data-provider="third" data-enabled="true"`)
	b.get("/audit").want(t, http.StatusOK, `data-audit="add a provider" data-audit-outcome="done"`)
}

// What is wrong is said with its field, what was typed is still there, and secrets are not.
func TestProvidersAreNotAdded(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, newSetting(t)).signIn()
	for _, tt := range []struct{ name, field, value, says string }{
		{"taken", "name", "lite", "Name:</strong> Choose another name."},
		{"not https", "token_url", "http://third.example/token", "Token endpoint:</strong> it is not one of https."},
		{"no table", "scopes", "accounts:read balance", "Its words for our scopes:</strong> the line “accounts:read balance” has no = in it"},
		{"twice", "links", "ann = alice\nann = bob", "which of the bank’s customers they are:</strong> the line “ann = bob”"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := b.post("/mediator/providers", described(tt.field, tt.value)...)
			r.want(t, http.StatusUnprocessableEntity, tt.says, `id="add" open`, `value="Third Party"`, "harbour-mobile = ")
			if !regexp.MustCompile(`<(?:input|textarea) id="`+tt.field+`"[^>]* aria-invalid="true"`).MatchString(r.Body) || strings.Count(r.Body, "aria-invalid") != 1 {
				t.Error("the field is not marked, or another one is")
			}
			if strings.Contains(r.Body, "s3cret-of") {
				t.Error("the page shows a secret")
			}
		})
	}
}

func TestProvidersAreMadeStricter(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	page := func() string { return b.get("/mediator/providers/lite").Body }
	press := func(button string) reply {
		t.Helper()
		found := regexp.MustCompile(`action="([^"]+)"><input[^>]+> *<input[^>]+> *<button[^>]* data-stricter="` + button + `"`).FindStringSubmatch(page())
		if found == nil {
			t.Fatalf("no button %s", button)
		}
		return b.post(strings.ReplaceAll(found[1], "&amp;", "&"))
	}
	press("pkce").want(t, http.StatusSeeOther)
	b.get("/mediator/providers/lite").want(t, http.StatusOK, "PKCE: S256, was none. That holds from the next sign-in on", `data-pkce="S256"`, `data-version="2"`, `action="/mediator/providers/lite/adjust?pkce=none&amp;version=2"`)
	press("client_auth").want(t, http.StatusSeeOther)
	press("announces_iss").want(t, http.StatusSeeOther)
	got := set.mediate.latest("lite")
	if got.PKCE != catalog.S256PKCE || got.ClientAuth != manage.SecretBasic || !got.AnnouncesIss || !got.Enabled || got.Links["ann"] != "alice" || got.Fields["expires_in"] != "expires" {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(page(), "all that the mediator can ask of a provider") {
		t.Error("there is still something to make stricter")
	}
	// A button of a page that is old changes nothing.
	b.post("/mediator/providers/lite/adjust?pkce=none&version=2", "page", "/mediator/providers/lite").want(t, http.StatusSeeOther)
	b.get("/mediator/providers/lite").want(t, http.StatusOK, `data-notice="failed"`, "changed meanwhile", `data-pkce="S256"`)
	b.post("/mediator/providers/lite/adjust?version=4").want(t, http.StatusBadRequest)
	b.get("/audit").want(t, http.StatusOK, `data-audit="change a provider" data-audit-outcome="done"`, "lite: PKCE: S256, was none")
}

func TestProvidersAreChangedAsAWhole(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.sure("/mediator/providers/lite/disable?back=/mediator/providers/lite").want(t, http.StatusSeeOther)
	b.get("/mediator/providers/lite").want(t, http.StatusOK, "“Harbour Lite” is offered to nobody", `data-enabled="false"`, `data-enable="lite"`, "Undo: offer it again")
	form := described("name", "ignored", "version", "2", "secret", "")
	b.post("/mediator/providers/lite", form...).want(t, http.StatusSeeOther)
	b.get("/mediator/providers/lite").want(t, http.StatusOK, "Third Party", "Title: Third Party, was Harbour Lite", "now ann=1@third.example = alice; no more ann = alice", `data-version="3"`)
	if got := set.mediate.latest("lite"); got.Enabled || got.Secret != "" || got.Name != "lite" {
		t.Errorf("%+v", got)
	}
	// Somebody else was quicker.
	b.post("/mediator/providers/lite", form...).want(t, http.StatusUnprocessableEntity, "changed meanwhile", "Look at it as it is now")
	b.post("/mediator/providers/lite/enable", "page", "/mediator/providers/lite").want(t, http.StatusSeeOther)
	b.get("/mediator/providers/lite").want(t, http.StatusOK, `data-enabled="true"`, "offered to users")
	b.get("/mediator/providers/nobody").want(t, http.StatusNotFound, "There is no provider of this name")
	set.mediate.Stop(true)
	b.get("/mediator/providers").want(t, http.StatusOK, "The mediator does not answer")
}

func TestPagesAboutSignInsAsTheyAre(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	set.mediate.signIn()
	b := newBrowser(t, set).signIn()
	for name, path := range map[string]string{"sign-ins": "/mediator/sessions", "sign-in-at-provider": "/mediator/sessions/SIGNIN1", "lite-clients": "/lite/clients"} {
		golden(t, name, b.get(path).Body)
	}
}

func TestSignInsAreEnded(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/mediator/sessions").want(t, http.StatusOK, "Nobody is signed in through the mediator")
	set.mediate.signIn()
	if rows := strings.Join(b.rows("/mediator/sessions", "data-sign-in"), " "); rows != "SIGNIN1 SIGNIN2" {
		t.Errorf("all: %s", rows)
	}
	if rows := strings.Join(b.rows("/mediator/sessions?provider=bank", "data-sign-in"), " "); rows != "SIGNIN2" {
		t.Errorf("the bank's: %s", rows)
	}
	b.get("/mediator/sessions/SIGNIN1").want(t, http.StatusOK, "alice, signed in at lite", `data-keeps-tokens="true"`, "Renewed there 1 time", `data-generation="2"`, `data-token="MT1"`, `href="/mediator/tokens/MT1"`, `href="/attestations?device=PHONE&amp;stage=extended-mediator"`)
	b.get("/mediator/sessions/SIGNIN2").want(t, http.StatusOK, "has not redeemed the authorization code", "Before the app gets its next token, the provider is asked")
	b.get("/mediator/tokens/MT1").want(t, http.StatusOK, `href="/mediator/sessions/SIGNIN1"`)
	b.get("/mediator/sessions/end?id=SIGNIN1").want(t, http.StatusOK, "End 1 sign-in?", "alice in harbour-mobile at extended-mediator, signed in at lite")
	b.sure("/mediator/sessions/end?id=SIGNIN1&back=/mediator/sessions/SIGNIN1").want(t, http.StatusSeeOther)
	b.get("/mediator/sessions/SIGNIN1").want(t, http.StatusOK, `data-ended="true"`, "ended by an admin", "1 sign-in has ended, with the family of tokens that came of it")
	b.get("/mediator/sessions/nothing").want(t, http.StatusNotFound, "There is no such sign-in")
	b.sure("/mediator/sessions/end?all=1&back=/mediator/sessions").want(t, http.StatusSeeOther)
	if rows := b.rows("/mediator/sessions?state=ended", "data-sign-in"); len(rows) != 2 {
		t.Errorf("ended: %v", rows)
	}
	b.get("/audit").want(t, http.StatusOK, `data-audit="end sign-ins at providers" data-audit-outcome="done"`, "(SIGNIN1)")
}

func TestSignInRowsAreLive(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	set.mediate.signIn()
	b := newBrowser(t, set).signIn()
	last := set.mediate.sessions[0].BegunAt
	b.get("/mediator/sessions?provider=lite").want(t, http.StatusOK, `data-live="/mediator/sessions/rows?live=1&amp;provider=lite"`, `data-last="`+last.Format(time.RFC3339Nano)+`"`)
	got := make(chan reply, 1)
	go func() {
		got <- b.get("/mediator/sessions/rows?live=1&provider=lite&after=" + last.Format(time.RFC3339Nano))
	}()
	set.mediate.locked(func() {
		for _, fresh := range []manage.MediatorSession{{ID: "NEW", Provider: "lite"}, {ID: "OTHER", Provider: "bank"}} {
			fresh.BegunAt = last.Add(time.Second)
			set.mediate.sessions = append(set.mediate.sessions, fresh)
		}
	})
	rows := <-got
	rows.want(t, http.StatusOK, `data-sign-in="NEW"`)
	if strings.Contains(rows.Body, "OTHER") || strings.Contains(rows.Body, "SIGNIN1") {
		t.Errorf("rows that do not fit, or are old: %s", rows.Body)
	}
	if got, want := rows.Header.Get("Live-Last"), last.Add(time.Second).Format(time.RFC3339Nano); got != want {
		t.Errorf("the next ones are asked for after %s, want %s", got, want)
	}
	b.get("/mediator/sessions/rows?after=yesterday").want(t, http.StatusBadRequest)
}

// Another company's server has the pages of the bank's, and what is changed on one is not on the other.
func TestServersHaveTheirOwnPages(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/lite/clients").want(t, http.StatusOK, `href="/auth/clients"`, `href="/lite/clients/harbour-mobile"`, `href="/lite/tokens"`, `aria-current="true">Harbour Lite`, `action="/lite/clients#register"`)
	b.post("/lite/clients/harbour-mobile/revoke", "back", "/lite/clients/harbour-mobile").want(t, http.StatusSeeOther)
	b.get("/lite/clients/harbour-mobile").want(t, http.StatusOK, `data-refused="true"`, "/lite/clients/harbour-mobile/restore")
	b.get("/auth/clients/harbour-mobile").want(t, http.StatusOK, `data-refused="false"`)
	b.sure("/lite/families/revoke?id=F1&back=/lite/families").want(t, http.StatusSeeOther)
	b.get("/lite/families/F1").want(t, http.StatusOK, `data-revoked="true"`)
	b.get("/auth/families/F1").want(t, http.StatusOK, `data-revoked="false"`)
	// Its access tokens say nothing themselves, and are signed with no key.
	b.get("/lite/tokens").want(t, http.StatusOK, "These tokens say nothing themselves")
	b.get("/lite/signing-keys/pkce-s256/rotate").want(t, http.StatusNotFound)
	if strings.Contains(b.get("/lite/tokens").Body, "Signing keys") || strings.Contains(b.get("/lite/tokens/A1").Body, `data-test="decoded"`) {
		t.Error("an opaque token is taken apart, or signed")
	}
	b.get("/auth/tokens/A1").want(t, http.StatusOK, `data-test="decoded"`)
}

func TestPageOfTheGateway(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/mediator/gateway").want(t, http.StatusOK, "No stage that is built has a gateway")
	set.mediate.forward()
	golden(t, "gateway", b.get("/mediator/gateway").Body)
	b.get("/mediator/gateway").want(t, http.StatusOK, `data-down="false"`, "1,234", `data-route="GET /v1/accounts" data-passed="1200" data-refused="35"`, `data-route="POST /v1/transfers" data-passed="0"`,
		"POST /par", `data-waf="false"`, `data-quota="Harbour Bank minute" data-used="60"`, "used up", `data-key="true"`)
	b.post("/mediator/gateway/waf", "on", "yes", "back", "/mediator/gateway#waf").want(t, http.StatusSeeOther)
	b.get("/mediator/gateway").want(t, http.StatusOK, `data-waf="true"`, "680 rules", "looks at every call", "data-waf-off")
	b.post("/mediator/gateway/waf", "back", "/mediator/gateway#waf").want(t, http.StatusSeeOther)
	b.get("/mediator/gateway").want(t, http.StatusOK, `data-waf="false"`)
	b.get("/audit").want(t, http.StatusOK, `data-audit="switch the web application firewall on" data-audit-outcome="done"`, `data-audit="switch the web application firewall off"`)
	set.mediate.locked(func() { set.mediate.gateway.Down, set.mediate.gateway.Reason = true, "connection refused" })
	set.rates.Stop(true)
	b.get("/mediator/gateway").want(t, http.StatusOK, `data-down="true"`, "Connection refused.", "The rates API of a third party does not answer")
}
