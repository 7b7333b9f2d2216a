package authserver

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/backend/tokens"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

// userInfo says whose access token that is. Where tokens are random text, clients have no other
// way to learn who has signed in. It answers in words of its own, as there is no standard for it but
// that of OpenID Connect, which this server does not know.
//
//keyladder:code userinfo-endpoint
func (s *Server) userInfo(c echo.Context, caller guard.Caller) error {
	text, err := token.From(c.Request().Header)
	if err != nil {
		return notGood("the access token: %v", err)
	}
	found, err := s.tokens.Find(c.Request().Context(), caller.Stage().Slug, text, caller.At())
	if errors.Is(err, tokens.ErrLookup) {
		return err
	}
	if err != nil {
		return notGood("the access token: %v", err)
	}
	if s.tokens.Revoked(found) {
		return notGood("the access token was revoked")
	}
	return c.JSON(http.StatusOK, map[string]string{"id": found.Subject})
}

func notGood(reason string, values ...any) error {
	return oauth.Refuse(catalog.CheckToken, problem.New(http.StatusUnauthorized, "token-not-accepted", "The access token is not good", ""), reason, values...)
}
