package phone

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"keyladder/internal/serve"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

//go:embed assets
var assets embed.FS

// Bounds on what a browser may send, in bytes, and on how long a page may take: the app and
// the user agent wait for servers.
const (
	maxForm    = 256 << 10
	maxPackage = 128 << 20

	pageTime = 2 * time.Minute
)

// notice tells what came of a form.
type notice struct {
	Good  bool
	Title string
	Text  string
	Check catalog.Check // of the app's own, that refused
}

func (p *Phone) serveScreen(ctx context.Context, listener net.Listener) error {
	server := serve.New(p.Handler())
	server.WriteTimeout = pageTime
	return serve.HTTP(ctx, server, listener)
}

// Handler is the phone's screen.
func (p *Phone) Handler() http.Handler { return http.NewCrossOriginProtection().Handler(p.screen()) }

// Pages are the patterns of what can be asked for with GET on the screen, in alphabetical order.
func (p *Phone) Pages() []string { return serve.Pages(p.screen()) }

func (p *Phone) screen() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = p.failed
	e.Use(secured, p.pairedOnly)
	e.GET("/pair", p.pair)
	e.POST("/pair", p.pair)
	e.GET("/", p.showAccounts)
	e.GET("/accounts/:id", p.showTransfers)
	e.GET("/pay", p.showPay)
	e.POST("/pay", p.pay)
	e.GET("/rates", p.showRates)
	e.GET("/settings", p.showSettings)
	e.POST("/settings/network", p.setNetwork)
	e.POST("/settings/trust", p.trust)
	e.POST("/settings/distrust", p.distrust)
	e.POST("/settings/sideloading", p.setSideloading)
	e.POST("/settings/unlocked", p.unlock)
	e.POST("/settings/system", p.installSystem)
	e.POST("/settings/install", p.install)
	e.POST("/settings/store", p.installGenuine)
	e.POST("/settings/uninstall", p.uninstall)
	e.POST("/settings/update", p.updateApp)
	e.POST("/stage", p.changeStage)
	e.POST("/app", p.changeApp)
	e.GET("/browser", p.showBrowser)
	e.POST("/browser/open", p.browse)
	e.POST("/browser/follow", p.follow)
	e.POST("/browser/submit", p.submit)
	e.POST("/sign-in", p.signIn)
	e.POST("/sign-out", p.signOut)
	e.POST("/accounts/:id/freeze", p.freeze)
	e.GET("/healthz", func(c echo.Context) error {
		if err := p.healthy(c.Request().Context()); err != nil {
			return c.String(http.StatusServiceUnavailable, err.Error()+"\n")
		}
		return c.String(http.StatusOK, "ok\n")
	})
	for name, media := range map[string]string{"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"} {
		e.GET("/"+name, func(c echo.Context) error {
			data, err := assets.ReadFile("assets/" + name)
			if err != nil {
				return err
			}
			c.Response().Header().Set("Cache-Control", "no-cache")
			return c.Blob(http.StatusOK, media, data)
		})
	}
	return e
}

// secured sets what browsers need to be told, and keeps names out that somebody made
// point to this machine (DNS rebinding).
func secured(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !serve.MayAsk(c.Request().Host) { // no page: pages show what the app did
			return c.String(http.StatusMisdirectedRequest, serve.Misdirected("The phone")+"\n")
		}
		limit := int64(maxForm)
		if c.Path() == "/settings/install" {
			limit = maxPackage
		}
		c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, limit)
		return next(c)
	}
}

// page is what every page shows around its content.
type page struct {
	Title   string
	Tab     string
	Phone   *Phone
	Notice  *notice
	Proxy   string
	Calls   []made
	Stage   string
	Summary string

	App    string   // name of the one in use
	Apps   []string // names of those that can be used
	Update bool     // the store has a newer package of it
	User   string   // who is signed in, as far as the app knows

	SignedIn bool
}

// page is a page on which the app shows a screen.
func (p *Phone) page(title, tab string, shown device.Screen) page {
	made := p.around(title, tab)
	made.User, made.SignedIn, made.Notice = shown.User, shown.SignedIn, p.told()
	if !shown.OK {
		made.Notice = refusal(shown)
	}
	return made
}

