package phone

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/internal/serve"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
)

//go:embed assets
var assets embed.FS

// Bounds on what a browser may send, in bytes.
const (
	maxForm    = 256 << 10
	maxPackage = 128 << 20
)

// notice tells what came of a form.
type notice struct {
	Good  bool
	Title string
	Text  string
	Check string // of the app's own, that refused
}

func (p *Phone) serveScreen(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           p.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	return serve.HTTP(ctx, server, listener)
}

// Handler is the phone's screen.
func (p *Phone) Handler() http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = p.failed
	e.Use(secured)
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
	e.POST("/settings/install", p.install)
	e.POST("/settings/store", p.installGenuine)
	e.POST("/settings/uninstall", p.uninstall)
	e.POST("/settings/update", p.updateApp)
	e.POST("/stage", p.changeStage)
	e.POST("/app", p.changeApp)
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
	return http.NewCrossOriginProtection().Handler(e)
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
		if !serve.IsLocal(c.Request().Host) { // no page: pages show what the app did
			return c.String(http.StatusMisdirectedRequest, "This phone answers as localhost only.\n")
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
	User   string   // who is signed in; empty: nobody
}

// page is a page on which the app shows a screen.
func (p *Phone) page(title, tab string, shown device.Screen) page {
	made := p.around(title, tab)
	made.User, made.Notice = shown.User, p.told()
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
	made.User, made.Notice = home.User, n
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

// read decodes what the app shows. What it can't is refused as well.
func read(screen *device.Screen, v any) {
	if !screen.OK {
		return
	}
	if err := json.Unmarshal(screen.Body, v); err != nil {
		screen.OK, screen.Error = false, "The bank's answer can't be read."
	}
}

// signedOut is whether a screen could not be shown because nobody is signed in.
func signedOut(screen device.Screen) bool { return !screen.OK && screen.Users && screen.User == "" }

func (p *Phone) showAccounts(c echo.Context) error {
	ctx := c.Request().Context()
	home := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Home(ctx) })
	if home.Users && home.User == "" {
		return p.showSignIn(c, http.StatusOK, p.page("Sign in", "/", home), c.QueryParam("fill"))
	}
	var answer Accounts
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Accounts(ctx) })
	if signedOut(screen) {
		return p.showSignIn(c, http.StatusOK, p.page("Sign in", "/", screen), "")
	}
	read(&screen, &answer)
	page := p.page("Accounts", "/", screen)
	var own, others []manage.Account
	for _, account := range answer.Accounts {
		if account.Owner == cmp.Or(screen.User, p.device.Owner()) {
			own = append(own, account)
		} else {
			others = append(others, account)
		}
	}
	p.remember(slices.Concat(own, others))
	return render(c, http.StatusOK, accountsView(page, own, others))
}

// showSignIn asks who the user is. What a person knows can be filled in for them.
func (p *Phone) showSignIn(c echo.Context, status int, page page, fill string) error {
	people := slices.Sorted(maps.Keys(p.passwords))
	user, password := "", ""
	if known, ok := p.passwords[fill]; ok {
		user, password = fill, known
	}
	return render(c, status, signInView(page, people, user, password))
}

func (p *Phone) signIn(c echo.Context) error {
	ctx := c.Request().Context()
	user, password := c.FormValue("user"), c.FormValue("password")
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.SignIn(ctx, user, password) })
	if !screen.OK {
		return render(c, http.StatusOK, signInView(p.page("Sign in", "/", screen), slices.Sorted(maps.Keys(p.passwords)), user, ""))
	}
	return p.next(c, "/", &notice{Good: true, Title: "Signed in as " + screen.User})
}

func (p *Phone) signOut(c echo.Context) error {
	ctx := c.Request().Context()
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.SignOut(ctx) })
	if !screen.OK {
		return p.next(c, "/", refusal(screen))
	}
	return p.next(c, "/", &notice{Good: true, Title: "Signed out"})
}

