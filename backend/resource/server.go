package resource

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"keyladder/backend/clients"
	"keyladder/backend/devices"
	"keyladder/backend/guard"
	"keyladder/backend/introspection"
	"keyladder/backend/ledger"
	"keyladder/backend/marks"
	"keyladder/backend/serving"
	"keyladder/backend/sessions"
	"keyladder/backend/tokens"
	"keyladder/backend/usage"
	"keyladder/backend/users"
	"keyladder/internal/deployment"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/serve"
	"keyladder/internal/statefile"
	"keyladder/internal/store"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/replay"
	"keyladder/stages/mechanism/session"
)

// Config is what a resource server needs.
type Config struct {
	Folder   *deployment.Folder // of the role resource; the database is made in it
	Stages   catalog.Set
	Log      *traffic.Log      // nil: no records
	Address  guard.Limit       // calls from one address; zero: [guard.DefaultAddressLimit]
	Nonces   int               // how many are remembered at most; zero: as the guard has it
	Sessions session.Lifetimes // of users' sessions; zero: [sessions.Default]
	// Access tokens that this server issues, where the stage has it do that.
	TokenLifetime time.Duration    // zero: [deployment.DefaultSettings]
	ShortLifetime time.Duration    // of those that can be refreshed
	TokenLeeway   time.Duration    // how far another server's clock may be ahead
	KeyOverlap    time.Duration    // for how long a signing key that was replaced is good
	Overlap       time.Duration    // for how long a secret that was replaced can be accepted, where the stage accepts it; 0: not at all
	Logger        *slog.Logger     // nil: the default one
	Now           func() time.Time // nil: the clock
}

// Server is the resource server.
type Server struct {
	config        Config
	db            *gorm.DB
	ledger        *ledger.Ledger
	apps          *clients.Registry
	users         *users.Directory
	sessions      *sessions.Store
	tokens        *tokens.Store
	introspection *introspection.Client // of another company's access tokens; nil: there are none
	issued        *issued               // by the authorization server; nil: there is none
	journal       *tokens.Journal
	revocations   *tokens.RevocationSwitch
	devices       *devices.Registry
	usage         *usage.Counter
	sources       *usage.Sources
	guard         *guard.Guard
	mark          *replay.Mark
	echo          *echo.Echo
	manage        *manage.Server
	metrics       *metrics
	access        *accessLog
	tls           *tls.Config // where apps come in
	terminated    *tls.Config // where the terminator comes in
	inside        *tls.Config // where the gateway comes in
}

// database is the file in the role's folder.
const database = "resource.db"

