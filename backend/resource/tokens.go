package resource

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/backend/grants"
	"keyladder/backend/guard"
	"keyladder/backend/tokens"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// issuers are those of the stages whose access tokens the resource server issues itself.
func (c Config) issuers() []tokens.Issuer {
	var all []tokens.Issuer
	for _, stage := range c.Stages {
		if !issuesTokens(stage.Policies) {
			continue
		}
		url := c.Folder.Addresses.Stage(deployment.API, stage.Slug)
		all = append(all, tokens.Issuer{Stage: stage.Slug, URL: url, Audience: url + "/v1", Lifetime: c.TokenLifetime})
	}
	return all
}

func issuesTokens(p catalog.Policies) bool { return p.Auth.Issuer == catalog.ResourceServer }

// tokenRoutes are the endpoints of OAuth, where the resource server issues tokens.
func (s *Server) tokenRoutes(e *echo.Echo, g *guard.Guard) {
	endpoint := &grants.Endpoint{Server: catalog.ResourceServer, Clients: s.apps.Book, Tokens: s.tokens, Grants: []grants.Grant{grants.Password(s.users.SignIn)}}
	g.Handle(e, guard.Route{Method: http.MethodPost, Path: "/v1/token", Scope: guard.AnyScope, Admission: true, Refusals: problem.OAuth, At: issuesTokens}, endpoint.Token)
	g.Handle(e, guard.Route{Method: http.MethodPost, Path: "/v1/revoke", Scope: guard.AnyScope, Admission: true, Refusals: problem.OAuth, At: issuesTokens}, endpoint.Revoke)
}

// tokenManagement adds the management of access tokens and of the keys that sign them.
func (s *Server) tokenManagement(m manage.Routes) {
	s.tokens.Manage(m)
	m.POST("/tokens/examine", s.examineToken)
	m.GET("/tokens/:id/calls", s.listTokenCalls)
	m.POST(manage.IntegrityCallsPath, s.countIntegrityCalls)
	m.GET("/revocation-checks", func(c echo.Context) error { return c.JSON(http.StatusOK, s.revocationChecks()) })
	m.POST("/stages/:slug/revocation-check/off", s.switchRevocationCheck(false))
	m.POST("/stages/:slug/revocation-check/on", s.switchRevocationCheck(true))
}

// countIntegrityCalls counts the calls that were made with client integrity tokens.
func (s *Server) countIntegrityCalls(c echo.Context) error {
	asked, err := manage.Read[manage.IntegrityCallsQuery](c)
	if err != nil {
		return err
	}
	counted := manage.IntegrityCalls{Of: map[string]int64{}}
	calls := s.guard.IntegrityCalls(asked.Stage)
	for _, count := range calls {
		counted.Total += count
	}
	for _, id := range asked.Tokens {
		if count, ok := calls[id]; ok {
			counted.Of[id] = count
		}
	}
	return c.JSON(http.StatusOK, counted)
}

// examineToken makes all checks of the guard on a token and says what each finds. It is for the
// admin, who may know what a client is not told.
func (s *Server) examineToken(c echo.Context) error {
	asked, err := manage.Read[manage.TokenToExamine](c)
	if err != nil {
		return err
	}
	known := s.users.Knows
	if stage, ok := s.config.Stages.Lookup(asked.Stage); ok && !issuesTokens(stage.Policies) {
		known = nil // users of an authorization server are not known here: it answers for them
	}
	found, err := s.book(asked.Stage).Examine(asked.Stage, asked.Token, s.config.Now(), known)
	if errors.Is(err, tokens.ErrNoIssuer) {
		return manage.NothingToChange(err.Error())
	}
	if err != nil {
		return err
	}
	if last := &found.Findings[len(found.Findings)-1]; s.revocations.Off(asked.Stage) && !last.Moot {
		last.Passed, last.Reason = true, strings.TrimPrefix(last.Reason+", but nobody looks: the check is switched off", ", but ")
	}
	return c.JSON(http.StatusOK, found)
}
