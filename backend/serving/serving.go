// Package serving is what all of the bank's servers do in the same way: how they answer, over what,
// and until when. Their answers are their own.
package serving

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"keyladder/backend/guard"
	"keyladder/internal/problem"
	"keyladder/internal/serve"
)

// Echo answers through the given middleware, which comes after what every call needs: a panic is a
// fault like any other, faults are logged and told as problems, and no cache keeps an answer.
func Echo(logger *slog.Logger, after ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = problem.Handler(func(err error) { logger.Error("a call failed", "error", err) })
	e.Use(
		middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: func(_ echo.Context, err error, _ []byte) error { return err }}),
		noStore,
	)
	e.Use(after...)
	return e
}

// noStore keeps answers out of caches: they are for one caller, with money, pages or tokens in them.
func noStore(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set(echo.HeaderCacheControl, "no-store")
		header.Set(echo.HeaderXContentTypeOptions, "nosniff")
		return next(c)
	}
}

// TLS shows a certificate, and asks for none.
func TLS(certificate tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: serve.Suites(), // of TLS 1.2: without CBC
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{"http/1.1"},
	}
}

// For shows a certificate, and lets in the program alone whose name the authority of the deployment
// has certified: what listens with it believes what it is told about clients. The authority issues
// the certificates of all programs, so the name counts.
//
//keyladder:code serving-for
func For(name string, certificate tls.Certificate, authority *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{"http/1.1"},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    authority,
		VerifyConnection: func(state tls.ConnectionState) error {
			if got := state.PeerCertificates[0].Subject.CommonName; got != name {
				return fmt.Errorf("the certificate is that of %q, not of the %s", got, name)
			}
			return nil
		},
	}
}

// Terminator is the common name in the certificate of TLS terminators.
const Terminator = "terminator"

// Serve answers what comes in at a listener until ctx ends, and lets calls that are under way finish.
func Serve(ctx context.Context, kind guard.Listener, handler http.Handler, listener net.Listener, logger *slog.Logger) error {
	s := serve.New(handler)
	s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = 5*time.Second, 15*time.Second, 30*time.Second, time.Minute
	s.BaseContext = func(net.Listener) context.Context { return guard.WithListener(context.WithoutCancel(ctx), kind) }
	s.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
	return serve.HTTP(ctx, s, listener)
}