// New makes a server and opens its database, which is seeded when it is new.
func New(config Config) (server *Server, err error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Address == (guard.Limit{}) {
		config.Address = guard.DefaultAddressLimit
	}
	if config.Sessions == (session.Lifetimes{}) {
		config.Sessions = sessions.Default
	}
	if config.TokenLifetime == 0 {
		config.TokenLifetime = deployment.DefaultSettings.TokenLifetime
	}
	if config.ShortLifetime == 0 {
		config.ShortLifetime = deployment.DefaultSettings.ShortLifetime
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	host, port, err := hawk.HostPort(config.Folder.Addresses.URL(deployment.API)) // as apps know it, whatever a proxy makes of it
	if err != nil {
		return nil, err
	}
	s := &Server{config: config}
	clientCAs, err := s.readCertificates()
	if err != nil {
		return nil, err
	}
	var seed []manage.App
	var secrets map[string]string
	var people []users.Seed
	err = errors.Join(
		config.Folder.JSON("apps.json", &seed),
		config.Folder.JSON("secrets.json", &secrets),
		config.Folder.JSON("users.json", &people))
	if err != nil {
		return nil, err
	}
	_, err = os.Stat(config.Folder.Path(database))
	resumed := !errors.Is(err, fs.ErrNotExist)
	models := slices.Concat(ledger.Models(), clients.Models(), users.Models(), sessions.Models(), tokens.Models(), devices.Models(), usage.Models(), durable.Models(), marks.Models())
	if s.db, err = store.Open(config.Folder.Path(database), models...); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			store.Close(s.db)
		}
	}()
	ctx := context.Background()
	if s.ledger, err = ledger.New(ctx, s.db); err != nil {
		return nil, err
	}
	if s.apps, err = clients.Open(ctx, s.db, clients.Config{Seed: seed, Secrets: secrets, Overlap: config.Overlap}); err != nil {
		return nil, err
	}
	if s.users, err = users.New(ctx, s.db, people); err != nil {
		return nil, err
	}
	if s.sessions, err = sessions.Open(ctx, s.db, config.Sessions); err != nil {
		return nil, err
	}
	s.tokens, err = tokens.Open(ctx, s.db, tokens.Config{Issuers: config.issuers(), Leeway: config.TokenLeeway, Overlap: config.KeyOverlap, Now: config.Now})
	if err != nil {
		return nil, err
	}
	s.journal = tokens.NewJournal(s.db, config.Now)
	if s.revocations, err = tokens.OpenRevocationSwitch(ctx, s.db); err != nil {
		return nil, err
	}
	if s.devices, err = devices.Open(ctx, s.db); err != nil {
		return nil, err
	}
	if s.issued, err = config.followAuth(); err != nil {
		return nil, err
	}
	if s.introspection, err = config.introspecting(); err != nil {
		return nil, err
	}
	s.usage, s.sources = usage.New(s.db, config.Now), usage.NewSources(s.db, config.Now)
	s.access = newAccessLog(config.Stages, config.Logger)
	s.manage = manage.NewServer(config.Folder, config.Log, s.health)
	s.metrics = newMetrics(s.manage.Metrics)
	if s.mark, err = marks.Open(ctx, s.db, config.Folder.Addresses.Listen(deployment.API), resumed, hawk.DefaultSkew); err != nil {
		return nil, err
	}
	forwarded, err := config.forwarded()
	if err != nil {
		return nil, err
	}
	s.guard, err = guard.New(guard.Config{
		Stages: config.Stages, Forwarded: forwarded, Apps: s.apps, Users: s.users, Sessions: s.sessions, Tokens: s.tokens, Issued: s.issued.guarded(), Attested: config.attested(), Introspect: find(s.introspection), RevocationsOff: s.revocations.Off, Devices: s.devices,
		ClientCAs: clientCAs, Host: host, Port: port, Usage: s.usage, Log: config.Log,
		Address: config.Address, Nonces: config.Nonces, Now: config.Now, Mark: s.mark,
		Observe: func(o guard.Outcome) {
			s.metrics.observe(o)
			s.countSource(o)
			s.noteToken(o)
			s.access.add(o)
		},
	})
	if err != nil {
		return nil, err
	}
	s.echo = serving.Echo(config.Logger, s.guard.Middleware)
	s.routes(s.echo, s.guard)
	s.tokenRoutes(s.echo, s.guard)
	s.management()
	return s, nil
}

// readCertificates makes the TLS settings of the listeners and returns the authority of
// the apps' client certificates.
//
//keyladder:code server-tls
func (s *Server) readCertificates() (clientCAs *x509.CertPool, err error) {
	folder := s.config.Folder
	certificate, err := folder.Pair("server")
	if err != nil {
		return nil, err
	}
	if clientCAs, err = folder.Pool("client-ca.pem"); err != nil {
		return nil, err
	}
	manageCA, err := folder.Pool("manage-ca.pem")
	if err != nil {
		return nil, err
	}
	s.tls = &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: serve.Suites(), // of TLS 1.2: without CBC
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{"http/1.1"},
		// Whether a certificate is needed depends on the stage, so the guard demands it;
		// one that is shown has to be good in any case.
		ClientAuth: tls.VerifyClientCertIfGiven,
		ClientCAs:  clientCAs,
	}
	s.terminated = serving.For(serving.Terminator, certificate, manageCA)
	s.inside = serving.For(string(deployment.Mediator), certificate, manageCA)
	return clientCAs, nil
}

