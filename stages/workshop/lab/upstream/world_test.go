// Package upstream tests the providers whose client the mediator is, in a lab with the genuine app, on
// a phone: that of another company, one that somebody else has written, and the page on which users
// choose between them.
package upstream

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := lab.Cleanup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// world is a lab with the stage at which the mediator asks providers.
type world struct {
	testing.TB
	*lab.Lab
	stage     catalog.Stage
	mediator  *manage.Client
	passwords person.People
}

// start starts a lab. The settings are those of callers who share an address, and these.
func start(t testing.TB, settings map[string]string) *world {
	t.Helper()
	stages := catalog.All()
	i := slices.IndexFunc(stages, func(s catalog.Stage) bool { return s.Auth.Issuer == catalog.MediatorIssuer })
	stages[i].Built = true
	for name, value := range testbank.ManyCalls() {
		if settings == nil {
			settings = map[string]string{}
		}
		settings[name] = value
	}
	w := &world{TB: t, stage: stages[i]}
	w.Lab = testenv.Must[*lab.Lab](t)(lab.Start(t.Context(), lab.Options{Stages: stages, Settings: settings}))
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	w.mediator = testenv.Must[*manage.Client](t)(manage.NewClient(w.folder(deployment.Admin), deployment.Mediator))
	t.Cleanup(w.mediator.Close)
	if err := w.folder(deployment.Phone).JSON("passwords.json", &w.passwords); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) folder(role deployment.Role) *deployment.Folder {
	w.Helper()
	return testenv.Must[*deployment.Folder](w)(deployment.Open(w.Dir, role))
}

// at is the mediator as an issuer.
func (w *world) at(path string) string {
	return w.Addresses.Stage(deployment.MediatorService, w.stage.Slug) + path
}

// phone is a phone with the bank's app.
type phone struct {
	*world
	device *device.Device
	app    *device.App
}

// phone launches the app on a new phone.
func (w *world) phone() *phone {
	w.Helper()
	folder := w.folder(deployment.Attacker)
	block, _ := pem.Decode(testenv.Must[[]byte](w)(folder.Read("developer.pub")))
	developer := testenv.Must[any](w)(x509.ParsePKIXPublicKey(block.Bytes)).(ed25519.PublicKey)
	p := &phone{world: w}
	p.device = testenv.Must[*device.Device](w)(device.New(device.Config{Dir: w.TempDir(), Owner: "alice", Roots: w.Roots, Developers: []ed25519.PublicKey{developer}}))
	w.Cleanup(func() { p.device.Close() })
	testenv.Must[device.Installed](w)(p.device.Install(folder.Path(deploy.PackageName(w.stage.Package.Release))))
	p.app = testenv.Must[*device.App](w)(p.device.Launch(w.Context(), deploy.AppScheme, w.stage.Slug))
	w.Cleanup(func() { p.app.Close() })
	return p
}

// signIn has a user sign in at a provider, and is what the app shows then.
func (p *phone) signIn(user, provider string) device.Screen {
	p.Helper()
	person := person.Person{Name: user, Password: p.passwords[user], Provider: provider}
	return testenv.Must[device.Screen](p)(person.SignIn(p.Context(), p.device, p.app))
}

// signsIn is the same, and has to end well, with the user's accounts.
func (p *phone) signsIn(user, provider string) {
	p.Helper()
	if screen := p.signIn(user, provider); !screen.OK || screen.User != user {
		p.Fatalf("%s at %s: %+v", user, provider, screen)
	}
	p.served(user)
}

// served calls the API as a user.
func (p *phone) served(user string) {
	p.Helper()
	screen := testenv.Must[device.Screen](p)(p.app.Accounts(p.Context()))
	var shown struct{ Accounts []struct{ Owner string } }
	if err := json.Unmarshal(screen.Body, &shown); !screen.OK || err != nil || len(shown.Accounts) == 0 || shown.Accounts[0].Owner != user {
		p.Fatalf("%s's accounts: %d %s %s, %v", user, screen.Status, screen.Error, screen.Body, err)
	}
}

func (p *phone) signsOut() {
	p.Helper()
	if screen := testenv.Must[device.Screen](p)(p.app.SignOut(p.Context())); !screen.OK {
		p.Fatalf("signing out: %+v", screen)
	}
}

// verdicts are why the mediator has refused requests, the newest last.
func (w *world) verdicts() (found []traffic.Verdict) {
	w.Helper()
	for _, m := range testenv.Must[feed.Page[traffic.Message]](w)(w.mediator.Traffic(w.Context(), feed.Cursor{})).Entries {
		if m.Verdict != nil && !m.Verdict.Allowed {
			found = append(found, *m.Verdict)
		}
	}
	return found
}

// sessions are those that a user has at a provider and that have not ended.
func (w *world) sessions(user, provider string) []manage.MediatorSession {
	w.Helper()
	filter := manage.MediatorSessionFilter{User: user, Provider: provider, State: "good"}
	return testenv.Must[manage.MediatorSessionList](w)(manage.MediatorSessions(w.Context(), w.mediator, manage.MediatorSessionQuery{MediatorSessionFilter: filter})).Sessions
}
