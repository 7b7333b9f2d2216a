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

var sessionColumns = []ui.Column{
	{Name: "user", Label: "User"},
	{Name: "app", Label: "App"},
	{Name: "stage", Label: "Stage"},
	{Name: "device", Label: "Device"},
	{Name: "created", Label: "Since", LatestFirst: true},
	{Name: "used", Label: "Last used", LatestFirst: true},
}

var sessions = kind[manage.Session, manage.SessionFilter]{
	One: "session", Many: "sessions", Filters: []string{"search", "stage", "by"},
	Filter: func(values url.Values) manage.SessionFilter {
		return manage.SessionFilter{Search: values.Get("search"), Stage: values.Get("stage"), By: maker(values.Get("by"))}
	},
	Search: func(id string) manage.SessionFilter { return manage.SessionFilter{Search: id} },
	Read: func(ctx context.Context, server programs.Remote, filter manage.SessionFilter, part manage.Part) ([]manage.Session, int, error) {
		list, err := server.Sessions(ctx, manage.SessionQuery{SessionFilter: filter, Part: part})
		return list.Sessions, list.Total, err
	},
	ID:    func(session manage.Session) string { return session.ID },
	Stage: func(session manage.Session) string { return session.Stage },
	Words: sessionWords,
}

// sessionsData is what the page of the sessions shows.
type sessionsData struct {
	listed
	Sessions []manage.Session
}

func (a section) sessionsPage(c echo.Context) error {
	data := sessionsData{listed: a.listed(c, "/sessions", "Sessions", sessionColumns, "-created", sessions.Filters, knowsUsers)}
	found, p, err := sessions.list(a, c, &data.listed)
	if err != nil {
		return err
	}
	data.Sessions = found
	return ui.Render(c, http.StatusOK, sessionsView(p, data, a.Stages, a.Now()))
}

// askEndSessions asks before sessions are ended.
func (a section) askEndSessions(c echo.Context) error {
	return sessions.asks(a, c, "End",
		"The next call with each of them is refused, and the user has to sign in again. They can't be brought back.", "/sessions/end")
}

func (a section) endSessions(c echo.Context) error {
	selection, any := chosen(c.Request().PostForm, sessions.Filters...)
	if !any {
		return a.nothingChosen(c)
	}
	if len(selection.IDs) == 1 {
		return a.endSession(c, selection)
	}
	return a.takeMany(c, change{Action: "end sessions", Subject: sessions.selected(selection), Path: "/sessions/revoke"},
		manage.SessionSelection{IDs: selection.IDs, All: selection.All, SessionFilter: sessions.Filter(selection.Filter)},
		func(count int) string {
			if count == 0 {
				return "No session is left of those: they had ended before."
			}
			return ui.Plural(count, "session has", "sessions have") + " ended: the next call with one of them is refused. All others go on."
		})
}

func (a section) endSession(c echo.Context, one selection) error {
	ending := change{
		Action: "end a session", Path: "/sessions/" + url.PathEscape(one.IDs[0]) + "/revoke",
		Done: "The session has ended: the next call with it is refused. All others go on.",
	}
	sessions.name(a, c, one, &ending)
	return a.take(c, ending)
}

func sessionWords(session manage.Session) string {
	text := session.User + " in " + session.App + " at " + session.Stage
	if session.Device != "" {
		text += " on device " + session.Device
	}
	return text
}
