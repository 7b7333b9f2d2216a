package attacker

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
)

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
