package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"keyladder/admin/access"
	"keyladder/admin/attestation"
	"keyladder/admin/jobs"
	"keyladder/admin/ladder"
	"keyladder/admin/manage"
	"keyladder/admin/mediator"
	"keyladder/admin/programs"
	"keyladder/admin/traffic"
	"keyladder/admin/ui"
	"keyladder/admin/upkeep"
	"keyladder/admin/usage"
	"keyladder/admin/workshop"
	"keyladder/internal/deployment"
	"keyladder/internal/serve"
	"keyladder/internal/statefile"
	"keyladder/internal/store"
	"keyladder/stages/catalog"
)

// navigation is the parts of the site.
var navigation = []ui.NavItem{
	{Path: "/stages", Label: "Stages"},
	{Path: ladder.Path, Label: "Ladder"},
	{Path: "/traffic", Label: "Traffic"},
	{Path: "/matrix", Label: "Matrix"},
	{Path: "/apps", Label: "Apps and keys"},
	{Path: "/users", Label: "Users and devices"},
	{Path: "/auth/clients", Label: "Authorization"},
	{Path: mediator.Home, Label: "Mediator"},
	{Path: attestation.Home, Label: "Attestation"},
	{Path: "/releases", Label: "Releases"},
	{Path: "/audit", Label: "Audit"},
	{Path: "/reset", Label: "Reset"},
}

// Config is what the UI needs.
type Config struct {
	Folder  *deployment.Folder // of the role admin; the database, admin.db, is kept there
	Stages  catalog.Set
	Referee workshop.Referee

	Programs programs.Programs // their management APIs

	Settings deployment.Settings // of the role admin

	Password     string           // the admin's, from ADMIN_PASSWORD; empty: as stored, or made at the first start
	PasswordCost *argon2id.Params // of its hash; nil: what OWASP recommends
	PhoneURL     string           // where a browser finds the phone's screen; empty: no link
	Now          func() time.Time // nil: time.Now
}

// Server is the admin UI.
type Server struct {
	folder  *deployment.Folder
	db      *gorm.DB
	gate    *access.Gate
	traffic *traffic.Traffic
	watch   *programs.Watch
	runner  *jobs.Runner
	echo    *echo.Echo
	made    string

	stop      context.CancelFunc
	stopped   context.Context
	closeOnce sync.Once
}

