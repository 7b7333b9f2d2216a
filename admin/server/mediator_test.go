package server

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

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
