package manage

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
	"keyladder/admin/usage"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

var clientColumns = []ui.Column{{Name: "id", Label: "Client"}, {Name: "name", Label: "Name"}, {Name: "created", Label: "Registered", LatestFirst: true}}

// clientsData is what the page of the authorization server's clients shows.
type clientsData struct {
	listed
	Clients []manage.App
	Form    appForm
}

func (a section) clientsPage(c echo.Context) error {
	return a.showClients(c, http.StatusOK, appForm{PerSecond: "10", Burst: "20", Scopes: []string{"rates:read", "accounts:read"}})
}

func (a section) showClients(c echo.Context, status int, form appForm) error {
	data := clientsData{Form: form, listed: a.listed(c, a.prefix+"/clients", "Clients", clientColumns, "id", []string{"search"}, a.has)}
	data.Form.OfAuth, data.Form.Prefixes = true, a.issuer == catalog.LiteServer
	p := a.list(c, &data.listed, func(part manage.Part) (int, error) {
		all, err := a.server.Apps(c.Request().Context())
		if err != nil {
			return 0, err
		}
		data.Form.Tiers, err = a.server.Tiers(c.Request().Context())
		all = slices.DeleteFunc(all, func(app manage.App) bool { return !fits(app, data.List.Filter.Get("search")) })
		sorted(all, data.List.Sort, appsBy)
		data.Clients = ui.Part(all, part)
		return len(all), err
	})
	return ui.Render(c, status, clientsView(p, data, a.Now()))
}

