package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

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

func (s *Server) userRoutes(e *echo.Echo) {
	e.GET("/users", s.usersPage, s.signedIn)
	e.POST("/users/:user/sessions/end", s.endSessionsOf, s.signedIn)
	e.POST("/users/:user/failed-sign-ins/clear", s.clearFailedSignIns, s.signedIn)
	e.GET("/sessions", s.sessionsPage, s.signedIn)
	e.POST("/sessions/:session/end", s.endSession, s.signedIn)
	e.GET("/devices", s.devicesPage, s.signedIn)
	e.POST("/devices/:device/ban", s.banDevice, s.signedIn)
	e.POST("/devices/:device/allow", s.allowDevice, s.signedIn)
	e.GET("/keys/:key/secret", s.secretPage, s.signedIn)
	e.POST("/keys/:key/secret", s.rotateSecret, s.signedIn)
	e.POST("/run", s.runHere, s.signedIn)
}

// runStrip is the genuine app's button on a page where something was just taken away
// from it.
type runStrip struct {
	Action    string
	PutsPhone bool // on the stage, before the app runs
	Stages    catalog.Set
	Chosen    string
	Panel     runPanel
	Phone     manage.Phone // nothing is known of it where it does not answer
}

// isPhone says whether an identifier is of an installation on the phone. Every attack brings
// devices of its own, and all identifiers look alike.
func (strip runStrip) isPhone(identifier string) bool {
	return identifier != "" && slices.ContainsFunc(strip.Phone.Packages, func(p manage.Package) bool { return p.Identifier == identifier })
}

// runStrip offers the built stages that fit. The stage that the page is about comes
// first, then that of the latest run, then the phone's.
func (s *Server) runStrip(c echo.Context, fits func(catalog.Policies) bool) runStrip {
	strip := runStrip{Action: "/run", PutsPhone: true, Panel: s.runPanel("")}
	for _, stage := range s.cfg.Stages.Built() {
		if fits(stage.Policies) {
			strip.Stages = append(strip.Stages, stage)
		}
	}
	candidates := []string{c.QueryParam("at")}
	if strip.Panel.Latest != nil {
		candidates = append(candidates, strip.Panel.Latest.Stage)
	}
	strip.Phone, _ = s.phone.phone(c.Request().Context())
	candidates = append(candidates, strip.Phone.Stage) // only a suggestion
	for _, slug := range candidates {
		if _, ok := strip.Stages.Lookup(slug); ok {
			strip.Chosen = slug
			break
		}
	}
	return strip
}

func signsCalls(p catalog.Policies) bool       { return p.Call.AppProof == catalog.Hawk }
func registersDevices(p catalog.Policies) bool { return p.Call.Devices == catalog.RegisteredDevices }
func knowsUsers(p catalog.Policies) bool       { return p.Call.UserProof == catalog.UserSession }

// runHere lets the genuine app run and goes back to the page that asked for it. The phone
// is put on that stage first. Elsewhere it may need another release, which it tries on a
// phone of its own: another device, with another session than the ones on the page.
func (s *Server) runHere(c echo.Context) error {
	stage, err := s.builtNamed(c.Request().PostForm.Get("stage"))
	if err != nil {
		return err
	}
	// Where the phone does not answer, the run says so.
	if phone, err := s.phone.phone(c.Request().Context()); err == nil && phone.Stage != stage.Slug {
		if err := s.putPhone(c, stage); err != nil {
			return err
		}
	}
	if err := s.startApp(c, stage.Slug); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, at(c, stage.Slug, "the-run"))
}

// builtNamed is a stage that can be used.
func (s *Server) builtNamed(slug string) (catalog.Stage, error) {
	stage, ok := s.cfg.Stages.Lookup(slug)
	if !ok {
		return stage, echo.NewHTTPError(http.StatusNotFound, "There is no stage of this name. The stages are: "+s.cfg.Stages.Slugs()+".")
	}
	if !stage.Built {
		return stage, notBuilt(stage)
	}
	return stage, nil
}

// at is the page that the form was on, with a stage to run the app at, and its part
// (empty: the one that the form names).
func at(c echo.Context, stage, part string) string {
	form := c.Request().PostForm
	back, err := url.Parse(ownPath(cmp.Or(form.Get("back"), form.Get("page"))))
	if err != nil {
		return "/stages"
	}
	if stage != "" {
		query := back.Query()
		query.Set("at", stage)
		back.RawQuery = query.Encode()
	}
	if part != "" {
		back.Fragment = part
	}
	return back.String()
}

// take carries out a change and goes back to the page that asked for it, where a button
// lets the app run at the stage.
func (s *Server) take(c echo.Context, action, subject, done, path, stage string) error {
	err := s.act(c, action, subject, done, func() error {
		return s.resource.quick(c.Request().Context(), http.MethodPost, path, nil, nil)
	})
	if refusal(err) != nil {
		s.notices.put(visitorOf(c).Hash, notice{noticeFailed, s.inWords(err)})
		err = nil
	}
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, at(c, stage, ""))
}

// usersData is what the page of the users shows.
type usersData struct {
	Users   []manage.User
	Silence string // why they can't be shown
	Strip   runStrip
	Now     time.Time
}

