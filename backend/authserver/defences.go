package authserver

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
)

func (s *Server) showDefences(c echo.Context) error {
	on, err := s.codes.Defences(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, on)
}

// setDefences switches on and off what the document names against stolen codes where codes are bound
// to nothing. It holds at once.
//
//keyladder:code code-defences
func (s *Server) setDefences(c echo.Context) error {
	wanted, err := manage.Read[manage.CodeDefences](c)
	if err != nil {
		return err
	}
	if most := int(s.codes.MaxLifetime() / time.Second); wanted.LifetimeSeconds < 0 || wanted.LifetimeSeconds > most {
		return manage.Unprocessable("A code can be good for 1 to %d seconds; 0 leaves it at %d.", most, most)
	}
	if err := s.codes.SetDefences(c.Request().Context(), wanted); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, wanted)
}
