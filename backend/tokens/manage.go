package tokens

import (
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/store"
)

// Manage adds the management of access tokens and of the keys that sign them.
func (s *Store) Manage(routes manage.Routes) {
	routes.GET("/tokens", s.list)
	routes.POST("/tokens/revoke", s.revokeMany)
	routes.GET("/signing-keys", func(c echo.Context) error { return c.JSON(http.StatusOK, s.Keys()) })
	routes.POST("/signing-keys/:id/withdraw", s.withdrawKey)
	routes.POST("/stages/:slug/signing-keys", s.rotateKey)
}

func (s *Store) list(c echo.Context) error {
	query := manage.TokenQuery{TokenFilter: manage.TokenFilter{
		User: c.QueryParam("user"), Client: c.QueryParam("client"), Stage: c.QueryParam("stage"), Family: c.QueryParam("family"),
		State: c.QueryParam("state"), Search: c.QueryParam("search"),
	}}
	var err error
	if query.Part, err = manage.PartOf(c); err != nil {
		return err
	}
	if err := check(query.TokenFilter); err != nil {
		return err
	}
	list, err := s.Query(c.Request().Context(), query)
	if err != nil {
		return store.Problem(err)
	}
	return c.JSON(http.StatusOK, list)
}

func check(f manage.TokenFilter) error {
	if !slices.Contains([]string{"", "good", "revoked", "expired"}, f.State) {
		return manage.BadRequest("state must be good, revoked, expired, or nothing.")
	}
	return nil
}

// revokeMany ends tokens. A selection of nothing in particular is refused: it would be all of
// them.
func (s *Store) revokeMany(c echo.Context) error {
	selection, err := manage.Read[manage.TokenSelection](c)
	if err != nil {
		return err
	}
	if len(selection.IDs) == 0 && !selection.All && selection.TokenFilter == (manage.TokenFilter{}) {
		return manage.Unprocessable("Say which access tokens.")
	}
	if err := check(selection.TokenFilter); err != nil {
		return err
	}
	return manage.SayChanged(c)(s.RevokeSelected(c.Request().Context(), selection))
}

func (s *Store) rotateKey(c echo.Context) error {
	key, err := s.Rotate(c.Request().Context(), c.Param("slug"))
	if errors.Is(err, ErrNoIssuer) {
		return manage.NothingToChange(err.Error())
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, key)
}

func (s *Store) withdrawKey(c echo.Context) error {
	err := s.Withdraw(c.Request().Context(), c.Param("id"))
	switch {
	case errors.Is(err, ErrNoKey):
		return manage.NothingToChange(err.Error())
	case errors.Is(err, ErrNewest):
		return problem.New(http.StatusConflict, "in-use", "That key signs now", "Rotate first: then it is the one before.")
	case err != nil:
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
