package resource

import (
	"errors"
	"math"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/usage"
	"keyladder/internal/manage"
)

// countSource counts from where a call came. Like the usage, that is for stages that there are.
func (s *Server) countSource(o guard.Outcome) {
	if o.Stage != "" {
		s.sources.Count(o.At, usage.Source{Stage: o.Stage, App: o.App, User: o.User, Address: o.Address, Agent: o.Request.UserAgent()}, o.Check == "")
	}
}

func (s *Server) showSources(c echo.Context) error {
	q := manage.SourceQuery{
		Kind: manage.SourceKind(c.QueryParam("kind")), Stage: c.QueryParam("stage"), App: c.QueryParam("app"), Search: c.QueryParam("search"),
	}
	var err error
	if q.Days, err = manage.Number(c, "days", 14, 3660); err != nil {
		return err
	}
	if q.Limit, err = manage.Number(c, "limit", 50, manage.MostListed); err != nil {
		return err
	}
	if q.From, err = manage.Number(c, "from", 0, math.MaxInt32); err != nil {
		return err
	}
	list, err := s.sources.Query(c.Request().Context(), q)
	if errors.Is(err, usage.ErrKind) {
		return manage.BadRequest("kind must be user, address or agent.")
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list)
}
