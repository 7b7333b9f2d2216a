package manage

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"keyladder/admin/mediator"
	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

var tokenColumns = []ui.Column{
	{Name: "user", Label: "User"},
	{Name: "client", Label: "Client"},
	{Name: "stage", Label: "Stage"},
	{Name: "issued", Label: "Issued", LatestFirst: true},
	{Name: "expires", Label: "Expires"},
	{Name: "calls", Label: "Calls", LatestFirst: true},
}

// tokenStates are the choices: without one, those that are good are listed.
var tokenStates = []ui.NavItem{
	{Path: "", Label: "good"}, {Path: "revoked", Label: "revoked"}, {Path: "expired", Label: "expired"}, {Path: "any", Label: "any"},
}

var accessTokens = kind[manage.Token, manage.TokenFilter]{
	One: "access token", Many: "access tokens", Filters: []string{"search", "stage", "state"}, States: tokenStates,
	Filter: func(values url.Values) manage.TokenFilter {
		return manage.TokenFilter{Search: values.Get("search"), Stage: values.Get("stage"), State: goodUnlessSaid(values)}
	},
	Search: func(id string) manage.TokenFilter { return manage.TokenFilter{Search: id} },
	Read: func(ctx context.Context, server programs.Remote, filter manage.TokenFilter, part manage.Part) ([]manage.Token, int, error) {
		list, err := server.Tokens(ctx, manage.TokenQuery{TokenFilter: filter, Part: part})
		return list.Tokens, list.Total, err
	},
	ID:    func(token manage.Token) string { return token.ID },
	Stage: func(token manage.Token) string { return token.Stage },
	Words: tokenWords,
	Selection: func(s selection, filter manage.TokenFilter) any {
		return manage.TokenSelection{IDs: s.IDs, All: s.All, TokenFilter: filter}
	},
}

// tokensData is what the page of the access tokens shows.
type tokensData struct {
	listed
	Tokens []manage.Token
	Opaque bool // they say nothing themselves
	Keys   []manage.SigningKey
	Checks []manage.RevocationCheck
}

func (a section) tokensPage(c echo.Context) error {
	data := tokensData{Opaque: a.opaque(), listed: a.listed(c, a.prefix+"/tokens", "Access tokens", tokenColumns, "-issued", accessTokens.Filters, catalog.Policies.HasTokens)}
	found, p, err := accessTokens.list(a, c, &data.listed)
	if err != nil {
		return err
	}
	data.Tokens = found
	if data.Silence == "" {
		ctx := c.Request().Context()
		keys, err := a.server.SigningKeys(ctx)
		checks, err2 := a.Resource.RevocationChecks(ctx) // it is there that tokens are looked at
		if err := errors.Join(err, err2); err != nil {
			data.Silence = ui.InWords(err)
		}
		data.Keys, data.Checks = keys, checks
	}
	return ui.Render(c, http.StatusOK, tokensView(p, data, a.Stages, a.Now()))
}

// tokenData is what the page of one access token shows.
type tokenData struct {
	manage.Token
	Prefix  string
	Opaque  bool               // it says nothing itself
	Done    []manage.TokenCall // with it, the latest first
	Silence string             // why that can't be shown
}

// renewal is the page of what the token is renewed with.
func (d tokenData) renewal() templ.SafeURL {
	if d.Prefix == mediator.Prefix {
		return sessionPath(d.Origin)
	}
	return familyPath(d.Prefix, d.Family)
}

// decoded is what the token says, as it is written: header and claims. The token itself is not
// known here, so that its signature is not shown.
func (d tokenData) decoded() (header, claims string) {
	return asJSON(map[string]any{"alg": token.Algorithm, "kid": d.Key, "typ": token.Type}), asJSON(map[string]any{
		"iss": d.Issuer, "sub": d.User, "aud": d.Audience, "client_id": d.Client,
		"iat": d.IssuedAt.Unix(), "exp": d.ExpiresAt.Unix(), "jti": d.ID, "scope": d.Scope,
	})
}

// asJSON is an object for people, its members in the order of their names.
func asJSON(members map[string]any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(members) // texts and numbers
	return strings.TrimSpace(text.String())
}

// wasRevoked says whether the token was revoked before a call was served with it all the same.
func (d tokenData) wasRevoked(call manage.TokenCall) bool {
	return d.RevokedAt != nil && call.At.After(*d.RevokedAt)
}

func (a section) tokenPage(c echo.Context) error {
	found, _, err := accessTokens.find(a, c, selection{IDs: []string{c.Param("token")}})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return echo.NewHTTPError(http.StatusNotFound, "There is no such access token. Tokens are listed until an hour after they have expired.")
	}
	data := tokenData{Token: found[0], Prefix: a.prefix, Opaque: a.opaque()}
	if data.Done, err = a.Resource.TokenCalls(c.Request().Context(), data.ID); err != nil {
		data.Silence = ui.InWords(err)
	}
	return ui.Render(c, http.StatusOK, tokenView(a.Gate.Page(c, "Access token of "+data.User, a.nav), data, a.Stages, a.Now()))
}

