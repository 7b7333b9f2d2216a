package authserver

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/internal/store"
)

func (s *Server) listFamilies(c echo.Context) error {
	query := manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{
		User: c.QueryParam("user"), Client: c.QueryParam("client"), Stage: c.QueryParam("stage"), Origin: c.QueryParam("origin"),
		State: c.QueryParam("state"), Search: c.QueryParam("search"),
	}}
	var err error
	if query.Part, err = manage.PartOf(c); err != nil {
		return err
	}
	if err := checkFamilies(query.FamilyFilter); err != nil {
		return err
	}
	list, err := s.families.Query(c.Request().Context(), query)
	if err != nil {
		return store.Problem(err)
	}
	return c.JSON(http.StatusOK, list)
}

func checkFamilies(f manage.FamilyFilter) error {
	if !slices.Contains([]string{"", "good", "revoked", "reused", "expired"}, f.State) {
		return manage.BadRequest("state must be good, revoked, reused, expired, or nothing.")
	}
	return nil
}

// revokeFamilies ends families of refresh tokens, and with them the access tokens that came of
// them. A selection of nothing in particular is refused, here and below: it would be all of
// them.
func (s *Server) revokeFamilies(c echo.Context) error {
	selection, err := manage.Read[manage.FamilySelection](c)
	if err != nil {
		return err
	}
	if len(selection.IDs) == 0 && !selection.All && selection.FamilyFilter == (manage.FamilyFilter{}) {
		return manage.Unprocessable("Say which families of refresh tokens.")
	}
	if err := checkFamilies(selection.FamilyFilter); err != nil {
		return err
	}
	ctx := c.Request().Context()
	ended, err := s.families.RevokeSelected(ctx, selection)
	if err != nil {
		return err
	}
	// Those with the IDs may have ended before, when their access tokens could not be ended.
	if _, err := s.tokens.RevokeOf(ctx, slices.Concat(ended, selection.IDs)...); err != nil {
		return err
	}
	return manage.SayChanged(c)(len(ended), nil)
}

func (s *Server) listConsents(c echo.Context) error {
	query := manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{
		User: c.QueryParam("user"), Client: c.QueryParam("client"), Stage: c.QueryParam("stage"), Search: c.QueryParam("search"),
	}}
	var err error
	if query.Part, err = manage.PartOf(c); err != nil {
		return err
	}
	list, err := s.consents.Query(c.Request().Context(), query)
	if err != nil {
		return store.Problem(err)
	}
	return c.JSON(http.StatusOK, list)
}

// withdrawConsents takes consents back, and with them all that came of them.
func (s *Server) withdrawConsents(c echo.Context) error {
	selection, err := manage.Read[manage.ConsentSelection](c)
	if err != nil {
		return err
	}
	if len(selection.IDs) == 0 && !selection.All && selection.ConsentFilter == (manage.ConsentFilter{}) {
		return manage.Unprocessable("Say which consents.")
	}
	return manage.SayChanged(c)(s.withdrawn(c.Request().Context(), selection))
}