// New opens admin.db, sees to the admin's password and makes the server. The end of
// [Server.Serve], or [Server.Close], closes the database again.
func New(cfg Config) (*Server, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	db, err := store.Open(cfg.Folder.Path("admin.db"), access.Tables()...)
	if err != nil {
		return nil, err
	}
	s := &Server{folder: cfg.Folder, db: db}
	s.stopped, s.stop = context.WithCancel(context.Background())
	if err := s.assemble(cfg); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// assemble makes the parts and mounts their routes.
func (s *Server) assemble(cfg Config) (err error) {
	auth, resource, phone := cfg.Programs.Remote(deployment.Auth), cfg.Programs.Remote(deployment.Resource), cfg.Programs.Remote(deployment.Phone)
	s.watch = programs.NewWatch(cfg.Programs.All()...)
	s.traffic = traffic.New(s.stopped, cfg.Stages, cfg.Programs.All()...)
	s.runner = &jobs.Runner{Jobs: jobs.New(s.stopped, cfg.Now), Phone: phone, Resource: resource, Stages: cfg.Stages}
	s.gate, s.made, err = access.New(access.Config{
		DB: s.db, Now: cfg.Now, Sessions: access.Lifetimes{Idle: cfg.Settings.AdminIdle, Absolute: cfg.Settings.AdminLifetime}, Cost: cfg.PasswordCost, Parts: navigation, Down: s.traffic.Down, Unwell: s.unwell, PhoneURL: cfg.PhoneURL,
	}, cfg.Password)
	if err != nil {
		return err
	}
	s.runner.Gate, s.traffic.Stolen = s.gate, s.runner.Stolen
	class, err := workshop.New(cfg.Stages, cfg.Referee, cfg.Programs.Remote(deployment.Attacker), auth, s.traffic, s.runner, cfg.Now)
	if err != nil {
		return err
	}
	administration := manage.New(manage.Config{
		Folder: cfg.Folder, Stages: cfg.Stages, Resource: resource, Auth: auth, Lite: cfg.Programs.Remote(deployment.Lite), Mediator: cfg.Programs.Remote(deployment.Mediator), Phone: phone,
		Runner: s.runner, Gate: s.gate, Now: cfg.Now, Stopped: s.stopped,
	})
	upkeep := upkeep.New(upkeep.Config{
		Folder: cfg.Folder, Servers: cfg.Programs.Servers(), Phone: phone, Runner: s.runner, Gate: s.gate, DropTraffic: s.traffic.Drop,
	})
	attested := attestation.New(attestation.Config{
		Stages: cfg.Stages, Service: cfg.Programs.Remote(deployment.Attestation), API: resource, Message: s.traffic.Message,
		Runner: s.runner, Gate: s.gate, Now: cfg.Now, Stopped: s.stopped,
	})
	mediated := mediator.New(mediator.Config{
		Stages: cfg.Stages, Mediator: cfg.Programs.Remote(deployment.Mediator), Rates: cfg.Programs.Remote(deployment.Rates),
		Runner: s.runner, Gate: s.gate, Now: cfg.Now,
	})
	usage := &usage.Pages{Stages: cfg.Stages, Resource: resource, Gate: s.gate}

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.gate.Failed
	e.Use(access.Recovered, access.Secured, access.Guarded(attestation.ReleasesPath))
	e.GET("/healthz", s.health)
	e.GET("/workshop-ca.pem", s.authority)
	e.GET("/assets/:file", ui.Asset)
	e.GET("/", func(c echo.Context) error { return c.Redirect(http.StatusSeeOther, "/stages") }, s.gate.SignedIn)
	s.gate.Mount(e)
	class.Mount(e)
	s.traffic.Mount(e, s.gate)
	s.runner.Mount(e)
	administration.Mount(e)
	attested.Mount(e)
	mediated.Mount(e)
	usage.Mount(e)
	whole := &ladder.Pages{Folder: cfg.Folder, Stages: cfg.Stages, Gate: s.gate, Now: cfg.Now}
	whole.Mount(e)
	upkeep.Mount(e)
	s.echo = e
	return nil
}

// InitialPassword is the admin's password where this start has made it, to be shown once;
// otherwise it is empty.
func (s *Server) InitialPassword() string { return s.made }

// Handler answers requests without [Server.Serve]; nobody listens to the programs'
// traffic then.
func (s *Server) Handler() http.Handler { return s.echo }

// Pages are the patterns of what can be asked for with GET, in alphabetical order.
func (s *Server) Pages() []string { return serve.Pages(s.echo) }

// Serve answers on the listener, and listens to the programs' traffic, until ctx ends.
// Then it closes the server.
func (s *Server) Serve(ctx context.Context, listener net.Listener) (err error) {
	release := context.AfterFunc(ctx, s.stop)
	defer release()
	var wg sync.WaitGroup
	wg.Go(func() { s.traffic.Run(s.stopped) })
	wg.Go(func() { s.watch.Run(s.stopped) })
	defer func() {
		s.stop()
		wg.Wait()
		err = errors.Join(err, s.Close())
	}()
	return serve.HTTP(ctx, serve.New(s.echo), listener)
}

// Close stops what runs in the background and closes the database.
func (s *Server) Close() error {
	var err error
	s.closeOnce.Do(func() {
		s.stop()
		if s.runner != nil {
			s.runner.Wait()
		}
		err = store.Close(s.db)
	})
	return err
}

// unwell are the programs that can't do all of their work.
func (s *Server) unwell() []ui.Unwell {
	var unwell []ui.Unwell
	for _, role := range deployment.Managed() {
		if reason := s.watch.Unwell(role); reason != "" {
			unwell = append(unwell, ui.Unwell{Program: string(role), Title: programs.Title(role), Reason: ui.Sentence(reason)})
		}
	}
	return unwell
}

func (s *Server) health(c echo.Context) error {
	pool, err := s.db.DB()
	if err == nil {
		err = pool.PingContext(c.Request().Context())
	}
	if err == nil {
		err = statefile.CanWrite(s.folder.Dir)
	}
	if err != nil {
		slog.Error("admin UI is not healthy", "error", err)
		return c.String(http.StatusServiceUnavailable, "the database does not answer, or nothing can be written\n")
	}
	return c.String(http.StatusOK, "ok\n")
}

func (s *Server) authority(c echo.Context) error {
	data, err := s.folder.Read("roots.pem")
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="workshop-ca.pem"`)
	return c.Blob(http.StatusOK, "application/x-pem-file", data)
}
