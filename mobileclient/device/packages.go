package device

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"keyladder/mobileclient/device/hardware"
	"keyladder/mobileclient/release"
)

// Installed is an installed package. Its path is the device's own copy.
type Installed struct {
	release.Package
	Genuine     bool      `json:"genuine"` // its signer is one that the app store vouches for
	InstalledAt time.Time `json:"installed_at"`
}

// AllowSideloading says whether packages of signers that the app store does not know
// may be installed. Packages that are installed already stay.
func (d *Device) AllowSideloading(allowed bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.Sideloading = allowed
	return d.save()
}

// Sideloading is whether sideloading is allowed.
func (d *Device) Sideloading() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state.Sideloading
}

// Install installs a copy of a package, or updates what is installed under its name,
// which ends it where it runs and keeps its storage. It refuses a package that is not
// signed or was changed after it was ([release.ErrUnsigned], [release.ErrSignature]),
// one of an unknown signer ([ErrSideloading]), and an update by another signer
// ([ErrOtherSigner]).
func (d *Device) Install(path string) (Installed, error) {
	return d.install(path, take) // the copy is checked, not the original, which might change in between
}

func (d *Device) install(path string, take func(dir, path string) (*image, string, error)) (Installed, error) {
	image, staged, err := take(filepath.Join(d.config.Dir, "packages"), path)
	if err != nil {
		return Installed{}, fmt.Errorf("install %s: %w", path, err)
	}
	defer os.Remove(staged) // gone already when all went well
	d.mu.Lock()
	installed, running, err := d.replace(image, staged)
	d.mu.Unlock()
	if err != nil {
		return Installed{}, fmt.Errorf("install %s: %w", path, err)
	}
	for _, app := range running {
		if err := app.Close(); err != nil {
			return Installed{}, fmt.Errorf("end %s to update it: %w", installed.Name, err)
		}
	}
	return installed, nil
}

// replace puts a package in place of what is installed under its name. The image is the device's, or
// closed; the caller holds d.mu.
func (d *Device) replace(i *image, staged string) (Installed, []*App, error) {
	held := false
	defer func() {
		if !held {
			i.close()
		}
	}()
	p := i.Package
	if d.closed {
		return Installed{}, nil, ErrClosed
	}
	genuine := d.vouchedFor(p)
	if !genuine && !d.state.Sideloading {
		return Installed{}, nil, ErrSideloading
	}
	// Or a stranger's app would inherit the storage, which is what this app's users
	// have entrusted to this app's developer.
	if before, ok := d.state.Packages[p.Name]; ok && !before.Signer.Equal(p.Signer) {
		return Installed{}, nil, ErrOtherSigner
	}
	p.Path = d.packagePath(p.Name)
	if err := os.Rename(staged, p.Path); err != nil {
		return Installed{}, nil, err
	}
	installed := Installed{Package: *p, Genuine: genuine, InstalledAt: now()}
	d.state.Packages[p.Name] = installed
	d.hold(i)
	held = true
	return installed, d.running(p.Name), d.save()
}

// Installed are the installed packages, in order of their names.
func (d *Device) Installed() []Installed {
	d.mu.Lock()
	defer d.mu.Unlock()
	packages := make([]Installed, 0, len(d.state.Packages))
	for _, installed := range d.state.Packages {
		packages = append(packages, installed)
	}
	slices.SortFunc(packages, func(a, b Installed) int { return cmp.Compare(a.Name, b.Name) })
	return packages
}

// Uninstall ends an app and removes it with all that it stored.
func (d *Device) Uninstall(name string) error {
	d.mu.Lock()
	if _, ok := d.state.Packages[name]; !ok {
		d.mu.Unlock()
		return fmt.Errorf("uninstall %s: %w", name, ErrNotInstalled)
	}
	delete(d.state.Packages, name)
	d.drop(name)
	delete(d.state.Identifiers, name)
	running := d.running(name)
	err := d.save()
	d.mu.Unlock()
	errs := []error{err}
	for _, app := range running {
		errs = append(errs, app.Close())
	}
	if d.secure.dir != "" {
		errs = append(errs, d.askHardware(func(line *hardware.Client) error { return line.Erase(name) }))
	}
	errs = append(errs, os.Remove(d.packagePath(name)), os.RemoveAll(d.storagePath(name)))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("uninstall %s: %w", name, err)
	}
	return nil
}

// running are the running apps of a package; the caller holds d.mu.
func (d *Device) running(name string) []*App {
	var apps []*App
	for _, app := range d.apps {
		if app.installed.Name == name {
			apps = append(apps, app)
		}
	}
	return apps
}

func (d *Device) vouchedFor(p *release.Package) bool {
	return slices.ContainsFunc(d.config.Developers, func(key ed25519.PublicKey) bool { return key.Equal(p.Signer) })
}

// packagePath is where a package lives; names are checked by package release.
func (d *Device) packagePath(name string) string {
	return filepath.Join(d.config.Dir, "packages", name+".pkg")
}

// hold keeps the image of what is installed under its name; the caller holds d.mu.
func (d *Device) hold(i *image) {
	d.drop(i.Name)
	d.images[i.Name] = i
}

// drop lets go of an image, if there is one; the caller holds d.mu.
func (d *Device) drop(name string) {
	if i, ok := d.images[name]; ok {
		delete(d.images, name)
		i.close()
	}
}
