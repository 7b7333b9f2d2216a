package resource

import (
	"errors"
	"net/http"
	"slices"
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
		url := c.Folder.Addresses.URL(deployment.API) + "/" + stage.Slug
		all = append(all, tokens.Issuer{Stage: stage.Slug, URL: url, Audience: url + "/v1", Lifetime: c.TokenLifetime})
	}
	return all
}

func issuesTokens(p catalog.Policies) bool { return p.Auth.Issuer == catalog.ResourceServer }

// tokenRoutes are the endpoints of OAuth, where the resource server issues tokens.
func (s *Server) tokenRoutes(e *echo.Echo, g *guard.Guard) {
	endpoint := &grants.Endpoint{Clients: s.apps.Lookup, Tokens: s.tokens, Grants: []grants.Grant{grants.Password(s.users.SignIn)}}
	g.Handle(e, guard.Route{Method: http.MethodPost, Path: "/v1/token", Scope: guard.AnyScope, OAuth: true, Refusals: problem.OAuth, At: issuesTokens}, endpoint.Token)
	g.Handle(e, guard.Route{Method: http.MethodPost, Path: "/v1/revoke", Scope: guard.AnyScope, OAuth: true, Refusals: problem.OAuth, At: issuesTokens}, endpoint.Revoke)
}

// tokenManagement adds the management of access tokens and of the keys that sign them.
func (s *Server) tokenManagement(m manage.Routes) {
	m.GET("/tokens", s.listTokens)
	m.POST("/tokens/revoke", s.revokeTokens)
	m.POST("/tokens/examine", s.examineToken)
	m.GET("/tokens/:id/calls", s.listTokenCalls)
	m.GET("/revocation-checks", func(c echo.Context) error { return c.JSON(http.StatusOK, s.revocationChecks()) })
	m.POST("/stages/:slug/revocation-check/off", s.switchRevocationCheck(false))
	m.POST("/stages/:slug/revocation-check/on", s.switchRevocationCheck(true))
	m.GET("/signing-keys", func(c echo.Context) error { return c.JSON(http.StatusOK, s.tokens.Keys()) })
	m.POST("/signing-keys/:id/withdraw", s.withdrawKey)
	m.POST("/stages/:slug/signing-keys", s.rotateSigningKey)
}

func (s *Server) listTokens(c echo.Context) error {
	query := manage.TokenQuery{TokenFilter: manage.TokenFilter{
		User: c.QueryParam("user"), Client: c.QueryParam("client"), Stage: c.QueryParam("stage"),
		State: c.QueryParam("state"), Search: c.QueryParam("search"),
	}}
	var err error
	if query.Part, err = partOf(c); err != nil {
		return err
	}
	if err := checkTokens(query.TokenFilter); err != nil {
		return err
	}
	list, err := s.tokens.Query(c.Request().Context(), query)
	if err != nil {
		return listProblem(err)
	}
	return c.JSON(http.StatusOK, list)
}

func checkTokens(f manage.TokenFilter) error {
	if !slices.Contains([]string{"", "good", "revoked", "expired"}, f.State) {
		return badRequest("state must be good, revoked, expired, or nothing.")
	}
	return nil
}

// revokeTokens ends tokens. A selection of nothing in particular is refused: it would be all of
// them.
func (s *Server) revokeTokens(c echo.Context) error {
	selection, err := read[manage.TokenSelection](c)
	if err != nil {
		return err
	}
	if len(selection.IDs) == 0 && !selection.All && selection.TokenFilter == (manage.TokenFilter{}) {
		return unprocessable("Say which access tokens.")
	}
	if err := checkTokens(selection.TokenFilter); err != nil {
		return err
	}
	return changed(c)(s.tokens.RevokeSelected(c.Request().Context(), selection))
}

// examineToken makes all checks of the guard on a token and says what each finds. It is for the
// admin, who may know what a client is not told.
func (s *Server) examineToken(c echo.Context) error {
	asked, err := read[manage.TokenToExamine](c)
	if err != nil {
		return err
	}
	found, err := s.book(asked.Stage).Examine(asked.Stage, asked.Token, s.config.Now())
	if errors.Is(err, tokens.ErrNoIssuer) {
		return nothingToChange(err.Error())
	}
	if err != nil {
		return err
	}
	// Users of an authorization server are not known here: it answers for them.
	if stage, ok := s.config.Stages.Lookup(asked.Stage); ok && issuesTokens(stage.Policies) && found.Subject != "" {
		finding := manage.TokenFinding{Check: "user", Passed: s.users.Lookup(found.Subject) != nil}
		if !finding.Passed {
			finding.Reason = "there is no user of that name"
		}
		// The guard asks for the user first, and then whether the token was revoked.
		found.Findings = slices.Insert(found.Findings, len(found.Findings)-1, finding)
	}
	if last := &found.Findings[len(found.Findings)-1]; s.revocations.Off(asked.Stage) && !last.Moot {
		last.Passed, last.Reason = true, strings.TrimPrefix(last.Reason+", but nobody looks: the check is switched off", ", but ")
	}
	return c.JSON(http.StatusOK, found)
}

func (s *Server) rotateSigningKey(c echo.Context) error {
	key, err := s.tokens.Rotate(c.Request().Context(), c.Param("slug"))
	if errors.Is(err, tokens.ErrNoIssuer) {
		return nothingToChange(err.Error())
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, key)
}

func (s *Server) withdrawKey(c echo.Context) error {
	err := s.tokens.Withdraw(c.Request().Context(), c.Param("id"))
	switch {
	case errors.Is(err, tokens.ErrNoKey):
		return nothingToChange(err.Error())
	case errors.Is(err, tokens.ErrNewest):
		return problem.New(http.StatusConflict, "in-use", "That key signs now", "Rotate first: then it is the one before.")
	case err != nil:
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
