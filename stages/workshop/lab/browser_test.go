package lab_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

const adminPassword = "a password for this test"

// admin is a browser in which the admin is signed in.
type admin struct {
	t   *testing.T
	tab context.Context
	url string

	// grace is for how long calls may still be served after a page has shown that it is done:
	// as long as another server may need to hear of it.
	grace time.Duration
}

func signIn(t *testing.T, l *lab.Lab) *admin {
	t.Helper()
	a := &admin{t: t, tab: testenv.BrowserAlways(t), url: l.Addresses.URL(deployment.AdminUI)}
	a.signIn()
	return a
}

func (a *admin) signIn() {
	a.t.Helper()
	a.visit(a.url + "/sign-in")
	a.do("sign in",
		chromedp.SendKeys(`input[type=password]`, adminPassword),
		click(`#sign-in button[type=submit]`),
		seen(`[data-stage="app-id"]`))
}

func (a *admin) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.tab, time.Minute) // before the browser itself ends: it is asked for a picture
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		a.saveScreen()
		a.t.Fatalf("%s: %v", what, err)
	}
}

// has is whether there is such an element on the page.
func (a *admin) has(selector string) bool {
	a.t.Helper()
	there, err := chromedp.Run(a.tab, chromedp.Evaluate[bool](fmt.Sprintf("document.querySelector(%q) !== null", selector)))
	if err != nil {
		a.t.Fatal(err)
	}
	return there
}

func (a *admin) page(path string) chromedp.Action[chromedp.Void] {
	return chromedp.Navigate(a.url + path)
}

func seen(selector string) chromedp.Action[chromedp.Void] { return chromedp.WaitVisible(selector) }

func click(selector string) chromedp.Action[chromedp.Void] { return chromedp.Click(selector) }

// An admin signs in, walks the stages, runs an attack and sees its outcome, revokes the
// app's key and sees the refusal, and restores it.
func TestAdminInTheBrowser(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword})
	a := signIn(t, l)
	for _, stage := range catalog.All().Built() {
		a.do("walk to "+stage.Slug,
			a.page("/stages/"+stage.Slug+"/try"),
			click(`[data-test=run-app]`),
			seen(fmt.Sprintf(`[data-run-stage="%s"][data-run-ok=true]`, stage.Slug)))
	}

	a.do("attack",
		a.page("/stages/pinned-mtls/try"),
		click(`button[data-attack=trusted-proxy]`),
		seen(`[data-outcome=blocked]`))
	a.do("look at the attack",
		a.page("/matrix/pinned-mtls/trusted-proxy"),
		seen(`[data-outcome=blocked]`), seen(`[data-check=pins]`), seen(`[data-test=steps]`))

	a.do("revoke",
		a.page("/apps"),
		click(`button[data-revoke=harbour-mobile]`),
		seen(`[data-key=harbour-mobile][data-revoked=true]`))
	a.do("see the refusal", click(`[data-test=run-app]`), seen(`[data-run-ok=false]`))
	a.do("restore",
		a.page("/apps"),
		click(`button[data-restore=harbour-mobile]`),
		seen(`[data-key=harbour-mobile][data-revoked=false]`),
		click(`[data-test=run-app]`),
		seen(`[data-run-ok=true]`))
}

// An admin ends a session, all of a user's, bans a device, revokes a key and rotates a
// secret, and the app is refused within a second of the click; a released package mends the
// last.
func TestRevocationsInTheBrowser(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword, Settings: testbank.ManyCalls()})
	a := signIn(t, l)

	signedIn := map[string]*device.App{}
	for name, user := range map[string]string{"alice's phone": "alice", "alice's tablet": "alice", "bob's phone": "bob"} {
		signedIn[name] = launch(t, newDevice(t, l, 2), "user-session")
		served(t, name+": sign in", signInAs(t, l, signedIn[name], user))
	}
	phone := accountsOf(t, signedIn["alice's phone"])
	withinASecond(t, "the end of a session", func() time.Duration {
		served(t, "sign in", signInAs(t, l, signedIn["alice's phone"], "alice"))
		list, err := manage.Sessions(t.Context(), l.Resource, manage.SessionQuery{Part: manage.Part{Sort: "-created", Limit: 1}})
		if err != nil || list.Total == 0 {
			t.Fatalf("%+v, %v", list, err)
		}
		took := a.refuses("/sessions", `[data-end-session="`+list.Sessions[0].ID+`"]`, seen(`[data-notice=done]`), phone, 401)
		a.do("see that it is gone", chromedp.WaitNotPresent(`[data-session="`+list.Sessions[0].ID+`"]`))
		return took
	})
	served(t, "alice's other session", accountsOf(t, signedIn["alice's tablet"]))
	withinASecond(t, "the end of all sessions of a user", func() time.Duration {
		for _, name := range []string{"alice's phone", "alice's tablet"} {
			served(t, name+": sign in", signInAs(t, l, signedIn[name], "alice"))
		}
		return a.refuses("/users", `[data-end-sessions=alice]`, seen(`[data-user=alice][data-sessions="0"]`), phone, 401)
	})
	if screen, err := signedIn["alice's tablet"].Accounts(t.Context()); err != nil || screen.Status != 401 {
		t.Errorf("alice's tablet after the end of all her sessions: %v, %+v", err, screen)
	}
	served(t, "bob's session", accountsOf(t, signedIn["bob's phone"]))

	accounts := accountsOf(t, launch(t, newDevice(t, l, 1), "hmac"))
	served(t, "as a registered device", accounts)
	devices, err := manage.Devices(t.Context(), l.Resource, manage.DeviceQuery{})
	if err != nil || devices.Total == 0 || devices.Devices[0].Stage != "hmac" {
		t.Fatalf("devices %+v, %v", devices, err)
	}
	id := devices.Devices[0].ID // the newest
	withinASecond(t, "the ban of a device", func() time.Duration {
		took := a.refuses("/devices", `[data-ban="`+id+`"]`, seen(`[data-device="`+id+`"][data-banned=true]`), accounts, 403)
		a.do("allow the device", click(`[data-allow="`+id+`"]`), seen(`[data-device="`+id+`"][data-banned=false]`))
		served(t, "as an allowed device", accounts)
		return took
	})

	withinASecond(t, "the revocation of a key", func() time.Duration {
		took := a.refuses("/apps", `button[data-revoke=harbour-mobile]`, seen(`[data-key=harbour-mobile][data-revoked=true]`), accounts, 401)
		a.do("restore the key", a.page("/apps"), click(`button[data-restore=harbour-mobile]`), seen(`[data-key=harbour-mobile][data-revoked=false]`))
		served(t, "with the restored key", accounts)
		return took
	})

	withinASecond(t, "the rotation of a secret", func() time.Duration {
		took := a.refuses("/keys/harbour-mobile/secret", `[data-rotate-secret=harbour-mobile]`, seen(`[data-notice=done]`), accounts, 401)
		valid, err := deploy.Valid(t.Context(), l.Resource, l.Auth)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := deploy.Release(t.Context(), l.Dir, catalog.All(), valid); err != nil {
			t.Fatal(err)
		}
		accounts = accountsOf(t, launch(t, newDevice(t, l, 1), "hmac"))
		served(t, "with the new package", accounts)
		return took
	})
}

