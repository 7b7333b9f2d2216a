package resource

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/backend/clients"
	"keyladder/backend/ledger"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
)

// management adds the resource server's part of the management API. See package manage.
func (s *Server) management() {
	s.manage.Use(s.audit)
	m := s.manage.For(deployment.Admin)
	m.GET("/apps", s.listApps)
	m.POST("/apps", s.registerApp)
	m.PATCH("/apps/:id", s.changeApp)
	m.GET("/tiers", func(c echo.Context) error { return c.JSON(http.StatusOK, s.apps.Tiers()) })
	m.PATCH("/tiers/:name", s.changeTier)
	m.POST("/apps/:id/keys", s.issueKey)
	m.POST("/apps/:id/rotate", s.rotateKeys)
	m.POST("/keys/:id/revoke", s.revokeKey)
	m.POST("/keys/:id/restore", s.restoreKey)
	m.POST("/keys/:id/secret", s.rotateSecret)
	m.GET("/keys/:id/secret", s.showSecret)
	m.GET("/users", s.listUsers)
	m.POST("/users/:name/sessions/revoke", s.revokeSessions)
	m.POST("/users/:name/failed-sign-ins/clear", s.clearFailedSignIns)
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
	m.GET("/usage", s.showUsage)
	m.GET("/usage/sources", s.showSources)
	m.GET("/ledger", s.showLedger)
	m.GET("/transfers", s.findTransfers)
	m.GET("/accesslog", func(c echo.Context) error { return c.JSON(http.StatusOK, s.access.tail()) })
	m.POST("/reset", s.reset)
	s.tokenManagement(m)
}

func (s *Server) listApps(c echo.Context) error { return c.JSON(http.StatusOK, s.apps.Apps()) }

func (s *Server) registerApp(c echo.Context) error {
	app, err := read[manage.App](c)
	if err != nil {
		return err
	}
	registered, err := s.apps.Register(c.Request().Context(), app)
	if err != nil {
		return registryProblem(err)
	}
	return c.JSON(http.StatusCreated, registered)
}

func (s *Server) changeApp(c echo.Context) error {
	change, err := read[manage.AppChange](c)
	if err != nil {
		return err
	}
	changed, err := s.apps.Change(c.Request().Context(), c.Param("id"), change)
	if err != nil {
		return registryProblem(err)
	}
	return c.JSON(http.StatusOK, changed)
}

func (s *Server) changeTier(c echo.Context) error {
	change, err := read[manage.TierChange](c)
	if err != nil {
		return err
	}
	changed, err := s.apps.ChangeTier(c.Request().Context(), c.Param("name"), change)
	if err != nil {
		return registryProblem(err)
	}
	return c.JSON(http.StatusOK, changed)
}

func (s *Server) issueKey(c echo.Context) error {
	key, err := s.apps.Issue(c.Request().Context(), c.Param("id"))
	if err != nil {
		return registryProblem(err)
	}
	return c.JSON(http.StatusCreated, key)
}

func (s *Server) rotateKeys(c echo.Context) error {
	key, err := s.apps.Rotate(c.Request().Context(), c.Param("id"))
	if err != nil {
		return registryProblem(err)
	}
	return c.JSON(http.StatusCreated, key)
}

func (s *Server) revokeKey(c echo.Context) error {
	key, err := s.apps.Revoke(c.Request().Context(), c.Param("id"))
	if err != nil {
		return registryProblem(err)
	}
	return c.JSON(http.StatusOK, key)
}

func (s *Server) restoreKey(c echo.Context) error {
	key, err := s.apps.Restore(c.Request().Context(), c.Param("id"))
	if err != nil {
		return registryProblem(err)
	}
	return c.JSON(http.StatusOK, key)
}

func (s *Server) rotateSecret(c echo.Context) error {
	secret, err := s.apps.RotateSecret(c.Request().Context(), c.Param("id"))
	if err != nil {
		return registryProblem(err)
	}
	return c.JSON(http.StatusOK, secret)
}

func (s *Server) showSecret(c echo.Context) error {
	secret, err := s.apps.Secret(c.Param("id"))
	if err != nil {
		return registryProblem(err)
	}
	return c.JSON(http.StatusOK, secret)
}

// audit logs each change, and each look at a secret: what was asked for, by whose
// certificate and with what outcome. Paths hold IDs only; where the ID is a key's, see
// loggedPath.
func (s *Server) audit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		if r := c.Request(); r.Method != http.MethodGet || c.Path() == "/keys/:id/secret" {
			outcome := "done"
			if err != nil {
				outcome = problem.From(err, func(error) {}).Kind()
			}
			s.config.Logger.Info("management", "method", r.Method, "path", loggedPath(r.URL.Path), "by", r.TLS.PeerCertificates[0].Subject.CommonName,
				"outcome", outcome)
		}
		return err
	}
}

// loggedPath is the path as it may be logged. A key that was issued can't be guessed, and at
// the first stages whoever knows it is the app, so only its beginning is shown: enough to
// tell an app's keys apart.
func loggedPath(path string) string {
	rest, ok := strings.CutPrefix(path, "/keys/")
	if !ok {
		return path
	}
	id, what, _ := strings.Cut(rest, "/")
	app, issued, ok := strings.Cut(id, ".")
	if !ok {
		return path // an app's first key, which is its ID
	}
	return "/keys/" + app + "." + issued[:min(len(issued), 4)] + ".../" + what
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
	limit, err := number(c, "limit", 50, 1000)
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

// registryProblem tells the admin what was wrong; other errors are ours.
func registryProblem(err error) error {
	switch {
	case errors.Is(err, clients.ErrNoApp), errors.Is(err, clients.ErrNoTier), errors.Is(err, clients.ErrNoKey):
		return nothingToChange(err.Error())
	case errors.Is(err, clients.ErrTaken), errors.Is(err, clients.ErrPin):
		return problem.New(http.StatusConflict, "taken", "There is such an app already", err.Error())
	case errors.Is(err, clients.ErrInvalid):
		return unprocessable("%v", err)
	}
	return err
}

func nothingToChange(detail string) error {
	return problem.New(http.StatusNotFound, "no-such-resource", "There is nothing to change", detail)
}

// read decodes the JSON body of a management call.
func read[T any](c echo.Context) (v T, err error) {
	decoder := json.NewDecoder(http.MaxBytesReader(c.Response(), c.Request().Body, 64<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return v, problem.New(http.StatusRequestEntityTooLarge, "too-large", "The body is too large", "Send at most 64 KiB.")
		}
		return v, badRequest("The body is not what it should be: %v.", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return v, badRequest("Something follows the JSON value.")
	}
	return v, nil
}