// askServeRevoked asks before the check for revoked access tokens is switched off at a stage.
func (a section) askServeRevoked(c echo.Context) error {
	stage, ok := a.Stages.Lookup(c.Param("stage"))
	if !ok || stage.Auth.Revocations != catalog.RevokedRefused {
		return echo.ErrNotFound
	}
	return a.ask(c, ui.Question{
		Title:  "Serve revoked access tokens at " + stage.Slug + "?",
		Text:   "This is to see what a token is worth that says everything itself: it goes on working until it expires, unless somebody looks at the list of those that were revoked. Every server stops to look, until you switch the check on again; a restart does not do that.",
		Action: c.Request().URL.Path, Button: "Switch the check off",
	})
}

// switchCheck switches the check for revoked access tokens on, or off.
func (a section) switchCheck(on bool) echo.HandlerFunc {
	way := change{Action: "switch off the check for revoked access tokens", Path: "off", Done: "Revoked access tokens are served now, until they expire. Revoke one and see."}
	if on {
		way = change{Action: "switch on the check for revoked access tokens", Path: "on", Done: "Revoked access tokens are refused again, those too that were revoked meanwhile."}
	}
	return func(c echo.Context) error {
		change := way
		change.Subject = c.Param("stage")
		change.Stage = change.Subject
		change.Path = "/stages/" + url.PathEscape(change.Subject) + "/revocation-check/" + way.Path
		return a.take(c, change)
	}
}

func tokenWords(token manage.Token) string {
	return token.User + " in " + token.Client + " at " + token.Stage + ", " + ui.Plural(int(token.Calls), "call", "calls") + " so far"
}

// afterThat is how somebody gets another access token.
func (a section) afterThat() string {
	if a.prefix != "" {
		return "An app that has a refresh token gets another one by itself, until that is revoked, too; with all others the user has to sign in again."
	}
	return "The user has to sign in again."
}

// askRevokeTokens asks before access tokens are revoked.
func (a section) askRevokeTokens(c echo.Context) error {
	return accessTokens.asks(a, c, "Revoke",
		"Every server refuses the next call with each of them. "+a.afterThat()+" Calls that were served with them stay done.", a.prefix+"/tokens/revoke")
}

func (a section) revokeTokens(c echo.Context) error {
	return accessTokens.change(a, c, change{Action: "revoke access tokens", Path: "/tokens/revoke"},
		func(count int) string {
			if count == 0 {
				return "No access token is left of those: they had ended before."
			}
			return ui.Plural(count, "access token is", "access tokens are") + " revoked: the next call with one of them is refused. All others go on."
		})
}

// askRotate asks before a stage's signing key is replaced.
func (a section) askRotate(c echo.Context) error {
	stage, ok := a.Stages.Lookup(c.Param("stage"))
	if !ok || !stage.HasTokens() || !a.has(stage.Policies) {
		return echo.ErrNotFound
	}
	return a.ask(c, ui.Question{
		Title:  "Sign the access tokens of " + stage.Slug + " with a new key?",
		Text:   "New tokens are signed with it at once. Those of the key before stay good for a while, or until you withdraw that key. No app needs to be told: none knows a signing key.",
		Action: c.Request().URL.Path, Button: "Make a new key",
	})
}

func (a section) rotate(c echo.Context) error {
	slug := c.Param("stage")
	return a.take(c, change{
		Action: "rotate a signing key", Subject: slug, Stage: slug, Path: "/stages/" + url.PathEscape(slug) + "/signing-keys",
		Done: "New access tokens are signed with a new key. The installed apps go on as they are.",
	})
}

// askWithdraw asks before a key that was replaced is withdrawn.
func (a section) askWithdraw(c echo.Context) error {
	keys, err := a.server.SigningKeys(c.Request().Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(keys, func(k manage.SigningKey) bool { return k.ID == c.Param("key") })
	if i < 0 {
		return echo.ErrNotFound
	}
	return a.ask(c, ui.Question{
		Title: "Withdraw the signing key?",
		Text:  "Every access token that it has signed is refused with its next call. " + a.afterThat(),
		About: []string{keys[i].ID + " of " + keys[i].Stage}, Action: c.Request().URL.Path, Button: "Withdraw it",
	})
}

func (a section) withdraw(c echo.Context) error {
	key := c.Param("key")
	return a.take(c, change{
		Action: "withdraw a signing key", Subject: key, Path: "/signing-keys/" + url.PathEscape(key) + "/withdraw",
		Done: "Tokens that the key has signed are refused from now on. Tokens of the newer key go on.",
	})
}
