package mediator

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"keyladder/backend/authserver/pages"
	"keyladder/backend/clients"
	"keyladder/backend/gateway"
	"keyladder/backend/guard"
	"keyladder/backend/marks"
	"keyladder/backend/mediator/issuer"
	"keyladder/backend/mediator/oauthclient"
	"keyladder/backend/mediator/providers"
	"keyladder/backend/mediator/secrets"
	"keyladder/backend/serving"
	"keyladder/backend/tokens"
	"keyladder/backend/usage"
	"keyladder/internal/deployment"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/store"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/replay"
)

// Config is what a mediator needs.
type Config struct {
	Folder  *deployment.Folder // of the role mediator; the database is made in it
	Stages  catalog.Set
	Log     *traffic.Log  // nil: no records
	Address guard.Limit   // requests from one address
	Device  guard.Limit   // requests of one installation of an app
	Leeway  time.Duration // how far the attestation service's clock may be ahead

	TokenLifetime time.Duration // of access tokens, where they live long
	ShortLifetime time.Duration // and where they can be refreshed
	KeyOverlap    time.Duration // for how long a signing key that was replaced is good

	CodeLifetime    time.Duration
	PushedLifetime  time.Duration // of a request_uri
	RefreshIdle     time.Duration
	RefreshLifetime time.Duration

	Around func(http.Handler) http.Handler // what else is done for a request, for who measures; nil: nothing

	Logger *slog.Logger     // nil: the default one
	Now    func() time.Time // nil: the clock
}

// With is the configuration with the limits of the deployment's settings.
func (c Config) With(s deployment.Settings) Config {
	c.Address = guard.Limit{PerSecond: s.AddressPerSecond, Burst: s.AddressBurst}
	c.Device = guard.Limit{PerSecond: s.DevicePerSecond, Burst: s.DeviceBurst}
	c.Leeway = s.TokenLeeway
	c.CodeLifetime, c.PushedLifetime, c.RefreshIdle, c.RefreshLifetime = s.CodeLifetime, s.PushedLifetime, s.RefreshIdle, s.RefreshLifetime
	c.TokenLifetime, c.ShortLifetime, c.KeyOverlap = s.TokenLifetime, s.ShortLifetime, s.SigningKeyOverlap
	return c
}

// Server is the mediator.
type Server struct {
	config    Config
	db        *gorm.DB
	auth      *manage.Client // the authorization server's management, for its clients
	clients   *clients.Mirror
	providers *providers.Store
	tokens    *tokens.Store    // those that the mediator issues
	gateway   *gateway.Gateway // nil: nothing leads through one
	asClient  *oauthclient.Client
	issuer    *issuer.Server
	upstream  *upstream
	devices   *deviceLimits
	usage     *usage.Counter
	guard     *guard.Guard
	echo      *echo.Echo
	manage    *manage.Server
	proofs    *guard.Proofs // nil: no stage asks for any
	mark      *replay.Mark  // of their memory
	tls       *tls.Config

	terminated *tls.Config // where the terminator comes in
}

// database is the file in the role's folder.
const database = "mediator.db"

