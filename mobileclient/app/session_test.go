package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"keyladder/internal/manage"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
)

// TestSession signs in, restarts the app, and signs out.
func TestSession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "user-session")
	home := shown(t)(app.Home(t.Context()))
	if !home.OK || home.SignIn != device.InApp || home.User != "" {
		t.Errorf("at first: %+v", home)
	}
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.Check != "signed-in" || count(b.bank.Calls(), "GET /v1/accounts") != 0 {
		t.Errorf("not signed in: %+v", screen)
	}
	if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
		t.Errorf("rates need nobody: %+v", screen)
	}
	if screen := shown(t)(app.SignIn(t.Context(), "alice", "wrong")); screen.OK || screen.Status != http.StatusUnauthorized || screen.User != "" {
		t.Errorf("a wrong password: %+v", screen)
	}
	signedIn := shown(t)(app.SignIn(t.Context(), "alice", b.bank.Passwords["alice"]))
	var on map[string]any
	if err := json.Unmarshal(signedIn.Body, &on); err != nil || !signedIn.OK || signedIn.User != "alice" || on["idle_seconds"] != 900.0 || on["session_key"] != nil {
		t.Errorf("signed in: %+v, %v", signedIn, err)
	}
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || screen.User != "alice" {
		t.Errorf("%+v", screen)
	}
	first := b.last(t)

	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	app = b.launch(t, "user-session")
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || screen.User != "alice" {
		t.Errorf("after a restart: %+v", screen)
	}
	if again := b.last(t); again.Header.Get("Authorization") != first.Header.Get("Authorization") {
		t.Error("after a restart it is another session")
	}
	stored, err := b.device.Backup(appName)
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.KeyFrom(first.Header)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(stored["session.user-session"], []byte(string(key))) {
		t.Errorf("the session is not in the storage: %s", stored)
	}
	for where, value := range stored {
		if bytes.Contains(value, []byte(b.bank.Passwords["alice"])) || bytes.Contains(value, []byte(b.settings.SharedSecret)) {
			t.Errorf("a secret is in the storage: %s", where)
		}
	}

	if screen := shown(t)(app.SignIn(t.Context(), "bob", b.bank.Passwords["bob"])); !screen.OK || screen.User != "bob" {
		t.Errorf("somebody else: %+v", screen)
	}
	if left := b.sessions(t); len(left) != 1 || left[0].User != "bob" {
		t.Errorf("left: %+v", left)
	}
	if screen := shown(t)(app.SignOut(t.Context())); !screen.OK || screen.User != "" {
		t.Errorf("sign out: %+v", screen)
	}
	if last := b.last(t); last.Method != http.MethodDelete || len(b.sessions(t)) != 0 {
		t.Errorf("%s, left: %+v", last.Method, b.sessions(t))
	}
	before := len(b.bank.Calls())
	if screen := shown(t)(app.SignOut(t.Context())); !screen.OK || len(b.bank.Calls()) != before {
		t.Errorf("once more: %+v", screen)
	}
	if stored, err := b.device.Backup(appName); err != nil || stored["session.user-session"] != nil {
		t.Errorf("still stored: %s, %v", stored["session.user-session"], err)
	}
}

