package resource

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// Handler is the API without listeners.
func (s *Server) Handler() http.Handler { return s.echo }

// Now is the server's time.
func (s *Server) Now() time.Time { return s.config.Now() }

// Flush writes what was used, as Serve does each second.
func (s *Server) Flush(ctx context.Context) error { return s.write(ctx) }

// Routes are the API's routes.
func (s *Server) Routes() []*echo.Route { return s.echo.Routes() }

// RegistrationProblem is what an app is told that can't register.
var RegistrationProblem = registrationProblem

// DecodeOrder reads a transfer order.
var DecodeOrder = decodeOrder

// Unguarded is the API's handler without the guard.
func (s *Server) Unguarded() http.Handler { return s.unguarded() }
