package grants

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"keyladder/backend/clients"
	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/backend/refresh"
	"keyladder/backend/tokens"
	"keyladder/backend/users"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

// Request is a request for a token, as far as the phases have come.
type Request struct {
	HTTP   *http.Request
	Caller guard.Caller
	Form   oauth.Form
	Client *clients.App
	Offer  catalog.Auth // what the server offers at the stage
	From   string       // the app's address, as the server says that has authenticated for it; empty: none has
}

// Rights are what a client is given.
type Rights struct {
	Owner *users.User
	// Allowed is what the owner has allowed the client. Nil: whatever both of them may do.
	Allowed    []string
	Family     string // of refresh tokens that this came of; empty: none
	Generation int    // number of the one that is issued now; 0: none is
	Origin     string // the authorization code that this came of, by its ID; empty: none
	Device     string // the installation that it is bound to; empty: none
	Thumbprint string // of the key that it is bound to; empty: none
	// Renewable says that the client gets a refresh token, where the stage has any.
	Renewable bool
}

// Mint makes what the client gets, in the transaction in which the grant is used up; nil: the
// grant uses up nothing.
type Mint func(tx *gorm.DB, r Rights) error

// Grant is a way to get a token.
type Grant struct {
	Type    string         // grant_type
	Offered catalog.Grants // the stages where it is
	// Claim finds out whose rights the client is given, and has mint make the tokens, once. It
	// returns the refresh token that follows one which was used, where there is one. An error is
	// mint's, a refusal ([oauth.Refuse]), or a fault of ours.
	Claim func(ctx context.Context, r Request, mint Mint) (next string, err error)
}

// Endpoint is the token endpoint.
type Endpoint struct {
	Server  catalog.Issuer // which server this is: what it offers at a stage is decided for it
	Clients *clients.Book
	Tokens  *tokens.Store
	Refresh *refresh.Store                   // nil: there are no refresh tokens
	Issuer  func(stage catalog.Stage) string // iss of what refresh tokens stand for; nil: without Refresh
	Grants  []Grant

	// Identify finds out which client sends a request; nil: as [oauth.Client] does.
	Identify func(r *http.Request, form oauth.Form, caller guard.Caller) (*clients.App, error)
	// Ended is told of a family that its client has given back; nil: nobody is.
	Ended func(ctx context.Context, family refresh.Family) error
}

// client is the client that sends a request.
func (e *Endpoint) client(r *http.Request, form oauth.Form, caller guard.Caller) (*clients.App, error) {
	if e.Identify != nil {
		return e.Identify(r, form, caller)
	}
	return oauth.Client(r, form, caller.Stage(), e.offer(caller.Stage()), caller.At(), e.Clients)
}

// answer is a token as the client gets it (RFC 6749, section 5.1).
type answer struct {
	Token     string `json:"access_token"`
	Type      string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in,omitempty"` // seconds
	Expires   int64  `json:"expires,omitempty"`    // the same in words of a server's own
	Refresh   string `json:"refresh_token,omitempty"`
	Scope     string `json:"scope"`
}

// offer is what the server offers at a stage. Where it has no part, it offers nothing.
func (e *Endpoint) offer(stage catalog.Stage) catalog.Auth {
	offer, _ := stage.Provider(e.Server)
	return offer
}

// Token is the handler of the token endpoint.
//
//keyladder:code grant-phases
func (e *Endpoint) Token(c echo.Context, caller guard.Caller) error {
	ctx, r := c.Request().Context(), c.Request()
	form, err := oauth.ReadForm(r, caller.Body())
	if err != nil {
		return err
	}
	offer := e.offer(caller.Stage())
	client, err := e.client(r, form, caller)
	if err != nil {
		return err
	}
	grant, err := e.grant(form, offer)
	if err != nil {
		return err
	}
	request, out := Request{HTTP: r, Caller: caller, Form: form, Client: client, Offer: offer}, answer{}
	if offer.CodesUnbound() && e.Clients.HasServersKey(client.ID) {
		request.From = r.Header.Get(oauth.Forwarded)
	}
	next, err := grant.Claim(ctx, request, func(tx *gorm.DB, rights Rights) (err error) {
		out, err = e.mint(ctx, tx, request, rights)
		return err
	})
	if err != nil {
		return err
	}
	if next != "" {
		out.Refresh = next
	}
	c.Response().Header().Set("Pragma", "no-cache") // as section 5.1 has it, beside Cache-Control
	return c.JSON(http.StatusOK, out)
}

