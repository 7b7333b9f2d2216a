package mediator

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/sync/errgroup"

	"keyladder/backend/clients"
	"keyladder/backend/guard"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// Config is what a mediator needs.
type Config struct {
	Folder  *deployment.Folder // of the role mediator
	Stages  catalog.Set
	Log     *traffic.Log  // nil: no records
	Address guard.Limit   // requests from one address
	Device  guard.Limit   // requests of one installation of an app
	Leeway  time.Duration // how far the attestation service's clock may be ahead

	Logger *slog.Logger     // nil: the default one
	Now    func() time.Time // nil: the clock
}

// With is the configuration with the limits of the deployment's settings.
func (c Config) With(s deployment.Settings) Config {
	c.Address = guard.Limit{PerSecond: s.AddressPerSecond, Burst: s.AddressBurst}
	c.Device = guard.Limit{PerSecond: s.DevicePerSecond, Burst: s.DeviceBurst}
	c.Leeway = s.TokenLeeway
	return c
}

// Server is the mediator.
type Server struct {
	config   Config
	auth     *manage.Client // the authorization server's management, for its clients
	clients  *clients.Mirror
	upstream *upstream
	devices  *deviceLimits
	guard    *guard.Guard
	echo     *echo.Echo
	manage   *manage.Server
	tls      *tls.Config
}

// New makes a mediator.
func New(config Config) (*Server, error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	certificate, err := config.Folder.Pair("server")
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, tls: &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: serve.Suites(), Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"},
	}}
	if s.auth, err = manage.NewClient(config.Folder, deployment.Auth); err != nil {
		return nil, err
	}
	s.clients = clients.NewMirror(s.auth)
	if s.devices, err = newDeviceLimits(config.Device); err != nil {
		return nil, err
	}
	if s.upstream, err = newUpstream(config); err != nil {
		return nil, err
	}
	at := config.Folder.Addresses
	s.guard, err = guard.New(guard.Config{
		Stages: config.Stages, AdmissionAlone: true, Issued: guard.Issued{Clients: s.clients.Book}, Usage: guard.Uncounted{},
		Server: string(deployment.Mediator), Log: config.Log, Address: config.Address, Now: config.Now,
		Attested: guard.Attested{
			Issuer:   func(stage string) string { return at.URL(deployment.AttestationService) + "/" + stage },
			Audience: func(stage string) string { return at.URL(deployment.MediatorService) + "/" + stage },
			Leeway:   config.Leeway,
		},
	})
	if err != nil {
		return nil, err
	}
	s.manage = manage.NewServer(config.Folder, config.Log, s.health)
	s.echo = s.newEcho()
	for path, handler := range map[string]guard.Handler{"/token": s.token, "/revoke": s.revoke} {
		s.guard.Handle(s.echo, guard.Route{
			Method: http.MethodPost, Path: path, Scope: guard.AnyScope, Admission: true, Attested: true, At: mediated, Refusals: problem.OAuth,
		}, handler)
	}
	return s, nil
}

// mediated says whether apps get their tokens through a mediator at a stage.
func mediated(p catalog.Policies) bool { return p.Call.ClientAuth == catalog.Mediated }

func (s *Server) newEcho() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = problem.Handler(func(err error) { s.config.Logger.Error("a call failed", "error", err) })
	e.Use(
		middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: func(_ echo.Context, err error, _ []byte) error { return err }}),
		headers,
		s.guard.Middleware,
	)
	return e
}

// headers keep answers out of caches (RFC 6749, section 5.1).
func headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
		c.Response().Header().Set(echo.HeaderXContentTypeOptions, "nosniff")
		return next(c)
	}
}

// Listeners are where a mediator answers. Those that are nil are left out.
type Listeners struct{ TLS, Manage net.Listener }

// Serve answers until ctx ends, and lets requests that are under way finish.
func (s *Server) Serve(ctx context.Context, l Listeners) error {
	defer s.upstream.close()
	defer s.auth.Close()
	group, ctx := errgroup.WithContext(ctx)
	if l.TLS != nil {
		group.Go(func() error { return s.serve(ctx, tls.NewListener(l.TLS, s.tls)) })
	}
	if l.Manage != nil {
		group.Go(func() error { return s.manage.Serve(ctx, l.Manage) })
	}
	group.Go(func() error {
		s.clients.Follow(ctx)
		return nil
	})
	return group.Wait()
}

func (s *Server) serve(ctx context.Context, listener net.Listener) error {
	server := serve.New(s.echo)
	server.ReadHeaderTimeout, server.ReadTimeout, server.WriteTimeout, server.IdleTimeout = 5*time.Second, 15*time.Second, 30*time.Second, time.Minute
	server.BaseContext = func(net.Listener) context.Context {
		return guard.WithListener(context.WithoutCancel(ctx), guard.TLS)
	}
	server.ErrorLog = slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelDebug)
	return serve.HTTP(ctx, server, listener)
}

// health is nil when the clients and their secrets are known. It asks nobody.
func (s *Server) health(context.Context) error {
	switch h := s.clients.Health(); {
	case h.Heard.IsZero():
		return errors.New("the authorization server can't be asked for its clients and their secrets, so no app gets tokens")
	case h.Err != nil:
		return errors.New("the authorization server can't be asked which clients and secrets were changed since " + h.Heard.UTC().Format(time.TimeOnly) + " UTC")
	}
	return nil
}
