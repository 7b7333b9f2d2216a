package mediator

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// token is the handler of the token endpoint.
func (s *Server) token(c echo.Context, caller guard.Caller) error {
	form, err := s.form(c.Request(), caller)
	if err != nil {
		return err
	}
	grant, err := form.Required("grant_type")
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"authorization_code", "refresh_token"}, grant) {
		return oauth.Refuse(catalog.CheckGrant, problem.New(http.StatusBadRequest, "unsupported-grant-type", "That grant is not offered here", ""),
			"the grant %.80q is not passed on", grant)
	}
	return s.forward(c, caller, "/token", form)
}

// revoke is the handler of the revocation endpoint.
func (s *Server) revoke(c echo.Context, caller guard.Caller) error {
	form, err := s.form(c.Request(), caller)
	if err != nil {
		return err
	}
	if _, err := form.Required("token"); err != nil {
		return err
	}
	return s.forward(c, caller, "/revoke", form)
}

// form reads the parameters of a request whose app was proven.
//
//keyladder:code mediator-form
func (s *Server) form(r *http.Request, caller guard.Caller) (oauth.Form, error) {
	if err := s.devices.take(installation{caller.App(), caller.Attested().Device}, caller.At()); err != nil {
		return nil, err
	}
	form, err := oauth.ReadForm(r, caller.Body())
	if err != nil {
		return nil, err
	}
	if err := oauth.WithoutSecret(r, form); err != nil {
		return nil, err
	}
	if id := form["client_id"]; id != "" && id != caller.App() {
		return nil, oauth.Refuse(catalog.CheckClient, problem.New(http.StatusBadRequest, "client-not-accepted", "There are two clients",
			"The client integrity token and client_id name different ones."), "client_id is %.80q, and the token is about %s", id, caller.App())
	}
	delete(form, "client_id") // the server is told by the key
	return form, nil
}

// forward sends a request on, with the client's secret, and its answer back.
//
//keyladder:code mediator-forward
func (s *Server) forward(c echo.Context, caller guard.Caller, endpoint string, form oauth.Form) error {
	to, err := s.provider(caller, endpoint, form)
	if err != nil {
		return err
	}
	c.Request().Header.Set(oauth.Forwarded, oauth.ForwardedFor(caller.Address())) // in the place of what the app says
	got, err := s.upstream.ask(c.Request(), caller.Stage().Slug, to, form)
	if err != nil {
		if c.Request().Context().Err() == nil { // else the app went away
			s.config.Logger.Error("ask the authorization server", "stage", caller.Stage().Slug, "endpoint", endpoint, "error", err)
		}
		problem.OAuth(c.Response(), problem.New(http.StatusServiceUnavailable, "try-later", "Tokens can't be had at the moment",
			"Try again after the time in Retry-After, in seconds.").With("Retry-After", "1"))
		return nil
	}
	for name, values := range got.header {
		c.Response().Header()[name] = values
	}
	c.Response().WriteHeader(got.status)
	_, err = c.Response().Write(got.body)
	if err != nil && c.Request().Context().Err() == nil {
		return err
	}
	return nil
}

// passedOn are the fields of a request that go to the authorization server, and of its answer that
// come back.
var (
	passedOn   = []string{protect.IdempotencyKey, oauth.Forwarded}
	passedBack = []string{"Content-Type", "Cache-Control", "Pragma", "Retry-After", protect.IdempotencyKey}
)
