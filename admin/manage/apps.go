package manage

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"keyladder/admin/jobs"
	"keyladder/admin/ui"
	"keyladder/admin/usage"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// scopeWords are the scopes that an app may have, and what they open.
var scopeWords = []struct{ Scope, Words string }{
	{"rates:read", "read exchange rates"},
	{"accounts:read", "read accounts and their transfers"},
	{"transfers:write", "make transfers"},
	{"accounts:freeze", "freeze accounts"},
	{partnerScope, "read its settlements"},
}

// partnerScope is the one scope of partners, and no app has it.
const partnerScope = "settlements:read"

// scopesOf are those that can be chosen for an app or a partner.
func scopesOf(kind manage.Kind) []struct{ Scope, Words string } {
	last := len(scopeWords) - 1
	if kind == manage.Partner {
		return scopeWords[last:]
	}
	return scopeWords[:last]
}

// appForm is the form for a new app, or for the changes of one, as it was typed.
type appForm struct {
	ID, Name, UserAgent, Tier, PerSecond, Burst string
	Tiers                                       []manage.Tier // to choose from
	Kind                                        manage.Kind
	Scopes                                      []string
	OfAuth                                      bool   // it is a client of the authorization server's
	Prefixes                                    bool   // that server compares redirect URIs by their beginning
	RedirectURIs                                string // a line each
	Public                                      bool
	Failure                                     string
	Field                                       string // that the failure is about, where it is about one
}

// fail says why the form can't be used.
func (f *appForm) fail(field, text string) { f.Field, f.Failure = field, text }

func (f appForm) has(scope string) bool { return slices.Contains(f.Scopes, scope) }

// appView is an app on the page of all.
type appView struct {
	manage.App
	Chart usage.Chart
}

var (
	appColumns = []ui.Column{{Name: "created", Label: "Registered"}, {Name: "id", Label: "ID"}, {Name: "name", Label: "Name"}}
	keyColumns = []ui.Column{{Name: "id", Label: "Key"}, {Name: "created", Label: "Issued", LatestFirst: true}, {Name: "revoked", Label: "State", LatestFirst: true}}
)

// keysShown is how many keys of an app are listed among all apps: the latest.
const keysShown = 5

// sorted sorts a list that is in memory as a page wants it.
func sorted[T any](all []T, sort string, by map[string]func(a, b T) int) {
	column, descending := strings.CutPrefix(sort, "-")
	slices.SortStableFunc(all, func(a, b T) int {
		if descending {
			a, b = b, a
		}
		return by[column](a, b)
	})
}

var appsBy = map[string]func(a, b manage.App) int{
	"created": func(a, b manage.App) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	},
	"id":   func(a, b manage.App) int { return cmp.Compare(a.ID, b.ID) },
	"name": func(a, b manage.App) int { return cmp.Compare(a.Name, b.Name) },
}

var keysBy = map[string]func(a, b manage.Key) int{
	"id": func(a, b manage.Key) int { return cmp.Compare(a.ID, b.ID) },
	"created": func(a, b manage.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(b.ID, a.ID))
	},
	"revoked": func(a, b manage.Key) int {
		return cmp.Or(revokedAt(a).Compare(revokedAt(b)), a.CreatedAt.Compare(b.CreatedAt))
	},
}

func revokedAt(key manage.Key) time.Time {
	if key.RevokedAt == nil {
		return time.Time{}
	}
	return *key.RevokedAt
}

// fits says whether an app has a text in its name, in its ID or in that of a key.
func fits(app manage.App, text string) bool {
	return strings.Contains(strings.ToLower(app.Name), strings.ToLower(text)) || strings.Contains(app.ID, text) ||
		slices.ContainsFunc(app.Keys, func(key manage.Key) bool { return strings.Contains(key.ID, text) })
}

// appsData is what the page of all apps shows.
type appsData struct {
	List    ui.List
	Apps    []appView
	Silence string // why they can't be shown
	Form    appForm
	Run     jobs.Panel
	Stages  catalog.Set // built ones, to run the app at
	Chosen  string
	Now     time.Time
}

func (a section) appsPage(c echo.Context) error {
	return a.showApps(c, http.StatusOK, appForm{PerSecond: "10", Burst: "20"})
}