// withinASecond asks that what was clicked takes effect in time. On a machine that does
// something else the browser alone may need longer, so it may be tried again.
func withinASecond(t *testing.T, what string, try func() time.Duration) {
	t.Helper()
	var took []time.Duration
	for range 4 {
		took = append(took, try())
		if took[len(took)-1] <= time.Second {
			t.Logf("%s: calls were served for %v after the click", what, took)
			return
		}
	}
	t.Errorf("%s: calls were served for %v after the click", what, took)
}

// refuses clicks at something on a page, and calls all the while, until a call is refused.
// It returns for how long after the click calls were begun that were served. Once the page
// has shown that it is done, none may be, but for the time of grace.
func (a *admin) refuses(page, selector string, done chromedp.Action[chromedp.Void], call func() (device.Screen, error), status int) time.Duration {
	t := a.t
	t.Helper()
	const note = `addEventListener("click", () => sessionStorage.setItem("clicked", Date.now()), true)`
	a.do("open "+page, a.page(page))
	if a.has("a" + selector) {
		a.do("be asked", click(selector))
		selector = `[data-sure]`
	}
	a.do("see "+selector, seen(selector))
	if _, err := chromedp.Run(a.tab, chromedp.Evaluate[*runtime.RemoteObject](note)); err != nil {
		t.Fatal(err)
	}
	var shown atomic.Pointer[time.Time]
	type end struct {
		last   time.Time // when the last call that was served began
		screen device.Screen
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		var e end
		for begin := time.Now(); ; begin = time.Now() {
			at := shown.Load()
			late := at != nil && begin.After(at.Add(a.grace))
			if e.screen, e.err = call(); e.err != nil || !e.screen.OK || late {
				ended <- e
				return
			}
			e.last = begin
			time.Sleep(10 * time.Millisecond) // some of the processor is for the browser
		}
	}()
	a.do("click "+selector, click(selector), done)
	now := time.Now()
	shown.Store(&now)
	e := <-ended
	if e.err != nil || e.screen.OK || e.screen.Status != status {
		t.Fatalf("%s: %v, %+v; want the status %d", selector, e.err, e.screen, status)
	}
	clicked, err := chromedp.Run(a.tab, chromedp.Evaluate[string](`sessionStorage.getItem("clicked")`))
	if err != nil {
		t.Fatal(err)
	}
	ms, err := strconv.ParseInt(clicked, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return max(0, e.last.Sub(time.UnixMilli(ms)))
}

func signInAs(t *testing.T, l *lab.Lab, app *device.App, user string) func() (device.Screen, error) {
	return func() (device.Screen, error) { return app.SignIn(t.Context(), user, password(t, l, user)) }
}

func accountsOf(t *testing.T, app *device.App) func() (device.Screen, error) {
	return func() (device.Screen, error) { return app.Accounts(t.Context()) }
}

func launch(t *testing.T, phone *device.Device, stage string) *device.App {
	t.Helper()
	app, err := phone.Launch(t.Context(), "com.harbourbank.app", stage)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Close() })
	return app
}

func password(t *testing.T, l *lab.Lab, user string) string {
	t.Helper()
	folder, err := deployment.Open(l.Dir, deployment.Phone)
	if err != nil {
		t.Fatal(err)
	}
	var passwords map[string]string
	if err := folder.JSON("passwords.json", &passwords); err != nil {
		t.Fatal(err)
	}
	return passwords[user]
}

func served(t *testing.T, what string, call func() (device.Screen, error)) {
	t.Helper()
	if screen, err := call(); err != nil || !screen.OK {
		t.Fatalf("%s: %v, %+v", what, err, screen)
	}
}

// saveScreen keeps what the browser shows, for whoever looks into a failure.
func (a *admin) saveScreen() {
	t := a.t
	t.Helper()
	picture, err := chromedp.Run(a.tab, chromedp.CaptureScreenshot())
	if err != nil {
		t.Logf("no picture of the page: %v", err)
		return
	}
	file := filepath.Join(os.TempDir(), "keyladder-"+strings.ReplaceAll(t.Name(), "/", "-")+".png")
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Log(err)
		return
	}
	t.Logf("the page is in %s", file)
}
