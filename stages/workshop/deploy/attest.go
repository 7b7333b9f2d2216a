package deploy

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"keyladder/mobileclient/device/hardware"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/protect"
)

// App is the bank's app for an attestation service, without a process: it answers out of the package
// file, as an app does that finds nothing wrong about its surroundings, and on a phone whose system has
// measured that file. Close it.
type App struct {
	Measured protect.Measured

	release int
	device  string // as the phone names the installation
	file    *os.File
	phone   *hardware.Client // nil: it has no secure hardware
	asking  hardware.App
}

// OpenApp opens the app of a package, on a phone that calls itself so. The folder is the phone's
// secure hardware; one that is none has no part in it.
func OpenApp(path, device, folder string) (*App, error) {
	return OpenAppOn(path, device, folder, hardware.MakersSystem(true))
}

// OpenAppOn is the same where the phone has started another system, or its boot loader is unlocked.
func OpenAppOn(path, device, folder string, started evidence.System) (_ *App, err error) {
	a := &App{device: device}
	defer func() {
		if err != nil {
			a.Close()
			err = fmt.Errorf("take the place of an app, with %s: %w", path, err)
		}
	}()
	manifest, _, err := release.Assets(path)
	if err != nil {
		return nil, err
	}
	a.release = manifest.Release
	if a.file, err = os.Open(path); err != nil {
		return nil, err
	}
	info, err := a.file.Stat()
	if err != nil {
		return nil, err
	}
	developer, sum, err := release.Measure(a.file, info.Size())
	if err != nil {
		return nil, err
	}
	signer, err := pin.OfKey(developer)
	if err != nil {
		return nil, err
	}
	a.Measured = protect.Measured{Package: a.file, Size: info.Size(), Measurement: attestation.Measurement(sum)}
	a.asking = hardware.App{Name: manifest.Name, Signer: signer, Measurement: a.Measured.Measurement}
	if hardware.Exists(folder) {
		a.phone, err = hardware.Within(folder, started)
	}
	return a, err
}

// Close closes the package, and switches the phone off.
func (a *App) Close() {
	if a.phone != nil {
		a.phone.Close()
	}
	if a.file != nil {
		a.file.Close()
	}
}

// Equip has a caller sign with the app's key, where the stage binds tokens to one.
func (a *App) Equip(caller *protect.Caller) (*protect.Caller, error) {
	if a.phone == nil || caller.Policy().Binding != catalog.TokenOfKey {
		return caller, nil
	}
	key, err := a.phone.Signer(a.asking)
	if err != nil {
		return nil, err
	}
	return caller.As(func(as *protect.Identity) { as.Key = key })
}

// Evidence is what answers an attestation service, with those findings.
func (a *App) Evidence(found attestation.Findings) protect.Evidence {
	return func(c attestation.Challenge) (attestation.Evidence, error) {
		if c.ForDevice() && a.phone != nil {
			return protect.DeviceEvidence(a.ask, found)(c)
		}
		return a.Measured.Evidence(found)(c)
	}
}

func (a *App) ask(nonce, bound []byte) (string, error) {
	return a.phone.Evidence(hardware.Asked{App: a.asking, Nonce: nonce, Bound: bound, Debug: evidence.DebugDisabled})
}

// Attester asks the attestation service of a caller's stage in the name of the app.
func (a *App) Attester(caller *protect.Caller) (*protect.Attester, error) {
	attester, err := caller.Attester(a.release, a.device)
	if err == nil {
		attester.Size = a.Measured.Size
	}
	return attester, err
}

// Attest has the attestation service look at the app. The client decides how the service is reached.
func (a *App) Attest(ctx context.Context, client *http.Client, caller *protect.Caller) (protect.Attested, error) {
	attester, err := a.Attester(caller)
	if err != nil {
		return protect.Attested{}, err
	}
	return attester.Attest(ctx, client, a.Evidence(attestation.Findings{}))
}
