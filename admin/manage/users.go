package manage

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

func signsCalls(p catalog.Policies) bool {
	return p.Call.AppProof == catalog.Hawk && p.Auth.Issuer != catalog.AuthServer // which has secrets of its own
}

func registersDevices(p catalog.Policies) bool { return p.Call.Devices == catalog.RegisteredDevices }
func knowsUsers(p catalog.Policies) bool       { return p.Call.UserProof == catalog.UserSession }

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

func (a *Administration) usersPage(c echo.Context) error {
	data := usersData{listed: listed{List: ui.ReadList(c, userColumns, "name", "search"), Strip: a.Runner.Strip(c, knowsUsers)}}
	p := a.list(c, &data.listed, func(part manage.Part) (int, error) {
		found, err := a.Resource.Users(c.Request().Context(), manage.UserQuery{Search: data.List.Filter.Get("search"), Part: part})
		data.Users = found.Users
		return found.Total, err
	})
	p.Title = "Users"
	return ui.Render(c, http.StatusOK, usersView(p, data, a.Now()))
}

// askEndSessionsOf asks before all sessions of a user are ended.
func (a *Administration) askEndSessionsOf(c echo.Context) error {
	user := c.Param("user")
	found, err := a.Resource.Sessions(c.Request().Context(), manage.SessionQuery{SessionFilter: manage.SessionFilter{User: user}, Part: manage.Part{Limit: named}})
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

func (a *Administration) endSessionsOf(c echo.Context) error {
	user := c.Param("user")
	return a.take(c, change{
		Action: "end all sessions", Subject: user,
		Done: "All sessions of " + user + " have ended: wherever " + user + " was signed in, the next call is refused. Others stay signed in.",
		Path: "/users/" + url.PathEscape(user) + "/sessions/revoke",
	})
}

func (a *Administration) clearFailedSignIns(c echo.Context) error {
	user := c.Param("user")
	return a.take(c, change{
		Action: "clear failed sign-ins", Subject: user,
		Done: "The failed attempts to sign in as " + user + " are forgotten. The next ones are free, for whoever makes them.",
		Path: "/users/" + url.PathEscape(user) + "/failed-sign-ins/clear",
	})
}
