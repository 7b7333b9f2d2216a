package manage

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/jobs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// rowsShown is how many devices of a stage, or sessions of a user, are listed. Every attack
// brings its own, so there can be thousands.
const rowsShown = 50

// shorten puts what is the phone's first, and leaves out what is too much.
func shorten[T any](rows []T, isPhone func(T) bool) (shown []T, more int) {
	slices.SortStableFunc(rows, func(a, b T) int {
		switch {
		case isPhone(a) == isPhone(b):
			return 0
		case isPhone(a):
			return -1
		}
		return 1
	})
	shown = rows[:min(len(rows), rowsShown)]
	return shown, len(rows) - len(shown)
}

func signsCalls(p catalog.Policies) bool       { return p.Call.AppProof == catalog.Hawk }
func registersDevices(p catalog.Policies) bool { return p.Call.Devices == catalog.RegisteredDevices }
func knowsUsers(p catalog.Policies) bool       { return p.Call.UserProof == catalog.UserSession }

// usersData is what the page of the users shows.
type usersData struct {
	Users   []manage.User
	Silence string // why they can't be shown
	Strip   jobs.Strip
	Now     time.Time
}

func (a *Administration) usersPage(c echo.Context) error {
	data := usersData{Strip: a.Runner.Strip(c, knowsUsers), Now: a.Now()}
	var err error
	if data.Users, err = a.Resource.Users(c.Request().Context()); err != nil {
		data.Silence = ui.InWords(err)
	}
	p := a.Gate.Page(c, "Users", "/users")
	p.Waiting = data.Strip.Panel.Job != nil
	return ui.Render(c, http.StatusOK, usersView(p, data))
}

func (a *Administration) endSessionsOf(c echo.Context) error {
	user := c.Param("user")
	return a.take(c, "end all sessions", user,
		"All sessions of "+user+" have ended: wherever "+user+" was signed in, the next call is refused. Others stay signed in.",
		"/users/"+url.PathEscape(user)+"/sessions/revoke", "")
}

func (a *Administration) clearFailedSignIns(c echo.Context) error {
	user := c.Param("user")
	return a.take(c, "clear failed sign-ins", user,
		"The failed attempts to sign in as "+user+" are forgotten. The next ones are free, for whoever makes them.",
		"/users/"+url.PathEscape(user)+"/failed-sign-ins/clear", "")
}

// signedInUser is a user with the sessions that are good now.
type signedInUser struct {
	Name     string
	Sessions []manage.Session // the phone's, then others, each newest first
	More     int              // that are not listed
}

// sessionsData is what the page of the sessions shows.
type sessionsData struct {
	Users   []signedInUser // by name
	Silence string         // why they can't be shown
	Strip   jobs.Strip
	Stages  catalog.Set
	Now     time.Time
}

func (a *Administration) sessionsPage(c echo.Context) error {
	data := sessionsData{Strip: a.Runner.Strip(c, knowsUsers), Stages: a.Stages, Now: a.Now()}
	sessions, err := a.Resource.Sessions(c.Request().Context())
	if err != nil {
		data.Silence = ui.InWords(err)
	}
	data.Users = byUser(sessions)
	for i := range data.Users {
		user := &data.Users[i]
		user.Sessions, user.More = shorten(user.Sessions, func(s manage.Session) bool { return data.Strip.IsPhone(s.Device) })
	}
	p := a.Gate.Page(c, "Sessions", "/users")
	p.Waiting = data.Strip.Panel.Job != nil
	return ui.Render(c, http.StatusOK, sessionsView(p, data))
}

func byUser(sessions []manage.Session) []signedInUser {
	var users []signedInUser
	for _, session := range sessions {
		i, found := slices.BinarySearchFunc(users, session.User, func(u signedInUser, name string) int { return cmp.Compare(u.Name, name) })
		if !found {
			users = slices.Insert(users, i, signedInUser{Name: session.User})
		}
		users[i].Sessions = append(users[i].Sessions, session)
	}
	return users
}

func (a *Administration) endSession(c echo.Context) error {
	id := c.Param("session")
	subject, stage := id, ""
	// Only for the words: whether there is such a session is the server's to say.
	if sessions, err := a.Resource.Sessions(c.Request().Context()); err == nil {
		if i := slices.IndexFunc(sessions, func(session manage.Session) bool { return session.ID == id }); i >= 0 {
			found := sessions[i]
			subject, stage = found.User+" in "+found.App+" at "+found.Stage+" ("+id+")", found.Stage
		}
	}
	return a.take(c, "end a session", subject,
		"The session has ended: the next call with it is refused. All others go on.",
		"/sessions/"+url.PathEscape(id)+"/revoke", stage)
}

// devicesAt are the devices of one stage.
type devicesAt struct {
	Stage   catalog.Stage
	Devices []manage.Device // the phone's, then others, each seen last first
	More    int             // that are not listed
}

// devicesData is what the page of the devices shows.
type devicesData struct {
	Stages  []devicesAt
	All     catalog.Set // stages to choose from
	Stage   string      // chosen; empty: all
	Wanted  string      // part of an identifier
	Silence string      // why they can't be shown
	Strip   jobs.Strip
	Now     time.Time
}

func (a *Administration) devicesPage(c echo.Context) error {
	data := devicesData{
		Strip: a.Runner.Strip(c, registersDevices), Stage: c.QueryParam("stage"), Now: a.Now(),
		Wanted: strings.TrimSpace(c.QueryParam("identifier")),
	}
	data.All = data.Strip.Stages
	if _, ok := data.All.Lookup(data.Stage); !ok {
		data.Stage = ""
	}
	for _, stage := range data.All {
		if data.Stage != "" && stage.Slug != data.Stage {
			continue
		}
		found, err := a.Resource.Devices(c.Request().Context(), manage.DeviceQuery{Stage: stage.Slug, Search: data.Wanted, LastSeen: true})
		if err != nil {
			data.Silence, data.Stages = ui.InWords(err), nil
			break
		}
		at := devicesAt{Stage: stage}
		at.Devices, at.More = shorten(found.Devices, func(d manage.Device) bool { return data.Strip.IsPhone(d.Identifier) })
		at.More += found.Total - len(found.Devices)
		data.Stages = append(data.Stages, at)
	}
	p := a.Gate.Page(c, "Devices", "/users")
	p.Waiting = data.Strip.Panel.Job != nil
	return ui.Render(c, http.StatusOK, devicesView(p, data))
}

func (a *Administration) banDevice(c echo.Context) error {
	return a.markDevice(c, "ban a device", "ban", "is banned: its next call is refused. If it is the phone's, a run of the genuine app shows it.")
}

func (a *Administration) allowDevice(c echo.Context) error {
	return a.markDevice(c, "allow a device", "allow", "is served again.")
}

func (a *Administration) markDevice(c echo.Context, action, how, done string) error {
	id := c.Param("device")
	subject, stage, name := id, "", id
	if list, err := a.Resource.Devices(c.Request().Context(), manage.DeviceQuery{Search: id}); err == nil { // for the words
		if i := slices.IndexFunc(list.Devices, func(d manage.Device) bool { return d.ID == id }); i >= 0 {
			found := list.Devices[i]
			stage, name = found.Stage, found.Identifier
			subject = found.Identifier + " at " + found.Stage + " (" + id + ")"
		}
	}
	return a.take(c, action, subject, "The device "+name+" "+done, "/devices/"+url.PathEscape(id)+"/"+how, stage)
}
