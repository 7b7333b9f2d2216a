package authserver

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/backend/authserver/pages"
	"keyladder/backend/clients"
	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pkce"
)

// request is what a client asks for (RFC 6749, sections 4.1.1 and 4.2.1).
type request struct {
	redirectURI string // where the answer goes
	given       string // redirect_uri as the request had it; empty: it had none
	state       string
	hasState    bool
	inFragment  bool // the answer goes into the fragment
	scope       []string
	challenge   string // code_challenge; empty: the stage knows none
	method      string // by which it was made (RFC 7636, section 4.3)
}

// maxState is how long a state may be, in bytes: it goes into a URL.
const maxState = 4096

// authorize takes a client's request and asks the user to sign in. As long as it is not certain
// that the redirect URI is the client's, nobody is sent there: an open redirector hands codes
// and tokens to anybody (RFC 9700, section 4.11).
//
//keyladder:code authorize
func (s *Server) authorize(c echo.Context, caller guard.Caller) error {
	stage := caller.Stage()
	query, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return s.problem(c, catalog.CheckForm, s.badRequest(stage, "The address of this page can't be read."), "the query can't be read")
	}
	client, _, err := s.clients.Lookup(query.Get("client_id"))
	if err != nil || len(query["client_id"]) > 1 {
		return s.problem(c, catalog.CheckClient, pages.UnknownClient(s.site(stage), fmt.Sprintf("%.80q", query.Get("client_id"))), fmt.Sprintf("the client %.80q: %v", query["client_id"], err))
	}
	r, ok := redirect(client, s.offer(stage).Redirects, query)
	if !ok && stage.Heeds(catalog.CheckRedirect) {
		asked := pages.Client{Name: client.Name(), ID: client.ID, RedirectURI: query.Get("redirect_uri")}
		return s.problem(c, catalog.CheckRedirect, pages.RedirectMismatch(s.site(stage), asked), fmt.Sprintf("%.200q is not registered for %s", query["redirect_uri"], client.ID))
	}
	if refused := s.read(&r, query, stage, client); refused != nil && stage.Heeds(refused.check) {
		return s.refuse(c, stage, r, *refused)
	}
	return s.askToSignIn(c, stage, s.underWay.begin(c.Response(), c.Request(), interaction{stage: stage.Slug, client: client, request: r}), "", pages.Failure{})
}

// redirect finds out where the answer goes. A client that has registered one URI alone need not
// say (RFC 6749, section 3.1.2.3).
//
//keyladder:code authorize-redirect
func redirect(client *clients.App, compared catalog.Redirects, query url.Values) (request, bool) {
	given := query["redirect_uri"]
	if len(given) == 1 && given[0] == "" {
		given = nil // what has no value counts as left out (section 3.1)
	}
	switch {
	case len(given) == 1 && (client.RedirectsTo(given[0]) || compared == catalog.PrefixRedirects && client.RedirectsBelow(given[0])):
		return request{redirectURI: given[0], given: given[0]}, true
	case len(given) == 0 && len(client.RedirectURIs) == 1:
		return request{redirectURI: client.RedirectURIs[0]}, true
	}
	return request{redirectURI: query.Get("redirect_uri"), given: query.Get("redirect_uri")}, false
}

// read reads the rest of a request. The client is told what is wrong with it.
func (s *Server) read(r *request, query url.Values, stage catalog.Stage, client *clients.App) *refusal {
	r.hasState = len(query["state"]) == 1 && len(query.Get("state")) <= maxState
	if r.hasState {
		r.state = query.Get("state")
	}
	r.inFragment = query.Get("response_type") == "token"
	for name, values := range query {
		if len(values) > 1 {
			return &refusal{catalog.CheckForm, invalidRequest, "A parameter is there twice.", fmt.Sprintf("%.40q is there %d times", name, len(values))}
		}
	}
	switch kind := query.Get("response_type"); {
	case kind == "":
		return &refusal{catalog.CheckForm, invalidRequest, "response_type is missing.", "response_type is missing"}
	case kind != s.responseType(stage):
		return &refusal{catalog.CheckGrant, unsupportedResponseType, "That response_type is not offered here.", fmt.Sprintf("the response type %.40q is not offered", kind)}
	case len(query.Get("state")) > maxState:
		return &refusal{catalog.CheckForm, invalidRequest, "state is too long.", "the state is too long"}
	}
	wanted, err := oauth.Form{"scope": query.Get("scope")}.Scope()
	if err != nil {
		return &refusal{catalog.CheckWanted, invalidScope, "The scope has characters that no scope has.", err.Error()}
	}
	if len(wanted) == 0 {
		wanted = client.Scopes
	}
	r.scope = slices.DeleteFunc(slices.Clone(wanted), func(scope string) bool { return !client.May(scope) })
	if len(r.scope) == 0 {
		return &refusal{catalog.CheckWanted, invalidScope, "The client may have none of that scope.", fmt.Sprintf("%s may have nothing of %q", client.ID, wanted)}
	}
	return s.readChallenge(r, query, stage)
}

// readChallenge reads what the code will be bound to. Where the stage binds codes, it binds those of
// all clients: one that keeps a secret can be handed somebody else's code as well (RFC 9700, section
// 2.1.1). Elsewhere these are parameters that nobody knows.
//
//keyladder:code authorize-challenge
func (s *Server) readChallenge(r *request, query url.Values, stage catalog.Stage) *refusal {
	accepted := s.offer(stage).PKCE.Methods()
	if len(accepted) == 0 {
		return nil
	}
	challenge := query.Get(pkce.FieldChallenge)
	method, err := pkce.Read(challenge, query.Get(pkce.FieldMethod), accepted...)
	if err != nil { // RFC 7636, section 4.4.1
		words := "Send code_challenge and code_challenge_method (RFC 7636). Methods: " + strings.Join(accepted, ", ") + "."
		return &refusal{catalog.CheckPKCE, invalidRequest, words, err.Error()}
	}
	r.challenge, r.method = challenge, method
	return nil
}

// responseType is the one that a stage offers.
func (s *Server) responseType(stage catalog.Stage) string {
	if s.offer(stage).Grants == catalog.ImplicitGrant {
		return "token"
	}
	return "code"
}

// problem shows a page, and notes which check refused.
func (s *Server) problem(c echo.Context, check catalog.Check, p pages.Problem, private string) error {
	if err := s.show(c, p.Status, "", pages.ProblemPage(p)); err != nil {
		return err
	}
	return &guard.Refusal{Check: check, Reason: private, Answered: true}
}

func (s *Server) badRequest(stage catalog.Stage, detail string) pages.Problem {
	return pages.Problem{
		Site: s.site(stage), Status: http.StatusBadRequest, Code: invalidRequest, Title: "This request can't be read", Detail: detail,
		WhatToDo: "Go back to the app and begin again from there.",
	}
}
