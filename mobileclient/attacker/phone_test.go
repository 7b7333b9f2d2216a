//go:build linux && (amd64 || arm64)

package attacker

import (
	"context"
	"crypto/ed25519"
	"strings"
	"sync"
	"testing"

	"keyladder/mobileclient/attacker/loot"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
)

// genuinePrograms builds the genuine app once for all tests.
var genuinePrograms = sync.OnceValues(func() (build.Programs, error) {
	return build.Build(context.Background(), scratch, catalog.ClearSecrets, catalog.HiddenSecrets)
})

// onPhone gives the attacker the genuine app's package and phones of one's own.
func (b *bank) onPhone(t *testing.T, g *Given, change func(*release.Settings)) {
	t.Helper()
	programs, err := genuinePrograms()
	if err != nil {
		t.Fatal(err)
	}
	path, developer := b.publish(t, programs[b.stage.Package.Secrets], change)
	g.Package = path
	g.NewDevice = func(context.Context) (*device.Device, error) {
		return device.New(device.Config{
			Dir: t.TempDir(), Owner: "mallory", Roots: b.roots, Developers: []ed25519.PublicKey{developer}, Log: g.Log,
		})
	}
}

func notPinned(p *catalog.Policies) { p.Call.Pins = catalog.NotPinned }

func TestOnOwnDevice(t *testing.T) {
	t.Parallel()
	heardThrough := stage(t, "hmac", notPinned, withoutCertificate)
	tests := []struct {
		attack string
		stage  catalog.Stage
		claim  bool
		check  catalog.Check
	}{
		{"trusted-proxy", stage(t, "app-id"), true, ""},
		{"trusted-proxy", stage(t, "tls"), true, ""},
		{"trusted-proxy", stage(t, "pinned-mtls"), false, "pins"},
		{"trusted-proxy", stage(t, "pinned-mtls", notPinned), false, ""}, // the API wants a certificate
		{"repin", stage(t, "pinned-mtls"), true, ""},
		{"memory-hook", stage(t, "app-id"), true, ""},
		{"memory-hook", stage(t, "tls"), true, ""},
		{"memory-hook", stage(t, "pinned-mtls"), true, ""},
		{"repackaged-app", stage(t, "app-id"), true, ""},
		{"repackaged-app", stage(t, "tls"), true, ""},
		{"repackaged-app", stage(t, "pinned-mtls"), true, ""},
		{"instrumented-app", stage(t, "app-id"), true, ""},
		{"instrumented-app", stage(t, "tls"), true, ""},
		{"instrumented-app", stage(t, "pinned-mtls"), true, ""},

		{"trusted-proxy", stage(t, "hmac"), false, "pins"},
		{"trusted-proxy", heardThrough, false, ""}, // what is heard is signed
		{"trusted-proxy", stage(t, "user-session"), false, "pins"},
		{"repin", stage(t, "hmac"), true, ""},
		{"repin", stage(t, "hidden-secrets"), false, catalog.CheckHidden},
		{"repin", stage(t, "user-session"), false, catalog.CheckHidden},
		{"memory-hook", stage(t, "hmac"), true, ""},
		{"memory-hook", stage(t, "hidden-secrets"), true, ""},
		{"memory-hook", stage(t, "user-session"), true, ""},
		{"repackaged-app", stage(t, "hmac"), true, ""},
		{"repackaged-app", stage(t, "hidden-secrets"), true, ""},
		{"repackaged-app", stage(t, "user-session"), true, ""},
		{"instrumented-app", stage(t, "hmac"), true, ""},
		{"instrumented-app", stage(t, "hidden-secrets"), true, ""},
		{"instrumented-app", stage(t, "user-session"), true, ""},
		{"token-lift", stage(t, "user-session"), true, ""},
	}
	for _, test := range tests {
		t.Run(test.attack+" at "+test.stage.Slug, func(t *testing.T) {
			b := open(t, test.stage)
			g := b.given(t)
			b.onPhone(t, g, nil)
			result := run(t, test.attack, g, "")
			if result.Claim != test.claim || result.Check != test.check {
				t.Errorf("%+v", result)
			}
			if signed := test.attack == "trusted-proxy" && test.stage.Policies == heardThrough.Policies; (b.forged > 0) != signed {
				t.Errorf("%d payments under a MAC that was heard", b.forged)
			}
			booked := b.payments(reference)
			switch test.attack {
			case "repin":
				if strings.Contains(result.Data, "ref-canary") != test.claim {
					t.Errorf("read: %q", result.Data)
				}
			case "repackaged-app", "instrumented-app":
				if len(booked) != 1 || booked[0].Amount <= 100_000 {
					t.Errorf("booked: %+v", booked)
				}
				b.robbed(t, true)
			default:
				b.robbed(t, test.claim)
			}
		})
	}
}

