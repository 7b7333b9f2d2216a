//go:build linux && (amd64 || arm64)

package attacker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"keyladder/internal/testenv"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

// besides gives the attacker a place for an app on alice's phone, where the genuine one is
// already.
func (b *bank) besides(g *attack.Given) *attack.Thief {
	b.t.Helper()
	d, err := b.newDevice(aCustomer, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { d.Close() })
	if _, err := d.Install(g.Package); err != nil {
		b.t.Fatal(err)
	}
	app, err := d.Launch(b.t.Context(), appPackage, b.stage.Slug)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { app.Close() })
	return &attack.Thief{
		Install: func(path string) error {
			if err := attack.Sideload(d); err != nil {
				return err
			}
			_, err := d.Install(path)
			return err
		},
		SignsIn: func(ctx context.Context) error {
			screen, err := person.People(b.Passwords).Named(aCustomer).SignIn(ctx, d, app)
			page := d.Agent().Current()
			if err != nil || page == nil {
				return err
			}
			b.took(page.URL)
			if genuine := page.App == appPackage; screen.SignedIn != genuine {
				b.t.Errorf("the link went to %q, and the genuine app shows %+v", page.App, screen)
			}
			return nil
		},
	}
}

func TestSchemeThief(t *testing.T) {
	t.Parallel()
	implicit := stage(t, "password-grant", onPages(catalog.ImplicitGrant))
	code := stage(t, "password-grant", onPages(catalog.CodeGrant), withSecret)
	refresh := stage(t, "password-grant", onPages(catalog.CodeAndRefresh), withSecret)
	late := func(b *bank, thief *attack.Thief) {
		signsIn := thief.SignsIn
		thief.SignsIn = func(ctx context.Context) error {
			defer b.SetClock(2 * time.Minute) // codes are good for one
			return signsIn(ctx)
		}
	}
	notInstalled := func(_ *bank, thief *attack.Thief) { thief.Install = func(string) error { return nil } }
	refused := func(_ *bank, thief *attack.Thief) {
		thief.Install = func(string) error { return errors.New("not from this store") }
	}
	tests := []struct {
		attack, name string
		stage        catalog.Stage
		change       func(*bank, *attack.Thief)
		claim        bool
		by           catalog.Check
		err          string
	}{
		{attack: "code-hijack", name: "a token", stage: implicit, claim: true},
		{attack: "code-hijack", name: "a code", stage: code, claim: true},
		{attack: "code-hijack", name: "a code that refresh tokens come with", stage: refresh, claim: true},
		{attack: "code-hijack", name: "a code that has expired", stage: code, change: late, by: catalog.CheckCode},
		{attack: "code-hijack", name: "the genuine app gets the link", stage: code, change: notInstalled, err: "no link came"},
		{attack: "code-hijack", name: "the store refuses the app", stage: code, change: refused, err: "not from this store"},
		{attack: "code-relay", name: "a code", stage: code, claim: true},
		{attack: "code-relay", name: "a code that refresh tokens come with", stage: refresh, claim: true},
		{attack: "code-relay", name: "a token", stage: implicit, err: "no code"},
		{attack: "code-relay", name: "a code that has expired", stage: code, change: late, by: catalog.CheckCode},
		{attack: "code-relay", name: "the genuine app gets the link", stage: code, change: notInstalled, err: "no link came"},
	}
	for i, test := range tests {
		t.Run(test.attack+": "+test.name, func(t *testing.T) {
			if i > 0 && tests[i-1].attack == test.attack {
				testenv.InSequence(t)
			}
			b := open(t, test.stage, testbank.Options{})
			g := b.given()
			b.onPhone(g)
			g.Thief = b.besides(g)
			if test.change != nil {
				test.change(b, g.Thief)
			}
			result := run(t, test.attack, g, test.err)
			if by := b.stoppedBy(result); test.err == "" && (result.Claim != test.claim || by != test.by) {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			if test.claim && (len(b.taken) == 0 || !slices.Contains(result.Stolen, b.taken[0])) {
				t.Error("what was stolen is not what the link brought")
			}
			b.robbed(test.claim)
		})
	}
}

// returning is alice, who signs in with the genuine app and comes back to it later. Newest is
// what the app stores then.
func (b *bank) returning(g *attack.Given) (newest func() map[string][]byte) {
	b.t.Helper()
	phone, err := g.Open(b.t.Context(), g.Package, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(phone.Close)
	if err := phone.SignInAs(b.t.Context(), aCustomer, b.Passwords[aCustomer]); err != nil {
		b.t.Fatal(err)
	}
	backup := func() map[string][]byte {
		storage, err := phone.Device.Backup(appPackage)
		if err != nil {
			b.t.Error(err)
		}
		return storage
	}
	g.Storage = backup()
	var last map[string][]byte
	g.Later = func(ctx context.Context) (device.Screen, error) {
		if err := phone.App.Close(); err != nil {
			return device.Screen{}, err
		}
		if err := phone.Start(ctx); err != nil {
			return device.Screen{}, err
		}
		screen, err := phone.App.Accounts(ctx)
		if screen.OK {
			last = backup()
		}
		return screen, err
	}
	return func() map[string][]byte { return last }
}

// refreshTokens are those in a copy of an app's storage.
func refreshTokens(storage map[string][]byte) []string {
	var found loot.Loot
	for _, data := range storage {
		found.Search(data)
	}
	return found.Refreshing
}

func TestRefreshReuse(t *testing.T) {
	t.Parallel()
	served := func(context.Context) (device.Screen, error) { return device.Screen{OK: true, SignedIn: true}, nil }
	tests := []struct {
		name   string
		change func(*attack.Given)
		claim  bool
		by     catalog.Check
		err    string
	}{
		{name: "exchanged meanwhile", by: catalog.CheckRefresh},
		{name: "not exchanged", change: func(g *attack.Given) { g.Later = served }, claim: true},
		{name: "nothing stored", change: func(g *attack.Given) { clear(g.Storage) }, err: "no refresh token"},
		{name: "the victim's app goes on as before", err: "lives on", change: func(g *attack.Given) {
			once := g.Later
			g.Later = func(ctx context.Context) (device.Screen, error) {
				g.Later = served
				return once(ctx)
			}
		}},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if i > 0 {
				testenv.InSequence(t)
			}
			b := open(t, stage(t, "password-grant", onPages(catalog.CodeAndRefresh), withSecret), testbank.Options{})
			g := b.given()
			b.onPhone(g)
			newest := b.returning(g)
			old := refreshTokens(g.Storage)
			b.taken = old
			if test.change != nil {
				test.change(g)
			}
			result := run(t, "refresh-reuse", g, test.err)
			if test.err != "" {
				return
			}
			if result.Claim != test.claim || !test.claim && !slices.Contains(b.refused(), test.by) {
				t.Errorf("%+v, stopped by %q", result, b.refused())
			}
			b.robbed(test.claim)
			if !test.claim {
				b.mustBeDead(g, old, refreshTokens(newest()))
			}
		})
	}
}

// mustBeDead fails the test unless the newest refresh token of a family, which is another than
// the old one and was never used, brings nothing more.
func (b *bank) mustBeDead(g *attack.Given, old, newest []string) {
	b.t.Helper()
	if len(old) != 1 || len(newest) != 1 || old[0] == newest[0] {
		b.t.Fatalf("%d and %d refresh tokens, or the same one", len(old), len(newest))
	}
	as := b.IdentityAt(b.stage.Call, clientID)
	as.Refresh = newest[0]
	p, err := attack.NewProgram(g, as)
	if err != nil {
		b.t.Fatal(err)
	}
	defer p.Close()
	before := len(b.refused())
	var refusal *attack.Refusal
	if err := p.Renew(b.t.Context()); !errors.As(err, &refusal) {
		b.t.Errorf("the newest refresh token: %v", err)
	}
	if after := b.refused()[before:]; !slices.Equal(after, []catalog.Check{catalog.CheckRefresh}) {
		b.t.Errorf("refused by %q", after)
	}
}
