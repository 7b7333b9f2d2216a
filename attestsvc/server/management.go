package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/attestsvc/enforcement"
	"keyladder/attestsvc/references"
	"keyladder/attestsvc/results"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/store"
	"keyladder/stages/mechanism/attestation"
)

// management adds the attestation service's part of the management API. See package manage.
func (s *Server) management() {
	s.manage.Use(manage.Audit(s.config.Logger))
	m := s.manage.For(deployment.Admin)
	m.GET(manage.AttestationsPath, s.listResults)
	m.GET(manage.AttestationsWatchedPath, s.listWatched)
	m.GET(manage.LatenciesPath, func(c echo.Context) error { return c.JSON(http.StatusOK, s.latencies.all()) })
	m.GET(manage.AttestationsPath+"/:reference", s.showResult)
	m.GET(manage.AttestationSessionsPath, s.listSessions)
	m.GET(manage.ReferencesPath, s.listReferences)
	m.POST(manage.ReferencesPath, s.registerPackage)
	m.GET(manage.CoveragePath, s.listCoverage)
	m.POST(manage.ReferencesPath+"/:sha256/withdraw", s.changeReference(s.references.Withdraw))
	m.POST(manage.ReferencesPath+"/:sha256/restore", s.changeReference(s.references.Restore))
	m.GET(manage.SignersPath, s.listSigners)
	m.POST(manage.SignersPath, s.changeSigner)
	m.GET(manage.DeviceCertificatesPath, s.listCertificates)
	m.POST(manage.DeviceCertificatesPath, s.revokeCertificate)
	m.GET(manage.SystemsPath, s.listSystems)
	m.POST(manage.SystemsPath, s.changeSystem)
	m.GET(manage.AttestedDevicesPath, s.listDevices)
	m.GET(manage.AttestedDevicesPath+"/:id", s.changeDevice(s.results.Device))
	m.POST(manage.AttestedDevicesPath+"/:id/ban", s.changeDevice(s.results.Ban))
	m.POST(manage.AttestedDevicesPath+"/:id/lift", s.changeDevice(s.results.Lift))
	m.GET(manage.EnforcementPath, func(c echo.Context) error { return c.JSON(http.StatusOK, s.enforcement.All()) })
	m.POST(manage.EnforcementPath, s.changeEnforcement)
	m.POST("/reset", s.reset)
}

func (s *Server) listResults(c echo.Context) error {
	part, err := manage.PartOf(c)
	if err != nil {
		return err
	}
	outcome := manage.Outcome(c.QueryParam("outcome"))
	if !slices.Contains([]manage.Outcome{manage.AnyOutcome, manage.GoodOutcome, manage.FailingOutcome, manage.WatchedOutcome}, outcome) {
		return manage.BadRequest("outcome is %s, %s or %s.", manage.GoodOutcome, manage.FailingOutcome, manage.WatchedOutcome)
	}
	found, err := s.results.Query(c.Request().Context(), manage.AttestationQuery{Part: part, AttestationFilter: manage.AttestationFilter{
		Stage: c.QueryParam("stage"), Client: c.QueryParam("client"), Device: c.QueryParam("device"), Outcome: outcome, Search: c.QueryParam("search"),
	}})
	if err != nil {
		return store.Problem(err)
	}
	return c.JSON(http.StatusOK, found)
}

func (s *Server) showResult(c echo.Context) error {
	found, err := s.results.By(c.Request().Context(), c.Param("reference"))
	if errors.Is(err, results.ErrNone) {
		return manage.NothingToChange("there is no result of that reference, or not any more")
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, found)
}

// listWatched counts the results of all stages that have attestation.
func (s *Server) listWatched(c echo.Context) error {
	counted, err := s.results.Watched(c.Request().Context())
	if err != nil {
		return err
	}
	all := []manage.Watched{}
	for _, stage := range s.enforcement.All() {
		of := manage.Watched{Stage: stage.Stage}
		if i := slices.IndexFunc(counted, func(w manage.Watched) bool { return w.Stage == stage.Stage }); i >= 0 {
			of = counted[i]
		}
		all = append(all, of)
	}
	return c.JSON(http.StatusOK, all)
}

func (s *Server) listSessions(c echo.Context) error {
	part, err := manage.PartOf(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.sessions.list(s.config.Now(), c.QueryParam("stage"), c.QueryParam("state"), part))
}

func (s *Server) listReferences(c echo.Context) error {
	found, err := s.references.List(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, found)
}

