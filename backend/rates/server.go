package rates

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
	"gorm.io/gorm"

	"keyladder/backend/guard"
	"keyladder/backend/rates/customers"
	"keyladder/backend/serving"
	"keyladder/backend/usage"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/statefile"
	"keyladder/internal/store"
	"keyladder/internal/traffic"
)

// Config is what a rates server needs.
type Config struct {
	Folder    *deployment.Folder // of the role rates; the database is made in it
	Log       *traffic.Log       // nil: no records
	PerMinute int                // calls of a customer
	PerDay    int                // the same

	Logger *slog.Logger     // nil: the default one
	Now    func() time.Time // nil: the clock
}

// With is the configuration with the limits of the deployment's settings.
func (c Config) With(s deployment.Settings) Config {
	c.PerMinute, c.PerDay = s.RatesPerMinute, s.RatesPerDay
	return c
}

// Server is the rates server.
type Server struct {
	config Config
	keys   customers.Keys
	quotas *quotas
	db     *gorm.DB
	usage  *usage.Counter
	echo   *echo.Echo
	manage *manage.Server
	tls    *tls.Config
}

// database is the file in the role's folder.
const database = "rates.db"

// New makes a server and opens its database.
func New(config Config) (server *Server, err error) {
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
	var known []customers.Key
	if err = config.Folder.JSON(customers.File, &known); err != nil {
		return nil, err
	}
	if s.keys, err = customers.New(known); err != nil {
		return nil, err
	}
	if s.quotas, err = newQuotas(config.PerMinute, config.PerDay); err != nil {
		return nil, err
	}
	if s.db, err = store.Open(config.Folder.Path(database), usage.Models()...); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			store.Close(s.db)
		}
	}()
	s.usage = usage.New(s.db, config.Now)
	today, err := s.usage.Latest(context.Background(), 1)
	if err != nil {
		return nil, err
	}
	for _, u := range today {
		s.quotas.add(u.App, config.Now(), int(u.Served))
	}
	s.echo = serving.Echo(config.Logger)
	s.echo.GET(path, s.marketRates)
	s.manage = manage.NewServer(config.Folder, config.Log, s.health)
	admin := s.manage.For(deployment.Admin)
	s.usage.Manage(admin)
	admin.POST("/reset", func(c echo.Context) error {
		if err := s.usage.Reset(c.Request().Context()); err != nil {
			return err
		}
		s.quotas.reset()
		return c.NoContent(http.StatusNoContent)
	})
	admin.GET(manage.QuotasPath, func(c echo.Context) error {
		var names []string
		for _, key := range s.keys {
			names = append(names, key.Customer)
		}
		return c.JSON(http.StatusOK, s.quotas.all(names, config.Now()))
	})
	return s, nil
}

// Listeners are where a server answers. Those that are nil are left out.
type Listeners struct{ TLS, Manage net.Listener }

// flushEvery is how much of what was used a server may lose when it is killed.
const flushEvery = time.Second

// Serve answers until ctx ends, lets calls that are under way finish, and writes what they used.
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
	group.Go(func() error {
		s.flush(ctx)
		return nil
	})
	return errors.Join(group.Wait(), s.usage.Flush(context.WithoutCancel(ctx)))
}

func (s *Server) flush(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.usage.Flush(ctx); err != nil && ctx.Err() == nil {
				s.config.Logger.Error("write what was used", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// health is nil when what is used can be written.
func (s *Server) health(context.Context) error {
	if err := statefile.CanWrite(s.config.Folder.Dir); err != nil {
		s.config.Logger.Error("health", "error", err)
		return errors.New("nothing can be written: is the disk full?")
	}
	return nil
}

// Close closes the database. Call it when Serve is over.
func (s *Server) Close() error { return store.Close(s.db) }
