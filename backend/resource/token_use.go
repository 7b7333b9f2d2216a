package resource

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/tokens"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// noteToken notes a call that was served with an access token. A refused call was no use of it.
func (s *Server) noteToken(o guard.Outcome) {
	if o.Token == nil || o.Check != "" {
		return
	}
	s.journal.Note(o.Token, tokens.Call{At: o.At, Route: o.Route, Status: o.Status, Address: o.Address, Did: o.Did})
}

func (s *Server) listTokenCalls(c echo.Context) error {
	calls, err := s.journal.Calls(c.Request().Context(), c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, calls)
}

// revocationChecks are the stages at which access tokens that were revoked are refused, or
// would be.
func (s *Server) revocationChecks() []manage.RevocationCheck {
	checks := []manage.RevocationCheck{}
	for _, stage := range s.config.Stages.Built() {
		if !refusesRevoked(stage) {
			continue
		}
		check := manage.RevocationCheck{Stage: stage.Slug}
		if since, off := s.revocations.Since(stage.Slug); off {
			check.Off, check.Since = true, &since
		}
		checks = append(checks, check)
	}
	return checks
}

func refusesRevoked(stage catalog.Stage) bool {
	return stage.Built && stage.Auth.Revocations == catalog.RevokedRefused
}

// switchRevocationCheck switches the check for revoked access tokens on or off, at one stage and
// in all servers on the database. Its path says which, as the audit's lines have no bodies.
func (s *Server) switchRevocationCheck(on bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		stage, ok := s.config.Stages.Lookup(c.Param("slug"))
		if !ok || !refusesRevoked(stage) {
			return manage.NothingToChange("there is no stage of that name that refuses revoked access tokens")
		}
		if err := s.revocations.Set(c.Request().Context(), stage.Slug, on, s.config.Now()); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	}
}
