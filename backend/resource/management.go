package resource

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/ledger"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
)

// management adds the resource server's part of the management API. See package manage.
func (s *Server) management() {
	s.manage.Use(manage.Audit(s.config.Logger))
	m := s.manage.For(deployment.Admin)
	s.apps.Manage(m)
	s.apps.ManageKeys(m)
	s.users.Manage(m, s.config.Now, s.countOwned)
	s.usage.Manage(m)
	m.POST("/users/:name/sessions/revoke", s.revokeSessions)
	m.GET("/sessions", s.listSessions)
	m.POST("/sessions/:id/revoke", s.revokeSession)
	m.POST("/sessions/revoke", s.revokeSelected)
	m.GET("/devices", s.listDevices)
	m.POST("/devices/:id/ban", s.banDevice)
	m.POST("/devices/:id/allow", s.allowDevice)
	m.POST("/devices/ban", s.banDevices)
	m.POST("/devices/allow", s.allowDevices)
	m.POST("/devices/remove", s.removeDevices)
	m.POST("/workshop", s.markWorkshop)
	m.GET("/usage/sources", s.showSources)
	m.GET("/ledger", s.showLedger)
	m.GET("/transfers", s.findTransfers)
	m.GET("/accesslog", func(c echo.Context) error { return c.JSON(http.StatusOK, s.access.tail()) })
	m.POST("/reset", s.reset)
	s.tokenManagement(m)
}

// showLedger sums up the accounts that it shows, so that both are of one moment.
func (s *Server) showLedger(c echo.Context) error {
	accounts, err := s.ledger.Accounts(c.Request().Context(), "")
	if err != nil {
		return err
	}
	state := manage.Ledger{Accounts: make([]manage.Account, len(accounts))}
	for i, a := range accounts {
		state.Accounts[i] = manage.Account(accountOf(a))
		state.Sum += a.Balance
	}
	return c.JSON(http.StatusOK, state)
}

func (s *Server) findTransfers(c echo.Context) error {
	limit, err := manage.Number(c, "limit", 50, 1000)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	var found []ledger.Transfer
	if c.QueryParams().Has("reference") {
		found, err = s.ledger.Find(ctx, c.QueryParam("reference"), limit)
	} else {
		found, err = s.ledger.Latest(ctx, limit)
	}
	if err != nil {
		return err
	}
	transfers := make([]manage.Transfer, len(found))
	for i, t := range found {
		transfers[i] = manage.Transfer{
			ID: t.ID, From: t.Payer, To: t.Payee, Amount: t.Amount, Currency: t.Currency, Reference: t.Reference,
			BookedAt: t.BookedAt, App: t.App, User: t.User, Stage: t.Stage,
		}
	}
	return c.JSON(http.StatusOK, transfers)
}

// reset brings back the state at first start. Each part is reset as a whole; after an
// error, asking again completes it. Nonces are not forgotten: calls that were served before
// would be good once more.
func (s *Server) reset(c echo.Context) error {
	ctx := c.Request().Context()
	err := errors.Join(s.ledger.Reset(ctx), s.apps.Reset(ctx), s.users.Reset(ctx), s.sessions.Reset(ctx), s.tokens.Reset(ctx), s.journal.Reset(ctx), s.revocations.Reset(ctx), s.devices.Reset(ctx), s.usage.Reset(ctx), s.sources.Reset(ctx))
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
