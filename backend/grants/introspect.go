package grants

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/backend/tokens"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// introspection is what a token says (RFC 7662, section 2.2).
type introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	Username  string `json:"username,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	Expires   int64  `json:"exp,omitempty"` // in seconds since 1970, and so is iat
	Issued    int64  `json:"iat,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  string `json:"aud,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	ID        string `json:"jti,omitempty"`
}

// Introspect is the handler of the introspection endpoint (RFC 7662): it says whether a token is
// good, and what it stands for. Only clients that prove themselves may ask, and about their own
// tokens: of all others they are told that these are not active (section 4). A resource server may
// ask about all access tokens, as it is shown them. Where the stage
// gives refresh tokens, these can be asked about, too.
//
// token_type_hint says where to look first, and one that is wrong or unknown changes no answer
// (section 2.1). Nothing is gained by it here: whether a text is an access token is known without
// a look into the database.
//
//keyladder:code token-introspection-endpoint
func (e *Endpoint) Introspect(c echo.Context, caller guard.Caller) error {
	form, err := oauth.ReadForm(c.Request(), caller.Body())
	if err != nil {
		return err
	}
	offer := e.offer(caller.Stage())
	client, err := oauth.Client(c.Request(), form, caller.Stage(), offer, caller.At(), e.Clients)
	if err != nil {
		return err
	}
	if client.Public || !offer.ClientAuth.Proven() {
		return oauth.RefuseClient(c.Request(), offer, "Only a client that has a secret may ask.", "%s is public", client.ID)
	}
	text, err := form.Required("token")
	if err != nil {
		return err
	}
	found, err := e.Tokens.Find(c.Request().Context(), caller.Stage().Slug, text, caller.At())
	switch {
	case errors.Is(err, tokens.ErrLookup):
		return err
	case err != nil && e.Refresh != nil && offer.Grants == catalog.CodeAndRefresh:
		return e.introspectRefresh(c, caller, client.ID, text)
	case err != nil, found.ClientID != client.ID && client.Kind != manage.ResourceServer, e.Tokens.Revoked(found):
		return c.JSON(http.StatusOK, introspection{})
	}
	return c.JSON(http.StatusOK, introspection{
		Active: true, Scope: found.Scope, ClientID: found.ClientID, Username: found.Subject, TokenType: "Bearer",
		Expires: found.Expires.Unix(), Issued: found.Issued.Unix(), Subject: found.Subject, Audience: found.Audience[0],
		Issuer: found.Issuer, ID: found.ID,
	})
}

// introspectRefresh answers for a refresh token. It has no token_type, which is that of an access
// token, nor an audience or an ID: nobody but its issuer reads it.
func (e *Endpoint) introspectRefresh(c echo.Context, caller guard.Caller, client, text string) error {
	found, good, err := e.Refresh.Introspect(c.Request().Context(), caller.At(), caller.Stage().Slug, text, client)
	switch {
	case err != nil:
		return err
	case !good:
		return c.JSON(http.StatusOK, introspection{})
	}
	return c.JSON(http.StatusOK, introspection{
		Active: true, Scope: found.Family.Scope, ClientID: found.Family.Client, Username: found.Family.User,
		Expires: found.EndsAt.Unix(), Issued: found.IssuedAt.Unix(), Subject: found.Family.User, Issuer: e.Issuer(caller.Stage()),
	})
}
