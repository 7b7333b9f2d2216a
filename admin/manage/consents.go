package manage

import (
	"context"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
)

var consentColumns = []ui.Column{
	{Name: "user", Label: "User"},
	{Name: "client", Label: "Client"},
	{Name: "stage", Label: "Stage"},
	{Name: "given", Label: "Given", LatestFirst: true},
	{Name: "widened", Label: "Widened", LatestFirst: true},
}

var consents = kind[manage.Consent, manage.ConsentFilter]{
	One: "consent", Many: "consents", Filters: []string{"search", "stage"},
	Filter: func(values url.Values) manage.ConsentFilter {
		return manage.ConsentFilter{Search: values.Get("search"), Stage: values.Get("stage")}
	},
	Search: func(id string) manage.ConsentFilter { return manage.ConsentFilter{Search: id} },
	Read: func(ctx context.Context, server programs.Remote, filter manage.ConsentFilter, part manage.Part) ([]manage.Consent, int, error) {
		list, err := server.Consents(ctx, manage.ConsentQuery{ConsentFilter: filter, Part: part})
		return list.Consents, list.Total, err
	},
	ID:    func(consent manage.Consent) string { return consent.ID },
	Stage: func(consent manage.Consent) string { return consent.Stage },
	Words: consentWords,
	Selection: func(s selection, filter manage.ConsentFilter) any {
		return manage.ConsentSelection{IDs: s.IDs, All: s.All, ConsentFilter: filter}
	},
}

func consentWords(consent manage.Consent) string {
	return consent.User + " to " + consent.Client + " at " + consent.Stage
}

// consentsData is what the page of the consents shows.
type consentsData struct {
	listed
	Consents []manage.Consent
}

func (a section) consentsPage(c echo.Context) error {
	data := consentsData{listed: a.listed(c, a.prefix+"/consents", "Consents", consentColumns, "-given", consents.Filters, a.has)}
	found, p, err := consents.list(a, c, &data.listed)
	if err != nil {
		return err
	}
	data.Consents = found
	return ui.Render(c, http.StatusOK, consentsView(p, data, a.Stages, a.Now()))
}

// askWithdrawConsents asks before consents are withdrawn.
func (a section) askWithdrawConsents(c echo.Context) error {
	return consents.asks(a, c, "Withdraw",
		"All that came of each of them ends: authorization codes, refresh tokens and access tokens. The user is asked anew at the next sign-in.", a.prefix+"/consents/withdraw")
}

func (a section) withdrawConsents(c echo.Context) error {
	return consents.change(a, c, change{Action: "withdraw consents", Path: "/consents/withdraw"},
		func(count int) string {
			if count == 0 {
				return "No consent is left of those: they had been withdrawn before."
			}
			return ui.Plural(count, "consent is", "consents are") + " withdrawn, and all that came of that has ended: the next call is refused. The user is asked anew at the next sign-in."
		})
}