// TestSessionInMemory signs in without staying signed in: nothing that stands for the user is
// in the storage, not even from the time before, and the app's end is the session's.
func TestSessionInMemory(t *testing.T) {
	t.Parallel()
	stage, _ := catalog.All().Lookup("user-session")
	inMemory := stage.Call
	inMemory.UserKey = catalog.UserKeyInMemory
	for name, test := range map[string]struct {
		policy catalog.Call
		signIn func(*device.App) func(ctx context.Context, user, password string) (device.Screen, error)
	}{
		"the user wants it so": {stage.Call, func(app *device.App) func(context.Context, string, string) (device.Screen, error) {
			return app.SignInOnce
		}},
		"the app is shipped so": {inMemory, func(app *device.App) func(context.Context, string, string) (device.Screen, error) { return app.SignIn }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			app := b.launch(t, stage.Slug)
			if screen := shown(t)(app.SignIn(t.Context(), "alice", b.bank.Passwords["alice"])); !screen.OK || !strings.Contains(string(screen.Body), `"stored":true`) {
				t.Fatalf("at first: %+v", screen)
			}
			if err := app.Close(); err != nil {
				t.Fatal(err)
			}
			b.policy = func(slug string, as catalog.Call) catalog.Call {
				if slug == stage.Slug {
					return test.policy
				}
				return as
			}
			if _, err := b.device.Install(b.pack(t, stage, appName)); err != nil { // an update
				t.Fatal(err)
			}
			app = b.launch(t, stage.Slug)
			screen := shown(t)(test.signIn(app)(t.Context(), "alice", b.bank.Passwords["alice"]))
			if !screen.OK || !strings.Contains(string(screen.Body), `"stored":false`) {
				t.Fatalf("%+v", screen)
			}
			if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
				t.Errorf("signed in: %+v", screen)
			}
			key, err := session.KeyFrom(b.last(t).Header)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := b.device.Backup(appName)
			if err != nil || len(stored) == 0 {
				t.Fatalf("%v, %v", stored, err)
			}
			for where, value := range stored {
				if strings.HasPrefix(where, "session.") || bytes.Contains(value, []byte(string(key))) {
					t.Errorf("a session is in the storage: %s", where)
				}
			}
			if err := app.Close(); err != nil {
				t.Fatal(err)
			}
			app = b.launch(t, stage.Slug)
			if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.Check != "signed-in" {
				t.Errorf("after a restart: %+v", screen)
			}
		})
	}
}

// TestLog looks for what opens something in the app's log. A build that logs everything has it
// there, so that the test could find it.
func TestLog(t *testing.T) {
	t.Parallel()
	for _, level := range []string{release.LogCalls, release.LogEverything, ""} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(b *bench) { b.settings.Log = level })
			for _, stage := range catalog.All().Built() {
				app := b.launch(t, stage.Slug)
				b.signIn(t, app, stage.Call)
				shown(t)(app.Rates(t.Context()))
				shown(t)(app.Accounts(t.Context()))
				if err := app.Close(); err != nil {
					t.Fatal(err)
				}
			}
			logged, err := b.device.Log(appName)
			if err != nil {
				t.Fatal(err)
			}
			for _, stage := range catalog.All().Built() {
				if want := "/" + stage.Slug + "/v1/accounts: 200 OK\n"; !strings.Contains(string(logged), want) {
					t.Errorf("the log lacks %q", want)
				}
			}
			everything := level == release.LogEverything
			for _, part := range []string{"key=", "key harbour-mobile", "Hawk id=", "Authorization: Session ", "Authorization: Basic ", "Device-Guid: "} {
				if strings.Contains(string(logged), part) != everything {
					t.Errorf("%q is in the log: %v", part, !everything)
				}
			}
		})
	}
}

// TestSessionEnds has the bank end the session, and somebody else say so.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "user-session")
	b.signIn(t, app, catalog.Call{UserProof: catalog.UserSession})

	b.bank.ChangeAnswers(func(r *http.Response, _ []byte) []byte {
		r.StatusCode, r.Header = http.StatusUnauthorized, http.Header{"Content-Type": {errorMedia}}
		return []byte(`{"type":"urn:keyladder:problem:session-not-accepted","title":"Sign in","status":401}`)
	})
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.User != "alice" {
		t.Errorf("anybody could have said that: %+v", screen)
	}
	b.bank.ChangeAnswers(nil)
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Errorf("the session is still good: %+v", screen)
	}

	if err := b.bank.Manage().Do(t.Context(), http.MethodPost, "/users/alice/sessions/revoke", nil, nil); err != nil {
		t.Fatal(err)
	}
	screen := shown(t)(app.Transfer(t.Context(), payment()))
	if screen.OK || screen.User != "" || screen.Check != "" || !strings.Contains(screen.Error, "Sign in again") {
		t.Errorf("the bank ended it: %+v", screen)
	}
	before := len(b.bank.Calls())
	if screen := shown(t)(app.Accounts(t.Context())); screen.Check != "signed-in" || len(b.bank.Calls()) != before {
		t.Errorf("afterwards: %+v", screen)
	}
	b.signIn(t, app, catalog.Call{UserProof: catalog.UserSession})
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Errorf("signed in again: %+v", screen)
	}
}

