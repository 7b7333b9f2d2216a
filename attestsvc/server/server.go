package server

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"keyladder/attestsvc/enforcement"
	"keyladder/attestsvc/history"
	"keyladder/attestsvc/level"
	"keyladder/attestsvc/makers"
	"keyladder/attestsvc/references"
	"keyladder/attestsvc/results"
	"keyladder/backend/clients"
	"keyladder/backend/guard"
	"keyladder/backend/serving"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/statefile"
	"keyladder/internal/store"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
)

// Config is what an attestation service needs.
type Config struct {
	Folder  *deployment.Folder // of the role attestsvc; the database is made in it
	Stages  catalog.Set
	Log     *traffic.Log // nil: no records
	Address guard.Limit  // calls from one address

	Ranges, RangeBytes int64         // of a challenge
	AnswerWithin       time.Duration // after a session was opened
	TokenLifetime      time.Duration

	Logger *slog.Logger     // nil: the default one
	Now    func() time.Time // nil: the clock
}

// With is the configuration with the lifetimes and limits of the deployment's settings.
func (c Config) With(s deployment.Settings) Config {
	c.Address = guard.Limit{PerSecond: s.AddressPerSecond, Burst: s.AddressBurst}
	c.Ranges, c.RangeBytes = int64(s.AttestationRanges), int64(s.AttestationBytes)
	c.AnswerWithin, c.TokenLifetime = s.AnswerWithin, s.IntegrityLifetime
	return c
}

// Server is the attestation service.
type Server struct {
	config      Config
	db          *gorm.DB
	auth        *manage.Client  // the authorization server's management
	clients     *clients.Mirror // that the authorization server owns
	references  *references.Store
	results     *results.Store
	enforcement *enforcement.Store
	makers      *makers.Store
	trust       level.Trust   // in devices
	attester    crypto.Signer // with which client attestations are signed; nil: there are none
	sessions    *sessions
	latencies   *latencies
	guard       *guard.Guard
	echo        *echo.Echo
	manage      *manage.Server
	tls         *tls.Config
}

const (
	database = "attestsvc.db"    // the file in the role's folder
	kept     = "references"      // the folder in it with the packages that are references
	known    = "references.json" // says whose packages there are
)

// New makes a server, opens its database, and registers the packages that are published.
func New(config Config) (server *Server, err error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if err := level.Check(config.Stages); err != nil {
		return nil, err
	}
	folder := config.Folder
	var packages []references.Known
	if err := folder.JSON(known, &packages); err != nil {
		return nil, err
	}
	certificate, err := folder.Pair("server")
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: config, sessions: newSessions(mostSessions), latencies: newLatencies(),
		tls: serving.TLS(certificate),
	}
	if s.auth, err = manage.NewClient(folder, deployment.Auth); err != nil {
		return nil, err
	}
	s.clients = clients.NewMirror(s.auth)
	models := slices.Concat(history.Models(), references.Models(), makers.Models(), results.Models(), enforcement.Models())
	if s.db, err = store.Open(folder.Path(database), models...); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			store.Close(s.db)
		}
	}()
	ctx := context.Background()
	s.references, err = references.Open(ctx, s.db, references.Config{Known: packages, Published: folder.Dir, Kept: folder.Path(kept), Now: config.Now})
	if err != nil {
		return nil, err
	}
	if err := s.references.Scan(ctx); err != nil {
		config.Logger.Error("register packages that are published", "error", err)
	}
	if err := s.knowMakers(ctx); err != nil {
		return nil, err
	}
	if s.results, err = results.Open(ctx, s.db, config.Now); err != nil {
		return nil, err
	}
	if s.enforcement, err = enforcement.Open(ctx, s.db, config.Stages, config.Now); err != nil {
		return nil, err
	}
	s.manage = manage.NewServer(folder, config.Log, s.health)
	s.guard, err = guard.New(guard.Config{
		Stages: config.Stages, AdmissionAlone: true, Usage: guard.Uncounted{}, Server: string(deployment.Attestation), Log: config.Log,
		Address: config.Address, Now: config.Now,
	})
	if err != nil {
		return nil, err
	}
	s.echo = serving.Echo(config.Logger, s.guard.Middleware)
	s.routes()
	s.management()
	return s, nil
}

// routes is what there is.
//
//keyladder:code attestation-routes
func (s *Server) routes() {
	for _, r := range []struct {
		method, path string
		handler      guard.Handler
	}{
		{http.MethodPost, attestation.SessionsPath, s.open},
		{http.MethodGet, attestation.SessionsPath + "/:id", s.show},
		{http.MethodPost, attestation.SessionsPath + "/:id", s.answer},
	} {
		s.guard.Handle(s.echo, guard.Route{Method: r.method, Path: r.path, Scope: guard.AnyScope, Admission: true, At: level.Offered}, r.handler)
	}
}

// Listeners are where a server answers. Those that are nil are left out.
type Listeners struct{ TLS, Manage net.Listener }

const (
	scanEvery   = time.Second      // how often it is looked for packages that were published
	forgetEvery = 10 * time.Minute // how often results and devices that are too many are removed
)

// Serve answers until ctx ends, and lets calls that are under way finish.
func (s *Server) Serve(ctx context.Context, l Listeners) error {
	group, ctx := errgroup.WithContext(ctx)
	if l.TLS != nil {
		group.Go(func() error {
			return serving.Serve(ctx, guard.TLS, s.echo, tls.NewListener(l.TLS, s.tls), s.config.Logger)
		})
	}
	if l.Manage != nil {
		group.Go(func() error { return s.manage.Serve(ctx, l.Manage) })
	}
	scan := func(ctx context.Context) { s.references.Follow(ctx, scanEvery, s.config.Logger) }
	follow := func(ctx context.Context) {
		defer s.auth.Close()
		s.clients.Follow(ctx)
	}
	for _, run := range []func(context.Context){s.forget, scan, follow} {
		group.Go(func() error {
			run(ctx)
			return nil
		})
	}
	return group.Wait()
}

// forget removes what is too old until ctx ends.
func (s *Server) forget(ctx context.Context) {
	ticker := time.NewTicker(forgetEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.results.Forget(ctx); err != nil && ctx.Err() == nil {
				s.config.Logger.Error("forget old results", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// health is nil when the clients are known, the database answers, and something can be written.
func (s *Server) health(ctx context.Context) error {
	fault := func(err error, words string) error {
		s.config.Logger.Error("health", "error", err)
		return errors.New(words)
	}
	switch health := s.clients.Health(); {
	case health.Err != nil && health.Heard.IsZero():
		return fault(health.Err, "the authorization server can't be asked for its clients, so nobody can attest")
	case health.Err != nil:
		return fault(health.Err, "the authorization server can't be asked what it has changed since "+health.Heard.UTC().Format(time.TimeOnly)+" UTC")
	case health.Heard.IsZero(): // for a moment, when it starts
		return errors.New("the authorization server was not asked yet for its clients")
	}
	if _, err := s.results.Query(ctx, manage.AttestationQuery{Part: manage.Part{Limit: 1}}); err != nil {
		return fault(err, "the database does not answer")
	}
	if err := statefile.CanWrite(s.config.Folder.Dir); err != nil {
		return fault(err, "nothing can be written: is the disk full?")
	}
	return nil
}

// Register makes a package that somebody sends a reference, as those are that are published in the
// server's folder.
func (s *Server) Register(ctx context.Context, pkg io.Reader) error {
	_, err := s.references.Register(ctx, pkg)
	return err
}

// Close closes the database. Call it when Serve is over.
func (s *Server) Close() error { return store.Close(s.db) }
