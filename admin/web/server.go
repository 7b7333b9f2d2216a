package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/serve"
	"keyladder/internal/store"
	"keyladder/stages/catalog"
)

//go:embed assets
var assets embed.FS

// Config is what the UI needs.
type Config struct {
	Folder  *deployment.Folder // of the role admin; the database, admin.db, is kept there
	Stages  catalog.Set
	Referee Referee

	Resource manage.Doer // the resource server's management API
	Phone    manage.Doer // the phone's
	Station  manage.Doer // the attacker's station's

	Password string           // the admin's, from ADMIN_PASSWORD; empty: as stored, or made at the first start
	PhoneURL string           // where a browser finds the phone's screen; empty: no link
	Now      func() time.Time // nil: time.Now
}

// Server is the admin UI.
type Server struct {
	cfg      Config
	now      func() time.Time
	db       *gorm.DB
	vault    *vault
	throttle *throttle
	audit    *auditLog
	hub      *hub
	jobs     *jobs
	notices  *notices
	echo     *echo.Echo
	made     string

	resource, phone, station remote

	narratives map[string]narrative
	packages   map[string]string // file name → path
	assetHash  string

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
	db, err := store.Open(cfg.Folder.Path("admin.db"), &admin{}, &session{}, &auditEntry{})
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, now: cfg.Now, db: db,
		vault: newVault(db, cfg.Now), throttle: newThrottle(), audit: &auditLog{db: db, now: cfg.Now},
		notices:    newNotices(),
		resource:   remote{resourceProgram, cfg.Resource},
		phone:      remote{phoneProgram, cfg.Phone},
		station:    remote{stationProgram, cfg.Station},
		narratives: map[string]narrative{}, packages: map[string]string{},
	}
	s.stopped, s.stop = context.WithCancel(context.Background())
	s.hub = newHub(s.resource, s.phone, s.station)
	s.jobs = newJobs(s.stopped, cfg.Now)
	if err := s.setUp(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.echo = s.routes()
	return s, nil
}

func (s *Server) setUp() error {
	if err := s.audit.setUp(); err != nil {
		return err
	}
	made, replaced, err := s.vault.setUp(s.cfg.Password)
	if err != nil {
		return err
	}
	s.made, s.cfg.Password = made, ""
	if replaced {
		entry, err := s.audit.begin("start", "", "replace the admin's password", "ADMIN_PASSWORD")
		if err != nil {
			return err
		}
		if err := s.audit.end(entry, nil); err != nil {
			return err
		}
	}
	for _, stage := range s.cfg.Stages {
		if s.narratives[stage.Slug], err = renderNarrative(stage.Narrative()); err != nil {
			return err
		}
	}
	for _, file := range s.cfg.Folder.Packages() {
		s.packages[filepath.Base(file)] = file
	}
	hash := sha256.New()
	err = fs.WalkDir(assets, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := assets.ReadFile(name)
		hash.Write(data)
		return err
	})
	s.assetHash = hex.EncodeToString(hash.Sum(nil))[:12]
	return err
}

// InitialPassword is the admin's password where this start has made it, to be shown once;
// otherwise it is empty.
func (s *Server) InitialPassword() string { return s.made }

// Handler answers requests without [Server.Serve]; nobody listens to the programs'
// traffic then.
func (s *Server) Handler() http.Handler { return s.echo }

