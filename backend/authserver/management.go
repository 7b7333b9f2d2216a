package authserver

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/internal/deployment"
)

// management adds the authorization server's part of the management API. See package manage.
func (s *Server) management() {
	resource := s.manage.For(deployment.Resource)
	s.clients.Serve(resource)
	s.tokens.Serve(resource)
	m := s.manage.For(deployment.Admin)
	m.GET("/apps", func(c echo.Context) error { return c.JSON(http.StatusOK, s.clients.Apps()) })
	m.GET("/keys/:id/secret", func(c echo.Context) error {
		secret, err := s.clients.Secret(c.Param("id"))
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, secret)
	})
}