func (a section) showApps(c echo.Context, status int, form appForm) error {
	data := appsData{List: ui.ReadList(c, appColumns, "created", "search"), Form: form, Run: a.Runner.Panel(""), Stages: ownStages(a.Stages), Now: a.Now()}
	var apps []manage.App
	var calls []manage.Usage
	var phone manage.Phone
	group, ctx := errgroup.WithContext(c.Request().Context())
	group.Go(func() (err error) { apps, err = a.server.Apps(ctx); return err })
	group.Go(func() (err error) { calls, err = a.server.Usage(ctx, usage.Days); return err })
	group.Go(func() (err error) { data.Form.Tiers, err = a.server.Tiers(ctx); return err })
	var other errgroup.Group
	other.Go(func() (err error) { phone, err = a.Phone.Phone(c.Request().Context()); return err })
	if err := group.Wait(); err != nil {
		data.Silence = ui.InWords(err)
	}
	_ = other.Wait() // its stage is only a suggestion
	data.Chosen = phone.Stage
	if data.Run.Latest != nil {
		data.Chosen = data.Run.Latest.Stage
	}
	apps = slices.DeleteFunc(apps, func(app manage.App) bool { return !fits(app, data.List.Filter.Get("search")) })
	sorted(apps, data.List.Sort, appsBy)
	_ = data.List.Load(func(part manage.Part) (int, error) { // nothing can fail
		data.Apps = nil
		for _, app := range ui.Part(apps, part) {
			data.Apps = append(data.Apps, appView{App: app, Chart: usage.Draw(app.ID, calls, a.Now())})
		}
		return len(apps), nil
	})
	p := a.Gate.Page(c, "Apps and keys", "/apps")
	p.Waiting = data.Run.Job != nil
	return ui.Render(c, status, appsView(p, data))
}

// appData is what the page of one app shows.
type appData struct {
	App     manage.App
	List    ui.List // of its keys
	Form    appForm
	First   string // call; see firstCall
	Chart   usage.Chart
	Routes  []usage.Route
	Silence string // why there is no usage
	Now     time.Time
}

func (a section) findApp(c echo.Context) (manage.App, error) {
	apps, err := a.server.Apps(c.Request().Context())
	if err != nil {
		return manage.App{}, err
	}
	i := slices.IndexFunc(apps, func(app manage.App) bool { return app.ID == c.Param("app") })
	if i < 0 {
		if a.ofAuth() {
			return manage.App{}, echo.NewHTTPError(http.StatusNotFound, "There is no client of this ID. “Clients” lists them all.")
		}
		return manage.App{}, echo.NewHTTPError(http.StatusNotFound, "There is no app of this ID. “Apps and keys” lists them all.")
	}
	return apps[i], nil
}

func (a section) appPage(c echo.Context) error { return a.showApp(c, http.StatusOK, nil) }

func (a section) showApp(c echo.Context, status int, form *appForm) error {
	app, err := a.findApp(c)
	if err != nil {
		return err
	}
	data := appData{App: app, List: ui.ReadList(c, keyColumns, "-created", "search"), Now: a.Now(), Form: formOf(app)}
	if form != nil {
		data.Form = *form
	}
	keys := slices.DeleteFunc(slices.Clone(app.Keys), func(key manage.Key) bool { return !strings.Contains(key.ID, data.List.Filter.Get("search")) })
	sorted(keys, data.List.Sort, keysBy)
	_ = data.List.Load(func(part manage.Part) (int, error) { // nothing can fail
		data.App.Keys = ui.Part(keys, part)
		return len(keys), nil
	})
	data.Form.Kind, data.First = app.Kind, a.firstCall(app)
	calls, err := a.server.Usage(c.Request().Context(), usage.Days)
	if err == nil {
		data.Form.Tiers, err = a.server.Tiers(c.Request().Context())
	}
	if err != nil {
		data.Silence = ui.InWords(err)
	}
	data.Chart, data.Routes = usage.Draw(app.ID, calls, a.Now()), usage.ByRoute(app.ID, calls)
	return ui.Render(c, status, appPageView(a.Gate.Page(c, app.Name, "/apps"), data))
}

// formOf is the form for the changes of an app.
func formOf(app manage.App) appForm {
	return appForm{
		ID: app.ID, Name: app.Name, UserAgent: app.UserAgent, Scopes: app.Scopes, Tier: app.Tier,
		PerSecond: strconv.FormatFloat(app.PerSecond, 'f', -1, 64), Burst: strconv.Itoa(app.Burst),
		RedirectURIs: strings.Join(app.RedirectURIs, "\n"), Public: app.Public,
	}
}

// changeOf is the changes that a form asks for.
func changeOf(app manage.App) manage.AppChange {
	change := manage.AppChange{Name: &app.Name, UserAgent: &app.UserAgent, Scopes: &app.Scopes, Tier: &app.Tier}
	if app.Tier == "" {
		change.PerSecond, change.Burst = &app.PerSecond, &app.Burst
	}
	return change
}

