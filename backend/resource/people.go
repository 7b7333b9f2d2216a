package resource

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/backend/devices"
	"keyladder/backend/sessions"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/store"
)

// listUsers lists those of the directory, which has all in memory: they come from a file.
func (s *Server) listUsers(c echo.Context) error {
	part, err := partOf(c)
	if err != nil {
		return err
	}
	at := s.config.Now()
	good, err := s.sessions.Count(c.Request().Context(), at)
	if err != nil {
		return err
	}
	search := strings.ToLower(c.QueryParam("search"))
	users := slices.DeleteFunc(s.users.List(at), func(u manage.User) bool { return !strings.Contains(strings.ToLower(u.Name), search) })
	for i := range users {
		users[i].Sessions = good[users[i].Name]
	}
	column, descending := strings.CutPrefix(cmp.Or(part.Sort, "name"), "-")
	order, ok := usersBy[column]
	if !ok {
		return badRequest("sort must be name, role, sessions or failed, with or without a - in front of it.")
	}
	slices.SortStableFunc(users, func(a, b manage.User) int { // by name, as they came, where they are equal
		if descending {
			a, b = b, a
		}
		return order(a, b)
	})
	list := manage.UserList{Users: users[min(part.From, len(users)):], Total: len(users)}
	list.Users = list.Users[:min(cmp.Or(part.Limit, manage.MostListed), len(list.Users))]
	return c.JSON(http.StatusOK, list)
}

var usersBy = map[string]func(a, b manage.User) int{
	"name":     func(a, b manage.User) int { return strings.Compare(a.Name, b.Name) },
	"sessions": func(a, b manage.User) int { return a.Sessions - b.Sessions },
	"failed":   func(a, b manage.User) int { return a.FailedSignIns - b.FailedSignIns },
	"role": func(a, b manage.User) int {
		switch {
		case a.Staff == b.Staff:
			return 0
		case a.Staff:
			return -1
		}
		return 1
	},
}

// revokeSessions ends all sessions of a user.
func (s *Server) revokeSessions(c echo.Context) error {
	name := c.Param("name")
	if s.users.Lookup(name) == nil {
		return nothingToChange("there is no user of that name")
	}
	if _, err := s.sessions.EndAll(c.Request().Context(), name); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// clearFailedSignIns lets a user sign in at once, and everybody else guess anew.
func (s *Server) clearFailedSignIns(c echo.Context) error {
	name := c.Param("name")
	if s.users.Lookup(name) == nil {
		return nothingToChange("there is no user of that name")
	}
	s.users.Clear(name)
	return c.NoContent(http.StatusNoContent)
}

func (s *Server) listSessions(c echo.Context) error {
	query := manage.SessionQuery{SessionFilter: manage.SessionFilter{
		User: c.QueryParam("user"), App: c.QueryParam("app"), Stage: c.QueryParam("stage"), Search: c.QueryParam("search"),
	}}
	var err error
	if query.Part, err = partOf(c); err != nil {
		return err
	}
	if query.By, err = makerOf(c.QueryParam("by")); err != nil {
		return err
	}
	list, err := s.sessions.Query(c.Request().Context(), s.config.Now(), query)
	if err != nil {
		return listProblem(err)
	}
	return c.JSON(http.StatusOK, list)
}

func (s *Server) revokeSession(c echo.Context) error {
	err := s.sessions.End(c.Request().Context(), c.Param("id"))
	if errors.Is(err, sessions.ErrNoSession) {
		return nothingToChange(err.Error())
	}
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// revokeSelected ends many sessions. A selection of nothing in particular is refused, here and
// below: it would be all of them.
func (s *Server) revokeSelected(c echo.Context) error {
	selection, err := read[manage.SessionSelection](c)
	if err != nil {
		return err
	}
	if len(selection.IDs) == 0 && !selection.All && selection.SessionFilter == (manage.SessionFilter{}) {
		return unprocessable("Say which sessions.")
	}
	if _, err := makerOf(string(selection.By)); err != nil {
		return err
	}
	return changed(c)(s.sessions.EndSelected(c.Request().Context(), s.config.Now(), selection))
}

func (s *Server) listDevices(c echo.Context) error {
	query := manage.DeviceQuery{DeviceFilter: manage.DeviceFilter{
		Stage: c.QueryParam("stage"), App: c.QueryParam("app"), Search: c.QueryParam("search"), State: c.QueryParam("state"), By: manage.Maker(c.QueryParam("by")),
	}}
	var err error
	if query.Part, err = partOf(c); err != nil {
		return err
	}
	if err := checkDevices(query.DeviceFilter); err != nil {
		return err
	}
	list, err := s.devices.Query(c.Request().Context(), query)
	if err != nil {
		return listProblem(err)
	}
	return c.JSON(http.StatusOK, list)
}

func checkDevices(f manage.DeviceFilter) error {
	if _, err := makerOf(string(f.By)); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "served", "banned"}, f.State) {
		return badRequest("state must be served, banned, or nothing.")
	}
	return nil
}