// New makes a mediator and opens its database, which is seeded when it is new.
func New(config Config) (server *Server, err error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	var seed []manage.Provider
	if err := config.Folder.JSON("providers.json", &seed); err != nil {
		return nil, err
	}
	certificate, err := config.Folder.Pair("server")
	if err != nil {
		return nil, err
	}
	authority, err := config.Folder.Pool("manage-ca.pem")
	if err != nil {
		return nil, err
	}
	_, err = os.Stat(config.Folder.Path(database))
	resumed := !errors.Is(err, fs.ErrNotExist)
	s := &Server{config: config, tls: serving.TLS(certificate), terminated: serving.For(serving.Terminator, certificate, authority)}
	if s.db, err = store.Open(config.Folder.Path(database), slices.Concat(providers.Models(), gateway.Models(), tokens.Models(), issuer.Models(), usage.Models(), durable.Models(), marks.Models())...); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			store.Close(s.db)
		}
	}()
	s.usage = usage.New(s.db, config.Now)
	ctx := context.Background()
	secret, err := s.secret()
	if err != nil {
		return nil, err
	}
	if err := s.openProofs(ctx, secret, resumed); err != nil {
		return nil, err
	}
	if s.providers, err = providers.Open(ctx, s.db, providers.Config{Seed: seed, Addresses: config.Folder.Addresses, Now: config.Now}); err != nil {
		return nil, err
	}
	s.tokens, err = tokens.Open(ctx, s.db, tokens.Config{Issuers: s.issuers(), Leeway: config.Leeway, Overlap: config.KeyOverlap, Now: config.Now})
	if err != nil {
		return nil, err
	}
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
	if s.issuer, err = s.newIssuer(ctx, secret); err != nil {
		return nil, err
	}
	if s.gateway, err = s.newGateway(); err != nil {
		return nil, err
	}
	at := config.Folder.Addresses
	host, port, err := hawk.HostPort(at.URL(deployment.MediatorService)) // as apps know it, whatever a proxy makes of it
	if err != nil {
		return nil, err
	}
	attester, err := s.attester()
	if err != nil {
		return nil, err
	}
	s.guard, err = guard.New(guard.Config{
		Stages: config.Stages, AdmissionAlone: s.gateway == nil, Gateway: s.gateway != nil, Issued: guard.Issued{Clients: s.clients.Book, Tokens: s.tokens.Book}, Usage: s.usage,
		Server: string(deployment.Mediator), Host: host, Port: port, Proofs: s.proofs, Log: config.Log, Address: config.Address, Now: config.Now,
		Attested: guard.Attested{
			Issuer:   func(stage string) string { return at.Stage(deployment.AttestationService, stage) },
			Audience: func(stage string) string { return at.Stage(deployment.MediatorService, stage) },
			Leeway:   config.Leeway, Attester: attester,
		},
	})
	if err != nil {
		return nil, err
	}
	s.manage = manage.NewServer(config.Folder, config.Log, s.health)
	s.echo = serving.Echo(config.Logger, pages.Middleware, s.guard.Middleware)
	for path, handler := range map[string]guard.Handler{
		"/token":  forEach(s.issuer.Token, s.token),
		"/revoke": forEach(s.issuer.Revoke, s.revoke),
	} {
		s.guard.Handle(s.echo, guard.Route{
			Method: http.MethodPost, Path: path, Scope: guard.AnyScope, Admission: true, Attested: true, Issues: path == "/token", At: attested, Refusals: problem.OAuth,
		}, handler)
	}
	s.issuer.Routes(s.guard, s.echo)
	if s.gateway != nil {
		s.gateway.Routes(s.echo, s.guard)
	}
	s.management()
	return s, nil
}

// issuers are those of the stages whose access tokens the mediator issues.
func (s *Server) issuers() []tokens.Issuer {
	var all []tokens.Issuer
	for _, stage := range s.config.Stages.Built() {
		if !issuer.Issuing(stage.Policies) {
			continue
		}
		url := s.config.Folder.Addresses.Stage(deployment.MediatorService, stage.Slug)
		of := tokens.Issuer{Stage: stage.Slug, URL: url, Audience: url + "/v1", Lifetime: s.config.TokenLifetime}
		if stage.Auth.TokenLife == catalog.ShortLivedTokens {
			of.Lifetime = s.config.ShortLifetime
		}
		all = append(all, of)
	}
	return all
}

// management adds the mediator's part of the management API. See package manage.
func (s *Server) management() {
	s.manage.Use(manage.Audit(s.config.Logger))
	m := s.manage.For(deployment.Admin)
	s.providers.Manage(m)
	s.issuer.Manage(m)
	s.tokens.Manage(m)
	s.usage.Manage(m)
	if s.gateway != nil {
		s.gateway.Manage(m, s.config.Stages)
	}
	m.POST("/reset", func(c echo.Context) error {
		ctx := c.Request().Context()
		if err := errors.Join(s.issuer.Reset(ctx), s.tokens.Reset(ctx), s.providers.Reset(ctx), s.usage.Reset(ctx), s.resetGateway(ctx)); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	})
}

// Close closes the database. Call it when Serve is over.
func (s *Server) Close() error { return store.Close(s.db) }

