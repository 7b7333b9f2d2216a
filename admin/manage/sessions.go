package manage

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

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

var sessionFilters = []string{"search", "stage", "by"}

func sessionFilter(values url.Values) manage.SessionFilter {
	return manage.SessionFilter{Search: values.Get("search"), Stage: values.Get("stage"), By: maker(values.Get("by"))}
}

// sessionsData is what the page of the sessions shows.
type sessionsData struct {
	listed
	Sessions []manage.Session
	Hidden   int // that are the workshop's, where those are not listed
}

func (a *Administration) sessionsPage(c echo.Context) error {
	data := sessionsData{listed: listed{List: ui.ReadList(c, sessionColumns, "-created", sessionFilters...), Strip: a.Runner.Strip(c, knowsUsers)}}
	filter := sessionFilter(data.List.Filter)
	p := a.list(c, &data.listed, func(part manage.Part) (int, error) {
		found, err := a.Resource.Sessions(c.Request().Context(), manage.SessionQuery{SessionFilter: filter, Part: part})
		data.Sessions = found.Sessions
		return found.Total, err
	})
	if filter.By == manage.NotWorkshop && data.Silence == "" {
		filter.By = manage.Workshop
		hidden, err := a.Resource.Sessions(c.Request().Context(), manage.SessionQuery{SessionFilter: filter, Part: manage.Part{Limit: 1}})
		if err != nil {
			return err
		}
		data.Hidden = hidden.Total
	}
	p.Title = "Sessions"
	return ui.Render(c, http.StatusOK, sessionsView(p, data, a.Stages, a.Now()))
}

// findSessions are some of those that are selected, and how many there are in all.
func (a *Administration) findSessions(c echo.Context, s selection) (found []manage.Session, total int, err error) {
	ctx := c.Request().Context()
	if s.All {
		list, err := a.Resource.Sessions(ctx, manage.SessionQuery{SessionFilter: sessionFilter(s.Filter), Part: manage.Part{Limit: named}})
		return list.Sessions, list.Total, err
	}
	for _, id := range s.IDs[:min(len(s.IDs), named)] {
		list, err := a.Resource.Sessions(ctx, manage.SessionQuery{SessionFilter: manage.SessionFilter{Search: id}, Part: manage.Part{Limit: named}})
		if err != nil {
			return nil, 0, err
		}
		for _, session := range list.Sessions {
			if session.ID == id {
				found = append(found, session)
			}
		}
	}
	return found, len(s.IDs), nil
}

func sessionLines(sessions []manage.Session) []string {
	lines := make([]string, len(sessions))
	for i, session := range sessions {
		lines[i] = sessionWords(session)
	}
	return lines
}

// askEndSessions asks before sessions are ended.
func (a *Administration) askEndSessions(c echo.Context) error {
	selection, any := chosen(c.QueryParams(), sessionFilters...)
	if !any {
		return a.nothingChosen(c)
	}
	found, total, err := a.findSessions(c, selection)
	if err != nil {
		return err
	}
	return a.ask(c, ui.Question{
		Title: "End " + ui.Plural(total, "session", "sessions") + "?",
		Text:  "The next call with each of them is refused, and the user has to sign in again. They can't be brought back.",
		About: sessionLines(found), More: total - len(found), Nothing: total == 0,
		Action: "/sessions/end", Fields: selection.fields(), Button: "End " + ui.Plural(total, "session", "sessions"),
	})
}

func (a *Administration) endSessions(c echo.Context) error {
	selection, any := chosen(c.Request().PostForm, sessionFilters...)
	if !any {
		return a.nothingChosen(c)
	}
	if len(selection.IDs) == 1 {
		return a.endSession(c, selection)
	}
	return a.takeMany(c, change{Action: "end sessions", Subject: selection.words("sessions"), Path: "/sessions/revoke"},
		manage.SessionSelection{IDs: selection.IDs, All: selection.All, SessionFilter: sessionFilter(selection.Filter)},
		func(count int) string {
			if count == 0 {
				return "No session is left of those: they had ended before."
			}
			return ui.Plural(count, "session has", "sessions have") + " ended: the next call with one of them is refused. All others go on."
		})
}

func (a *Administration) endSession(c echo.Context, one selection) error {
	id := one.IDs[0]
	ending := change{
		Action: "end a session", Subject: id, Path: "/sessions/" + url.PathEscape(id) + "/revoke",
		Done: "The session has ended: the next call with it is refused. All others go on.",
	}
	// Only for the words: whether there is such a session is the server's to say.
	if found, _, err := a.findSessions(c, one); err == nil && len(found) == 1 {
		ending.Subject, ending.Stage = sessionWords(found[0])+" ("+id+")", found[0].Stage
	}
	return a.take(c, ending)
}

func sessionWords(session manage.Session) string {
	text := session.User + " in " + session.App + " at " + session.Stage
	if session.Device != "" {
		text += " on device " + session.Device
	}
	return text
}
