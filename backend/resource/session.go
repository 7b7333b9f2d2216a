package resource

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/sessions"
)

// opened is a session as its app gets to know it.
type opened struct {
	Key         string    `json:"session_key"`
	User        string    `json:"user"`
	IdleSeconds int64     `json:"idle_seconds"`
	ExpiresAt   time.Time `json:"expires_at"`
}

// postSession opens a session for the user whose password the guard has checked. It is
// tied to the app and the device of this call.
//
//keyladder:code open-session
func (s *Server) postSession(c echo.Context, caller guard.Caller) error {
	key, session, err := s.sessions.Begin(c.Request().Context(), caller.At(), caller.User(), caller.App(), caller.Stage().Slug, caller.Device())
	if err != nil {
		return err
	}
	lifetimes := s.sessions.Lifetimes()
	return writeJSON(c, http.StatusCreated, opened{
		Key: string(key), User: session.User, IdleSeconds: int64(lifetimes.Idle.Seconds()),
		ExpiresAt: session.CreatedAt.Add(lifetimes.Absolute),
	})
}

// deleteSession signs the user out: the session of this call ends. That it has ended
// meanwhile is as good.
func (s *Server) deleteSession(c echo.Context, caller guard.Caller) error {
	if err := s.sessions.End(c.Request().Context(), caller.Session()); err != nil && !errors.Is(err, sessions.ErrNoSession) {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
