package attack

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keyladder/mobileclient/attacker/loot"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
)

// SearchPackage looks through the package file without running it.
func (g *Given) SearchPackage() (*loot.Loot, error) {
	file, err := os.ReadFile(g.Package)
	if err != nil {
		return nil, fmt.Errorf("read the package: %w", err)
	}
	found := &loot.Loot{}
	g.Say("Read the package, %d bytes, as `strings` does.", len(file))
	found.Search(file)
	for decoded := range loot.Decoded(file) {
		found.Search(decoded)
	}
	_, _, assets, err := release.Read(g.Package)
	if err != nil {
		return nil, fmt.Errorf("unzip the package: %w", err)
	}
	names := slices.Sorted(maps.Keys(assets))
	g.Say("Unzipped its assets: %s.", strings.Join(names, ", "))
	for _, name := range names {
		found.Search(assets[name])
	}
	return found, nil
}

// PackageTexts are the texts in the package that look most like secrets, best first.
func (g *Given) PackageTexts() ([]string, error) {
	file, err := os.ReadFile(g.Package)
	if err != nil {
		return nil, fmt.Errorf("read the package: %w", err)
	}
	texts := loot.Texts{}
	texts.Collect(file)
	return texts.LikeSecrets(), nil
}

// TransferCap reads from the package how much the app transfers at once.
func (g *Given) TransferCap() (int64, error) {
	_, _, assets, err := release.Read(g.Package)
	if err != nil {
		return 0, fmt.Errorf("take the package apart: %w", err)
	}
	var settings struct {
		TransferCap int64 `json:"TRANSFER_CAP"`
	}
	if err := json.Unmarshal(assets[release.SettingsFile], &settings); err != nil {
		return 0, fmt.Errorf("read the app's settings: %w", err)
	}
	if settings.TransferCap <= 0 {
		return 0, errors.New("the app's settings name no cap")
	}
	return settings.TransferCap, nil
}

// Repackage takes the package apart, lets change edit its settings, puts it together
// again and signs it with a key that was made a moment ago. It returns the path of the
// result.
func (g *Given) Repackage(change func(settings map[string]any) error) (string, error) {
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

// Sideload lets a device install packages of any signer.
func Sideload(d *device.Device) error { return d.AllowSideloading(true) }
