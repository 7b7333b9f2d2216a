package person

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"keyladder/mobileclient/device"
	"keyladder/stages/protect"
)

// patience is how long a person waits for a page that asks for it.
const patience = 10 * time.Second

// maxPages is how many pages a person goes through to sign in.
const maxPages = 10

// Errors of signing in.
var (
	// ErrNoPage means that an app did not open the page that it spoke of.
	ErrNoPage = errors.New("the app opened no page to sign in on")
	// ErrLost means that a person can't tell what a page wants of them.
	ErrLost = errors.New("this page leads nowhere")
)

// mustSignIn is whether an app that shows this wants the person to sign in. An app that does not
// know who is signed in is taken to be theirs.
func (p Person) mustSignIn(home device.Screen) bool {
	return home.SignIn != "" && (!home.SignedIn || home.User != "" && home.User != p.Name)
}

// SignIn signs the person in, where the app has them do it: in the app or on a page in the
// device's user agent. The error says that they could not try; how it ended is on the
// screen.
func (p Person) SignIn(ctx context.Context, d *device.Device, app *device.App) (device.Screen, error) {
	home, err := app.Home(ctx)
	if err != nil {
		return device.Screen{}, err
	}
	if home.SignIn != "" && p.Used != "" && home.SignIn != p.Used {
		home.OK, home.Error = false, p.Name+" types no password here: the bank's app does not ask in this way."
		return home, nil
	}
	switch home.SignIn {
	case device.InApp:
		if p.Once {
			return app.SignInOnce(ctx, p.Name, p.Password)
		}
		return app.SignIn(ctx, p.Name, p.Password)
	case device.InPage:
		return p.signInOnPage(ctx, d, app)
	case "":
		home.OK, home.Error = false, "Nobody signs in at this stage: the bank knows the app only."
		return home, nil
	}
	return device.Screen{}, fmt.Errorf("sign in: the app asks for that in a way that nobody knows: %q", home.SignIn)
}

// EnsureSignedIn signs the person in, if the app wants that and they are not yet.
func (p Person) EnsureSignedIn(ctx context.Context, d *device.Device, app *device.App) (device.Screen, error) {
	home, err := app.Home(ctx)
	if err != nil || !p.mustSignIn(home) {
		return home, err
	}
	return p.SignIn(ctx, d, app)
}

// signInOnPage has the app open the page, and goes on from page to page until one leads
// back to an app. The password goes into one page, once: a page that asks again has
// refused it.
func (p Person) signInOnPage(ctx context.Context, d *device.Device, app *device.App) (device.Screen, error) {
	agent := d.Agent()
	before := agent.Current()
	opened, err := app.OpenSignInAt(ctx, p.Provider)
	if err != nil || !opened.OK {
		return opened, err
	}
	page := agent.Current()
	if page == nil || page == before {
		return device.Screen{}, fmt.Errorf("sign in: %w", ErrNoPage)
	}
	last, err := p.goOn(ctx, agent, page)
	switch {
	case err != nil:
		return device.Screen{}, fmt.Errorf("sign in: %w", err)
	case last.App != "":
		return p.signedIn(ctx, app)
	}
	return device.Screen{Status: last.Status, Error: "The page says: " + last.Text, SignIn: device.InPage}, nil
}

// Follow has the person open a link in the device's user agent, and go on from page to page as
// when they sign in. It returns the page that is the last.
func (p Person) Follow(ctx context.Context, d *device.Device, link, stage string) (*device.Page, error) {
	page, err := d.Agent().Open(ctx, link, stage)
	if err != nil {
		return nil, err
	}
	return p.goOn(ctx, d.Agent(), page)
}

// goOn goes from page to page, until one leads to an app or wants nothing that the person knows
// to do. A page that has them wait they try once more.
func (p Person) goOn(ctx context.Context, agent *device.Agent, page *device.Page) (last *device.Page, err error) {
	typed, waited := false, false
	for range maxPages {
		if page.App != "" {
			return page, nil
		}
		form, values, asks := p.fill(page)
		if asks && typed && !waited && page.Wait > 0 && page.Wait <= patience { // others may have tried
			select {
			case <-time.After(page.Wait):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			typed, waited = false, true
		}
		if form == nil || asks && typed {
			return page, nil
		}
		typed = typed || asks
		if page, err = agent.Submit(ctx, page, *form, values, pressed(form)); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: %w", page.URL, ErrLost)
}

// signedIn is what the app shows when a page has led back to an app.
func (p Person) signedIn(ctx context.Context, app *device.App) (device.Screen, error) {
	home, err := app.Home(ctx)
	if err == nil && p.mustSignIn(home) {
		home.OK = false
		if home.Error == "" {
			home.Error = "The page is done, but the app says that " + cmp.Or(home.User, "nobody") + " is signed in."
		}
	}
	return home, err
}

// Fill is what the person writes into a form that asks for a password. Asks is false where
// it does not.
func (p Person) Fill(form device.Form) (values url.Values, asks bool) {
	at := slices.IndexFunc(form.Fields, func(f device.Field) bool { return f.Kind == device.Password })
	if at < 0 {
		return nil, false
	}
	values = url.Values{form.Fields[at].Name: {p.Password}}
	// The name goes into the last field above the password that takes text.
	for above := at - 1; above >= 0; above-- {
		if form.Fields[above].Kind == device.Text {
			values.Set(form.Fields[above].Name, p.Name)
			break
		}
	}
	return values, true
}

// fill finds the form that a page wants filled in: one that asks for a password, or one
// that only wants a button pressed, as where an app asks for rights.
func (p Person) fill(page *device.Page) (form *device.Form, values url.Values, asks bool) {
	if form, offered := p.choose(page); offered {
		return form, nil, false
	}
	for i := range page.Forms {
		if values, asks = p.Fill(page.Forms[i]); asks {
			return &page.Forms[i], values, true
		}
	}
	for i := range page.Forms {
		visible := func(f device.Field) bool { return f.Kind != device.Hidden }
		if len(page.Forms[i].Buttons) > 0 && !slices.ContainsFunc(page.Forms[i].Fields, visible) {
			return &page.Forms[i], nil, false
		}
	}
	return nil, nil, false
}

// choose finds the form that leads on to the person's provider, on a page that has one for each; nil:
// theirs is not among them. Offered is false where the page is about something else.
func (p Person) choose(page *device.Page) (form *device.Form, offered bool) {
	wanted := cmp.Or(p.Provider, HomeProvider)
	for i := range page.Forms {
		button := pressed(&page.Forms[i])
		if button.Name != protect.ProviderParameter {
			continue
		}
		offered = true
		if strings.EqualFold(button.Value, wanted) || strings.EqualFold(button.Label, wanted) {
			return &page.Forms[i], true
		}
	}
	return nil, offered
}

// pressed is the button that a form offers first.
func pressed(form *device.Form) device.Button {
	if len(form.Buttons) == 0 {
		return device.Button{}
	}
	return form.Buttons[0]
}