// Serve answers on the listener, and listens to the programs' traffic, until ctx ends.
// Then it closes the server.
func (s *Server) Serve(ctx context.Context, listener net.Listener) (err error) {
	release := context.AfterFunc(ctx, s.stop)
	defer release()
	var wg sync.WaitGroup
	wg.Go(func() { s.hub.run(s.stopped) })
	defer func() {
		s.stop()
		wg.Wait()
		err = errors.Join(err, s.Close())
	}()
	server := &http.Server{
		Handler:           s.echo,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	return serve.HTTP(ctx, server, listener)
}

// Close stops what runs in the background and closes the database.
func (s *Server) Close() error {
	var err error
	s.closeOnce.Do(func() {
		s.stop()
		s.jobs.wg.Wait()
		err = store.Close(s.db)
	})
	return err
}

func (s *Server) routes() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.failed
	e.Use(s.recovered, secured, s.guarded)

	e.GET("/healthz", s.health)
	e.GET("/workshop-ca.pem", s.authority)
	e.GET("/packages/:file", s.packageFile)
	e.GET("/assets/:file", s.asset)
	e.GET("/sign-in", s.signInPage)
	e.POST("/sign-in", s.signIn)

	e.POST("/sign-out", s.signOut, s.signedIn)
	// What a page asks for by itself does not keep the session alive.
	e.GET("/traffic/rows", s.trafficRows, s.signedInQuietly)
	e.GET("/jobs/:id", s.jobState, s.signedInQuietly)

	e.GET("/", func(c echo.Context) error { return c.Redirect(http.StatusSeeOther, "/stages") }, s.signedIn)
	e.GET("/stages", s.ladderPage, s.signedIn)
	e.GET("/stages/:stage", s.stagePage, s.signedIn)
	e.POST("/stages/:stage/run", s.runAtStage, s.signedIn)
	e.POST("/stages/:stage/phone", s.switchPhone, s.signedIn)
	e.GET("/traffic", s.trafficPage, s.signedIn)
	e.GET("/traffic/:id", s.messagePage, s.signedIn)
	e.POST("/traffic/clear", s.clearTraffic, s.signedIn)
	e.GET("/matrix", s.matrixPage, s.signedIn)
	e.POST("/matrix/run", s.runMatrix, s.signedIn)
	e.GET("/matrix/:stage/:attack", s.cellPage, s.signedIn)
	e.POST("/matrix/:stage/:attack/run", s.runAttack, s.signedIn)
	e.GET("/apps", s.appsPage, s.signedIn)
	e.POST("/apps", s.registerApp, s.signedIn)
	e.POST("/apps/run", s.runApp, s.signedIn)
	e.GET("/apps/:app", s.appPage, s.signedIn)
	e.POST("/apps/:app", s.changeApp, s.signedIn)
	e.POST("/apps/:app/keys", s.issueKey, s.signedIn)
	e.POST("/apps/:app/rotate", s.rotateKeys, s.signedIn)
	e.POST("/keys/:key/revoke", s.revokeKey, s.signedIn)
	e.POST("/keys/:key/restore", s.restoreKey, s.signedIn)
	s.userRoutes(e)
	e.GET("/releases", s.releasesPage, s.signedIn)
	e.GET("/audit", s.auditPage, s.signedIn)
	e.GET("/reset", s.resetPage, s.signedIn)
	e.POST("/reset", s.reset, s.signedIn)
	return e
}

// render sends a page, or nothing of it where it could not be made.
func render(c echo.Context, status int, page templ.Component) error {
	var out bytes.Buffer
	if err := page.Render(c.Request().Context(), &out); err != nil {
		return fmt.Errorf("render the page: %w", err)
	}
	return c.HTMLBlob(status, out.Bytes())
}

func (s *Server) health(c echo.Context) error {
	pool, err := s.db.DB()
	if err == nil {
		err = pool.PingContext(c.Request().Context())
	}
	if err != nil {
		slog.Error("admin UI is not healthy", "error", err)
		return c.String(http.StatusServiceUnavailable, "the database does not answer\n")
	}
	return c.String(http.StatusOK, "ok\n")
}

func (s *Server) authority(c echo.Context) error {
	data, err := s.cfg.Folder.Read("roots.pem")
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="workshop-ca.pem"`)
	return c.Blob(http.StatusOK, "application/x-pem-file", data)
}

func (s *Server) packageFile(c echo.Context) error {
	file, ok := s.packages[c.Param("file")]
	if !ok {
		return echo.ErrNotFound
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="`+filepath.Base(file)+`"`)
	c.Response().Header().Set("Content-Type", "application/octet-stream")
	http.ServeFile(c.Response(), c.Request(), file)
	return nil
}

var assetTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func (s *Server) asset(c echo.Context) error {
	name := c.Param("file")
	data, err := assets.ReadFile("assets/" + name)
	if err != nil {
		return echo.ErrNotFound
	}
	if c.QueryParam("v") == s.assetHash {
		c.Response().Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	return c.Blob(http.StatusOK, assetTypes[path.Ext(name)], data)
}

// stageParam is the stage in the path.
func (s *Server) stageParam(c echo.Context) (catalog.Stage, error) {
	stage, ok := s.cfg.Stages.Lookup(c.Param("stage"))
	if !ok {
		return catalog.Stage{}, echo.NewHTTPError(http.StatusNotFound,
			"There is no stage of this name. The stages are: "+s.cfg.Stages.Slugs()+".")
	}
	return stage, nil
}

// builtStages are the stages under these slugs that can be used.
func (s *Server) builtStages(slugs []string) catalog.Set {
	return slices.DeleteFunc(s.cfg.Stages.Built(), func(stage catalog.Stage) bool { return !slices.Contains(slugs, stage.Slug) })
}