// mint makes the tokens for what a grant has brought: within what request, client and owner
// have in common.
func (e *Endpoint) mint(ctx context.Context, tx *gorm.DB, r Request, rights Rights) (answer, error) {
	scope, err := InCommon(r.Form, r.Client, rights)
	if err != nil {
		return answer{}, err
	}
	stage, out := r.Caller.Stage(), answer{Type: token.Scheme, Scope: scope}
	if rights.Thumbprint != "" {
		out.Type = token.BoundScheme
	}
	if rights.Renewable && r.Offer.Grants == catalog.CodeAndRefresh {
		family := refresh.Grant{Stage: stage.Slug, User: rights.Owner.Name, Client: r.Client.ID, Scope: scope, Origin: rights.Origin, Device: rights.Device, Thumbprint: rights.Thumbprint}
		text, begun, err := e.Refresh.BeginIn(tx, r.Caller.At(), family)
		if err != nil {
			return answer{}, err
		}
		out.Refresh, rights.Family, rights.Generation = text, begun.ID, begun.Number
	}
	given := tokens.Grant{
		Stage: stage.Slug, User: rights.Owner.Name, Client: r.Client.ID, Scope: scope, Family: rights.Family, Generation: rights.Generation, Origin: rights.Origin,
		Device: rights.Device, Thumbprint: rights.Thumbprint,
	}
	issue := func() (tokens.Issued, error) { return e.Tokens.Issue(ctx, r.Caller.At(), given) }
	if tx != nil {
		issue = func() (tokens.Issued, error) { return e.Tokens.IssueIn(tx, r.Caller.At(), given) }
	}
	issued, err := issue()
	out.Token = issued.Text
	if seconds := int64(issued.ExpiresIn / time.Second); r.Offer.Answers == catalog.OddAnswers {
		out.Expires = seconds
	} else {
		out.ExpiresIn = seconds
	}
	return out, err
}

// grant is the grant that a request names, if it is offered.
func (e *Endpoint) grant(form oauth.Form, offer catalog.Auth) (Grant, error) {
	name, err := form.Required("grant_type")
	if err != nil {
		return Grant{}, err
	}
	for _, grant := range e.Grants {
		if grant.Type == name && offer.Offers(grant.Offered) {
			return grant, nil
		}
	}
	return Grant{}, oauth.Refuse(catalog.CheckGrant, problem.New(http.StatusBadRequest, "unsupported-grant-type", "That grant is not offered here", ""),
		"the grant %.80q is not offered", name)
}

// InCommon is what request, client and owner have in common: nobody can give away what is not
// theirs. A request that does not say gets all of it.
//
//keyladder:code grant-scope
func InCommon(form oauth.Form, client *clients.App, rights Rights) (string, error) {
	wanted, err := form.Scope()
	if err != nil {
		return "", err
	}
	if len(wanted) == 0 {
		wanted = client.Scopes
	}
	var granted []string
	for _, scope := range wanted {
		allowed := rights.Allowed == nil || slices.Contains(rights.Allowed, scope)
		if allowed && client.May(scope) && rights.Owner.May(scope) && !slices.Contains(granted, scope) {
			granted = append(granted, scope)
		}
	}
	if len(granted) == 0 {
		return "", oauth.Refuse(catalog.CheckWanted, oauth.InvalidScope("Client and user have none of it in common."),
			"%s and %s have nothing of %q in common", client.ID, rights.Owner.Name, wanted)
	}
	return strings.Join(granted, " "), nil
}
