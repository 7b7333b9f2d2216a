package grants

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/backend/tokens"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// Revoke is the handler of the revocation endpoint (RFC 7009): a client gives back a token of
// its own. A token that is not good, or not any more, is as good as revoked: 200.
//
//keyladder:code token-revocation-endpoint
func (e *Endpoint) Revoke(c echo.Context, caller guard.Caller) error {
	form, err := oauth.ReadForm(c.Request(), caller.Body())
	if err != nil {
		return err
	}
	client, err := oauth.PublicClient(c.Request(), form, e.Clients.Lookup)
	if err != nil {
		return err
	}
	text, err := form.Required("token")
	if err != nil {
		return err
	}
	found, err := e.Tokens.Verify(caller.Stage().Slug, text, caller.At())
	if err != nil {
		return c.NoContent(http.StatusOK)
	}
	if found.ClientID != client.ID {
		return oauth.Refuse(catalog.CheckClient, problem.New(http.StatusForbidden, "not-allowed", "The token is another client's", ""),
			"the token was issued to %s, and this is %s", found.ClientID, client.ID)
	}
	if err := e.Tokens.Revoke(c.Request().Context(), found.ID); err != nil && !errors.Is(err, tokens.ErrNoToken) {
		return err
	}
	return c.NoContent(http.StatusOK)
}
