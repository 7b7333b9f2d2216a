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
	"golang.org/x/sync/errgroup"

	"keyladder/backend/clients"
	"keyladder/backend/guard"
	"keyladder/backend/serving"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
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
	s := &Server{config: config, tls: serving.TLS(certificate)}
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
			Issuer:   func(stage string) string { return at.Stage(deployment.AttestationService, stage) },
			Audience: func(stage string) string { return at.Stage(deployment.MediatorService, stage) },
			Leeway:   config.Leeway,
		},
	})
	if err != nil {
		return nil, err
	}
	s.manage = manage.NewServer(config.Folder, config.Log, s.health)
	s.echo = serving.Echo(config.Logger, s.guard.Middleware)
	for path, handler := range map[string]guard.Handler{"/token": s.token, "/revoke": s.revoke} {
		s.guard.Handle(s.echo, guard.Route{
			Method: http.MethodPost, Path: path, Scope: guard.AnyScope, Admission: true, Attested: true, At: mediated, Refusals: problem.OAuth,
		}, handler)
	}
	return s, nil
}

// mediated says whether apps get their tokens through a mediator at a stage.
func mediated(p catalog.Policies) bool { return p.Call.ClientAuth == catalog.Mediated }

// Listeners are where a mediator answers. Those that are nil are left out.
type Listeners struct{ TLS, Manage net.Listener }

// Serve answers until ctx ends, and lets requests that are under way finish.
func (s *Server) Serve(ctx context.Context, l Listeners) error {
	defer s.upstream.close()
	defer s.auth.Close()
	group, ctx := errgroup.WithContext(ctx)
	if l.TLS != nil {
		group.Go(func() error {
			return serving.Serve(ctx, guard.TLS, s.echo, tls.NewListener(l.TLS, s.tls), s.config.Logger)
		})
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