func (p *Phone) freeze(c echo.Context) error {
	ctx, id := c.Request().Context(), c.Param("id")
	frozen := c.FormValue("frozen") == "yes"
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Freeze(ctx, id, frozen) })
	if !screen.OK {
		return p.next(c, "/", refusal(screen))
	}
	title := id + " is frozen: no money moves"
	if !frozen {
		title = id + " is no longer frozen"
	}
	return p.next(c, "/", &notice{Good: true, Title: title})
}

func (p *Phone) remember(accounts []manage.Account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(accounts) == 0 {
		return
	}
	p.lastIDs = nil
	for _, account := range accounts {
		p.lastIDs = append(p.lastIDs, account.ID)
	}
}

func (p *Phone) showTransfers(c echo.Context) error {
	ctx, id := c.Request().Context(), c.Param("id")
	var answer Transfers
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Transfers(ctx, id) })
	if signedOut(screen) {
		return p.next(c, "/", refusal(screen))
	}
	read(&screen, &answer)
	return render(c, http.StatusOK, transfersView(p.page(id, "/", screen), id, answer.Transfers))
}

// payForm is what was typed in, and what is wrong with it.
type payForm struct {
	From, To, Amount, Reference string
	AmountError                 string
	Known                       []string // account numbers
}

func (p *Phone) payForm() payForm {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := slices.Clone(p.lastIDs)
	if len(known) == 0 {
		known = []string{catalog.AliceAccount, catalog.BobAccount}
	}
	form := payForm{From: known[0], To: catalog.BobAccount, Known: known}
	if form.From == form.To {
		form.To = catalog.AliceAccount
	}
	return form
}

func (p *Phone) showPay(c echo.Context) error {
	form := p.payForm()
	if from := c.QueryParam("from"); from != "" {
		form.From = from
	}
	home := p.ask(c.Request().Context(), func(a *device.App) (device.Screen, error) { return a.Home(c.Request().Context()) })
	if home.Users && home.User == "" {
		return p.next(c, "/", &notice{Title: "Sign in first"})
	}
	return render(c, http.StatusOK, payView(p.page("Pay", "/pay", home), form))
}

func (p *Phone) pay(c echo.Context) error {
	ctx := c.Request().Context()
	form := p.payForm()
	form.From, form.To = strings.TrimSpace(c.FormValue("from")), strings.TrimSpace(c.FormValue("to"))
	form.Amount, form.Reference = c.FormValue("amount"), c.FormValue("reference")
	amount, err := ParseAmount(form.Amount)
	if err != nil {
		form.AmountError = "Write the amount like 12.34."
		return render(c, http.StatusUnprocessableEntity, payView(p.own(ctx, "Pay", "/pay", nil), form))
	}
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) {
		return a.Transfer(ctx, device.Payment{From: form.From, To: form.To, Amount: amount, Reference: form.Reference})
	})
	if signedOut(screen) {
		return p.next(c, "/", refusal(screen))
	}
	var booked manage.Transfer
	if read(&screen, &booked); !screen.OK {
		return render(c, http.StatusOK, payView(p.page("Pay", "/pay", screen), form))
	}
	return p.next(c, "/accounts/"+url.PathEscape(form.From), &notice{
		Good: true, Title: "Transfer booked",
		Text: fmt.Sprintf("%s %s went from %s to %s.", FormatAmount(booked.Amount), booked.Currency, booked.From, booked.To),
	})
}

// next leads to a page that shows the notice, so that a reload does nothing twice.
func (p *Phone) next(c echo.Context, path string, n *notice) error {
	p.mu.Lock()
	p.notice = n
	p.mu.Unlock()
	return c.Redirect(http.StatusSeeOther, path)
}

func (p *Phone) showRates(c echo.Context) error {
	ctx := c.Request().Context()
	var today Rates
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Rates(ctx) })
	read(&screen, &today)
	return render(c, http.StatusOK, ratesView(p.page("Rates", "/rates", screen), today))
}

// trusted is a certificate that was added to the trust store.
type trusted struct{ Name, Fingerprint, Until string }

func (p *Phone) showSettings(c echo.Context) error {
	return p.settings(c, http.StatusOK, p.told(), nil)
}