func TestSignOutWithoutTheBank(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "user-session")
	b.signIn(t, app, catalog.Call{UserProof: catalog.UserSession})
	b.bank.Leave()
	screen := shown(t)(app.SignOut(t.Context()))
	if screen.OK || screen.User != "" || !strings.Contains(screen.Error, "signed out on this phone") {
		t.Errorf("%+v", screen)
	}
	if stored, err := b.device.Backup(appName); err != nil || stored["session.user-session"] != nil {
		t.Errorf("still stored: %s, %v", stored["session.user-session"], err)
	}
}

func TestNobodySignsIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "hmac")
	before := len(b.bank.Calls())
	if screen := shown(t)(app.SignIn(t.Context(), "alice", b.bank.Passwords["alice"])); screen.OK || screen.SignIn != "" || len(b.bank.Calls()) != before {
		t.Errorf("%+v", screen)
	}
}

func TestUnusableCredentials(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "user-session")
	for _, user := range []string{"al:ice", "alice\n", strings.Repeat("a", 600)} {
		if screen := shown(t)(app.SignIn(t.Context(), user, b.bank.Passwords["alice"])); screen.OK || !strings.Contains(screen.Error, "can't be sent") {
			t.Errorf("%q: %+v", user, screen)
		}
	}
	if n := count(b.bank.Calls(), "POST /v1/session"); n != 0 {
		t.Errorf("%d of them were sent", n)
	}
}

// TestDamagedStorage starts the app on a storage that it did not write.
func TestDamagedStorage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.install(t, "user-session")
	if err := b.device.Restore(appName, map[string][]byte{"session.user-session": []byte("{")}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.device.Launch(t.Context(), appName, "user-session"); err == nil || !strings.Contains(err.Error(), "install it again") {
		t.Errorf("%v", err)
	}
}

// TestBackupOnAnotherPhone puts a backup on a phone that the bank does not know: it is another
// device, and the session in the backup, which belongs to the first one, is not accepted there.
func TestBackupOnAnotherPhone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "user-session")
	b.signIn(t, app, catalog.Call{UserProof: catalog.UserSession})
	stored, err := b.device.Backup(appName)
	if err != nil {
		t.Fatal(err)
	}
	first := b.last(t)
	b.device = b.newPhone(t)
	b.install(t, "user-session")
	if err := b.device.Restore(appName, stored); err != nil {
		t.Fatal(err)
	}
	other := b.launch(t, "user-session")
	if home := shown(t)(other.Home(t.Context())); home.User != "alice" {
		t.Errorf("the session did not come along: %+v", home)
	}
	screen := shown(t)(other.Accounts(t.Context()))
	last := b.last(t)
	if screen.OK || screen.User != "" || last.Header.Get("Device-Id") == first.Header.Get("Device-Id") {
		t.Errorf("%+v, %v", screen, last.Header)
	}
	if last.Header.Get("Authorization") == "" || last.Header.Get("Device-Guid") == "" {
		t.Errorf("sent: %v", last.Header)
	}
}

// sessions are those that are good at the bank.
func (b *bench) sessions(t *testing.T) []manage.Session {
	t.Helper()
	list, err := manage.Sessions(t.Context(), b.bank.Manage(), manage.SessionQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Sessions
}
