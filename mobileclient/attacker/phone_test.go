//go:build linux && (amd64 || arm64)

package attacker

import (
	"context"
	"strings"
	"sync"
	"testing"

	"keyladder/internal/testenv"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

// genuinePrograms builds the genuine app once for all tests.
var genuinePrograms = sync.OnceValues(func() (build.Programs, error) {
	return build.Build(context.Background(), scratch, catalog.ClearSecrets, catalog.HiddenSecrets)
})

// onPhone gives the attacker the genuine app's package and phones.
func (b *bank) onPhone(g *attack.Given) {
	b.t.Helper()
	programs, err := genuinePrograms()
	if err != nil {
		b.t.Fatal(err)
	}
	g.Package = b.publish(programs[b.stage.Package.Secrets], nil)
	g.NewDevice = func(context.Context) (*device.Device, error) { return b.newDevice("mallory", g.Log) }
}

func notPinned(p *catalog.Policies) { p.Call.Pins = catalog.NotPinned }

// Each attack on a phone of the attacker's own, where nothing stops it: at the first stage at
// which it is made, and once more where it does something else. And where another protection
// than the usual one stops it.
func TestOnOwnDevice(t *testing.T) {
	t.Parallel()
	heardThrough := stage(t, "hmac", notPinned, withoutCertificate)
	tests := []struct {
		attack string
		stage  catalog.Stage
		claim  bool
		by     catalog.Check
	}{
		{attack: "trusted-proxy", stage: stage(t, "tls"), claim: true},
		{attack: "trusted-proxy", stage: stage(t, "pinned-mtls"), by: catalog.CheckPins},
		{attack: "trusted-proxy", stage: stage(t, "pinned-mtls", notPinned), by: catalog.CheckClientCert},
		{attack: "trusted-proxy", stage: heardThrough, by: catalog.CheckHawk}, // what is heard is signed
		{attack: "repin", stage: stage(t, "hmac"), claim: true},
		{attack: "repin", stage: stage(t, "hidden-secrets"), by: catalog.CheckHidden},
		{attack: "memory-hook", stage: stage(t, "app-id"), claim: true},
		{attack: "memory-hook", stage: stage(t, "user-session"), claim: true},
		{attack: "repackaged-app", stage: stage(t, "app-id"), claim: true},
		{attack: "repackaged-app", stage: stage(t, "user-session"), claim: true},
		{attack: "instrumented-app", stage: stage(t, "user-session"), claim: true},
		{attack: "token-lift", stage: stage(t, "user-session"), claim: true},
		{attack: "memory-hook", stage: stage(t, "password-grant"), claim: true},
		{attack: "token-lift", stage: stage(t, "password-grant"), claim: true},
	}
	for i, test := range tests {
		t.Run(test.attack+" at "+test.stage.Slug, func(t *testing.T) {
			if i > 0 && tests[i-1].attack == test.attack {
				testenv.InSequence(t)
			}
			b := open(t, test.stage, testbank.Options{})
			g := b.given()
			b.onPhone(g)
			victim := customer{b: b}
			if screen, err := victim.pay(t.Context()); err != nil || !screen.OK {
				t.Fatalf("the victim can't pay: %v, %s", err, screen.Error)
			}
			result := run(t, test.attack, g, "")
			by := b.stoppedBy(result)
			if result.Claim != test.claim || by != test.by {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			booked := b.payments(reference)
			switch test.attack {
			case "repin":
				if strings.Contains(result.Data, victimReference) != test.claim {
					t.Errorf("read: %q", result.Data)
				}
			case "repackaged-app", "instrumented-app":
				if len(booked) != 1 || booked[0].Amount <= catalog.TransferCap {
					t.Errorf("booked: %+v", booked)
				}
				b.robbed(true)
			default:
				b.robbed(test.claim)
			}
		})
	}
}

// What the API refuses is the obstacle; what is broken is an error.
func TestOnOwnDeviceRefused(t *testing.T) {
	t.Parallel()
	attacks := map[string][]string{
		"tls":          {"trusted-proxy", "memory-hook"},
		"hmac":         {"repin", "repackaged-app"},
		"user-session": {"token-lift", "instrumented-app"},
	}
	for slug, names := range attacks {
		b := open(t, stage(t, slug), testbank.Options{})
		b.tell("/keys/" + clientID + "/revoke")
		for _, attack := range names {
			t.Run(attack+" at "+slug, func(t *testing.T) {
				b.Answer(nil)
				g := b.given()
				b.onPhone(g)
				if result := run(t, attack, g, ""); result.Claim || !strings.Contains(result.Obstacle, "401") {
					t.Errorf("%+v", result)
				}
				b.breakDown()
				run(t, attack, g, "500")
			})
		}
	}
}

// An app that wipes what it has read from files still holds the key as a number.
func TestMemoryHoldsTheKeyAsANumber(t *testing.T) {
	b := open(t, stage(t, "hidden-secrets"), testbank.Options{})
	g := b.given()
	b.onPhone(g)
	phone, found, err := g.Hook(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	found.Certificates = loot.Certificates{All: found.Certificates.All}
	if err := phone.FindKey(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	if len(found.Certificates.Pairs()) != 1 {
		t.Errorf("%d client certificates with their keys", len(found.Certificates.Pairs()))
	}
}

func TestStolenStorage(t *testing.T) {
	t.Parallel()
	sessions, tokens := stage(t, "user-session"), stage(t, "password-grant")
	nothing := func(_ *bank, storage map[string][]byte) { clear(storage) }
	signedOut := func(b *bank, _ map[string][]byte) { b.tell("/users/alice/sessions/revoke") }
	unbound := stage(t, "user-session", func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfApp })
	tests := []struct {
		attack, name string
		stage        catalog.Stage
		change       func(*bank, map[string][]byte)
		claim        bool
		by           catalog.Check
	}{
		{attack: "backup-theft", name: "while the victim is signed in", stage: sessions, claim: true},
		{attack: "backup-theft", name: "after the session ended", stage: sessions, change: signedOut, by: catalog.CheckSession},
		{attack: "backup-theft", name: "nothing stored", stage: sessions, change: nothing, by: catalog.CheckNotStored},
		{attack: "backup-theft", name: "a token in memory", stage: tokens, by: catalog.CheckNotStored},
		{attack: "backup-restore", name: "a session that is bound to a device", stage: sessions, by: catalog.CheckBinding},
		{attack: "backup-restore", name: "a session that is not", stage: unbound, claim: true},
		{attack: "backup-restore", name: "nothing stored", stage: sessions, change: nothing, by: catalog.CheckNotStored},
		{attack: "backup-restore", name: "a token in memory", stage: tokens, by: catalog.CheckNotStored},
	}
	for i, test := range tests {
		t.Run(test.attack+": "+test.name, func(t *testing.T) {
			if i > 0 && tests[i-1].attack == test.attack {
				testenv.InSequence(t)
			}
			b := open(t, test.stage, testbank.Options{})
			g := b.given()
			b.onPhone(g)
			g.Storage = b.victimsStorage(g)
			if test.change != nil {
				test.change(b, g.Storage)
			}
			result := run(t, test.attack, g, "")
			if by := b.stoppedBy(result); result.Claim != test.claim || by != test.by {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			b.robbed(test.claim)
		})
	}
}

// victimsStorage is what the genuine app stores when alice has signed in.
func (b *bank) victimsStorage(g *attack.Given) map[string][]byte {
	b.t.Helper()
	victim, err := g.Open(b.t.Context(), g.Package, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer victim.Close()
	if err := victim.SignInAs(b.t.Context(), "alice", b.Passwords["alice"]); err != nil {
		b.t.Fatal(err)
	}
	storage, err := victim.Device.Backup(appPackage)
	if err != nil {
		b.t.Fatal(err)
	}
	return storage
}

func TestPasswordGrab(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		types string // into the look-alike app, besides the name; empty: nothing
		claim bool
		by    catalog.Check
	}{
		{name: "the victim signs in", types: "the password", claim: true},
		{name: "the victim mistypes", types: "horse correct", by: catalog.CheckSignIn},
		{name: "the victim does not sign in", by: catalog.CheckNotTyped},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if i > 0 {
				testenv.InSequence(t)
			}
			b := open(t, stage(t, "user-session"), testbank.Options{})
			g := b.given()
			b.onPhone(g)
			if test.claim {
				test.types = b.Passwords["alice"]
			}
			g.LookAlike = &attack.LookAlike{Used: func(ctx context.Context, path string) error {
				return b.useLookAlike(ctx, path, test.types)
			}}
			result := run(t, "password-grab", g, "")
			if by := b.stoppedBy(result); result.Claim != test.claim || by != test.by {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			b.robbed(test.claim)
		})
	}
}

// useLookAlike has alice install a package on her phone and type a password into it, or just
// look at it.
func (b *bank) useLookAlike(ctx context.Context, path, password string) error {
	d, err := b.newDevice("alice", nil)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := attack.Sideload(d); err != nil {
		return err
	}
	installed, err := d.Install(path)
	if err != nil {
		return err
	}
	if installed.Label != "Harbour Bank" {
		b.t.Errorf("it is called %q", installed.Label)
	}
	app, err := d.Launch(ctx, installed.Name, b.stage.Slug)
	if err != nil {
		return err
	}
	defer app.Close()
	if password == "" {
		_, err = app.Rates(ctx)
		return err
	}
	_, err = app.SignIn(ctx, "alice", password)
	return err
}