// What the API refuses is the obstacle; what is broken is an error.
func TestOnOwnDeviceRefused(t *testing.T) {
	t.Parallel()
	attacks := map[string][]string{
		"tls":          {"trusted-proxy", "repin", "memory-hook", "repackaged-app", "instrumented-app"},
		"hmac":         {"repin", "memory-hook", "repackaged-app", "instrumented-app"},
		"user-session": {"memory-hook", "token-lift", "repackaged-app", "instrumented-app"},
	}
	for slug, names := range attacks {
		for _, attack := range names {
			refusedAndBroken(t, attack, slug)
		}
	}
}

func refusedAndBroken(t *testing.T, attack, slug string) {
	t.Run(attack+" at "+slug, func(t *testing.T) {
		b := open(t, stage(t, slug))
		g := b.given(t)
		b.onPhone(t, g, nil)
		b.key = "another" // the package's was revoked
		if result := run(t, attack, g, ""); result.Claim || !strings.Contains(result.Obstacle, "401") {
			t.Errorf("%+v", result)
		}
		b.broken = true
		run(t, attack, g, "500")
	})
}

// An app that wipes what it has read from files still holds the key as a number.
func TestMemoryHoldsTheKeyAsANumber(t *testing.T) {
	b := open(t, stage(t, "hidden-secrets"))
	g := b.given(t)
	b.onPhone(t, g, nil)
	phone, found, err := g.hook(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer phone.close()
	found.Certificates = loot.Certificates{All: found.Certificates.All}
	if err := phone.findKey(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	if len(found.Certificates.Pairs()) != 1 {
		t.Errorf("%d client certificates with their keys", len(found.Certificates.Pairs()))
	}
}

func TestBackupTheft(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*bank, map[string][]byte)
		claim  bool
		check  catalog.Check
	}{
		{"while the victim is signed in", func(*bank, map[string][]byte) {}, true, ""},
		{"after the session ended", func(b *bank, _ map[string][]byte) { clear(b.sessions) }, false, ""},
		{"nothing stored", func(_ *bank, storage map[string][]byte) { clear(storage) }, false, catalog.CheckHidden},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := open(t, stage(t, "user-session"))
			g := b.given(t)
			b.onPhone(t, g, nil)
			g.Storage = b.victimsStorage(t, g)
			test.change(b, g.Storage)
			if result := run(t, "backup-theft", g, ""); result.Claim != test.claim || result.Check != test.check {
				t.Errorf("%+v", result)
			}
			b.robbed(t, test.claim)
		})
	}
}

// victimsStorage is what the genuine app stores when alice has signed in.
func (b *bank) victimsStorage(t *testing.T, g *Given) map[string][]byte {
	t.Helper()
	victim, err := g.open(t.Context(), g.Package, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer victim.close()
	if err := victim.signInAs(t.Context(), "alice", alicesPassword); err != nil {
		t.Fatal(err)
	}
	storage, err := victim.device.Backup("com.harbourbank.app")
	if err != nil {
		t.Fatal(err)
	}
	return storage
}

func TestPasswordGrab(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, user, password string
		claim                bool
		obstacle             string
	}{
		{"the victim signs in", "alice", alicesPassword, true, ""},
		{"the victim mistypes", "alice", "horse correct", false, "401"},
		{"the victim thinks better of it", "", "", false, "typed no password"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := open(t, stage(t, "user-session"))
			g := b.given(t)
			b.onPhone(t, g, nil)
			g.LookAlike = &LookAlike{Used: func(ctx context.Context, path string) error {
				d, err := g.NewDevice(ctx)
				if err != nil {
					return err
				}
				defer d.Close()
				if err := sideload(d); err != nil {
					return err
				}
				installed, err := d.Install(path)
				if err != nil {
					return err
				}
				if installed.Label != "Harbour Bank" {
					t.Errorf("it is called %q", installed.Label)
				}
				app, err := d.Launch(ctx, installed.Name, g.Stage.Slug)
				if err != nil {
					return err
				}
				defer app.Close()
				if test.user == "" {
					_, err = app.Rates(ctx)
					return err
				}
				_, err = app.SignIn(ctx, test.user, test.password)
				return err
			}}
			result := run(t, "password-grab", g, "")
			if result.Claim != test.claim || !strings.Contains(result.Obstacle, test.obstacle) {
				t.Errorf("%+v", result)
			}
			b.robbed(t, test.claim)
		})
	}
}
