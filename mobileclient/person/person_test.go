package person

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keyladder/mobileclient/device"
	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/release"
)

// TestMain is two programs: the tests, and, packed into a package, an app.
func TestMain(m *testing.M) {
	self, err := sdk.Package()
	if err != nil {
		panic(err)
	}
	if _, assets, err := release.Assets(self); err == nil {
		err := sdk.Run(func(system *sdk.System) (sdk.Handler, error) {
			return &testApp{system: system, page: string(assets["page"])}, nil
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// testApp has its user sign in on a page, if it has one, and keeps all that it was told.
type testApp struct {
	system *sdk.System
	page   string // "none": nobody signs in, "own": it asks itself
	user   string
	told   []string
}

const scheme = "com.example.signin"

func (a *testApp) Open(context.Context, string) error { return nil }

func (a *testApp) Tap(_ context.Context, tap sdk.Tap) (sdk.Screen, error) {
	shown := sdk.Screen{OK: true}
	told, err := json.Marshal(tap)
	if err != nil {
		return shown, err
	}
	a.told = append(a.told, string(told))
	switch {
	case a.page == "none":
	case a.page == "own":
		shown.SignIn = sdk.InApp
		if tap.What == sdk.SignIn && tap.Password != "" {
			a.user = tap.User
		}
	default:
		shown.SignIn = sdk.InPage
		if tap.What == sdk.SignIn && a.page != "broken" {
			if err := a.system.OpenURL(a.page); err != nil {
				return sdk.Screen{}, err
			}
		}
	}
	if tap.What == sdk.Account {
		if shown.Body, err = json.Marshal(a.told); err != nil {
			return shown, err
		}
	}
	shown.User, shown.SignedIn = a.user, a.user != ""
	return shown, nil
}

func (a *testApp) OpenURL(_ context.Context, rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return err
	}
	a.user, a.told = u.Query().Get("for"), append(a.told, rawURL)
	return nil
}

var developer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))

// open starts a test app on a new device.
func open(t *testing.T, page string) (*device.Device, *device.App) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "app.pkg")
	manifest := release.Manifest{Name: scheme, Label: "Test", Release: 1, Schemes: []string{scheme}}
	if err := release.Pack(path, self, manifest, map[string][]byte{"page": []byte(page)}, developer); err != nil {
		t.Fatal(err)
	}
	d, err := device.New(device.Config{Dir: t.TempDir(), Owner: "alice", Developers: []ed25519.PublicKey{developer.Public().(ed25519.PublicKey)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if _, err := d.Install(path); err != nil {
		t.Fatal(err)
	}
	app, err := d.Launch(t.Context(), scheme, "app-id")
	if err != nil {
		t.Fatal(err)
	}
	return d, app
}

// told is all that an app was told so far.
func told(t *testing.T, app *device.App) []string {
	t.Helper()
	screen, err := app.Account(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	if err := json.Unmarshal(screen.Body, &told); err != nil {
		t.Fatal(err)
	}
	return told
}

// authorizationServer asks for name and password, then for consent, and leads back to the
// app. It counts the passwords that it was sent.
func authorizationServer(t *testing.T) (server *httptest.Server, passwords *int) {
	t.Helper()
	passwords = new(int)
	page := func(w http.ResponseWriter, status int, body string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, "<!doctype html><title>Sign in</title>"+body)
	}
	const form = `<form method=post action=/sign-in><input type=hidden name=csrf value=c1>
		<div hidden><input name=bank-branch value=9></div><label for=n>Name</label><input id=n name=n><span hidden><input name=robots></span><input type=password name=p><button>Sign in</button></form>`
	var mux http.ServeMux
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "s", Value: "1", Path: "/"})
		page(w, http.StatusOK, `<p>Harbour Bank</p><div hidden><form method=post action=/trap><input name=t><input type=password name=t></form></div>`+form)
	})
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		*passwords++
		if cookie, err := r.Cookie("s"); err != nil || cookie.Value != "1" || r.FormValue("csrf") != "c1" || r.FormValue("bank-branch") != "9" {
			page(w, http.StatusForbidden, "<p>not from our page</p>")
			return
		}
		if r.FormValue("n") != "alice" || r.FormValue("p") != "right" {
			page(w, http.StatusUnauthorized, `<p>That is not the password.</p>`+form)
			return
		}
		http.Redirect(w, r, "/consent", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /consent", func(w http.ResponseWriter, _ *http.Request) {
		page(w, http.StatusOK, `<form action=/search><input name=q></form><p>May the app see your accounts?</p>
			<form method=post action=/consent><input type=hidden name=csrf value=c2><button name=answer value=yes>Allow</button><button name=answer value=no>Deny</button></form>`)
	})
	mux.HandleFunc("POST /consent", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("csrf") != "c2" || r.FormValue("answer") != "yes" {
			page(w, http.StatusForbidden, "<p>denied</p>")
			return
		}
		w.Header().Set("Location", scheme+":/done?for=alice&code=c3")
		w.WriteHeader(http.StatusSeeOther)
	})
	server = httptest.NewServer(&mux)
	t.Cleanup(server.Close)
	return server, passwords
}

