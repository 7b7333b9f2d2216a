package manage

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

func signsCalls(p catalog.Policies) bool {
	return p.Call.AppProof == catalog.Hawk && !p.Auth.Issuer.Separate() // which has secrets of its own
}

func registersDevices(p catalog.Policies) bool { return p.Call.Devices == catalog.RegisteredDevices }

var userColumns = []ui.Column{
	{Name: "name", Label: "User"},
	{Name: "role", Label: "Role"},
	{Name: "sessions", Label: "Sessions", LatestFirst: true},
	{Name: "failed", Label: "Failed sign-ins", LatestFirst: true},
}

// usersData is what the page of the users shows.
type usersData struct {
	listed
	Users []manage.User
}

func (a section) usersPage(c echo.Context) error {
	data := usersData{listed: a.listed(c, "/users", "Users", userColumns, "name", []string{"search"}, catalog.Policies.HasSessions)}
	p := a.list(c, &data.listed, func(part manage.Part) (int, error) {
		found, err := a.server.Users(c.Request().Context(), manage.UserQuery{Search: data.List.Filter.Get("search"), Part: part})
		data.Users = found.Users
		return found.Total, err
	})
	return ui.Render(c, http.StatusOK, usersView(p, data, a.Now()))
}

// askEndSessionsOf asks before all sessions of a user are ended.
func (a section) askEndSessionsOf(c echo.Context) error {
	user := c.Param("user")
	found, err := a.server.Sessions(c.Request().Context(), manage.SessionQuery{SessionFilter: manage.SessionFilter{User: user}, Part: manage.Part{Limit: named}})
	if err != nil {
		return err
	}
	return a.ask(c, ui.Question{
		Title: "End all sessions of " + user + "?",
		Text:  "In every app, on every device, at every stage: the next call with each of them is refused, and the user has to sign in again. They can't be brought back.",
		About: sessions.lines(found.Sessions), More: found.Total - len(found.Sessions), Nothing: found.Total == 0,
		Action: c.Request().URL.Path, Button: "End " + ui.Plural(found.Total, "session", "sessions"),
	})
}

func (a section) endSessionsOf(c echo.Context) error {
	user := c.Param("user")
	return a.take(c, change{
		Action: "end all sessions", Subject: user,
		Done: "All sessions of " + user + " have ended: wherever " + user + " was signed in, the next call is refused. Others stay signed in.",
		Path: "/users/" + url.PathEscape(user) + "/sessions/revoke",
	})
}

func (a section) clearFailedSignIns(c echo.Context) error {
	user := c.Param("user")
	return a.take(c, change{
		Action: "clear failed sign-ins", Subject: user,
		Done: "The failed attempts to sign in as " + user + " are forgotten. The next ones are free, for whoever makes them.",
		Path: "/users/" + url.PathEscape(user) + "/failed-sign-ins/clear",
	})
}

var accountColumns = []ui.Column{
	{Name: "name", Label: "User"},
	{Name: "consents", Label: "Consents", LatestFirst: true},
	{Name: "families", Label: "Refresh tokens", LatestFirst: true},
	{Name: "tokens", Label: "Access tokens", LatestFirst: true},
	{Name: "failed", Label: "Failed sign-ins", LatestFirst: true},
}

// accountsPage is who can sign in at the authorization server, and what came of it.
func (a section) accountsPage(c echo.Context) error {
	data := usersData{listed: a.listed(c, a.prefix+"/users", "Users", accountColumns, "name", []string{"search"}, a.has)}
	p := a.list(c, &data.listed, func(part manage.Part) (int, error) {
		found, err := a.server.Users(c.Request().Context(), manage.UserQuery{Search: data.List.Filter.Get("search"), Part: part})
		data.Users = found.Users
		return found.Total, err
	})
	return ui.Render(c, http.StatusOK, accountsView(p, data, a.Now()))
}

// askEndAll asks before all that came of a user's sign-ins ends.
func (a section) askEndAll(c echo.Context) error {
	user := c.Param("user")
	found, err := a.server.Users(c.Request().Context(), manage.UserQuery{Search: user})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(found.Users, func(u manage.User) bool { return u.Name == user })
	if i < 0 {
		return echo.NewHTTPError(http.StatusNotFound, "There is no user of that name.")
	}
	return a.ask(c, ui.Question{
		Title: "End all that " + user + " has given away?",
		Text:  "Consents are withdrawn; authorization codes, refresh tokens and access tokens of every client end, at every stage, and so do sign-ins that are under way. The user has to sign in again, and is asked again.",
		About: []string{
			ui.Plural(found.Users[i].Consents, "consent", "consents"),
			ui.Plural(found.Users[i].Families, "family of refresh tokens", "families of refresh tokens"),
			ui.Plural(found.Users[i].Tokens, "access token", "access tokens"),
		},
		Action: c.Request().URL.Path, Button: "End all of it",
	})
}

func (a section) endAll(c echo.Context) error {
	user := c.Param("user")
	return a.take(c, change{
		Action: "end all of a user", Subject: user, Path: "/users/" + url.PathEscape(user) + "/end",
		Done: "All that came of " + user + "'s sign-ins has ended: the next call with any of it is refused. Others stay signed in.",
	})
}