// Listeners are where a server answers. Those that are nil are left out.
type Listeners struct {
	Plain      net.Listener // the API over HTTP
	TLS        net.Listener // the API over TLS
	Terminated net.Listener // the API for a TLS terminator
	Inside     net.Listener // the API for the gateway
	Manage     net.Listener
}

// flushEvery is how much of the statistics, and of the use of sessions and devices, a
// server may lose when it is killed.
const flushEvery = time.Second

// Serve answers until ctx ends, lets calls that are under way finish, and writes what
// they used.
func (s *Server) Serve(ctx context.Context, l Listeners) error {
	group, ctx := errgroup.WithContext(ctx)
	if l.Plain != nil {
		group.Go(func() error { return s.serve(ctx, guard.Plain, l.Plain) })
	}
	if l.TLS != nil {
		group.Go(func() error { return s.serve(ctx, guard.TLS, tls.NewListener(l.TLS, s.tls)) })
	}
	if l.Terminated != nil {
		group.Go(func() error {
			return s.serve(ctx, guard.Terminated, tls.NewListener(l.Terminated, s.terminated))
		})
	}
	if l.Inside != nil {
		group.Go(func() error { return s.serve(ctx, guard.Inside, tls.NewListener(l.Inside, s.inside)) })
	}
	if l.Manage != nil {
		group.Go(func() error { return s.manage.Serve(ctx, l.Manage) })
	}
	group.Go(func() error {
		s.flush(ctx)
		return nil
	})
	group.Go(func() error {
		s.apps.Follow(ctx)
		return nil
	})
	for _, follow := range []func(context.Context){s.tokens.Follow, s.issued.follow} {
		group.Go(func() error {
			follow(ctx)
			return nil
		})
	}
	group.Go(func() error {
		s.revocations.Follow(ctx)
		return nil
	})
	err := group.Wait()
	s.introspection.Close()
	return errors.Join(err, s.write(context.WithoutCancel(ctx)), s.mark.Close(s.guard.Signed()))
}

// write writes what calls leave in memory.
func (s *Server) write(ctx context.Context) error {
	return errors.Join(s.usage.Flush(ctx), s.sources.Flush(ctx), s.sessions.Flush(ctx, s.config.Now()), s.tokens.Flush(ctx), s.journal.Flush(ctx), s.devices.Flush(ctx), s.mark.Advance(s.config.Now()))
}

func (s *Server) serve(ctx context.Context, kind guard.Listener, listener net.Listener) error {
	return serving.Serve(ctx, kind, s.echo, listener, s.config.Logger)
}

func (s *Server) flush(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.write(ctx); err != nil && ctx.Err() == nil {
				s.config.Logger.Error("write what was used", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// health is nil when the database answers, what other processes wrote there is known, and
// something can be written.
func (s *Server) health(ctx context.Context) error {
	if err := s.apps.Health().Err; err != nil {
		s.config.Logger.Error("health", "error", err)
		return errors.New("it is not known which keys were revoked meanwhile")
	}
	if err := s.tokens.Health().Err; err != nil {
		s.config.Logger.Error("health", "error", err)
		return errors.New("it is not known which access tokens were revoked meanwhile")
	}
	if !s.issued.asked() { // for a moment, when it starts
		return errors.New("the authorization server was not asked yet for its clients and keys")
	}
	if err := s.issued.health(); err != nil {
		s.config.Logger.Error("health", "error", err)
		return err
	}
	if _, err := s.ledger.Sum(ctx); err != nil {
		s.config.Logger.Error("health", "error", err)
		return errors.New("the database does not answer")
	}
	if err := statefile.CanWrite(s.config.Folder.Dir); err != nil {
		s.config.Logger.Error("health", "error", err)
		return errors.New("nothing can be written: is the disk full?")
	}
	return nil
}

// Close closes the database. Call it when Serve is over.
func (s *Server) Close() error { return store.Close(s.db) }