// attested says whether apps get their tokens at the mediator, or through it.
func attested(p catalog.Policies) bool { return p.Call.ClientAuth.Attested() }

// forEach is one handler where the mediator issues the tokens itself, and another where it passes on
// what apps ask for.
func forEach(issued, passedOn guard.Handler) guard.Handler {
	return func(c echo.Context, caller guard.Caller) error {
		if issuer.Issuing(caller.Stage().Policies) {
			return issued(c, caller)
		}
		return passedOn(c, caller)
	}
}

// newIssuer makes what the mediator is where it issues tokens itself.
func (s *Server) newIssuer(ctx context.Context, key *secrets.Key) (_ *issuer.Server, err error) {
	if s.asClient, err = oauthclient.New(s.config.Folder, s.config.Log, s.config.Now); err != nil {
		return nil, err
	}
	return issuer.New(ctx, issuer.Config{
		Addresses: s.config.Folder.Addresses, DB: s.db, Key: key, Clients: s.clients.Book, Providers: s.providers, Tokens: s.tokens, Client: s.asClient,
		Limit: func(client, device string, at time.Time) error {
			return s.devices.take(installation{client, device}, at)
		},
		Proofs:       s.proofs,
		CodeLifetime: s.config.CodeLifetime, PushedLifetime: s.config.PushedLifetime, RefreshIdle: s.config.RefreshIdle, RefreshLifetime: s.config.RefreshLifetime,
		Logger: s.config.Logger, Now: s.config.Now,
	})
}

// Listeners are where a mediator answers. Those that are nil are left out.
type Listeners struct{ TLS, Terminated, Manage net.Listener }

// Serve answers until ctx ends, and lets requests that are under way finish.
func (s *Server) Serve(ctx context.Context, l Listeners) error {
	defer s.upstream.close()
	defer s.asClient.Close()
	defer s.auth.Close()
	group, ctx := errgroup.WithContext(ctx)
	handler := s.handler()
	if s.config.Around != nil {
		handler = s.config.Around(handler)
	}
	if l.TLS != nil {
		group.Go(func() error {
			return serving.Serve(ctx, guard.TLS, handler, tls.NewListener(l.TLS, s.tls), s.config.Logger)
		})
	}
	if l.Terminated != nil {
		group.Go(func() error {
			return serving.Serve(ctx, guard.Terminated, handler, tls.NewListener(l.Terminated, s.terminated), s.config.Logger)
		})
	}
	if s.gateway != nil {
		defer s.gateway.Close()
		group.Go(func() error {
			s.gateway.Watch(ctx)
			return nil
		})
	}
	if l.Manage != nil {
		group.Go(func() error { return s.manage.Serve(ctx, l.Manage) })
	}
	for _, run := range []func(context.Context){s.clients.Follow, s.providers.Follow, s.tokens.Follow, s.issuer.Follow, s.flush} {
		group.Go(func() error {
			run(ctx)
			return nil
		})
	}
	err := group.Wait()
	return errors.Join(err, s.tokens.Flush(context.WithoutCancel(ctx)), s.usage.Flush(context.WithoutCancel(ctx)), s.closeProofs())
}

// flushEvery is how much of the statistics a mediator may lose when it is killed.
const flushEvery = time.Second

func (s *Server) flush(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := errors.Join(s.tokens.Flush(ctx), s.usage.Flush(ctx)); err != nil && ctx.Err() == nil {
				s.config.Logger.Error("write what was used", "error", err)
			}
			if err := s.advance(); err != nil {
				s.config.Logger.Error("write for which time proofs were taken", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// health is nil when the clients and their secrets are known. It asks nobody.
func (s *Server) health(context.Context) error {
	if err := errors.Join(s.providers.Health().Err, s.tokens.Health().Err); err != nil {
		s.config.Logger.Error("health", "error", err)
		return errors.New("the database does not answer")
	}
	switch h := s.clients.Health(); {
	case h.Heard.IsZero():
		return errors.New("the authorization server can't be asked for its clients and their secrets, so no app gets tokens")
	case h.Err != nil:
		return errors.New("the authorization server can't be asked which clients and secrets were changed since " + h.Heard.UTC().Format(time.TimeOnly) + " UTC")
	}
	return nil
}