// settings shows the settings, and the form that was refused as it was filled in.
func (p *Phone) settings(c echo.Context, status int, n *notice, refused url.Values) error {
	var added []trusted
	for _, certificate := range p.device.Trusted() {
		added = append(added, trusted{
			Name: certificate.Subject.CommonName, Fingerprint: fingerprint(certificate.Raw),
			Until: certificate.NotAfter.Format("2 January 2006"),
		})
	}
	installed, err := packages(p.device.Installed())
	if err != nil {
		return err
	}
	page := p.own(c.Request().Context(), "Settings", "/settings", n)
	return render(c, status, settingsView(page, p.device.Sideloading(), added, installed, refused))
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// saved tells what came of a setting: the next page, or this one with the error.
func (p *Phone) saved(c echo.Context, err error, title string) error {
	if err != nil {
		return p.settings(c, http.StatusUnprocessableEntity, &notice{Title: "That was not changed", Text: sentence(err)}, c.Request().PostForm)
	}
	return p.next(c, "/settings", &notice{Good: true, Title: title})
}

func (p *Phone) setNetwork(c echo.Context) error {
	network := p.device.Network()
	network.Proxy = ""
	title := "The proxy is off"
	if c.FormValue("use") != "" {
		network.Proxy, title = strings.TrimSpace(c.FormValue("proxy")), "Apps now use the proxy"
		if network.Proxy == "" {
			return p.saved(c, device.ErrProxy, "")
		}
	}
	return p.saved(c, p.device.SetNetwork(network), title)
}

func (p *Phone) trust(c echo.Context) error {
	return p.saved(c, p.device.Trust([]byte(c.FormValue("pem"))), "The phone trusts this CA from now on")
}

func (p *Phone) distrust(c echo.Context) error {
	for _, certificate := range p.device.Trusted() {
		if fingerprint(certificate.Raw) == c.FormValue("fingerprint") {
			return p.saved(c, p.device.Distrust(certificate), "The phone no longer trusts this CA")
		}
	}
	return p.saved(c, nil, "The phone did not trust this CA")
}

func (p *Phone) setSideloading(c echo.Context) error {
	allowed := c.FormValue("allowed") != ""
	title := "Only the app store's packages can be installed now"
	if allowed {
		title = "Packages of any signer can be installed now"
	}
	return p.saved(c, p.device.AllowSideloading(allowed), title)
}

func (p *Phone) install(c echo.Context) error {
	upload, err := c.FormFile("package")
	if err != nil {
		return p.saved(c, errors.New("choose a package file first"), "")
	}
	src, err := upload.Open()
	if err != nil {
		return err
	}
	defer src.Close()
	file, err := os.CreateTemp("", "keyladder-upload-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = io.Copy(file, src)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	installed, err := p.device.Install(file.Name())
	if err != nil {
		err = explain(err)
	}
	return p.saved(c, err, installed.Label+" is installed")
}

// explain drops from an error the name of the uploaded file on this machine.
func explain(err error) error {
	for _, known := range []error{
		device.ErrSideloading, device.ErrOtherSigner, release.ErrUnsigned, release.ErrSignature, release.ErrMalformed,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	return err
}

// installGenuine puts the store's app back, whatever is in its place.
func (p *Phone) installGenuine(c echo.Context) error {
	_, name, err := p.using()
	if err != nil {
		return err
	}
	p.mu.Lock()
	if installed, ok := p.installed(name); ok && !installed.Genuine {
		if err := p.device.Uninstall(name); err != nil {
			p.mu.Unlock()
			return err
		}
	}
	err = p.equip()
	p.mu.Unlock()
	return p.saved(c, err, appLabel(name)+" is installed")
}

// updateApp installs the package that the bank has packed anew.
func (p *Phone) updateApp(c echo.Context) error {
	stage, name, err := p.using()
	if err == nil {
		err = p.update(name, stage)
	}
	return p.saved(c, err, appLabel(name)+" is up to date")
}

func (p *Phone) uninstall(c echo.Context) error {
	return p.saved(c, p.device.Uninstall(c.FormValue("name")), "The app and all that it had stored are gone")
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
	page := p.own(c.Request().Context(), "Not possible", "", &notice{Title: "That is not possible", Text: text})
	if err := render(c, status, bareView(page)); err != nil {
		slog.Error("phone", "error", err)
	}
}
