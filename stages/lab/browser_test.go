package lab_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/deploy"
	"keyladder/stages/lab"
)

const adminPassword = "a password for this test"

// admin is a browser in which the admin is signed in.
type admin struct {
	t   *testing.T
	tab context.Context
	url string
}

func signIn(t *testing.T, l *lab.Lab) *admin {
	t.Helper()
	a := &admin{t: t, tab: testenv.Browser(t), url: l.AdminURL}
	a.do("sign in",
		chromedp.Navigate(l.AdminURL),
		chromedp.SendKeys(`input[type=password]`, adminPassword),
		click(`#sign-in button[type=submit]`),
		seen(`[data-stage="app-id"]`))
	return a
}

func (a *admin) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	a.t.Helper()
	if err := chromedp.Do(a.tab, actions...); err != nil {
		a.saveScreen()
		a.t.Fatalf("%s: %v", what, err)
	}
}

func (a *admin) page(path string) chromedp.Action[chromedp.Void] {
	return chromedp.Navigate(a.url + path)
}

func seen(selector string) chromedp.Action[chromedp.Void] { return chromedp.WaitVisible(selector) }

func click(selector string) chromedp.Action[chromedp.Void] { return chromedp.Click(selector) }

// An admin signs in, walks the stages, runs an attack and sees its outcome, revokes the
// app's key and sees the refusal, and restores it.
func TestAdminInTheBrowser(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword})
	a := signIn(t, l)
	for _, stage := range catalog.All().Built() {
		a.do("walk to "+stage.Slug,
			a.page("/stages/"+stage.Slug),
			click(`[data-test=run-app]`),
			seen(fmt.Sprintf(`[data-run-stage="%s"][data-run-ok=true]`, stage.Slug)))
	}

	a.do("attack",
		a.page("/stages/pinned-mtls"),
		click(`button[data-attack=trusted-proxy]`),
		seen(`[data-outcome=blocked]`))
	a.do("look at the attack",
		a.page("/matrix/pinned-mtls/trusted-proxy"),
		seen(`[data-outcome=blocked]`), seen(`[data-check=pins]`), seen(`[data-test=steps]`))

	a.do("revoke",
		a.page("/apps"),
		click(`button[data-revoke=harbour-mobile]`),
		seen(`[data-key=harbour-mobile][data-revoked=true]`))
	revoked := time.Now()
	a.do("see the refusal", click(`[data-test=run-app]`), seen(`[data-run-ok=false]`))
	// That the first call afterwards is refused, whenever it comes, is more than asked:
	// it has a second.
	t.Logf("refused %v after the page showed the key as revoked", time.Since(revoked))
	a.do("restore",
		a.page("/apps"),
		click(`button[data-restore=harbour-mobile]`),
		seen(`[data-key=harbour-mobile][data-revoked=false]`),
		click(`[data-test=run-app]`),
		seen(`[data-run-ok=true]`))
}

// An admin ends a session, bans a device and rotates a secret, and the app is refused
// within a second; a released package mends the last.
func TestRevocationsInTheBrowser(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword})
	a := signIn(t, l)

	signedIn := launch(t, newDevice(t, l, 2), "user-session")
	served(t, "sign in", func() (device.Screen, error) {
		return signedIn.SignIn(t.Context(), "alice", password(t, l, "alice"))
	})
	served(t, "with the session", func() (device.Screen, error) { return signedIn.Accounts(t.Context()) })
	sessions, err := manage.Get[[]manage.Session](t.Context(), l.Resource, "/sessions")
	if err != nil || len(sessions) != 1 {
		t.Fatalf("%d sessions, %v", len(sessions), err)
	}
	a.do("end the session", a.page("/sessions"), click(`[data-end-session="`+sessions[0].ID+`"]`), chromedp.WaitNotPresent(`[data-session="`+sessions[0].ID+`"]`))
	refusedWithinASecond(t, "without the session", 401, func() (device.Screen, error) { return signedIn.Accounts(t.Context()) })

	signing := launch(t, newDevice(t, l, 1), "hmac")
	accounts := func() (device.Screen, error) { return signing.Accounts(t.Context()) }
	served(t, "as a registered device", accounts)
	devices, err := manage.Get[[]manage.Device](t.Context(), l.Resource, "/devices")
	if err != nil || len(devices) == 0 || devices[0].Stage != "hmac" {
		t.Fatalf("devices %+v, %v", devices, err)
	}
	id := devices[0].ID // the newest
	a.do("ban the device", a.page("/devices"), click(`[data-ban="`+id+`"]`), seen(`[data-device="`+id+`"][data-banned=true]`))
	refusedWithinASecond(t, "as a banned device", 403, accounts)
	a.do("allow the device", click(`[data-allow="`+id+`"]`), seen(`[data-device="`+id+`"][data-banned=false]`))
	served(t, "as an allowed device", accounts)

	a.do("rotate the secret", a.page("/keys/harbour-mobile/secret"), click(`[data-rotate-secret=harbour-mobile]`), seen(`[data-notice=done]`))
	refusedWithinASecond(t, "with the old secret", 401, accounts)
	secrets := map[string]string{}
	for _, id := range deploy.ClientIDs() {
		secret, err := manage.Get[manage.Secret](t.Context(), l.Resource, "/keys/"+id+"/secret")
		if err != nil {
			t.Fatal(err)
		}
		secrets[id] = secret.Secret
	}
	if _, err := deploy.Release(t.Context(), l.Dir, catalog.All(), secrets); err != nil {
		t.Fatal(err)
	}
	updated := launch(t, newDevice(t, l, 1), "hmac")
	served(t, "with the new package", func() (device.Screen, error) { return updated.Accounts(t.Context()) })
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

// refusedWithinASecond calls until the call is refused. The page has shown by then that it
// must be, so the first call should do.
func refusedWithinASecond(t *testing.T, what string, status int, call func() (device.Screen, error)) {
	t.Helper()
	for begin := time.Now(); ; {
		screen, err := call()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if !screen.OK {
			if screen.Status != status {
				t.Errorf("%s: status %d, want %d (%s)", what, screen.Status, status, screen.Error)
			}
			return
		}
		if time.Since(begin) > time.Second {
			t.Fatalf("%s: still served after a second", what)
		}
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
	file := filepath.Join(os.TempDir(), "keyladder-"+t.Name()+".png")
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Log(err)
		return
	}
	t.Logf("the page is in %s", file)
}
