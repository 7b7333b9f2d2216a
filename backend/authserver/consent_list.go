package authserver

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/backend/authserver/pages"
	"keyladder/backend/codes"
	"keyladder/backend/guard"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// showGiven shows a user what they have allowed. A user who has not signed in is asked to.
func (s *Server) showGiven(c echo.Context, caller guard.Caller) error {
	stage := caller.Stage()
	id, failed := c.QueryParam(fieldInteraction), pages.Failure{}
	i := s.underWay.find(c.Request(), stage.Slug, id)
	if i == nil || i.user == nil || i.client != nil {
		if id != "" {
			failed = pages.TooOld
		}
		i = s.underWay.begin(c.Response(), c.Request(), interaction{stage: stage.Slug})
		return s.askToSignIn(c, stage, i, "", failed)
	}
	return s.listGiven(c, stage, i, "")
}

func (s *Server) listGiven(c echo.Context, stage catalog.Stage, i *interaction, withdrawn string) error {
	given, err := s.consents.Query(c.Request().Context(), manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{Stage: stage.Slug, User: i.user.Name}})
	if err != nil {
		return err
	}
	page := pages.Consents{
		Site: s.site(stage), User: i.user.Name, Withdrawn: withdrawn,
		Withdraw: s.form(stage, "/consents/withdraw", i), SignOut: s.form(stage, "/consents/sign-out", i),
	}
	for _, consent := range given.Consents {
		client := pages.Client{Name: consent.Client, ID: consent.Client}
		if found, _, err := s.clients.Lookup(consent.Client); err == nil {
			client.Name = found.Name()
		}
		page.Given = append(page.Given, pages.Given{ID: consent.ID, Client: client, Scopes: strings.Fields(consent.Scope), Since: consent.GivenAt})
	}
	return s.show(c, http.StatusOK, "", pages.ConsentsPage(page))
}

// withdraw takes a consent back, and with it all that came of it.
func (s *Server) withdraw(c echo.Context, caller guard.Caller) error {
	stage, ctx := caller.Stage(), c.Request().Context()
	form, i, err := s.posted(c, caller)
	if err != nil {
		return err
	}
	if i.user == nil || i.client != nil {
		return s.problem(c, catalog.CheckForm, pages.Outdated(s.site(stage)), "nobody has signed in to see consents")
	}
	given, err := s.consents.Query(ctx, manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{Stage: stage.Slug, User: i.user.Name}})
	if err != nil {
		return err
	}
	at := slices.IndexFunc(given.Consents, func(own manage.Consent) bool { return own.ID == form[pages.FieldConsent] })
	if at < 0 { // withdrawn before, or not this user's
		return s.listGiven(c, stage, i, "")
	}
	if _, err := s.withdrawn(ctx, manage.ConsentSelection{IDs: []string{given.Consents[at].ID}}); err != nil {
		return err
	}
	name := given.Consents[at].Client
	if client, _, err := s.clients.Lookup(name); err == nil {
		name = client.Name()
	}
	return s.listGiven(c, stage, i, name)
}

// withdrawn takes consents back. Codes, refresh tokens and access tokens that came of them end
// in this order, so that none comes of another meanwhile.
func (s *Server) withdrawn(ctx context.Context, selection manage.ConsentSelection) (int, error) {
	ended, err := s.consents.WithdrawSelected(ctx, selection)
	for _, consent := range ended {
		if err == nil {
			err = s.endAll(ctx, codes.Owner{Stage: consent.Stage, User: consent.User, Client: consent.Client})
		}
	}
	return len(ended), err
}

// endAll ends all that a client has of a user.
func (s *Server) endAll(ctx context.Context, of codes.Owner) error {
	if _, err := s.codes.Cancel(ctx, of); err != nil {
		return err
	}
	if _, err := s.families.RevokeSelected(ctx, manage.FamilySelection{FamilyFilter: manage.FamilyFilter{Stage: of.Stage, User: of.User, Client: of.Client}}); err != nil {
		return err
	}
	_, err := s.tokens.RevokeSelected(ctx, manage.TokenSelection{TokenFilter: manage.TokenFilter{Stage: of.Stage, User: of.User, Client: of.Client}})
	return err
}

// signOut ends a user's look at their consents.
func (s *Server) signOut(c echo.Context, caller guard.Caller) error {
	_, i, err := s.posted(c, caller)
	if err != nil {
		return err
	}
	s.underWay.end(i)
	return s.show(c, http.StatusOK, "", pages.DonePage(pages.Done{Site: s.site(caller.Stage()), Title: "You are signed out"}))
}
