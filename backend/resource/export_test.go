package resource

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// Handler is the API without listeners.
func (s *Server) Handler() http.Handler { return s.echo }

// Routes are the API's routes.
func (s *Server) Routes() []*echo.Route { return s.echo.Routes() }

// DecodeOrder reads a transfer order.
var DecodeOrder = decodeOrder

// Unguarded is the handler of GET /v1/accounts/{id} without the guard.
func (s *Server) Unguarded() echo.HandlerFunc {
	return func(c echo.Context) error {
		found, err := s.ledger.Account(c.Request().Context(), c.Param("id"))
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, accountOf(found))
	}
}
