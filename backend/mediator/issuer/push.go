package issuer

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/mediator/signins"
	"keyladder/backend/oauth"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pkce"
)

// maxState is how long a state may be, in bytes: it goes into a URL.
const maxState = 4096

// pushed is the answer to a pushed request (RFC 9126, section 2.2).
type pushed struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
}

// push is the handler of the pushed authorization request endpoint (RFC 9126): it checks a request
// as the authorization endpoint would, and keeps it. So what the user agent brings later is nothing
// that can be changed on the way.
//
//keyladder:code mediator-par
func (s *Server) push(c echo.Context, caller guard.Caller) error {
	form, err := oauth.ReadForm(c.Request(), caller.Body())
	if err != nil {
		return err
	}
	client, err := s.identify(c.Request(), form, caller)
	if err != nil {
		return err
	}
	if form["request_uri"] != "" { // section 2.1
		return oauth.Refuse(catalog.CheckPushed, problem.New(http.StatusBadRequest, "bad-request", "A pushed request has no request_uri", "Push its parameters."),
			"a request_uri was pushed")
	}
	kind, err := form.Required("response_type")
	if err != nil {
		return err
	}
	if kind != "code" {
		return oauth.Refuse(catalog.CheckGrant, problem.New(http.StatusBadRequest, "unsupported-response-type", "That response_type is not offered here", ""),
			"the response type %.40q is not offered", kind)
	}
	redirectURI, err := form.Required("redirect_uri")
	if err != nil {
		return err
	}
	if !client.RedirectsTo(redirectURI) {
		return oauth.Refuse(catalog.CheckRedirect, problem.New(http.StatusBadRequest, "bad-request", "The client has not registered that redirect_uri", ""),
			"%.200q is not registered for %s", redirectURI, client.ID)
	}
	method, err := pkce.Read(form[pkce.FieldChallenge], form[pkce.FieldMethod], caller.Stage().Auth.PKCE.Methods()...)
	if err != nil {
		return oauth.Refuse(catalog.CheckPKCE, problem.New(http.StatusBadRequest, "bad-request", "The request has no code challenge that is good here",
			"Send code_challenge, and code_challenge_method=S256."), "%v", err)
	}
	if len(form["state"]) > maxState {
		return oauth.Refuse(catalog.CheckForm, problem.New(http.StatusBadRequest, "bad-request", "state is too long", ""), "the state is too long")
	}
	wanted, err := form.Scope()
	if err != nil {
		return err
	}
	if len(wanted) == 0 {
		wanted = client.Scopes
	}
	scope := slices.DeleteFunc(slices.Clone(wanted), func(scope string) bool { return !client.May(scope) })
	if len(scope) == 0 {
		return oauth.Refuse(catalog.CheckWanted, oauth.InvalidScope("The client may have none of it."), "%s may have nothing of %q", client.ID, wanted)
	}
	if name := form["provider"]; name != "" {
		if p, ok := s.config.Providers.Named(name, caller.Stage().Slug); !ok || !p.Enabled {
			return oauth.Refuse(catalog.CheckProvider, problem.New(http.StatusBadRequest, "bad-request", "There is no such provider", ""), "there is no provider %.40q", name)
		}
	}
	if err := sameKey(form, caller); err != nil {
		return err
	}
	uri, err := s.signIns.Push(c.Request().Context(), caller.At(), signins.Request{
		Stage: caller.Stage().Slug, Client: client.ID, Device: caller.Attested().Device, Thumbprint: caller.Thumbprint(), RedirectURI: redirectURI, Scope: strings.Join(scope, " "),
		State: form["state"], Challenge: form[pkce.FieldChallenge], Method: method, Provider: form["provider"],
	})
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusCreated, pushed{RequestURI: uri, ExpiresIn: int64(s.config.PushedLifetime.Seconds())})
}
