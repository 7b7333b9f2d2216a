package access

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"

	"keyladder/internal/serve"
)

const (
	sessionCookie = "keyladder-admin"
	formCookie    = "keyladder-form" // before the session; what the sign-in form's token follows from
	maxForm       = 64 << 10         // bytes
	maxUpload     = 16 << 20         // bytes, of a form with a file

	contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// Secured sets what browsers need to be told, on every answer, and keeps out names that
// somebody made point to this machine. Only health is told under any.
func Secured(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !serve.MayAsk(c.Request().Host) && c.Request().URL.Path != "/healthz" {
			return echo.NewHTTPError(http.StatusMisdirectedRequest, serve.Misdirected("The admin UI"))
		}
		return next(c)
	}
}

// Recovered turns a panic into an error, for the log and the error page.
func Recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil && r != http.ErrAbortHandler {
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return next(c)
	}
}

var crossOrigin = http.NewCrossOriginProtection()

// Guarded refuses what another site made the browser send, and bodies that no form of
// ours has. Those that go to one of the routes of uploads have a file.
func Guarded(uploads ...string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := crossOrigin.Check(c.Request()); err != nil {
				return echo.NewHTTPError(http.StatusForbidden, "Another web site asked your browser to do this. Nothing was done. Open the page here and try again.")
			}
			most := int64(maxForm)
			if slices.Contains(uploads, c.Path()) {
				most = maxUpload
			}
			c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, most)
			return next(c)
		}
	}
}

// errSignedOut means that what was asked for needs a live session.
var errSignedOut = &ui.Trouble{
	Status: http.StatusForbidden, Title: "You are not signed in",
	Text: "You were away for too long, or signed out elsewhere. Nothing was done. Sign in and try again.",
}

// visitor is who asks: somebody with a live session.
type visitor struct {
	session
	token string
}

func (v visitor) who() string {
	if v.Hash == "" {
		return "nobody yet"
	}
	return "admin · " + v.name()
}

const visitorKey = "visitor"

// visitorOf is who asks; only for handlers behind signedIn.
func visitorOf(c echo.Context) visitor {
	v, _ := c.Get(visitorKey).(visitor)
	return v
}

// SignedIn lets a handler be for the admin alone.
func (g *Gate) SignedIn(next echo.HandlerFunc) echo.HandlerFunc { return g.behindSession(next, true) }

// SignedInQuietly is SignedIn for what a page asks for by itself, which does not keep the
// admin session alive.
func (g *Gate) SignedInQuietly(next echo.HandlerFunc) echo.HandlerFunc {
	return g.behindSession(next, false)
}

func (g *Gate) behindSession(next echo.HandlerFunc, active bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		token := cookieValue(c, sessionCookie)
		found, ok, err := g.vault.find(token, active)
		if err != nil {
			return err
		}
		safe := c.Request().Method == http.MethodGet || c.Request().Method == http.MethodHead
		if !ok {
			if safe && active {
				return c.Redirect(http.StatusSeeOther, "/sign-in?"+url.Values{"next": {c.Request().URL.RequestURI()}}.Encode())
			}
			return errSignedOut
		}
		if !safe {
			if err := checkForm(c, token); err != nil {
				return err
			}
		}
		c.Set(visitorKey, visitor{session: found, token: token})
		return next(c)
	}
}

// Failed shows an error as a page that says what to do.
func (g *Gate) Failed(err error, c echo.Context) {
	if c.Response().Committed || c.Request().Context().Err() != nil { // nobody is there any more
		return
	}
	status, title, text := ui.Explain(err)
	if status >= http.StatusInternalServerError {
		slog.Error("admin UI", "method", c.Request().Method, "path", c.Request().URL.Path, "error", err)
	}
	g.recognize(c)
	p := g.frame(c, title, "")
	_ = c.Request().ParseForm() // where that fails, the form says nothing of its page
	back := OwnPath(c.Request().PostForm.Get("page"))
	if renderErr := ui.Render(c, status, ui.ErrorView(p, status, text, back)); renderErr != nil {
		slog.Error("admin UI: the error page", "error", renderErr)
	}
}

// recognize finds out who asked where no route did, so that the page of an error tells
// nobody to sign in who is.
func (g *Gate) recognize(c echo.Context) {
	if visitorOf(c).token != "" {
		return
	}
	token := cookieValue(c, sessionCookie)
	if found, ok, err := g.vault.find(token, false); err == nil && ok {
		c.Set(visitorKey, visitor{session: found, token: token})
	}
}