// homeWait is how long a page that is not the app's waits for the app.
const homeWait = 3 * time.Second

// own is a page of the phone itself. It says who is signed in, but not what is wrong with
// an app that can't tell: it may be the page on which that is put right.
func (p *Phone) own(ctx context.Context, title, tab string, n *notice) page {
	ctx, cancel := context.WithTimeout(ctx, homeWait)
	defer cancel()
	home := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Home(ctx) })
	made := p.around(title, tab)
	made.User, made.SignedIn, made.Notice = home.User, home.SignedIn, n
	return made
}

// told takes the notice that is for the next page.
func (p *Phone) told() *notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.notice
	p.notice = nil
	return n
}

// around is a page with what is around its content.
func (p *Phone) around(title, tab string) page {
	stage, name, err := p.using()
	if err != nil {
		slog.Error("phone", "error", err)
	}
	made := page{
		Title: title, Tab: tab, Phone: p, Stage: stage.Slug, Summary: stage.Adds,
		Proxy: p.device.Network().Proxy, Calls: latest(p.config.Log, 8),
		App: name, Update: p.outdated(name, stage),
	}
	for _, app := range appLabels {
		if there, err := p.store.Find(app.Name, stage.Package.Release); err == nil && there != nil {
			made.Apps = append(made.Apps, app.Name)
		}
	}
	return made
}

func render(c echo.Context, status int, view templ.Component) error {
	var body bytes.Buffer // so that an error while rendering is not half a page
	if err := view.Render(c.Request().Context(), &body); err != nil {
		return err
	}
	return c.HTMLBlob(status, body.Bytes())
}

// refusal is the notice for a screen on which something went wrong.
func refusal(screen device.Screen) *notice {
	title := "That did not work"
	switch {
	case screen.Check != "":
		title = "The app refused"
	case screen.Status != 0:
		title = "The bank refused"
	}
	return &notice{Title: title, Text: screen.Error, Check: screen.Check}
}

// read decodes what the app shows. A screen that it can't decode is refused as well.
func read(screen *device.Screen, v any) {
	if !screen.OK {
		return
	}
	if err := json.Unmarshal(screen.Body, v); err != nil {
		screen.OK, screen.Error = false, "The bank's answer can't be read."
	}
}

// next leads to a page that shows the notice, so that a reload does nothing twice.
func (p *Phone) next(c echo.Context, path string, n *notice) error {
	p.mu.Lock()
	p.notice = n
	p.mu.Unlock()
	return c.Redirect(http.StatusSeeOther, path)
}

func (p *Phone) changeStage(c echo.Context) error {
	slug := c.FormValue("stage")
	if err := p.Use(slug); err != nil {
		return p.next(c, "/", &notice{Title: "The stage was not changed", Text: sentence(err)})
	}
	return p.next(c, "/", &notice{Good: true, Title: "The phone now uses the stage " + slug})
}

func (p *Phone) changeApp(c echo.Context) error {
	name := c.FormValue("app")
	if err := p.UseApp(name); err != nil {
		return p.next(c, "/", &notice{Title: "The app was not changed", Text: sentence(err)})
	}
	return p.next(c, "/", &notice{Good: true, Title: "The phone now shows the app " + appLabel(name)})
}

// sentence is an error for people.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// failed is the page for what should not happen, or is not there.
func (p *Phone) failed(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	status, text := http.StatusInternalServerError, "Something went wrong in the phone. Its log says what."
	var known *echo.HTTPError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		status, text = http.StatusRequestEntityTooLarge, "That is too large."
	case errors.As(err, &known):
		status, text = known.Code, http.StatusText(known.Code)+"."
		switch status {
		case http.StatusNotFound:
			text = "There is no such page on this phone."
		case http.StatusMethodNotAllowed:
			text = "This address only takes forms."
		}
	default:
		slog.Error("phone", "path", c.Request().URL.Path, "error", err)
	}
	n := &notice{Title: "That is not possible", Text: text}
	view := pairView(p.config.AdminURL, n)
	if p.knows(c.Request()) { // nobody else is shown what the app did
		view = bareView(p.own(c.Request().Context(), "Not possible", "", n))
	}
	if err := render(c, status, view); err != nil {
		slog.Error("phone", "error", err)
	}
}
