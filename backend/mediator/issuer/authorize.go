package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/backend/authserver/pages"
	"keyladder/backend/guard"
	"keyladder/backend/mediator/oauthclient"
	"keyladder/backend/mediator/secrets"
	"keyladder/backend/mediator/signins"
	"keyladder/backend/oauth"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// authorize begins the sign-in that a pushed request is about, in the user agent that brings the
// reference. All else in the address counts for nothing (RFC 9126, section 4). The user goes
// to a provider's page, or sees a problem: no request can choose another place.
//
//keyladder:code mediator-authorize
func (s *Server) authorize(c echo.Context, caller guard.Caller) error {
	stage := caller.Stage()
	query, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return s.problem(c, catalog.CheckForm, s.badRequest(stage, "The address of this page can't be read."), "the query can't be read")
	}
	for name, values := range query {
		if len(values) > 1 {
			return s.problem(c, catalog.CheckForm, s.badRequest(stage, "The address of this page says something twice."), fmt.Sprintf("%.40q is there %d times", name, len(values)))
		}
	}
	id := query.Get("client_id")
	client := s.config.Clients.App(id)
	if client == nil {
		return s.problem(c, catalog.CheckClient, pages.UnknownClient(s.site(stage), fmt.Sprintf("%.80q", id)), fmt.Sprintf("the client %.80q is not registered", id))
	}
	agent := agentOf(c, stage)
	begun, err := s.signIns.Begin(c.Request().Context(), caller.At(), stage.Slug, client.ID, query.Get("request_uri"), agent)
	switch {
	case errors.Is(err, signins.ErrRequest), errors.Is(err, signins.ErrClient):
		return s.problem(c, catalog.CheckPushed, pages.Outdated(s.site(stage)), err.Error())
	case err != nil:
		return err
	}
	enabled := s.config.Providers.Enabled(stage.Slug)
	switch {
	case begun.Provider != "":
		return s.toProvider(c, caller, begun.ID, agent, begun.Provider)
	case len(enabled) == 1:
		return s.toProvider(c, caller, begun.ID, agent, enabled[0].Name)
	case len(enabled) == 0:
		return s.problem(c, catalog.CheckProvider, pages.Problem{
			Site: s.site(stage), Status: http.StatusServiceUnavailable, Title: "Nobody can sign in at the moment",
			Detail: "The bank has switched off everybody who could say who you are.", WhatToDo: "Try again later, from the app.",
		}, "no provider is enabled")
	}
	page := pages.Choice{
		Site: s.site(stage), Client: pages.Client{Name: client.Name(), ID: client.ID, RedirectURI: begun.RedirectURI},
		Form: pages.Form{Action: "/" + stage.Slug + "/provider", Hidden: []pages.Hidden{{Name: pages.FieldInteraction, Value: begun.ID}}},
	}
	for _, p := range enabled {
		page.Providers = append(page.Providers, pages.ChoiceOfProvider{Name: p.Name, Title: p.Title, Host: hostOf(p.AuthorizationURL)})
	}
	return s.show(c, http.StatusOK, pages.ChoicePage(page))
}

// choose takes what the user has chosen, and sends the user agent there.
//
//keyladder:code mediator-choose-provider
func (s *Server) choose(c echo.Context, caller guard.Caller) error {
	form, err := oauth.ReadForm(c.Request(), caller.Body())
	if err != nil {
		return s.problem(c, catalog.CheckForm, s.badRequest(caller.Stage(), "The form that this page has sent can't be read."), "the form can't be read")
	}
	return s.toProvider(c, caller, form[pages.FieldInteraction], knownAgent(c), form[pages.FieldProvider])
}

// toProvider sends the user agent of a sign-in to a provider's page, and nothing that was posted goes
// along (RFC 9700, section 4.12).
func (s *Server) toProvider(c echo.Context, caller guard.Caller, id, agent, name string) error {
	stage := caller.Stage()
	p, ok := s.config.Providers.Named(name, stage.Slug)
	if !ok || !p.Enabled {
		return s.problem(c, catalog.CheckProvider, s.badRequest(stage, "There is no such page to sign in on, or not any more."), fmt.Sprintf("there is no provider %.40q", name))
	}
	chosen, state, err := s.signIns.Choose(c.Request().Context(), caller.At(), stage.Slug, id, agent, name, p.Version)
	switch {
	case errors.Is(err, signins.ErrUnknown), errors.Is(err, signins.ErrAgent):
		return s.problem(c, catalog.CheckProvider, pages.Outdated(s.site(stage)), err.Error())
	case err != nil:
		return err
	}
	return s.lead(c, pages.Lead{
		Site: s.site(stage), To: oauthclient.AuthorizationURL(p, strings.Fields(chosen.Scope), state, s.verifier(chosen, p)),
		Title: "You go on to " + p.Title, Text: "There you sign in.", Link: "Go on to " + p.Title,
	})
}

// lead leads a user agent on: with a redirect, or, where that would be held against the page with the
// form that has led here, with a page. Such pages are a provider's, which knows no app.
//
//keyladder:code mediator-lead
func (s *Server) lead(c echo.Context, to pages.Lead) error {
	if !to.Wanted(c.Request()) {
		return c.Redirect(http.StatusSeeOther, to.To)
	}
	to.SetHeader(c.Response().Header())
	return s.show(c, http.StatusOK, pages.LeadPage(to))
}

// verifier is what binds the provider's code to a sign-in (RFC 7636), kept nowhere.
func (s *Server) verifier(of signins.SignIn, p manage.Provider) string {
	return s.config.Key.Derive("verifier", of.ID, p.Name)
}

// cookie tells user agents apart while somebody signs in. The prefix has browsers take it from a
// server with TLS alone (RFC 6265bis, section 4.1.3.1).
const cookie = "__Secure-sign-in"

// agentOf is the user agent's cookie, which it gets where it has none.
func agentOf(c echo.Context, stage catalog.Stage) string {
	if value := knownAgent(c); value != "" {
		return value
	}
	value := secrets.New()
	c.SetCookie(&http.Cookie{
		Name: cookie, Value: value, Path: "/" + stage.Slug + "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, // a provider's answer comes from another site
	})
	return value
}

// knownAgent is the user agent's cookie; empty: it has none, or more than one.
func knownAgent(c echo.Context) string {
	found := c.Request().CookiesNamed(cookie)
	if len(found) != 1 || len(found[0].Value) != secrets.Length {
		return ""
	}
	return found[0].Value
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

func (s *Server) badRequest(stage catalog.Stage, detail string) pages.Problem {
	return pages.Problem{
		Site: s.site(stage), Status: http.StatusBadRequest, Code: "invalid_request", Title: "This request can't be read", Detail: detail,
		WhatToDo: "Go back to the app and begin again from there.",
	}
}

// back leads back to the app that has pushed the request, with a code or an error. State is as it
// came, and iss says who answers (RFC 9207).
func (s *Server) back(c echo.Context, stage catalog.Stage, r signins.Request, name, value string) error {
	answer := name + "=" + url.QueryEscape(value)
	if r.State != "" {
		answer += "&state=" + strings.ReplaceAll(url.QueryEscape(r.State), "+", "%20")
	}
	separator := "?"
	if strings.Contains(r.RedirectURI, "?") {
		separator = "&"
	}
	return s.lead(c, pages.Lead{
		Site: s.site(stage), To: r.RedirectURI + separator + answer + "&iss=" + url.QueryEscape(s.issuer(stage)),
		Title: "You go back to the app", Text: "It opens by itself. If it does not, open it here.", Link: "Go back to the app",
	})
}
