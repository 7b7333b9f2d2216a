package mediator

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"keyladder/admin/jobs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// frame is what the pages show around their own.
type frame struct {
	ui.Page
	Tabs    ui.Tabs
	Stages  catalog.Set
	Strip   jobs.Strip
	Now     time.Time
	Silence string // why what the page is about can't be shown
}

// frame begins a page. It takes the notice that waits, so it is made last.
func (p *Pages) frame(c echo.Context, path, title string, err error) frame {
	f := frame{Page: p.Gate.Page(c, title, Home), Tabs: Tabs.At(path, title), Stages: p.Stages, Now: p.Now(), Strip: p.Runner.Strip(c, Issues)}
	f.Waiting = f.Strip.Panel.Job != nil
	if err != nil {
		f.Silence = ui.InWords(err)
	}
	return f
}

func providerPath(name, rest string) string { return Home + "/" + url.PathEscape(name) + rest }

// providersData is what the page of the providers shows.
type providersData struct {
	frame
	Providers []manage.Provider
	SignedIn  map[string]int // sign-ins that are good, by provider
	Form      form
}

// fresh is the form for a provider as one should be.
func fresh() form {
	return form{Values: valuesOf(manage.Provider{
		ClientAuth: manage.SecretBasic, PKCE: catalog.S256PKCE, AnnouncesIss: true, Tokens: catalog.JWTs, User: manage.UserInToken, UserClaim: "sub",
	})}
}

func (p *Pages) providersPage(c echo.Context) error {
	return p.showProviders(c, http.StatusOK, fresh())
}

func (p *Pages) showProviders(c echo.Context, status int, f form) error {
	data := providersData{Form: f.shown(), SignedIn: map[string]int{}}
	var err error
	data.Providers, err = p.Mediator.Providers(c.Request().Context())
	for _, provider := range data.Providers {
		if count, failed := p.signedIn(c.Request().Context(), provider.Name); failed == nil { // the providers are worth showing without it
			data.SignedIn[provider.Name] = count
		}
	}
	data.frame = p.frame(c, Home, "Providers", err)
	return ui.Render(c, status, providersView(data))
}

// signedIn counts the sign-ins at a provider that are good.
func (p *Pages) signedIn(ctx context.Context, provider string) (int, error) {
	list, err := p.Mediator.MediatorSessions(ctx, manage.MediatorSessionQuery{
		MediatorSessionFilter: manage.MediatorSessionFilter{Provider: provider, State: "good"}, Part: manage.Part{Limit: 1},
	})
	return list.Total, err
}

func (p *Pages) addProvider(c echo.Context) error {
	f := form{Values: c.Request().PostForm}
	provider := f.read()
	provider.Enabled, provider.Version = true, 0
	if f.Failure == "" {
		err := p.Gate.Act(c, "add a provider", ui.Cut(provider.Name, 100), "Users can choose “"+provider.Title+"” from now on. No app and no server has to be told.", func() error {
			_, err := p.Mediator.AddProvider(c.Request().Context(), provider)
			return err
		})
		switch {
		case err == nil:
			p.Runner.Changed()
			return c.Redirect(http.StatusSeeOther, providerPath(provider.Name, ""))
		case ui.Refusal(err) == nil:
			return err
		}
		f.refused(err)
	}
	return p.showProviders(c, http.StatusUnprocessableEntity, f)
}

// refused notes what the mediator has against a description.
func (f *form) refused(err error) {
	why := ui.Refusal(err)
	if why.Field == "" {
		f.fail("", ui.InWords(err))
		return
	}
	f.fail(why.Field, why.Detail)
}

// providerData is what the page of one provider shows.
type providerData struct {
	frame
	manage.Provider
	Form     form
	SignedIn int // sign-ins that are good
	History  []version
}

// Stricter is something that can be made stricter with one button.
type Stricter struct {
	Name, Value, Was string // of the form: what it becomes, and what it is
	Label, Text      string
}

// Stricter is what can be.
func (d providerData) Stricter() []Stricter {
	var all []Stricter
	if d.PKCE != catalog.S256PKCE {
		all = append(all, Stricter{"pkce", string(catalog.S256PKCE), string(d.PKCE), "Turn on PKCE", "The mediator makes up a secret for each sign-in and sends its hash along (S256). A provider that knows PKCE then gives tokens for the code to nobody else; one that does not ignores it."})
	}
	if d.ClientAuth != manage.SecretBasic {
		all = append(all, Stricter{"client_auth", string(manage.SecretBasic), string(d.ClientAuth), "Move to Basic", "The secret goes into the Authorization field, and out of the form, which ends up in logs more often. A provider that takes it in the form alone refuses all sign-ins then."})
	}
	if !d.AnnouncesIss {
		all = append(all, Stricter{"announces_iss", "yes", "", "Ask for iss", "An answer that does not name its issuer (RFC 9207) is refused. A provider that names none can sign nobody in then."})
	}
	return all
}

func (p *Pages) providerPage(c echo.Context) error { return p.showProvider(c, http.StatusOK, nil) }

