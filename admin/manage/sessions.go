package manage

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/mediator"
	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
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
	data := sessionsData{listed: a.listed(c, "/sessions", "Sessions", sessionColumns, "-created", sessions.Filters, catalog.Policies.HasSessions)}
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

// mediated is what came of sign-ins at providers, at the mediator.
func (a *Administration) mediated() section {
	return section{Administration: a, server: a.Mediator, prefix: mediator.Prefix, nav: mediator.Home, has: mediator.Issues, tabs: mediator.Tabs}
}

func (a section) mountMediated(e *echo.Echo, in echo.MiddlewareFunc) {
	a.mountTokens(e, in)
	e.GET(mediator.SessionsPath, a.signInsPage, in)
	e.GET(mediator.SessionsPath+"/rows", a.signInRows, a.Gate.SignedInQuietly)
	e.GET(mediator.SessionsPath+"/end", a.askEndSignIns, in)
	e.POST(mediator.SessionsPath+"/end", a.endSignIns, in)
	e.GET(mediator.SessionsPath+"/:session", a.signInPage, in)
}

var signInColumns = []ui.Column{
	{Name: "user", Label: "User"},
	{Name: "provider", Label: "Provider"},
	{Name: "client", Label: "App"},
	{Name: "stage", Label: "Stage"},
	{Name: "begun", Label: "Signed in", LatestFirst: true},
}

// signInStates are the choices: without one, those that are good are listed.
var signInStates = []ui.NavItem{{Path: "", Label: "good"}, {Path: "ended", Label: "ended"}, {Path: "any", Label: "any"}}

var signIns = kind[manage.MediatorSession, manage.MediatorSessionFilter]{
	One: "sign-in", Many: "sign-ins", Filters: []string{"search", "stage", "provider", "state"}, States: signInStates,
	Filter: func(values url.Values) manage.MediatorSessionFilter {
		return manage.MediatorSessionFilter{Search: values.Get("search"), Stage: values.Get("stage"), Provider: values.Get("provider"), State: goodUnlessSaid(values)}
	},
	Search: func(id string) manage.MediatorSessionFilter { return manage.MediatorSessionFilter{Search: id} },
	Read: func(ctx context.Context, server programs.Remote, filter manage.MediatorSessionFilter, part manage.Part) ([]manage.MediatorSession, int, error) {
		list, err := server.MediatorSessions(ctx, manage.MediatorSessionQuery{MediatorSessionFilter: filter, Part: part})
		return list.Sessions, list.Total, err
	},
	ID:    func(s manage.MediatorSession) string { return s.ID },
	Stage: func(s manage.MediatorSession) string { return s.Stage },
	Words: signInWords,
	Selection: func(s selection, filter manage.MediatorSessionFilter) any {
		return manage.MediatorSessionSelection{IDs: s.IDs, All: s.All, MediatorSessionFilter: filter}
	},
}

func signInWords(s manage.MediatorSession) string {
	return s.User + " in " + s.Client + " at " + s.Stage + ", signed in at " + s.Provider
}

// signInsData is what the page of the sign-ins at providers shows.
type signInsData struct {
	listed
	Sessions  []manage.MediatorSession
	Providers []ui.NavItem // to choose from
	Live      string       // where the rows come from that are new; empty: the page does not ask
	Last      time.Time    // of the newest row
}

func (a section) signInsPage(c echo.Context) error {
	data := signInsData{
		listed:    a.listed(c, mediator.SessionsPath, "Sign-ins", signInColumns, "-begun", signIns.Filters, a.has),
		Providers: []ui.NavItem{{Path: "", Label: "all"}},
	}
	found, p, err := signIns.list(a, c, &data.listed)
	if err != nil {
		return err
	}
	data.Sessions = found
	if providers, err := a.server.Providers(c.Request().Context()); err == nil { // only choices
		for _, provider := range providers {
			data.Providers = append(data.Providers, ui.NavItem{Path: provider.Name, Label: provider.Title})
		}
	}
	if data.List.Sort == "-begun" && data.List.Page == 1 && data.Silence == "" {
		data.Live = string(data.List.With(mediator.SessionsPath+"/rows", "live", "1"))
		if len(found) > 0 {
			data.Last = found[0].BegunAt
		}
	}
	return ui.Render(c, http.StatusOK, signInsView(p, data, a.Stages, a.Now()))
}

const (
	rowsEvery = time.Second      // how often the mediator is asked for what is new
	rowsWait  = 20 * time.Second // how long an answer waits for it
)

// signInRows waits for sign-ins after a time and answers with rows for the list.
func (a section) signInRows(c echo.Context) error {
	after, err := time.Parse(time.RFC3339Nano, c.QueryParam("after"))
	if err != nil {
		return echo.NewHTTPError(http.StatusBadRequest, "after is not a time.")
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), rowsWait)
	defer cancel()
	defer context.AfterFunc(a.Stopped, cancel)()
	list := ui.ReadList(c, signInColumns, "-begun", signIns.Filters...)
	var found []manage.MediatorSession
	for {
		found, list.Total, err = signIns.Read(ctx, a.server, signIns.Filter(list.Filter), manage.Part{Sort: "-begun", Limit: ui.PerPage})
		if err != nil && ctx.Err() == nil {
			return err
		}
		found = slices.DeleteFunc(found, func(s manage.MediatorSession) bool { return !s.BegunAt.After(after) })
		if len(found) > 0 {
			after = found[0].BegunAt
			c.Response().Header().Set(ui.LiveCount, list.Shown()+" sign-ins")
			break
		}
		select {
		case <-time.After(rowsEvery):
			continue
		case <-ctx.Done():
		}
		break
	}
	c.Response().Header().Set(ui.LiveLast, ui.ISO(after))
	return ui.Render(c, http.StatusOK, signInRowsView(found, a.Stages, a.Now()))
}

// signInData is what the page of one sign-in at a provider shows.
type signInData struct {
	manage.MediatorSession
	Family *familyData // that came of it; nil: the app has got no tokens yet
}

func (a section) signInPage(c echo.Context) error {
	found, _, err := signIns.find(a, c, selection{IDs: []string{c.Param("session")}})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return echo.NewHTTPError(http.StatusNotFound, "There is no such sign-in, or not any more: those that have ended are listed for a day. “Sign-ins” lists those that there are.")
	}
	data := signInData{MediatorSession: found[0]}
	if data.MediatorSession.Family != nil {
		family := a.withTokens(c.Request().Context(), *data.MediatorSession.Family)
		data.Family = &family
	}
	return ui.Render(c, http.StatusOK, signInView(a.Gate.Page(c, data.User+" at "+data.Provider, a.nav), data, a.Stages, a.Now()))
}

// askEndSignIns asks before sign-ins at providers are ended.
func (a section) askEndSignIns(c echo.Context) error {
	return signIns.asks(a, c, "End",
		"The app's tokens that came of each of them are refused with the next call, and nothing is renewed. The provider gets its own tokens back. The user has to sign in again.", mediator.SessionsPath+"/end")
}

func (a section) endSignIns(c echo.Context) error {
	return signIns.change(a, c, change{Action: "end sign-ins at providers", Path: manage.MediatorSessionsPath + "/end"},
		func(count int) string {
			if count == 0 {
				return "No sign-in is left of those: they had ended before."
			}
			return ui.Plural(count, "sign-in has", "sign-ins have") + " ended, with the family of tokens that came of it: the next call is refused, nothing is renewed, and the provider gets its tokens back. All others go on."
		})
}
