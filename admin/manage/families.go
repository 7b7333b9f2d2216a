package manage

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

func (a section) givesRefreshTokens(p catalog.Policies) bool {
	offer, _ := p.Provider(a.issuer)
	return offer.Grants == catalog.CodeAndRefresh
}

var familyColumns = []ui.Column{
	{Name: "user", Label: "User"},
	{Name: "client", Label: "Client"},
	{Name: "stage", Label: "Stage"},
	{Name: "begun", Label: "Signed in", LatestFirst: true},
	{Name: "used", Label: "Last used", LatestFirst: true},
	{Name: "number", Label: "Tokens so far", LatestFirst: true},
}

// familyStates are the choices: without one, those that are good are listed.
var familyStates = []ui.NavItem{
	{Path: "", Label: "good"},
	{Path: "revoked", Label: "revoked"},
	{Path: "reused", Label: "revoked since a used token came again"},
	{Path: "expired", Label: "expired"},
	{Path: "any", Label: "any"},
}

var families = kind[manage.Family, manage.FamilyFilter]{
	One: "family of refresh tokens", Many: "families of refresh tokens", Filters: []string{"search", "stage", "state"}, States: familyStates,
	Filter: func(values url.Values) manage.FamilyFilter {
		return manage.FamilyFilter{Search: values.Get("search"), Stage: values.Get("stage"), State: goodUnlessSaid(values)}
	},
	Search: func(id string) manage.FamilyFilter { return manage.FamilyFilter{Search: id} },
	Read: func(ctx context.Context, server programs.Remote, filter manage.FamilyFilter, part manage.Part) ([]manage.Family, int, error) {
		list, err := server.Families(ctx, manage.FamilyQuery{FamilyFilter: filter, Part: part})
		return list.Families, list.Total, err
	},
	ID:    func(family manage.Family) string { return family.ID },
	Stage: func(family manage.Family) string { return family.Stage },
	Words: familyWords,
	Selection: func(s selection, filter manage.FamilyFilter) any {
		return manage.FamilySelection{IDs: s.IDs, All: s.All, FamilyFilter: filter}
	},
}

func familyWords(family manage.Family) string {
	return family.User + " in " + family.Client + " at " + family.Stage + ", " + ui.Plural(family.Number, "token", "tokens") + " so far"
}

// familiesData is what the page of the refresh tokens shows.
type familiesData struct {
	listed
	Families []manage.Family
}

func (a section) familiesPage(c echo.Context) error {
	data := familiesData{listed: a.listed(c, a.prefix+"/families", "Refresh tokens", familyColumns, "-begun", families.Filters, a.givesRefreshTokens)}
	found, p, err := families.list(a, c, &data.listed)
	if err != nil {
		return err
	}
	data.Families = found
	return ui.Render(c, http.StatusOK, familiesView(p, data, a.Stages, a.Now()))
}

// familyData is what the page of one family shows.
type familyData struct {
	manage.Family
	Prefix  string                 // of the paths of the server's pages
	Tokens  map[int][]manage.Token // access tokens by the refresh token beside which they were issued, the oldest first
	Silence string                 // why these can't be shown
}

// Older is how many refresh tokens are not listed.
func (d familyData) Older() int { return d.Number - len(d.Generations) }

// Newest says whether a refresh token is the one that is good as long as the family is.
func (d familyData) Newest(g manage.Generation) bool { return g.Number == d.Number }

// withTokens is a family with the access tokens that came of it.
func (a section) withTokens(ctx context.Context, family manage.Family) familyData {
	data := familyData{Family: family, Prefix: a.prefix, Tokens: map[int][]manage.Token{}}
	slices.Reverse(data.Generations)                                                                                                           // from the sign-in on
	list, err := a.server.Tokens(ctx, manage.TokenQuery{TokenFilter: manage.TokenFilter{Family: data.ID}, Part: manage.Part{Sort: "-issued"}}) // there can be more than a list has
	if err != nil {
		data.Silence = ui.InWords(err)
	}
	for _, token := range slices.Backward(list.Tokens) {
		data.Tokens[token.Generation] = append(data.Tokens[token.Generation], token)
	}
	return data
}

func (a section) familyPage(c echo.Context) error {
	found, _, err := families.find(a, c, selection{IDs: []string{c.Param("family")}})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return echo.NewHTTPError(http.StatusNotFound, "There is no such family of refresh tokens. “Refresh tokens” lists those that there are.")
	}
	data := a.withTokens(c.Request().Context(), found[0])
	return ui.Render(c, http.StatusOK, familyView(a.Gate.Page(c, "Refresh tokens of "+data.User, a.nav), data, a.Stages, a.Now()))
}

// askRevokeFamilies asks before families of refresh tokens are revoked.
func (a section) askRevokeFamilies(c echo.Context) error {
	return families.asks(a, c, "Revoke",
		"No token of them gets another one, and the access tokens that came of them are refused with the next call. The user has to sign in again.", a.prefix+"/families/revoke")
}

func (a section) revokeFamilies(c echo.Context) error {
	return families.change(a, c, change{Action: "revoke refresh tokens", Path: "/families/revoke"},
		func(count int) string {
			if count == 0 {
				return "No family of refresh tokens is left of those: they had ended before."
			}
			return ui.Plural(count, "family of refresh tokens is", "families of refresh tokens are") + " revoked. The next call with an access token that came of that is refused, and nothing is renewed. All others go on."
		})
}