func (p *Pages) showProvider(c echo.Context, status int, f *form) error {
	name := c.Param("name")
	var data providerData
	var versions []manage.ProviderVersion
	group, ctx := errgroup.WithContext(c.Request().Context())
	group.Go(func() (err error) { data.Provider, err = p.Mediator.Provider(ctx, name); return err })
	group.Go(func() (err error) { versions, err = p.Mediator.ProviderVersions(ctx, name); return err })
	group.Go(func() (err error) { data.SignedIn, err = p.signedIn(ctx, name); return err })
	if err := group.Wait(); err != nil {
		if why := ui.Refusal(err); why != nil && why.Status == http.StatusNotFound {
			return echo.NewHTTPError(http.StatusNotFound, "There is no provider of this name. “Providers” lists them all.")
		}
		return err
	}
	data.Form, data.History = form{Values: valuesOf(data.Provider)}, history(versions)
	if f != nil {
		data.Form = f.shown()
	}
	data.frame = p.frame(c, Home, data.Title, nil)
	return ui.Render(c, status, providerView(data))
}

func (p *Pages) changeProvider(c echo.Context) error {
	f := form{Values: c.Request().PostForm}
	f.Set("name", c.Param("name"))
	changed := f.read()
	if f.Failure == "" {
		was, err := p.Mediator.Provider(c.Request().Context(), changed.Name)
		if err != nil {
			return err
		}
		changed.Enabled = was.Enabled
		if err = p.change(c, was, changed); err == nil {
			return c.Redirect(http.StatusSeeOther, providerPath(changed.Name, ""))
		}
		if ui.Refusal(err) == nil {
			return err
		}
		f.refused(err)
	}
	return p.showProvider(c, http.StatusUnprocessableEntity, &f)
}

// change changes a provider, and writes down what.
func (p *Pages) change(c echo.Context, was, is manage.Provider) error {
	what := changes(was, is)
	if is.Secret != "" {
		what = append(what, "a secret was replaced")
	}
	if len(what) == 0 {
		what = []string{"nothing"}
	}
	err := p.Gate.Act(c, "change a provider", ui.Cut(is.Name+": "+strings.Join(what, ", "), 500), "That holds from the next sign-in on, for every app, and no server was started anew. A sign-in that is under way has to begin again.", func() error {
		_, err := p.Mediator.ChangeProvider(c.Request().Context(), is)
		return err
	})
	if err == nil {
		p.Runner.Changed()
	}
	return err
}

// adjustProvider changes one thing, which the address names.
func (p *Pages) adjustProvider(c echo.Context) error {
	was, err := p.Mediator.Provider(c.Request().Context(), c.Param("name"))
	if err != nil {
		return err
	}
	query := c.QueryParams()
	f := form{Values: valuesOf(was)}
	undo := url.Values{}
	for _, name := range []string{"pkce", "client_auth", "announces_iss"} {
		if query.Has(name) {
			undo.Set(name, f.Get(name))
			f.Set(name, query.Get(name))
		}
	}
	is := f.read()
	is.Enabled = was.Enabled
	if is.Version, err = strconv.Atoi(query.Get("version")); err != nil || len(undo) == 0 {
		return echo.NewHTTPError(http.StatusBadRequest, "Use the buttons of the provider's page.")
	}
	undo.Set("version", strconv.Itoa(is.Version+1))
	what := strings.Join(changes(was, is), ", ")
	return p.Runner.CarryOut(c, jobs.Change{
		Action: "change a provider", Subject: is.Name + ": " + what,
		Undo: &ui.Undo{Action: providerPath(is.Name, "/adjust?"+undo.Encode()), Label: "Undo"},
	}, func() (string, error) {
		_, err := p.Mediator.ChangeProvider(c.Request().Context(), is)
		return what + ". That holds from the next sign-in on, for every app, and no server was started anew.", err
	})
}

func (p *Pages) askDisable(c echo.Context) error {
	provider, err := p.Mediator.Provider(c.Request().Context(), c.Param("name"))
	if err != nil {
		return err
	}
	about := []string(nil)
	if count, err := p.signedIn(c.Request().Context(), provider.Name); err == nil {
		about = []string{fmt.Sprintf("%s at it now.", ui.Plural(count, "sign-in is good", "sign-ins are good"))}
	}
	return p.Gate.Ask(c, ui.Question{
		Title: "Offer “" + provider.Title + "” to nobody?",
		Text:  "From now on nobody can sign in there, and sign-ins that are under way end. Users who are signed in go on until the provider has to be asked about them again, and then wait until it is offered again. Nothing is forgotten.",
		About: about, Action: providerPath(provider.Name, "/disable"), Button: "Disable it",
	}, Home)
}

func (p *Pages) disableProvider(c echo.Context) error {
	return p.enable(c, false, "disable a provider", "is offered to nobody from now on.")
}

func (p *Pages) enableProvider(c echo.Context) error {
	return p.enable(c, true, "enable a provider", "is offered to users again.")
}

func (p *Pages) enable(c echo.Context, enabled bool, action, done string) error {
	name := c.Param("name")
	change := jobs.Change{Action: action, Subject: ui.Cut(name, 100)}
	if !enabled {
		change.Undo = &ui.Undo{Action: providerPath(name, "/enable"), Label: "Undo: offer it again"}
	}
	return p.Runner.CarryOut(c, change, func() (string, error) {
		provider, err := p.Mediator.EnableProvider(c.Request().Context(), name, enabled)
		return "“" + provider.Title + "” " + done, err
	})
}
