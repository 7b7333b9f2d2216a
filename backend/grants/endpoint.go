package grants

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/clients"
	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/backend/tokens"
	"keyladder/backend/users"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// Request is a request for a token, as far as the phases have come.
type Request struct {
	Caller guard.Caller
	Form   oauth.Form
	Client *clients.App
}

// Grant is a way to get a token.
type Grant struct {
	Type    string         // grant_type
	Offered catalog.Grants // the stages where it is
	// Owner finds out who gives the client rights. An error is a refusal ([oauth.Refuse]), or a
	// fault of ours.
	Owner func(context.Context, Request) (*users.User, error)
}

// Endpoint is the token endpoint.
type Endpoint struct {
	Clients *clients.Registry
	Tokens  *tokens.Store
	Grants  []Grant
}

// answer is a token as the client gets it (RFC 6749, section 5.1).
type answer struct {
	Token     string `json:"access_token"`
	Type      string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"` // seconds
	Scope     string `json:"scope"`
}

// Token is the handler of the token endpoint.
//
//keyladder:code grant-phases
func (e *Endpoint) Token(c echo.Context, caller guard.Caller) error {
	ctx := c.Request().Context()
	form, err := oauth.ReadForm(c.Request(), caller.Body())
	if err != nil {
		return err
	}
	client, err := oauth.PublicClient(c.Request(), form, e.Clients.Lookup)
	if err != nil {
		return err
	}
	grant, err := e.grant(form, caller.Stage())
	if err != nil {
		return err
	}
	owner, err := grant.Owner(ctx, Request{Caller: caller, Form: form, Client: client})
	if err != nil {
		return err
	}
	scope, err := inCommon(form, client, owner)
	if err != nil {
		return err
	}
	issued, err := e.Tokens.Issue(ctx, caller.At(), tokens.Grant{Stage: caller.Stage().Slug, User: owner.Name, Client: client.ID, Scope: scope})
	if err != nil {
		return err
	}
	c.Response().Header().Set("Pragma", "no-cache") // as section 5.1 has it, beside Cache-Control
	return c.JSON(http.StatusOK, answer{Token: issued.Text, Type: "Bearer", ExpiresIn: int64(issued.ExpiresIn / time.Second), Scope: scope})
}

// grant is the grant that a request names, if the stage offers it.
func (e *Endpoint) grant(form oauth.Form, stage catalog.Stage) (Grant, error) {
	name, err := form.Required("grant_type")
	if err != nil {
		return Grant{}, err
	}
	for _, grant := range e.Grants {
		if grant.Type == name && stage.Auth.Grants == grant.Offered {
			return grant, nil
		}
	}
	return Grant{}, oauth.Refuse(catalog.CheckGrant, problem.New(http.StatusBadRequest, "unsupported-grant-type", "That grant is not offered here", ""),
		"the grant %.80q is not offered", name)
}

// inCommon is what request, client and owner have in common: nobody can give away what is not
// theirs. A request that does not say gets all of it.
//
//keyladder:code grant-scope
func inCommon(form oauth.Form, client *clients.App, owner *users.User) (string, error) {
	wanted, err := form.Scope()
	if err != nil {
		return "", err
	}
	if len(wanted) == 0 {
		wanted = client.Scopes
	}
	var granted []string
	for _, scope := range wanted {
		if client.May(scope) && owner.May(scope) && !slices.Contains(granted, scope) {
			granted = append(granted, scope)
		}
	}
	if len(granted) == 0 {
		return "", oauth.Refuse(catalog.CheckWanted, oauth.InvalidScope("Client and user have none of it in common."),
			"%s and %s have nothing of %q in common", client.ID, owner.Name, wanted)
	}
	return strings.Join(granted, " "), nil
}
