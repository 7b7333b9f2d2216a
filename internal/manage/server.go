package manage

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
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

// Server is the management listener of one program.
type Server struct {
	*echo.Echo // for the program's own routes

	Metrics *prometheus.Registry
	folder  *deployment.Folder
}

// NewServer makes the management listener of the program whose folder it is. Health
// tells whether the program can do its work; it may be nil.
func NewServer(folder *deployment.Folder, log *traffic.Log, health func(context.Context) error) *Server {
	s := &Server{Echo: echo.New(), Metrics: prometheus.NewRegistry(), folder: folder}
	s.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.HideBanner, s.HidePort = true, true
	s.HTTPErrorHandler = problem.Handler(func(err error) {
		slog.Error("management", "program", folder.Role, "error", err)
	})
	s.Pre(s.authorize)
	s.GET("/health", func(c echo.Context) error {
		if health != nil {
			if err := health(c.Request().Context()); err != nil {
				return problem.New(http.StatusServiceUnavailable, "unhealthy", "This program can't do its work", err.Error())
			}
		}
		return c.NoContent(http.StatusOK)
	})
	s.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{})))
	s.GET("/traffic", func(c echo.Context) error { return serveTraffic(c, log) })
	s.GET("/traffic/last", func(c echo.Context) error { return c.JSON(http.StatusOK, log.Last()) })
	s.POST("/traffic/clear", func(c echo.Context) error {
		log.Clear()
		return c.NoContent(http.StatusNoContent)
	})
	return s
}

// authorize lets the admin in everywhere, and the program itself to where its health
// check goes, and the phone to its pairings: whoever has the phone's folder has the phone.
func (s *Server) authorize(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		peer := deployment.Role(c.Request().TLS.PeerCertificates[0].Subject.CommonName)
		path := c.Request().URL.Path
		if peer == deployment.Admin || peer == s.folder.Role && (path == "/health" || path == "/metrics" || path == PairingPath) {
			return next(c)
		}
		return problem.New(http.StatusForbidden, "not-allowed", "This certificate does not open this", "Use the certificate of the role admin.")
	}
}

func serveTraffic(c echo.Context, log *traffic.Log) error {
	after, err := strconv.ParseUint(c.QueryParam("after"), 10, 64)
	if err != nil && c.QueryParam("after") != "" {
		return problem.New(http.StatusBadRequest, "bad-request", "after is not a number", "Give the seq of the last message that you have.")
	}
	wait, err := strconv.Atoi(c.QueryParam("wait"))
	if err != nil && c.QueryParam("wait") != "" {
		return problem.New(http.StatusBadRequest, "bad-request", "wait is not a number", "Give whole seconds.")
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), time.Duration(min(max(wait, 0), 30))*time.Second)
	defer cancel()
	messages := log.Wait(ctx, after)
	if messages == nil {
		messages = []traffic.Message{}
	}
	return c.JSON(http.StatusOK, messages)
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
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	return serve.HTTP(ctx, server, tls.NewListener(listener, &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
	}))
}
