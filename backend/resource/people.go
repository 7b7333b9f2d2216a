package resource

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/backend/devices"
	"keyladder/backend/sessions"
	"keyladder/internal/manage"
	"keyladder/internal/store"
)

// countOwned says what users have here.
func (s *Server) countOwned(ctx context.Context) (func(*manage.User), error) {
	sessions, err := s.sessions.Count(ctx, s.config.Now())
	tokens, err2 := s.tokens.Count(ctx)
	return func(user *manage.User) { user.Sessions, user.Tokens = sessions[user.Name], tokens[user.Name] }, errors.Join(err, err2)
}

// revokeSessions ends all sessions of a user.
func (s *Server) revokeSessions(c echo.Context) error {
	name := c.Param("name")
	if s.users.Lookup(name) == nil {
		return manage.NothingToChange("there is no user of that name")
	}
	if _, err := s.sessions.EndAll(c.Request().Context(), name); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *Server) listSessions(c echo.Context) error {
	query := manage.SessionQuery{SessionFilter: manage.SessionFilter{
		User: c.QueryParam("user"), App: c.QueryParam("app"), Stage: c.QueryParam("stage"), Search: c.QueryParam("search"),
	}}
	var err error
	if query.Part, err = manage.PartOf(c); err != nil {
		return err
	}
	if query.By, err = makerOf(c.QueryParam("by")); err != nil {
		return err
	}
	list, err := s.sessions.Query(c.Request().Context(), s.config.Now(), query)
	if err != nil {
		return store.Problem(err)
	}
	return c.JSON(http.StatusOK, list)
}

func (s *Server) revokeSession(c echo.Context) error {
	err := s.sessions.End(c.Request().Context(), c.Param("id"))
	if errors.Is(err, sessions.ErrNoSession) {
		return manage.NothingToChange(err.Error())
	}
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// revokeSelected ends many sessions. A selection of nothing in particular is refused, here and
// below: it would be all of them.
func (s *Server) revokeSelected(c echo.Context) error {
	selection, err := manage.Read[manage.SessionSelection](c)
	if err != nil {
		return err
	}
	if len(selection.IDs) == 0 && !selection.All && selection.SessionFilter == (manage.SessionFilter{}) {
		return manage.Unprocessable("Say which sessions.")
	}
	if _, err := makerOf(string(selection.By)); err != nil {
		return err
	}
	return manage.SayChanged(c)(s.sessions.EndSelected(c.Request().Context(), s.config.Now(), selection))
}

func (s *Server) listDevices(c echo.Context) error {
	query := manage.DeviceQuery{DeviceFilter: manage.DeviceFilter{
		Stage: c.QueryParam("stage"), App: c.QueryParam("app"), Search: c.QueryParam("search"), State: c.QueryParam("state"), By: manage.Maker(c.QueryParam("by")),
	}}
	var err error
	if query.Part, err = manage.PartOf(c); err != nil {
		return err
	}
	if err := checkDevices(query.DeviceFilter); err != nil {
		return err
	}
	list, err := s.devices.Query(c.Request().Context(), query)
	if err != nil {
		return store.Problem(err)
	}
	return c.JSON(http.StatusOK, list)
}

func checkDevices(f manage.DeviceFilter) error {
	if _, err := makerOf(string(f.By)); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "served", "banned"}, f.State) {
		return manage.BadRequest("state must be served, banned, or nothing.")
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
	return manage.SayChanged(c)(s.devices.BanSelected(c.Request().Context(), s.config.Now(), selection))
}

func (s *Server) allowDevices(c echo.Context) error {
	selection, err := selectedDevices(c)
	if err != nil {
		return err
	}
	return manage.SayChanged(c)(s.devices.AllowSelected(c.Request().Context(), selection))
}

func (s *Server) removeDevices(c echo.Context) error {
	selection, err := selectedDevices(c)
	if err != nil {
		return err
	}
	return manage.SayChanged(c)(s.devices.Remove(c.Request().Context(), selection))
}

func selectedDevices(c echo.Context) (manage.DeviceSelection, error) {
	selection, err := manage.Read[manage.DeviceSelection](c)
	if err != nil {
		return selection, err
	}
	if len(selection.IDs) == 0 && !selection.All && selection.DeviceFilter == (manage.DeviceFilter{}) && !selection.NeverUsed && selection.UnseenSince == nil {
		return selection, manage.Unprocessable("Say which devices.")
	}
	return selection, checkDevices(selection.DeviceFilter)
}

// markWorkshop marks what the workshop has made. Only a caller with the admin's
// certificate may say so: if apps could, attackers would hide there.
func (s *Server) markWorkshop(c echo.Context) error {
	made, err := manage.Read[[]manage.Installation](c)
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
	return manage.SayChanged(c)(total, nil)
}

func deviceAnswer(c echo.Context) func(manage.Device, error) error {
	return func(device manage.Device, err error) error {
		if errors.Is(err, devices.ErrNoDevice) {
			return manage.NothingToChange(err.Error())
		}
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, device)
	}
}

func makerOf(text string) (manage.Maker, error) {
	by := manage.Maker(text)
	if !slices.Contains([]manage.Maker{manage.Anyone, manage.Workshop, manage.NotWorkshop}, by) {
		return by, manage.BadRequest("by must be %s, %s, or nothing.", manage.Workshop, manage.NotWorkshop)
	}
	return by, nil
}