func (s *Server) banDevice(c echo.Context) error {
	return deviceAnswer(c)(s.devices.Ban(c.Request().Context(), s.config.Now(), c.Param("id")))
}

func (s *Server) allowDevice(c echo.Context) error {
	return deviceAnswer(c)(s.devices.Allow(c.Request().Context(), c.Param("id")))
}

func (s *Server) banDevices(c echo.Context) error {
	selection, err := selectedDevices(c)
	if err != nil {
		return err
	}
	return changed(c)(s.devices.BanSelected(c.Request().Context(), s.config.Now(), selection))
}

func (s *Server) allowDevices(c echo.Context) error {
	selection, err := selectedDevices(c)
	if err != nil {
		return err
	}
	return changed(c)(s.devices.AllowSelected(c.Request().Context(), selection))
}

func (s *Server) removeDevices(c echo.Context) error {
	selection, err := selectedDevices(c)
	if err != nil {
		return err
	}
	return changed(c)(s.devices.Remove(c.Request().Context(), selection))
}

func selectedDevices(c echo.Context) (manage.DeviceSelection, error) {
	selection, err := read[manage.DeviceSelection](c)
	if err != nil {
		return selection, err
	}
	if len(selection.IDs) == 0 && !selection.All && selection.DeviceFilter == (manage.DeviceFilter{}) && !selection.NeverUsed && selection.UnseenSince == nil {
		return selection, unprocessable("Say which devices.")
	}
	return selection, checkDevices(selection.DeviceFilter)
}

// markWorkshop marks what the workshop has made. Who may say so is who has the admin's
// certificate: if apps could, whoever attacks would hide there.
func (s *Server) markWorkshop(c echo.Context) error {
	made, err := read[[]manage.Installation](c)
	if err != nil {
		return err
	}
	byStage := map[string][]string{}
	for _, one := range made {
		byStage[one.Stage] = append(byStage[one.Stage], one.Identifier)
	}
	total := 0
	for stage, identifiers := range byStage {
		ctx := c.Request().Context()
		for batch := range slices.Chunk(identifiers, 500) {
			marked, err := s.devices.MarkWorkshop(ctx, stage, batch)
			if err != nil {
				return err
			}
			if _, err := s.sessions.MarkWorkshop(ctx, stage, batch); err != nil {
				return err
			}
			total += marked
		}
	}
	return changed(c)(total, nil)
}

func changed(c echo.Context) func(int, error) error {
	return func(count int, err error) error {
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, manage.Changed{Changed: count})
	}
}

func deviceAnswer(c echo.Context) func(manage.Device, error) error {
	return func(device manage.Device, err error) error {
		if errors.Is(err, devices.ErrNoDevice) {
			return nothingToChange(err.Error())
		}
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, device)
	}
}

// partOf reads which part of a list is asked for.
func partOf(c echo.Context) (part manage.Part, err error) {
	part.Sort = c.QueryParam("sort")
	if part.Limit, err = number(c, "limit", manage.MostListed, manage.MostListed); err != nil {
		return part, err
	}
	part.From, err = number(c, "from", 0, math.MaxInt32)
	return part, err
}

func makerOf(text string) (manage.Maker, error) {
	by := manage.Maker(text)
	if !slices.Contains([]manage.Maker{manage.Anyone, manage.Workshop, manage.NotWorkshop}, by) {
		return by, badRequest("by must be %s, %s, or nothing.", manage.Workshop, manage.NotWorkshop)
	}
	return by, nil
}

// listProblem tells the admin what was wrong; other errors are ours.
func listProblem(err error) error {
	if errors.Is(err, store.ErrSort) {
		return problem.New(http.StatusBadRequest, "bad-request", "The request can't be read", err.Error())
	}
	return err
}

// number reads a query parameter from 1 to most.
func number(c echo.Context, name string, usual, most int) (int, error) {
	text := c.QueryParam(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, badRequest("%s must be a number from 1 to %d.", name, most)
	}
	return n, nil
}
