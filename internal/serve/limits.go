package serve

import (
	"log/slog"
	"net/http"
	"time"
)

// New makes a server with limits on what one client can take. All servers of ours are made
// by it, and set only what has to be different. How large a body may be is each program's own to say.
func New(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second, // with the body
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		// Mostly handshakes that clients gave up, which is what attacks and scans do.
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
}