func TestSignInOnAPage(t *testing.T) {
	t.Parallel()
	server, passwords := authorizationServer(t)
	d, app := open(t, server.URL+"/authorize")
	alice := Person{Name: "alice", Password: "right"}
	screen, err := alice.SignIn(t.Context(), d, app)
	if err != nil || !screen.OK || screen.User != "alice" {
		t.Fatalf("%v, %+v", err, screen)
	}
	got := told(t, app)
	if !slices.Contains(got, scheme+":/done?for=alice&code=c3") {
		t.Errorf("the app was told %q", got)
	}
	if all := strings.Join(got, "\n"); strings.Contains(all, "right") {
		t.Errorf("the password reached the app: %s", all)
	}
	if screen, err := alice.EnsureSignedIn(t.Context(), d, app); err != nil || screen.User != "alice" || *passwords != 1 {
		t.Errorf("signed in once more: %v, %+v, %d passwords", err, screen, *passwords)
	}
}

func TestWrongPasswordOnAPage(t *testing.T) {
	t.Parallel()
	server, passwords := authorizationServer(t)
	d, app := open(t, server.URL+"/authorize")
	screen, err := Person{Name: "alice", Password: "wrong"}.SignIn(t.Context(), d, app)
	if err != nil || screen.OK || screen.Status != http.StatusUnauthorized || !strings.Contains(screen.Error, "That is not the password.") {
		t.Errorf("%v, %+v", err, screen)
	}
	if *passwords != 1 {
		t.Errorf("the password was typed %d times", *passwords)
	}
	if all := strings.Join(told(t, app), "\n"); strings.Contains(all, "wrong") {
		t.Errorf("the password reached the app: %s", all)
	}
}

func TestSignInInTheApp(t *testing.T) {
	t.Parallel()
	d, app := open(t, "own")
	screen, err := Person{Name: "alice", Password: "right", Used: device.InApp}.SignIn(t.Context(), d, app)
	if err != nil || screen.User != "alice" {
		t.Errorf("%v, %+v", err, screen)
	}
	if d.Agent().Current() != nil {
		t.Error("a page was opened")
	}
}

// Somebody who has always signed in on the bank's page types nothing into an app.
func TestAnAppThatAsksInAnotherWay(t *testing.T) {
	t.Parallel()
	d, app := open(t, "own")
	screen, err := Person{Name: "alice", Password: "right", Used: device.InPage}.SignIn(t.Context(), d, app)
	if err != nil || screen.OK || screen.User != "" {
		t.Errorf("%v, %+v", err, screen)
	}
	if all := strings.Join(told(t, app), "\n"); strings.Contains(all, "right") {
		t.Errorf("the password reached the app: %s", all)
	}
}

func TestNobodySignsIn(t *testing.T) {
	t.Parallel()
	d, app := open(t, "none")
	alice := Person{Name: "alice", Password: "right"}
	if screen, err := alice.SignIn(t.Context(), d, app); err != nil || screen.OK || !strings.Contains(screen.Error, "Nobody signs in") {
		t.Errorf("%v, %+v", err, screen)
	}
	if screen, err := alice.EnsureSignedIn(t.Context(), d, app); err != nil || !screen.OK {
		t.Errorf("where nobody has to: %v, %+v", err, screen)
	}
	if all := strings.Join(told(t, app), "\n"); strings.Contains(all, "right") {
		t.Errorf("the password reached the app: %s", all)
	}
}

func TestPagesThatLeadNowhere(t *testing.T) {
	t.Parallel()
	var mux http.ServeMux
	page := func(w http.ResponseWriter, body string) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, body)
	}
	mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) { page(w, "<p>Come back tomorrow.") })
	mux.HandleFunc("/again", func(w http.ResponseWriter, _ *http.Request) { page(w, "<form method=post action=/again><button>Go on") })
	mux.HandleFunc("/nobody", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, scheme+":/done", http.StatusFound) })
	server := httptest.NewServer(&mux)
	t.Cleanup(server.Close)
	for _, test := range []struct{ name, page, want string }{
		{"no form", server.URL + "/text", "The page says: Come back tomorrow."},
		{"button after button", server.URL + "/again", ErrLost.Error()},
		{"back in the app as nobody", server.URL + "/nobody", "nobody is signed in"},
		{"no page", "broken", ErrNoPage.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, app := open(t, test.page)
			screen, err := Person{Name: "alice", Password: "right"}.SignIn(t.Context(), d, app)
			if screen.OK || !strings.Contains(fmt.Sprint(screen.Error, err), test.want) {
				t.Errorf("%v, %+v; want %q", err, screen, test.want)
			}
		})
	}
}
