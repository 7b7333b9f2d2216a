package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"keyladder/internal/statefile"
)

// state is what the device remembers when it is switched off.
type state struct {
	Network     Network              `json:"network"`
	Sideloading bool                 `json:"sideloading"`
	Unlocked    bool                 `json:"unlocked"`
	System      *System              `json:"system,omitempty"` // nil: the maker's
	Trusted     []string             `json:"trusted"`          // PEM, one certificate each
	Packages    map[string]Installed `json:"packages"`
	Identifiers map[string]string    `json:"identifiers"` // of installations, by the package's name
}

const stateFile = "device.json"

// load reads the state of an earlier run. Packages are not believed: whoever has the
// folder can write to it, and a phone checks its apps when it starts.
func (d *Device) load() error {
	data, err := os.ReadFile(filepath.Join(d.config.Dir, stateFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		if err := json.Unmarshal(data, &d.state); err != nil {
			path := filepath.Join(d.config.Dir, stateFile)
			return fmt.Errorf("%[1]s is damaged (%[2]w): put back a copy, or type `rm %[1]s`, after which the phone begins without apps, settings and trusted CAs of its own", path, err)
		}
	}
	packages := map[string]Installed{}
	for name, installed := range d.state.Packages {
		image, err := newImage(d.packagePath(name))
		if err != nil {
			continue // it is gone, or no longer a package
		}
		if image.Name != name || !image.Signer.Equal(installed.Signer) {
			image.close()
			continue // no longer what was installed; it can be installed again
		}
		installed.Package = *image.Package
		installed.Path = d.packagePath(name)
		installed.Genuine = d.vouchedFor(image.Package)
		packages[name] = installed
		d.hold(image)
	}
	d.state.Packages = packages
	return nil
}

// save writes the state; the caller holds d.mu.
func (d *Device) save() error {
	data, err := json.MarshalIndent(d.state, "", "  ")
	if err != nil {
		return err
	}
	if err := statefile.Write(filepath.Join(d.config.Dir, stateFile), data); err != nil {
		return fmt.Errorf("save the device's settings: %w", err)
	}
	return nil
}

// now is when something is installed, as it is written down.
func now() time.Time { return time.Now().UTC().Round(0) }

// Unlock says whether the owner of the phone can change the system that it runs, as they can once
// its boot loader is unlocked, or they are root. Apps are told when they ask, and the secure hardware
// says so in all evidence. It erases the keys of all apps, and so it does when the boot loader is locked
// again: what was made on a phone that nobody could change is none of theirs who now can. Nothing else
// of this phone becomes different: whoever has it in their hands can do with its apps what they like anyway.
func (d *Device) Unlock(unlocked bool) error {
	d.mu.Lock()
	if d.state.Unlocked == unlocked {
		d.mu.Unlock()
		return nil
	}
	d.state.Unlocked = unlocked
	d.changed()
	err := d.save()
	d.mu.Unlock()
	return errors.Join(err, d.secure.restart(d.booted))
}

// Unlocked is whether its owner can.
func (d *Device) Unlocked() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state.Unlocked
}

// Identifier is what the device calls an app's installation; empty where the app has not
// asked for it yet.
func (d *Device) Identifier(name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state.Identifiers[name]
}

// identifier is what the device calls an installation: random, so that it says nothing
// about the phone and can't be guessed, and of this app alone, so that two apps can't
// compare notes. It stays through restarts and updates, and goes when the app is
// uninstalled. It is no secret: the app tells it to its server.
//
//keyladder:code device-identifier
func (d *Device) identifier(name string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.state.Packages[name]; !ok {
		return "", ErrNotInstalled
	}
	if known, ok := d.state.Identifiers[name]; ok {
		return known, nil
	}
	if d.state.Identifiers == nil {
		d.state.Identifiers = map[string]string{}
	}
	made := d.config.NewIdentifier()
	d.state.Identifiers[name] = made
	if err := d.save(); err != nil {
		delete(d.state.Identifiers, name) // or the next start would make another
		return "", err
	}
	return made, nil
}