// registerPackage registers the package that is the body.
func (s *Server) registerPackage(c echo.Context) error {
	ctx := c.Request().Context()
	if c.Request().Header.Get(echo.HeaderContentType) != manage.PackageType {
		return manage.BadRequest("Send a package as it is, as %s.", manage.PackageType)
	}
	id, err := s.references.Register(ctx, c.Request().Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return problem.New(http.StatusRequestEntityTooLarge, "too-large", "The package is too large", "Publish it in the service's folder.")
	case references.Refused(err):
		return manage.Unprocessable("%v.", err)
	case err != nil:
		return err
	}
	return s.showReference(c, id)
}

func (s *Server) showReference(c echo.Context, id string) error {
	found, err := s.references.List(c.Request().Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(found, func(r manage.Reference) bool { return r.SHA256 == id })
	if i < 0 {
		return manage.NothingToChange("no package with that hash is a reference")
	}
	return c.JSON(http.StatusOK, found[i])
}

func (s *Server) changeReference(change func(ctx context.Context, id string) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := c.Param("sha256")
		if err := change(c.Request().Context(), id); err != nil && !errors.Is(err, references.ErrNoReference) {
			return err
		}
		return s.showReference(c, id)
	}
}

// listCoverage says how likely a challenge of today's length misses a change of one byte.
func (s *Server) listCoverage(c echo.Context) error {
	ranges, length := s.config.Ranges, s.config.RangeBytes
	for name, number := range map[string]*int64{"ranges": &ranges, "bytes": &length} { // or of another length
		asked, err := manage.Number(c, name, int(*number), 1<<20)
		if err != nil {
			return err
		}
		*number = int64(asked)
	}
	found, err := s.references.List(c.Request().Context())
	if err != nil {
		return err
	}
	all := []manage.Coverage{}
	for _, r := range found {
		all = append(all, manage.Coverage{
			SHA256: r.SHA256, Package: r.Package, Release: r.Release, Size: r.Size, Ranges: ranges, Bytes: length, Missed: attestation.Missed(r.Size, ranges, length),
			Seconds: int64(s.config.TokenLifetime / time.Second),
		})
	}
	return c.JSON(http.StatusOK, all)
}

func (s *Server) listSigners(c echo.Context) error {
	found, err := s.references.Signers(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, found)
}

func (s *Server) changeSigner(c echo.Context) error {
	asked, err := manage.Read[manage.SignerToAccept](c)
	if err != nil {
		return err
	}
	if err := s.references.ChangeSigner(c.Request().Context(), asked); references.Refused(err) {
		return manage.Unprocessable("%v.", err)
	} else if err != nil {
		return err
	}
	all, err := s.references.Signers(c.Request().Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(found manage.Signer) bool { return found.Client == asked.Client && found.Signer == asked.Signer })
	if i < 0 {
		return manage.NothingToChange("that client has no such signer")
	}
	return c.JSON(http.StatusOK, all[i])
}

func (s *Server) listDevices(c echo.Context) error {
	part, err := manage.PartOf(c)
	if err != nil {
		return err
	}
	found, err := s.results.Devices(c.Request().Context(), manage.AttestedDeviceQuery{
		Stage: c.QueryParam("stage"), Client: c.QueryParam("client"), State: c.QueryParam("state"), Search: c.QueryParam("search"), Part: part,
	})
	if err != nil {
		return store.Problem(err)
	}
	return c.JSON(http.StatusOK, found)
}

func (s *Server) changeDevice(change func(ctx context.Context, id string) (manage.AttestedDevice, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		changed, err := change(c.Request().Context(), c.Param("id"))
		if errors.Is(err, results.ErrNone) {
			return manage.NothingToChange("there is no device with that ID")
		}
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, changed)
	}
}

func (s *Server) changeEnforcement(c echo.Context) error {
	asked, err := manage.Read[manage.EnforcementChange](c)
	if err != nil {
		return err
	}
	changed, err := s.enforcement.Set(c.Request().Context(), asked)
	switch {
	case errors.Is(err, enforcement.ErrStage):
		return manage.NothingToChange(err.Error())
	case errors.Is(err, enforcement.ErrClaim):
		return manage.Unprocessable("%v.", err)
	case err != nil:
		return err
	}
	return c.JSON(http.StatusOK, changed)
}

// reset brings back the state at first start. Packages that are published are registered again.
func (s *Server) reset(c echo.Context) error {
	ctx := c.Request().Context()
	if err := errors.Join(s.results.Reset(ctx), s.enforcement.Reset(ctx), s.references.Reset(ctx), s.makers.Reset(ctx)); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
