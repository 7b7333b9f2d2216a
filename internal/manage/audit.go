package manage

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/internal/problem"
)

// Audit logs each change, and each look at a secret: what was asked for, by whose certificate
// and with what outcome. A request to one of the paths of unless is no change. Paths hold IDs only; where
// the ID is a key's, see [loggedPath].
func Audit(logger *slog.Logger, unless ...string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			err := next(c)
			if r := c.Request(); (r.Method != http.MethodGet || c.Path() == "/keys/:id/secret") && !slices.Contains(unless, c.Path()) {
				outcome := "done"
				if err != nil {
					outcome = problem.From(err, func(error) {}).Kind()
				}
				logger.Info("management", "method", r.Method, "path", loggedPath(r.URL.Path), "by", r.TLS.PeerCertificates[0].Subject.CommonName,
					"outcome", outcome)
			}
			return err
		}
	}
}

// loggedPath is the path as it may be logged. A key that was issued can't be guessed, and at
// the first stages whoever knows it is the app, so only its beginning is shown: enough to
// tell an app's keys apart.
func loggedPath(path string) string {
	rest, ok := strings.CutPrefix(path, "/keys/")
	if !ok {
		return path
	}
	id, what, _ := strings.Cut(rest, "/")
	app, issued, ok := strings.Cut(id, ".")
	if !ok {
		return path // an app's first key, which is its ID
	}
	return "/keys/" + app + "." + issued[:min(len(issued), 4)] + ".../" + what
}