// readAppForm reads the form, which says where it can't be used.
func readAppForm(form url.Values) (appForm, manage.App) {
	f := appForm{
		ID: strings.TrimSpace(form.Get("id")), Name: strings.TrimSpace(form.Get("name")),
		UserAgent: strings.TrimSpace(form.Get("user_agent")), Scopes: form["scope"],
		RedirectURIs: form.Get("redirect_uris"), Public: form.Get("client_type") == "public",
		Tier: form.Get("tier"), PerSecond: strings.TrimSpace(form.Get("per_second")), Burst: strings.TrimSpace(form.Get("burst")),
	}
	app := manage.App{ID: f.ID, Name: f.Name, UserAgent: f.UserAgent, Scopes: f.Scopes, Tier: f.Tier, RedirectURIs: redirectURIs(f.RedirectURIs), Public: f.Public}
	if app.Scopes == nil {
		app.Scopes = []string{}
	}
	var rateErr, burstErr error
	app.PerSecond, rateErr = strconv.ParseFloat(f.PerSecond, 64)
	app.Burst, burstErr = strconv.Atoi(f.Burst)
	switch {
	case f.Name == "":
		f.fail("name", "Give the app a name.")
	case f.Tier != "": // which has the limits
		app.PerSecond, app.Burst = 0, 0
	case rateErr != nil || !(app.PerSecond > 0 && app.PerSecond <= 1e6):
		f.fail("per_second", "Calls a second: give a number above 0.")
	case burstErr != nil || app.Burst < 1:
		f.fail("burst", "Calls at once: give a whole number of 1 or more.")
	}
	return f, app
}

func (a section) registerApp(c echo.Context) error {
	form, app := readAppForm(c.Request().PostForm)
	if form.ID == "" {
		form.fail("id", "Give the app an ID: small letters, digits and hyphens.")
	}
	if form.Failure != "" {
		return a.showApps(c, http.StatusUnprocessableEntity, form)
	}
	err := a.Gate.Act(c, "register an app", app.ID, "“"+app.Name+"” is registered. Its first key is "+app.ID+".", func() error {
		return a.server.Quick(c.Request().Context(), http.MethodPost, "/apps", app, nil)
	})
	if p := ui.Refusal(err); p != nil {
		form.fail("", ui.InWords(err))
		if p.Status == http.StatusConflict {
			form.Field = "id"
		}
		return a.showApps(c, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/apps/"+url.PathEscape(app.ID)+"#first-call")
}

func (a section) changeApp(c echo.Context) error {
	id := c.Param("app")
	form, app := readAppForm(c.Request().PostForm)
	form.ID = id
	if form.Failure != "" {
		return a.showApp(c, http.StatusUnprocessableEntity, &form)
	}
	err := a.Gate.Act(c, "change an app", id, "The changes hold from now on.", func() error {
		return a.server.Quick(c.Request().Context(), http.MethodPatch, "/apps/"+url.PathEscape(id), changeOf(app), nil)
	})
	if ui.Refusal(err) != nil {
		form.fail("", ui.InWords(err))
		return a.showApp(c, http.StatusUnprocessableEntity, &form)
	}
	if err != nil {
		return err
	}
	a.Runner.Changed()
	return c.Redirect(http.StatusSeeOther, "/apps/"+url.PathEscape(id))
}

func (a section) issueKey(c echo.Context) error {
	app := c.Param("app")
	return a.take(c, change{
		Action: "issue a key", Subject: app, Done: "A further key was issued for " + app + ".",
		Path: "/apps/" + url.PathEscape(app) + "/keys",
	})
}

func (a section) rotateKeys(c echo.Context) error {
	app := c.Param("app")
	return a.take(c, change{
		Action: "rotate the keys", Subject: app,
		Done: "A new key was issued for " + app + " and all others were revoked. Installed apps still carry the old one.",
		Path: "/apps/" + url.PathEscape(app) + "/rotate",
	})
}

func (a section) revokeKey(c echo.Context) error {
	key := c.Param("key")
	return a.take(c, change{
		Action: "revoke a key", Subject: key,
		Done: "The key " + key + " is revoked: who calls with it is refused from now on. An app with another key goes on.",
		Path: "/keys/" + url.PathEscape(key) + "/revoke",
		Undo: &ui.Undo{Action: "/keys/" + url.PathEscape(key) + "/restore", Label: "Undo: restore it"},
	})
}

func (a section) restoreKey(c echo.Context) error {
	key := c.Param("key")
	return a.take(c, change{
		Action: "restore a key", Subject: key, Done: "The key " + key + " is accepted again.",
		Path: "/keys/" + url.PathEscape(key) + "/restore",
	})
}

func (a section) runApp(c echo.Context) error {
	stage, err := ui.BuiltStage(a.Stages, c.Request().PostForm.Get("stage"))
	if err != nil {
		return err
	}
	if err := a.Runner.BeginApp(c, stage.Slug); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/apps#the-run")
}

// ownStages are those whose apps the resource server knows by itself, so that what is changed
// here is seen there.
func ownStages(all catalog.Set) catalog.Set {
	return slices.DeleteFunc(all.Built(), func(s catalog.Stage) bool { return s.Auth.Issuer.Separate() })
}
