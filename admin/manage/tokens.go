package manage

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

func takesTokens(p catalog.Policies) bool { return p.Call.UserProof == catalog.AccessToken }

var tokenColumns = []ui.Column{
	{Name: "user", Label: "User"},
	{Name: "client", Label: "Client"},
	{Name: "stage", Label: "Stage"},
	{Name: "issued", Label: "Issued", LatestFirst: true},
	{Name: "expires", Label: "Expires"},
	{Name: "calls", Label: "Calls", LatestFirst: true},
}

var tokenFilters = []string{"search", "stage", "state"}

// tokenStates are the choices: without one, those that are good are listed.
var tokenStates = []ui.NavItem{
	{Path: "", Label: "good"}, {Path: "revoked", Label: "revoked"}, {Path: "expired", Label: "expired"}, {Path: "any", Label: "any"},
}

func tokenFilter(values url.Values) manage.TokenFilter {
	f := manage.TokenFilter{Search: values.Get("search"), Stage: values.Get("stage"), State: values.Get("state")}
	switch f.State {
	case "":
		f.State = "good"
	case "any":
		f.State = ""
	}
	return f
}

// tokensData is what the page of the access tokens shows.
type tokensData struct {
	listed
	Tokens []manage.Token
	Keys   []manage.SigningKey
}

func (a *Administration) tokensPage(c echo.Context) error {
	data := tokensData{listed: listed{List: ui.ReadList(c, tokenColumns, "-issued", tokenFilters...), Strip: a.Runner.Strip(c, takesTokens)}}
	filter := tokenFilter(data.List.Filter)
	ctx := c.Request().Context()
	p := a.list(c, &data.listed, func(part manage.Part) (int, error) {
		found, err := a.Resource.Tokens(ctx, manage.TokenQuery{TokenFilter: filter, Part: part})
		data.Tokens = found.Tokens
		return found.Total, err
	})
	if data.Silence == "" {
		var err error
		if data.Keys, err = a.Resource.SigningKeys(ctx); err != nil {
			data.Silence = ui.InWords(err)
		}
	}
	p.Title = "Access tokens"
	return ui.Render(c, http.StatusOK, tokensView(p, data, a.Stages, a.Now()))
}

// findTokens are some of those that are selected, and how many there are in all.
func (a *Administration) findTokens(ctx context.Context, s selection) (found []manage.Token, total int, err error) {
	if s.All {
		list, err := a.Resource.Tokens(ctx, manage.TokenQuery{TokenFilter: tokenFilter(s.Filter), Part: manage.Part{Limit: named}})
		return list.Tokens, list.Total, err
	}
	for _, id := range s.IDs[:min(len(s.IDs), named)] {
		list, err := a.Resource.Tokens(ctx, manage.TokenQuery{TokenFilter: manage.TokenFilter{Search: id}, Part: manage.Part{Limit: named}})
		if err != nil {
			return nil, 0, err
		}
		for _, token := range list.Tokens {
			if token.ID == id {
				found = append(found, token)
			}
		}
	}
	return found, len(s.IDs), nil
}

func tokenWords(token manage.Token) string {
	return token.User + " in " + token.Client + " at " + token.Stage + ", " + ui.Plural(int(token.Calls), "call", "calls") + " so far"
}

// askRevokeTokens asks before access tokens are revoked.
func (a *Administration) askRevokeTokens(c echo.Context) error {
	selection, any := chosen(c.QueryParams(), tokenFilters...)
	if !any {
		return a.nothingChosen(c)
	}
	found, total, err := a.findTokens(c.Request().Context(), selection)
	if err != nil {
		return err
	}
	lines := make([]string, len(found))
	for i, token := range found {
		lines[i] = tokenWords(token)
	}
	what := ui.Plural(total, "access token", "access tokens")
	return a.ask(c, ui.Question{
		Title: "Revoke " + what + "?",
		Text:  "Every server refuses the next call with each of them, and the user has to sign in again. What was done with them stays done.",
		About: lines, More: total - len(found), Nothing: total == 0,
		Action: "/tokens/revoke", Fields: selection.fields(), Button: "Revoke " + what,
	})
}

func (a *Administration) revokeTokens(c echo.Context) error {
	selection, any := chosen(c.Request().PostForm, tokenFilters...)
	if !any {
		return a.nothingChosen(c)
	}
	change := change{Action: "revoke access tokens", Subject: selection.words("access tokens"), Path: "/tokens/revoke"}
	if found, _, err := a.findTokens(c.Request().Context(), selection); err == nil && len(selection.IDs) == 1 && len(found) == 1 {
		change.Subject, change.Stage = tokenWords(found[0])+" ("+found[0].ID+")", found[0].Stage // only for the words
	}
	return a.takeMany(c, change, manage.TokenSelection{IDs: selection.IDs, All: selection.All, TokenFilter: tokenFilter(selection.Filter)},
		func(count int) string {
			if count == 0 {
				return "No access token is left of those: they had ended before."
			}
			return ui.Plural(count, "access token is", "access tokens are") + " revoked: the next call with one of them is refused. All others go on."
		})
}

// askRotate asks before a stage's signing key is replaced.
func (a *Administration) askRotate(c echo.Context) error {
	stage, ok := a.Stages.Lookup(c.Param("stage"))
	if !ok || !takesTokens(stage.Policies) {
		return echo.ErrNotFound
	}
	return a.ask(c, ui.Question{
		Title:  "Sign the access tokens of " + stage.Slug + " with a new key?",
		Text:   "New tokens are signed with it at once. Those of the key before stay good for a while, or until you withdraw that key. No app needs to be told: none knows a signing key.",
		Action: c.Request().URL.Path, Button: "Make a new key",
	})
}

func (a *Administration) rotate(c echo.Context) error {
	slug := c.Param("stage")
	return a.take(c, change{
		Action: "rotate a signing key", Subject: slug, Stage: slug, Path: "/stages/" + url.PathEscape(slug) + "/signing-keys",
		Done: "New access tokens are signed with a new key. The installed apps go on as they are.",
	})
}

// askWithdraw asks before a key that was replaced is withdrawn.
func (a *Administration) askWithdraw(c echo.Context) error {
	keys, err := a.Resource.SigningKeys(c.Request().Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(keys, func(k manage.SigningKey) bool { return k.ID == c.Param("key") })
	if i < 0 {
		return echo.ErrNotFound
	}
	return a.ask(c, ui.Question{
		Title: "Withdraw the signing key?",
		Text:  "Every access token that it has signed is refused with its next call, and its user has to sign in again.",
		About: []string{keys[i].ID + " of " + keys[i].Stage}, Action: c.Request().URL.Path, Button: "Withdraw it",
	})
}

func (a *Administration) withdraw(c echo.Context) error {
	key := c.Param("key")
	return a.take(c, change{
		Action: "withdraw a signing key", Subject: key, Path: "/signing-keys/" + url.PathEscape(key) + "/withdraw",
		Done: "What that key has signed is refused from now on. Tokens of the newer key go on.",
	})
}
