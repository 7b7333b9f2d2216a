package server

import (
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/attestsvc/makers"
	"keyladder/internal/manage"
)

func (s *Server) listCertificates(c echo.Context) error {
	asked := c.QueryParams()["serial"]
	if len(asked) > manage.MostListed {
		return manage.BadRequest("Ask for %d serial numbers at most.", manage.MostListed)
	}
	found, err := s.makers.Certificates(c.Request().Context(), asked...)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, found)
}

func (s *Server) revokeCertificate(c echo.Context) error {
	asked, err := manage.Read[manage.CertificateToRevoke](c)
	if err != nil {
		return err
	}
	if err := refusedMaker(s.makers.Revoke(c.Request().Context(), asked)); err != nil {
		return err
	}
	found, err := s.makers.Certificate(c.Request().Context(), asked.Serial)
	if err != nil {
		return refusedMaker(err)
	}
	return c.JSON(http.StatusOK, found)
}

func (s *Server) listSystems(c echo.Context) error {
	found, err := s.makers.Systems(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, found)
}

func (s *Server) changeSystem(c echo.Context) error {
	asked, err := manage.Read[manage.SystemToAccept](c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	if err := refusedMaker(s.makers.ChangeSystem(ctx, asked)); err != nil {
		return err
	}
	all, err := s.makers.Systems(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(found manage.AcceptedSystem) bool { return found.Key == asked.Key })
	if i < 0 {
		return refusedMaker(makers.ErrNone)
	}
	return c.JSON(http.StatusOK, all[i])
}

// refusedMaker tells an admin what was wrong with what they sent.
func refusedMaker(err error) error {
	switch {
	case makers.Refused(err):
		return manage.Unprocessable("%v.", err)
	case errors.Is(err, makers.ErrNone):
		return manage.NothingToChange(err.Error())
	}
	return err
}
