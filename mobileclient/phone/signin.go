package phone

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
)

// mustSignIn is whether an app that shows this wants somebody to sign in first.
func mustSignIn(home device.Screen) bool { return home.SignIn != "" && !home.SignedIn }

// signedOut is whether a screen could not be shown because nobody is signed in.
func signedOut(screen device.Screen) bool { return !screen.OK && mustSignIn(screen) }

// showSignIn has the user sign in as the app wants it. The phone can fill in the passwords that a person
// knows.
func (p *Phone) showSignIn(c echo.Context, page page, shown device.Screen, fill string) error {
	if shown.SignIn == device.InPage {
		return render(c, http.StatusOK, openSignInView(page, shown.Providers))
	}
	who := person.Person{Name: fill}
	if _, known := p.people[fill]; known {
		who = p.people.Named(fill)
	}
	return render(c, http.StatusOK, signInView(page, p.people.Names(), who))
}

// signIn signs in with what was typed, where the app asks for it. Otherwise it opens the
// page on which its user signs in.
func (p *Phone) signIn(c echo.Context) error {
	ctx := c.Request().Context()
	home := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Home(ctx) })
	if home.SignIn == device.InPage {
		opened := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.OpenSignInAt(ctx, c.FormValue("provider")) })
		if !opened.OK {
			return p.next(c, "/", refusal(opened))
		}
		return p.browsed(c, p.device.Agent().Current(), nil) // it may have led back already
	}
	who := person.Person{Name: c.FormValue("user"), Password: c.FormValue("password"), Once: c.FormValue("stay") == ""}
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) { return who.SignIn(ctx, p.device, a) })
	if !screen.OK {
		return render(c, http.StatusOK, signInView(p.page("Sign in", "/", screen), p.people.Names(), person.Person{Name: who.Name, Once: who.Once}))
	}
	return p.next(c, "/", &notice{Good: true, Title: "Signed in as " + screen.User, Text: whereKept(screen.Body)})
}

// storesUsers says whether the app of a stage can keep its user signed in.
func storesUsers(slug string) bool {
	stage, _ := catalog.All().Lookup(slug)
	return stage.Call.UserKey == catalog.UserKeyInStorage
}

// whereKept says where the app keeps what stands for the user from now on; empty: it does not
// say.
func whereKept(body []byte) string {
	var session struct{ Stored *bool }
	switch err := json.Unmarshal(body, &session); {
	case err != nil || session.Stored == nil:
		return ""
	case *session.Stored:
		return "The session key is in the app's storage, and outlasts the app."
	default:
		return "Your sign-in is in the app's memory alone: when the app ends, it is gone."
	}
}

func (p *Phone) signOut(c echo.Context) error {
	ctx := c.Request().Context()
	screen := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.SignOut(ctx) })
	if !screen.OK {
		return p.next(c, "/", refusal(screen))
	}
	return p.next(c, "/", &notice{Good: true, Title: "Signed out"})
}
