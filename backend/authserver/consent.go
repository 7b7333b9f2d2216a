package authserver

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"keyladder/backend/authserver/pages"
	"keyladder/backend/codes"
	"keyladder/backend/consents"
	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/backend/tokens"
	"keyladder/stages/catalog"
)

// askForConsent shows who asks for what.
func (s *Server) askForConsent(c echo.Context, caller guard.Caller) error {
	stage := caller.Stage()
	i := s.underWay.find(c.Request(), stage.Slug, c.QueryParam(fieldInteraction))
	if i == nil || i.user == nil || i.client == nil {
		return s.problem(c, catalog.CheckForm, pages.Outdated(s.site(stage)), "there is no such sign-in in this browser, or no longer")
	}
	page := pages.Consent{
		Site: s.site(stage), Form: s.form(stage, "/consent", i), User: i.user.Name, Scopes: i.scope, Lifetime: s.lifetime(stage),
		Client:   pages.Client{Name: i.client.Name(), ID: i.client.ID, RedirectURI: i.request.redirectURI},
		Consents: "/" + stage.Slug + "/consents",
	}
	if s.offer(stage).Grants == catalog.CodeAndRefresh {
		page.Renewal = s.config.RefreshLifetime
	}
	return s.show(c, http.StatusOK, i.request.redirectURI, pages.ConsentPage(page))
}

// consent takes what the user said.
//
//keyladder:code authorize-consent
func (s *Server) consent(c echo.Context, caller guard.Caller) error {
	stage := caller.Stage()
	form, i, err := s.posted(c, caller)
	if err != nil {
		return err
	}
	if i.user == nil || i.client == nil {
		return s.problem(c, catalog.CheckForm, pages.Outdated(s.site(stage)), "nobody has signed in")
	}
	if form[pages.FieldDecision] != pages.Allow {
		return s.denied(c, stage, i)
	}
	if !s.underWay.end(i) {
		return s.sentTwice(c, stage)
	}
	party := consents.Party{Stage: stage.Slug, User: i.user.Name, Client: i.client.ID}
	if _, err := s.consents.Give(c.Request().Context(), caller.At(), party, i.scope); err != nil {
		return err
	}
	return s.allowed(c, caller, i)
}

// denied leads back with the news that the user does not want it.
func (s *Server) denied(c echo.Context, stage catalog.Stage, i *interaction) error {
	if !s.underWay.end(i) {
		return s.sentTwice(c, stage)
	}
	return s.refuse(c, stage, i.request, refusal{catalog.CheckConsent, accessDenied, "The user does not allow it.", "the user does not allow it"})
}

// sentTwice is for all of those who send a form at once but the first.
func (s *Server) sentTwice(c echo.Context, stage catalog.Stage) error {
	return s.problem(c, catalog.CheckForm, pages.Outdated(s.site(stage)), "the form was sent twice")
}

// allowed leads back with what the stage gives: a code, or the access token itself. The sign-in
// has ended by then.
//
//keyladder:code authorize-answer
func (s *Server) allowed(c echo.Context, caller guard.Caller, i *interaction) error {
	stage, ctx := caller.Stage(), c.Request().Context()
	if _, _, err := s.clients.Lookup(i.client.ID); err != nil { // it was good when the sign-in began
		return s.problem(c, catalog.CheckClient, pages.UnknownClient(s.site(stage), i.client.ID), i.client.ID+": "+err.Error())
	}
	scope := strings.Join(i.scope, " ")
	if s.offer(stage).Grants != catalog.ImplicitGrant {
		code, err := s.codes.Issue(ctx, caller.At(), codes.Code{
			Stage: stage.Slug, Client: i.client.ID, User: i.user.Name, Scope: scope, RedirectURI: i.request.given,
			Challenge: i.request.challenge, Method: i.request.method,
			Defended: s.offer(stage).CodesUnbound(), Address: oauth.ForwardedFor(caller.Address()),
		})
		if err != nil {
			return err
		}
		return s.back(c, stage, i.request, parameter{"code", code})
	}
	// RFC 9700, section 2.1.2, advises against this: the token is in a URL that the user agent,
	// its history and every app on the same scheme can see.
	issued, err := s.tokens.Issue(ctx, caller.At(), tokens.Grant{Stage: stage.Slug, User: i.user.Name, Client: i.client.ID, Scope: scope})
	if err != nil {
		return err
	}
	return s.back(c, stage, i.request, parameter{"access_token", issued.Text}, parameter{"token_type", "Bearer"},
		parameter{"expires_in", strconv.FormatInt(int64(issued.ExpiresIn/time.Second), 10)}, parameter{"scope", scope})
}

// allowedNow is what the user of a code allows its client at the moment: a consent may be
// withdrawn between the page and the token endpoint.
func (s *Server) allowedNow(tx *gorm.DB, code codes.Code) ([]string, error) {
	return s.consents.GrantedIn(tx, consents.Party{Stage: code.Stage, User: code.User, Client: code.Client})
}
