package resource

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/devices"
	"keyladder/backend/guard"
	"keyladder/internal/problem"
)

// postDevice registers the app's installation: {"identifier": "…"}. An identifier that
// was used stays with the one who has it, be it the same device: who could claim it
// anew could claim somebody else's.
func (s *Server) postDevice(c echo.Context, caller guard.Caller) error {
	var identifier string
	if err := decode(caller.Body(), member{"identifier", &identifier}); err != nil {
		return err
	}
	guid, err := s.devices.Register(c.Request().Context(), caller.At(), caller.Stage().Slug, caller.App(), identifier)
	if err != nil {
		return registrationProblem(err)
	}
	return writeJSON(c, http.StatusCreated, map[string]string{"guid": guid})
}

// registrationProblem tells the app what was wrong; other errors are ours.
func registrationProblem(err error) error {
	switch {
	case errors.Is(err, devices.ErrIdentifier):
		return unprocessable("%v.", err)
	case errors.Is(err, devices.ErrTaken):
		return problem.New(http.StatusConflict, "device-taken", "The device is registered already", "Use the GUID that it got then.")
	case errors.Is(err, devices.ErrFull):
		return problem.New(http.StatusServiceUnavailable, "try-later", "No more devices can be registered", "All places of this app are in use.")
	}
	return err
}
