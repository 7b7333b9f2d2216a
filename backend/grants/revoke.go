package grants

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/backend/refresh"
	"keyladder/backend/tokens"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// Revoke is the handler of the revocation endpoint (RFC 7009): a client gives back a token of
// its own. With a refresh token its whole family ends, and the access tokens that came of it
// (section 2.1). A token that is not good, or not any more, is as good as revoked: 200.
//
// token_type_hint changes nothing (section 2.1 leaves it to the server): all kinds of tokens are
// looked through.
//
//keyladder:code token-revocation-endpoint
func (e *Endpoint) Revoke(c echo.Context, caller guard.Caller) error {
	ctx, r := c.Request().Context(), c.Request()
	form, err := oauth.ReadForm(r, caller.Body())
	if err != nil {
		return err
	}
	client, err := e.client(r, form, caller)
	if err != nil {
		return err
	}
	text, err := form.Required("token")
	if err != nil {
		return err
	}
	another := func(owner string) error {
		return oauth.Refuse(catalog.CheckClient, problem.New(http.StatusForbidden, "not-allowed", "The token is another client's", ""),
			"the token was issued to %s, and this is %s", owner, client.ID)
	}
	if e.Refresh != nil {
		family, err := e.Refresh.RevokeByToken(ctx, caller.Stage().Slug, text, client.ID)
		switch {
		case errors.Is(err, refresh.ErrClient):
			return another("another client")
		case err == nil:
			if _, err := e.Tokens.RevokeOf(ctx, family.ID); err != nil {
				return err
			}
			if e.Ended != nil {
				if err := e.Ended(ctx, family); err != nil {
					return err
				}
			}
			return c.NoContent(http.StatusOK)
		case !errors.Is(err, refresh.ErrUnknown):
			return err
		}
	}
	found, err := e.Tokens.Find(ctx, caller.Stage().Slug, text, caller.At())
	if errors.Is(err, tokens.ErrLookup) {
		return err
	}
	if err != nil {
		return c.NoContent(http.StatusOK)
	}
	if found.ClientID != client.ID {
		return another(found.ClientID)
	}
	if err := e.Tokens.Revoke(ctx, found.ID); err != nil && !errors.Is(err, tokens.ErrNoToken) {
		return err
	}
	return c.NoContent(http.StatusOK)
}
