package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/internal/problem"
	"keyladder/internal/serve"
)

const (
	sessionCookie = "keyladder-admin"
	formCookie    = "keyladder-form" // before the session; what the sign-in form's token follows from
	maxForm       = 64 << 10         // bytes

	contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// secured sets what browsers need to be told, on every answer, and keeps out names that
// somebody made point to this machine. Only health is told under any.
func secured(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !serve.IsLocal(c.Request().Host) && c.Request().URL.Path != "/healthz" {
			return echo.NewHTTPError(http.StatusMisdirectedRequest, "The admin UI answers as localhost, under its address, or under a name without a dot.")
		}
		return next(c)
	}
}

// recovered turns a panic into an error, for the log and the error page.
func (s *Server) recovered(next echo.HandlerFunc) echo.HandlerFunc {
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

// guarded refuses what another site made the browser send, and bodies that no form of
// ours has.
func (s *Server) guarded(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := crossOrigin.Check(c.Request()); err != nil {
			return echo.NewHTTPError(http.StatusForbidden, "Another web site asked your browser to do this. Nothing was done. Open the page here and try again.")
		}
		c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, maxForm)
		return next(c)
	}
}

// errSignedOut means that what was asked for needs a live session.
var errSignedOut = errors.New("not signed in")

// visitor is who asks: somebody with a live session.
type visitor struct {
	session
	token string
}

func (v visitor) who() string { return "admin · " + v.name() }

const visitorKey = "visitor"

// visitorOf is who asks; only for handlers behind signedIn.
func visitorOf(c echo.Context) visitor {
	v, _ := c.Get(visitorKey).(visitor)
	return v
}

func (s *Server) signedIn(next echo.HandlerFunc) echo.HandlerFunc { return s.behindSession(next, true) }

func (s *Server) signedInQuietly(next echo.HandlerFunc) echo.HandlerFunc {
	return s.behindSession(next, false)
}

func (s *Server) behindSession(next echo.HandlerFunc, active bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		token := cookieValue(c, sessionCookie)
		found, ok, err := s.vault.find(token, active)
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

// checkForm wants the token that our own form for this cookie carries.
func checkForm(c echo.Context, cookie string) error {
	if err := c.Request().ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return echo.NewHTTPError(http.StatusRequestEntityTooLarge, "What you sent is too long: 64 KiB at most.")
		}
		return echo.NewHTTPError(http.StatusBadRequest, "What your browser sent is not a form.")
	}
	if !formTokenFits(cookie, c.Request().PostForm.Get("csrf")) {
		return echo.NewHTTPError(http.StatusForbidden, "This form is out of date, for example because you signed in again since. Nothing was done. Open the page anew and try again.")
	}
	return nil
}

func cookieValue(c echo.Context, name string) string {
	cookie, err := c.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// setCookie sets a cookie for this host alone; age 0 lets it end with the browser, below 0
// removes it.
func setCookie(c echo.Context, name, value string, age int) {
	c.SetCookie(&http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: c.Request().TLS != nil,
	})
}

// addressOf is where the connection comes from. Forwarding fields are not looked at:
// anybody can write them.
func addressOf(c echo.Context) string {
	host, _, err := net.SplitHostPort(c.Request().RemoteAddr)
	if err != nil {
		return c.Request().RemoteAddr
	}
	return host
}

// ownPath is next where it is a path of this site, and the start page otherwise.
func ownPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/stages"
	}
	return next
}

// failed shows an error as a page that says what to do.
func (s *Server) failed(err error, c echo.Context) {
	if c.Response().Committed || c.Request().Context().Err() != nil { // nobody is there any more
		return
	}
	status, title, text := s.explain(err)
	if status >= http.StatusInternalServerError {
		slog.Error("admin UI", "method", c.Request().Method, "path", c.Request().URL.Path, "error", err)
	}
	s.recognize(c)
	p := s.frame(c, title, "")
	_ = c.Request().ParseForm() // where that fails, the form says nothing of its page
	back := ownPath(c.Request().PostForm.Get("page"))
	if renderErr := render(c, status, errorView(p, status, text, back)); renderErr != nil {
		slog.Error("admin UI: the error page", "error", renderErr)
	}
}

// recognize finds out who asked where no route did, so that the page of an error tells
// nobody to sign in who is.
func (s *Server) recognize(c echo.Context) {
	if visitorOf(c).token != "" {
		return
	}
	token := cookieValue(c, sessionCookie)
	if found, ok, err := s.vault.find(token, false); err == nil && ok {
		c.Set(visitorKey, visitor{session: found, token: token})
	}
}

// explain says what went wrong and what to do about it.
func (s *Server) explain(err error) (status int, title, text string) {
	var silent *silence
	if errors.As(err, &silent) {
		return http.StatusBadGateway, silent.program.title() + " does not answer", whatToDo(silent.program)
	}
	var p *problem.Problem
	if errors.As(err, &p) {
		return p.Status, p.Title, sentence(p.Detail)
	}
	if errors.Is(err, errBusy) {
		return http.StatusServiceUnavailable, "Too much is running already", "Wait until some of the runs have ended, then try again."
	}
	if errors.Is(err, errSignedOut) {
		return http.StatusForbidden, "You are not signed in", "You were away for too long, or signed out elsewhere. Nothing was done. Sign in and try again."
	}
	var he *echo.HTTPError
	if errors.As(err, &he) && he.Code < http.StatusInternalServerError {
		text, _ := he.Message.(string)
		switch he.Code {
		case http.StatusNotFound:
			if text == http.StatusText(http.StatusNotFound) {
				text = "Check the address, or start from the ladder of stages."
			}
			return he.Code, "There is nothing here", text
		case http.StatusMethodNotAllowed:
			return he.Code, "This address only takes forms", "Open the page that it belongs to and use its buttons."
		case http.StatusForbidden, http.StatusMisdirectedRequest:
			return he.Code, "This was refused", text
		}
		return he.Code, "This can't be done", text
	}
	return http.StatusInternalServerError, "Something went wrong here", "The log of the admin UI says what. Trying again may help."
}

func whatToDo(program programName) string {
	return "Check that it runs. With Docker: “docker compose up -d " + string(program) + "” starts it and “docker compose logs " +
		string(program) + "” shows what it said. Without: restart “go run ./stages up”. This page works again as soon as it answers."
}
