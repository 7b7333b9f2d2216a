package authserver

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/codes"
	"keyladder/backend/tokens"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
)

// management adds the authorization server's part of the management API. See package manage.
func (s *Server) management() {
	s.manage.Use(manage.Audit(s.config.Logger, tokens.UsesPath))
	s.clients.Serve(s.manage.For(deployment.Resource, deployment.Attestation, deployment.Mediator))
	s.tokens.Serve(s.manage.For(deployment.Resource))
	m := s.manage.For(deployment.Admin)
	s.clients.Manage(m)
	s.tokens.Manage(m)
	s.users.Manage(m, s.config.Now, s.countOwned)
	s.usage.Manage(m)
	m.POST("/users/:name/end", s.endUser)
	m.POST("/tokens/examine", s.examineToken)
	m.GET("/families", s.listFamilies)
	m.POST("/families/revoke", s.revokeFamilies)
	m.GET("/consents", s.listConsents)
	m.POST("/consents/withdraw", s.withdrawConsents)
	m.GET("/codes/defences", s.showDefences)
	m.POST("/codes/defences", s.setDefences)
	m.POST("/reset", s.reset)
}

// countOwned says what users have here.
func (s *Server) countOwned(ctx context.Context) (func(*manage.User), error) {
	access, err := s.tokens.Count(ctx)
	families, err2 := s.families.Count(ctx)
	consents, err3 := s.consents.Count(ctx)
	return func(user *manage.User) {
		user.Tokens, user.Families, user.Consents = access[user.Name], families[user.Name], consents[user.Name]
	}, errors.Join(err, err2, err3)
}

// endUser ends all that came of a user's sign-ins, and those that are under way.
func (s *Server) endUser(c echo.Context) error {
	name, ctx := c.Param("name"), c.Request().Context()
	if !s.users.Knows(name) {
		return manage.NothingToChange("there is no user of that name")
	}
	s.underWay.endOf(name)
	if _, err := s.withdrawn(ctx, manage.ConsentSelection{ConsentFilter: manage.ConsentFilter{User: name}}); err != nil {
		return err
	}
	if err := s.endAll(ctx, codes.Owner{User: name}); err != nil { // what no consent is left of, too
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// examineToken makes all checks on a token and says what each finds. It is for the admin, who
// may know what a client is not told.
func (s *Server) examineToken(c echo.Context) error {
	asked, err := manage.Read[manage.TokenToExamine](c)
	if err != nil {
		return err
	}
	found, err := s.tokens.Examine(asked.Stage, asked.Token, s.config.Now(), s.users.Knows)
	if errors.Is(err, tokens.ErrNoIssuer) {
		return manage.NothingToChange(err.Error())
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, found)
}

// reset brings back the state at first start. Each part is reset as a whole; after an error,
// asking again completes it. Sign-ins that are under way end first, then consents, codes, refresh tokens
// and access tokens, so that none comes of another meanwhile.
func (s *Server) reset(c echo.Context) error {
	ctx := c.Request().Context()
	s.underWay.endOf("")
	err := errors.Join(s.consents.Reset(ctx), s.codes.Reset(ctx), s.families.Reset(ctx), s.tokens.Reset(ctx), s.clients.Reset(ctx), s.users.Reset(ctx), s.usage.Reset(ctx))
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
