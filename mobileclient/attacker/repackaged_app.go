package attacker

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
)

// repackagedApp changes the app itself: it raises the cap in the package's settings,
// signs the package with another key and installs it on a phone that takes packages
// from anywhere. Everything else in it is genuine, secrets included, so the API sees
// the app that it knows.
//
//keyladder:code attack-repackaged-app
func repackagedApp(ctx context.Context, g *Given) (Result, error) {
	transferCap, err := g.transferCap()
	if err != nil {
		return Result{}, err
	}
	path, err := g.repackage(func(settings map[string]any) error {
		settings["TRANSFER_CAP"] = json.Number(fmt.Sprint(transferCap * 1000))
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	g.Say("Took the package apart, raised TRANSFER_CAP from %d to %d, and signed it with a key of our own.", transferCap, transferCap*1000)
	phone, err := g.open(ctx, path, sideload)
	if err != nil {
		return Result{}, err
	}
	defer phone.close()
	g.Say("Installed it on a phone that allows any signer, and started it.")
	if err := phone.signIn(ctx); err != nil {
		return stopped(err)
	}
	payment, err := phone.payment(ctx, transferCap+pittance)
	if err != nil {
		return stopped(err)
	}
	if _, err := shown(phone.app.Transfer(ctx, payment)); err != nil {
		return stopped(err)
	}
	g.Say("Transferred %d minor units with it; the genuine app stops at %d.", payment.Amount, transferCap)
	return Result{Claim: true}, nil
}

// repackage takes the package apart, lets change edit its settings, puts it together
// again and signs it with a key that was made a moment ago. It returns the path of the
// result.
func (g *Given) repackage(change func(settings map[string]any) error) (string, error) {
	program, manifest, assets, err := release.Read(g.Package)
	if err != nil {
		return "", fmt.Errorf("take the package apart: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(assets[release.SettingsFile]))
	decoder.UseNumber()
	var settings map[string]any
	if err := decoder.Decode(&settings); err != nil {
		return "", fmt.Errorf("read the app's settings: %w", err)
	}
	if err := change(settings); err != nil {
		return "", err
	}
	if assets[release.SettingsFile], err = json.Marshal(settings); err != nil {
		return "", err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	unpacked := filepath.Join(g.Dir, "program")
	if err := os.WriteFile(unpacked, program, 0o700); err != nil {
		return "", fmt.Errorf("unpack the app's program: %w", err)
	}
	packed := filepath.Join(g.Dir, "repackaged.pkg")
	if err := release.Pack(packed, unpacked, manifest, assets, key); err != nil {
		return "", fmt.Errorf("pack it again: %w", err)
	}
	return packed, nil
}

// sideload lets a device install packages of any signer.
func sideload(d *device.Device) error { return d.AllowSideloading(true) }