func (a section) registerClient(c echo.Context) error {
	form, client := readAppForm(c.Request().PostForm)
	if form.ID == "" {
		form.fail("id", "Give the client an ID: small letters, digits and hyphens.")
	}
	if form.Failure != "" {
		return a.showClients(c, http.StatusUnprocessableEntity, form)
	}
	done := "“" + client.Name + "” is registered."
	if !client.Public {
		done += " It has a client secret, which the page of the client shows."
	}
	err := a.Gate.Act(c, "register a client", client.ID, done, func() error {
		return a.server.Quick(c.Request().Context(), http.MethodPost, "/apps", client, nil)
	})
	if p := ui.Refusal(err); p != nil {
		form.fail("", ui.InWords(err))
		if p.Status == http.StatusConflict {
			form.Field = "id"
		}
		return a.showClients(c, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, string(clientPath(a.prefix, client.ID, "")))
}

// clientData is what the page of one client shows.
type clientData struct {
	Prefix  string // of the paths of the server's pages
	App     manage.App
	Form    appForm
	Secret  string // that was asked for; empty: it was not
	Chart   usage.Chart
	Routes  []usage.Route
	Silence string // why there is no usage
	Stages  catalog.Set
}

// ownKey is what a client is known by: its ID.
func ownKey(client manage.App) manage.Key {
	return client.Keys[max(0, slices.IndexFunc(client.Keys, func(key manage.Key) bool { return !key.Servers }))]
}

// serversKey is the key of a client that servers share; false: it has none.
func serversKey(client manage.App) (manage.Key, bool) {
	i := slices.IndexFunc(client.Keys, func(key manage.Key) bool { return key.Servers })
	if i < 0 {
		return manage.Key{}, false
	}
	return client.Keys[i], true
}

// carried are the stages whose app carries the client's own secret, and shared are those at which
// servers use the secret of the key that they share.
func carried(stages catalog.Set) catalog.Set {
	return slices.DeleteFunc(slices.Clone(stages), func(stage catalog.Stage) bool {
		return stage.Call.ClientAuth != catalog.ClientSecret && stage.Call.AppProof != catalog.Hawk
	})
}

func shared(stages catalog.Set) catalog.Set {
	return slices.DeleteFunc(slices.Clone(stages), func(stage catalog.Stage) bool {
		return stage.Auth.ClientAuth != catalog.ServersSecret && stage.Call.AppProof != catalog.IntegrityToken
	})
}

func (a section) clientPage(c echo.Context) error { return a.showClient(c, http.StatusOK, nil, "") }

func (a section) showClient(c echo.Context, status int, form *appForm, secret string) error {
	client, err := a.findApp(c)
	if err != nil {
		return err
	}
	data := clientData{Prefix: a.prefix, App: client, Form: formOf(client), Secret: secret}
	if form != nil {
		data.Form = *form
	}
	data.Form.Kind, data.Form.OfAuth, data.Form.Prefixes = client.Kind, true, a.issuer == catalog.LiteServer
	data.Stages = a.withServer()
	ctx := c.Request().Context()
	calls, err := a.server.Usage(ctx, usage.Days)
	if err == nil {
		data.Form.Tiers, err = a.server.Tiers(ctx)
	}
	if err != nil {
		data.Silence = ui.InWords(err)
	}
	data.Chart, data.Routes = usage.Draw(client.ID, calls, a.Now()), usage.ByRoute(client.ID, calls)
	return ui.Render(c, status, clientView(a.Gate.Page(c, client.Name, a.nav), data, a.Now()))
}

// withServer are the stages at which the section's server has something to do.
func (a section) withServer() (stages catalog.Set) {
	for _, stage := range a.Stages.Built() {
		if a.has(stage.Policies) {
			stages = append(stages, stage)
		}
	}
	return stages
}

func (a section) changeClient(c echo.Context) error {
	id := c.Param("app")
	form, client := readAppForm(c.Request().PostForm)
	form.ID = id
	if form.Failure != "" {
		return a.showClient(c, http.StatusUnprocessableEntity, &form, "")
	}
	err := a.Gate.Act(c, "change a client", id, "The changes hold from now on. The tokens and codes that the client has stay as they are.", func() error {
		change := changeOf(client)
		change.RedirectURIs = &client.RedirectURIs
		return a.server.Quick(c.Request().Context(), http.MethodPatch, "/apps/"+url.PathEscape(id), change, nil)
	})
	if ui.Refusal(err) != nil {
		form.fail("", ui.InWords(err))
		return a.showClient(c, http.StatusUnprocessableEntity, &form, "")
	}
	if err != nil {
		return err
	}
	a.Runner.Changed()
	return c.Redirect(http.StatusSeeOther, string(clientPath(a.prefix, id, "")))
}

func (a section) revokeClient(c echo.Context) error {
	id := c.Param("app")
	return a.take(c, change{
		Action: "refuse a client", Subject: id, Path: "/keys/" + url.PathEscape(id) + "/revoke",
		Done: "The client " + id + " is refused from now on, at the authorization server and with every token that it has.",
		Undo: &ui.Undo{Action: string(clientPath(a.prefix, id, "/restore")), Label: "Undo: accept it"},
	})
}

func (a section) restoreClient(c echo.Context) error {
	id := c.Param("app")
	return a.take(c, change{
		Action: "accept a client", Subject: id, Path: "/keys/" + url.PathEscape(id) + "/restore",
		Done: "The client " + id + " is accepted again, with the tokens that it has.",
	})
}

// askRotateClientSecret asks before a client gets a new secret.
func (a section) askRotateClientSecret(c echo.Context) error {
	client, err := a.findApp(c)
	if err != nil {
		return err
	}
	if client.Public {
		return echo.NewHTTPError(http.StatusNotFound, "A public client has no secret: its users could read it.")
	}
	return a.ask(c, ui.Question{
		Title: "Make a new secret for " + client.ID + "?",
		Text: "The authorization server takes the old one for a while longer (the setting client_secret_overlap: an hour, if nobody has changed it), so that a client that runs on a server has time to learn the new one. " +
			"Installed apps can't learn it: what is in a package stays there. " + breaks(carried(a.withServer())),
		Action: c.Request().URL.Path, Button: "Make a new secret",
	})
}

// breaks says what becomes of installed apps that carry a secret which is replaced.
func breaks(stages catalog.Set) string {
	if len(stages) == 0 {
		return "No stage has such an app."
	}
	return "After that time each of them is shut out at " + ui.StagesInWords(stages) + ", until the app is released anew and its user has installed it."
}

// askRotateServersSecret asks before servers get a new secret.
func (a section) askRotateServersSecret(c echo.Context) error {
	_, key, err := a.findServersKey(c)
	if err != nil {
		return err
	}
	return a.ask(c, ui.Question{
		Title: "Make a new secret for " + key.ID + "?",
		Text: "Authorization server, attestation service, mediator and API learn of it within a second. The old one is good for as long as the stage says, " +
			"half a minute if nobody has changed it, and so is what was signed with it. Installed apps notice nothing: none of them has this secret.",
		Action: c.Request().URL.Path, Button: "Make a new secret",
	})
}

func (a section) rotateServersSecret(c echo.Context) error {
	client, key, err := a.findServersKey(c)
	if err != nil {
		return err
	}
	return a.take(c, change{
		Action: "rotate a secret of servers", Subject: key.ID, Path: "/keys/" + url.PathEscape(key.ID) + "/secret",
		Done: "The servers have a new secret for " + client.ID + ". Installed apps go on as they are.",
	})
}

func (a section) findServersKey(c echo.Context) (manage.App, manage.Key, error) {
	client, err := a.findApp(c)
	if err != nil {
		return client, manage.Key{}, err
	}
	key, ok := serversKey(client)
	if !ok {
		return client, key, echo.NewHTTPError(http.StatusNotFound, "Servers share no key of this client.")
	}
	return client, key, nil
}

func (a section) rotateClientSecret(c echo.Context) error {
	id := c.Param("app")
	return a.take(c, change{
		Action: "rotate a client secret", Subject: id, Path: "/keys/" + url.PathEscape(id) + "/secret",
		Done: "The client " + id + " has a new secret. The old one is accepted for a while longer.",
	})
}

// showSecret shows a client's secret, to give it to whoever runs the client. It is a form and
// not a link, so that it is in no history, and it is written down that it was shown.
func (a section) showSecret(c echo.Context) error {
	id := c.Param("app")
	var secret manage.Secret
	err := a.Gate.Act(c, "show a client secret", id, "", func() (err error) {
		secret, err = a.server.Secret(c.Request().Context(), id)
		return err
	})
	if err != nil {
		return err
	}
	return a.showClient(c, http.StatusOK, nil, secret.Secret)
}

// redirectURIs are the lines of a text.
func redirectURIs(text string) []string {
	uris := []string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			uris = append(uris, line)
		}
	}
	return uris
}
