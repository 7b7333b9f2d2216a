package manage

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/internal/problem"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
)

const (
	maxBody    = 16 << 20         // bytes of a request
	attackTime = 10 * time.Minute // which an answer may take: attacks are carried out in one call
)

// Server is the management listener of one program. The program adds its own routes with
// [Server.For].
type Server struct {
	Metrics *prometheus.Registry
	echo    *echo.Echo
	folder  *deployment.Folder
}

// Routes are routes that the programs of certain roles may call.
type Routes struct {
	server *Server
	roles  []deployment.Role
}

// For is where routes are added that these roles may call, and nobody else. It panics when
// there are none: a route that nobody may call is a mistake, and so is one of which nobody
// said who may.
func (s *Server) For(roles ...deployment.Role) Routes {
	for _, role := range roles {
		if _, ok := deployment.Of(role); !ok {
			panic(fmt.Sprintf("manage: no program has the role %q", role))
		}
	}
	if len(roles) == 0 {
		panic("manage: routes need roles that may call them")
	}
	return Routes{server: s, roles: roles}
}

// GET adds a route.
func (r Routes) GET(path string, handler echo.HandlerFunc) { r.add(http.MethodGet, path, handler) }

// POST adds a route.
func (r Routes) POST(path string, handler echo.HandlerFunc) { r.add(http.MethodPost, path, handler) }

// PATCH adds a route.
func (r Routes) PATCH(path string, handler echo.HandlerFunc) { r.add(http.MethodPatch, path, handler) }

func (r Routes) add(method, path string, handler echo.HandlerFunc) {
	r.server.echo.Add(method, path, func(c echo.Context) error {
		if peer := deployment.Role(c.Request().TLS.PeerCertificates[0].Subject.CommonName); !slices.Contains(r.roles, peer) {
			return problem.New(http.StatusForbidden, "not-allowed", "This certificate does not open this", "This is for "+rolesFor(r.roles)+".")
		}
		return handler(c)
	})
}

// rolesFor are roles as people read them.
func rolesFor(roles []deployment.Role) string {
	if len(roles) == 1 {
		return "the role " + string(roles[0])
	}
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	return "the roles " + strings.Join(names, ", ")
}

// Use adds a middleware for all routes.
func (s *Server) Use(middleware echo.MiddlewareFunc) { s.echo.Use(middleware) }

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// NewServer makes the management listener of the program whose folder it is. Health
// tells whether the program can do its work; it may be nil.
func NewServer(folder *deployment.Folder, log *traffic.Log, health func(context.Context) error) *Server {
	s := &Server{echo: echo.New(), Metrics: prometheus.NewRegistry(), folder: folder}
	s.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.echo.HideBanner, s.echo.HidePort = true, true
	s.echo.HTTPErrorHandler = problem.Handler(func(err error) {
		slog.Error("management", "program", folder.Role, "error", err)
	})
	itself := s.For(deployment.Admin, folder.Role) // its health check has the program's own certificate
	itself.GET("/health", func(c echo.Context) error {
		if health != nil {
			if err := health(c.Request().Context()); err != nil {
				return problem.New(http.StatusServiceUnavailable, "unhealthy", "This program can't do its work", err.Error())
			}
		}
		return c.NoContent(http.StatusOK)
	})
	itself.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{})))
	admin := s.For(deployment.Admin)
	admin.GET("/traffic", Feed[traffic.Message](log))
	admin.GET("/traffic/end", func(c echo.Context) error { return c.JSON(http.StatusOK, log.End()) })
	admin.POST("/traffic/clear", func(c echo.Context) error {
		log.Clear()
		return c.NoContent(http.StatusNoContent)
	})
	return s
}

// Serve answers on the listener until ctx ends.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	certificate, err := s.folder.Pair("manage")
	if err != nil {
		return err
	}
	authority, err := s.folder.Read("manage-ca.pem")
	if err != nil {
		return err
	}
	pool, err := pki.Pool(authority)
	if err != nil {
		return fmt.Errorf("read manage-ca.pem: %w", err)
	}
	server := serve.New(http.MaxBytesHandler(s, maxBody))
	server.WriteTimeout = attackTime
	server.BaseContext = func(net.Listener) context.Context { return serving(ctx) }
	return serve.HTTP(ctx, server, tls.NewListener(listener, &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
	}))
}
