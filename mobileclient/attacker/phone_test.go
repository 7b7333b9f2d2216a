//go:build linux && (amd64 || arm64)

package attacker

import (
	"context"
	"crypto/ed25519"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
)

// genuineProgram builds the genuine app once for all tests.
var genuineProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "app")
	return path, release.BuildProgram(context.Background(), path)
})

// onPhone gives the attacker the genuine app's package and phones of one's own.
func (b *bank) onPhone(t *testing.T, g *Ground, change func(*release.Settings)) {
	t.Helper()
	program, err := genuineProgram()
	if err != nil {
		t.Fatal(err)
	}
	path, developer := b.publish(t, program, change)
	g.Package = path
	g.NewDevice = func(context.Context) (*device.Device, error) {
		return device.New(device.Config{
			Dir: t.TempDir(), Owner: "mallory", Roots: b.roots, Developers: []ed25519.PublicKey{developer}, Log: g.Log,
		})
	}
}

func notPinned(p *catalog.Policy) { p.Pins = catalog.NotPinned }

func TestOnOwnDevice(t *testing.T) {
	t.Parallel()
	tests := []struct {
		attack string
		stage  catalog.Stage
		claim  bool
		check  string
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
	}
	for _, test := range tests {
		t.Run(test.attack+" at "+test.stage.Slug, func(t *testing.T) {
			b := open(t, test.stage)
			g := b.ground(t)
			b.onPhone(t, g, nil)
			result := run(t, test.attack, g, "")
			if result.Claim != test.claim || result.Check != test.check {
				t.Errorf("%+v", result)
			}
			booked := b.payments(reference)
			switch test.attack {
			case "repin":
				if strings.Contains(result.Data, "ref-canary") != test.claim {
					t.Errorf("read: %q", result.Data)
				}
			case "repackaged-app", "instrumented-app":
				if len(booked) != 1 || booked[0].Amount <= 100_000 || booked[0].To != "HB-3001" {
					t.Errorf("booked: %+v", booked)
				}
			default:
				b.robbed(t, test.claim)
			}
		})
	}
}

// What the API refuses is the obstacle; what is broken is an error.
func TestOnOwnDeviceRefused(t *testing.T) {
	t.Parallel()
	for _, attack := range []string{"trusted-proxy", "repin", "memory-hook", "repackaged-app", "instrumented-app"} {
		t.Run(attack, func(t *testing.T) {
			b := open(t, stage(t, "tls"))
			g := b.ground(t)
			b.onPhone(t, g, nil)
			b.key = "another" // the package's was revoked
			if result := run(t, attack, g, ""); result.Claim || !strings.Contains(result.Obstacle, "401") {
				t.Errorf("%+v", result)
			}
			b.broken = true
			run(t, attack, g, "500")
		})
	}
}
