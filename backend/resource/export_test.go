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