func (s *Server) usersPage(c echo.Context) error {
	data := usersData{Strip: s.runStrip(c, knowsUsers), Now: s.now()}
	var err error
	if data.Users, err = s.resource.users(c.Request().Context()); err != nil {
		data.Silence = s.inWords(err)
	}
	p := s.page(c, "Users", "/users")
	p.Waiting = data.Strip.Panel.Job != nil
	return render(c, http.StatusOK, usersView(p, data))
}

func (s *Server) endSessionsOf(c echo.Context) error {
	user := c.Param("user")
	return s.take(c, "end all sessions", user,
		"All sessions of "+user+" have ended. Run the genuine app to see that its user has to sign in again.",
		"/users/"+url.PathEscape(user)+"/sessions/revoke", "")
}

func (s *Server) clearFailedSignIns(c echo.Context) error {
	user := c.Param("user")
	return s.take(c, "clear failed sign-ins", user,
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
	Strip   runStrip
	Stages  catalog.Set
	Now     time.Time
}

func (s *Server) sessionsPage(c echo.Context) error {
	data := sessionsData{Strip: s.runStrip(c, knowsUsers), Stages: s.cfg.Stages, Now: s.now()}
	sessions, err := s.resource.sessions(c.Request().Context())
	if err != nil {
		data.Silence = s.inWords(err)
	}
	data.Users = byUser(sessions)
	for i := range data.Users {
		user := &data.Users[i]
		user.Sessions, user.More = shorten(user.Sessions, func(s manage.Session) bool { return data.Strip.isPhone(s.Device) })
	}
	p := s.page(c, "Sessions", "/users")
	p.Waiting = data.Strip.Panel.Job != nil
	return render(c, http.StatusOK, sessionsView(p, data))
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

func (s *Server) endSession(c echo.Context) error {
	id := c.Param("session")
	subject, stage := id, ""
	// Only for the words: whether there is such a session is the server's to say.
	if sessions, err := s.resource.sessions(c.Request().Context()); err == nil {
		if i := slices.IndexFunc(sessions, func(session manage.Session) bool { return session.ID == id }); i >= 0 {
			found := sessions[i]
			subject, stage = found.User+" in "+found.App+" at "+found.Stage+" ("+id+")", found.Stage
		}
	}
	return s.take(c, "end a session", subject,
		"The session has ended. Run the genuine app to see that its user has to sign in again.",
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
	Strip   runStrip
	Now     time.Time
}

func (s *Server) devicesPage(c echo.Context) error {
	data := devicesData{
		Strip: s.runStrip(c, registersDevices), Stage: c.QueryParam("stage"), Now: s.now(),
		Wanted: strings.TrimSpace(c.QueryParam("identifier")),
	}
	data.All = data.Strip.Stages
	if _, ok := data.All.Lookup(data.Stage); !ok {
		data.Stage = ""
	}
	devices, err := s.resource.devices(c.Request().Context())
	if err != nil {
		data.Silence = s.inWords(err)
	} else {
		data.Stages = byStage(data.All, data.Stage, data.Wanted, devices)
	}
	for i := range data.Stages {
		at := &data.Stages[i]
		at.Devices, at.More = shorten(at.Devices, func(d manage.Device) bool { return data.Strip.isPhone(d.Identifier) })
	}
	p := s.page(c, "Devices", "/users")
	p.Waiting = data.Strip.Panel.Job != nil
	return render(c, http.StatusOK, devicesView(p, data))
}

// byStage sorts the devices whose identifier holds a text under their stages (empty: all).
func byStage(stages catalog.Set, chosen, wanted string, devices []manage.Device) []devicesAt {
	var list []devicesAt
	for _, stage := range stages {
		if chosen != "" && stage.Slug != chosen {
			continue
		}
		of := devicesAt{Stage: stage}
		for _, device := range devices {
			if device.Stage == stage.Slug && strings.Contains(device.Identifier, wanted) {
				of.Devices = append(of.Devices, device)
			}
		}
		slices.SortStableFunc(of.Devices, func(a, b manage.Device) int { return lastSign(b).Compare(lastSign(a)) })
		list = append(list, of)
	}
	return list
}

// lastSign is when a device was last heard of.
func lastSign(d manage.Device) time.Time {
	if d.LastSeen != nil {
		return *d.LastSeen
	}
	return d.RegisteredAt
}

func (s *Server) banDevice(c echo.Context) error {
	return s.markDevice(c, "ban a device", "ban", "is banned. If it is the phone's, run the genuine app to see that it is refused.")
}

func (s *Server) allowDevice(c echo.Context) error {
	return s.markDevice(c, "allow a device", "allow", "is served again.")
}

func (s *Server) markDevice(c echo.Context, action, how, done string) error {
	id := c.Param("device")
	subject, stage, name := id, "", id
	if devices, err := s.resource.devices(c.Request().Context()); err == nil { // for the words
		if i := slices.IndexFunc(devices, func(d manage.Device) bool { return d.ID == id }); i >= 0 {
			found := devices[i]
			stage, name = found.Stage, found.Identifier
			subject = found.Identifier + " at " + found.Stage + " (" + id + ")"
		}
	}
	return s.take(c, action, subject, "The device "+name+" "+done, "/devices/"+url.PathEscape(id)+"/"+how, stage)
}
