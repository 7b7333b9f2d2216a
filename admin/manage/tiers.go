package manage

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// appsIn are the apps of a tier.
func (d appsData) appsIn(tier string) string {
	var names []string
	for _, app := range d.Apps {
		if app.Tier == tier {
			names = append(names, app.Name)
		}
	}
	if len(names) == 0 {
		return "no app"
	}
	return strings.Join(names, ", ")
}

// tierText is a tier for people who choose one.
func tierText(tier manage.Tier) string {
	return tier.Name + ": " + limitsText(tier.PerSecond, tier.Burst)
}

// limitsText is limits for people.
func limitsText(perSecond float64, burst int) string {
	calls := " calls"
	if perSecond == 1 {
		calls = " call"
	}
	return strconv.FormatFloat(perSecond, 'f', -1, 64) + calls + " a second, " + strconv.Itoa(burst) + " at once"
}

func (a section) changeTier(c echo.Context) error {
	name := c.Param("tier")
	form := c.Request().PostForm
	perSecond, rateErr := strconv.ParseFloat(strings.TrimSpace(form.Get("per_second")), 64)
	burst, burstErr := strconv.Atoi(strings.TrimSpace(form.Get("burst")))
	if rateErr != nil || burstErr != nil {
		a.Gate.Notify(c, ui.Notice{Kind: ui.Failed, Text: "Nothing was changed. Calls a second are a number above 0, calls at once a whole number of 1 or more."})
		return c.Redirect(http.StatusSeeOther, "/apps#tiers")
	}
	err := a.Gate.Act(c, "change a tier", name, "The limits of the tier “"+name+"” hold for all its apps from now on.", func() error {
		return a.server.Quick(c.Request().Context(), http.MethodPatch, "/tiers/"+url.PathEscape(name), manage.TierChange{PerSecond: &perSecond, Burst: &burst}, nil)
	})
	if ui.Refusal(err) != nil {
		a.Gate.Notify(c, ui.Notice{Kind: ui.Failed, Text: ui.InWords(err)})
		err = nil
	}
	if err != nil {
		return err
	}
	a.Runner.Changed()
	return c.Redirect(http.StatusSeeOther, "/apps#tiers")
}

// firstCall is the first call that an app's developer makes: with curl, at the first stage that
// asks for no more than a registered ID. Empty: the app can't make one.
func (a section) firstCall(app manage.App) string {
	path := ""
	for _, scope := range app.Scopes {
		switch {
		case scope == "rates:read":
			path = "/v1/rates"
		case scope == "accounts:read" && path == "":
			path = "/v1/accounts"
		}
	}
	for _, stage := range a.Stages.Built() {
		if stage.Call.AppProof != catalog.AppKey || stage.Call.Transport != catalog.PlainHTTP {
			continue
		}
		for _, key := range app.Keys {
			if path != "" && key.RevokedAt == nil {
				return "curl -i -A " + quoted(app.UserAgent+"1.0") + " -H " + quoted("Authorization: key "+key.ID) + " " + a.Folder.Addresses.URL(deployment.PlainAPI) + "/" + stage.Slug + path
			}
		}
	}
	return ""
}

// quoted is a text as shells read it, whoever has chosen it.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
