package device

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"keyladder/mobileclient/device/confine"
	"keyladder/mobileclient/device/hardware"
	"keyladder/mobileclient/device/sdk"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
)

// Errors about secure hardware.
var (
	// ErrNoHardware means that the device was made without secure hardware.
	ErrNoHardware = errors.New("the phone has no secure hardware")
	// ErrLocked means that nobody but the system may do that while the boot loader is locked.
	ErrLocked = errors.New("the phone is locked: unlock its boot loader first")
	// ErrSystemName means that a system can't be called so.
	ErrSystemName = errors.New("call the system something with up to 31 letters, digits, spaces, full stops and hyphens, a letter first")
)

// HardwareFolder is where a device whose folder is given looks for its secure hardware, which comes from
// a factory. One that is not there when the device is switched on, it does not have.
func HardwareFolder(dir string) string { return filepath.Join(dir, "hardware") }

// secure is the device's line to its secure hardware. That is started when it is first needed: most
// stages don't.
type secure struct {
	dir string // empty: there is none

	mu     sync.Mutex
	line   *hardware.Client // nil: it does not run
	cmd    *exec.Cmd
	ended  chan struct{} // closed when its process is gone
	closed bool
}

// running is the line to the hardware, which is started where it does not run. The boot loader speaks
// to it first.
func (s *secure) running(boot func() evidence.System) (*hardware.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.dir == "":
		return nil, ErrNoHardware
	case s.closed:
		return nil, ErrClosed
	case s.line != nil:
		return s.line, nil
	}
	near, far, err := socketPair("secure hardware")
	if err != nil {
		return nil, err
	}
	defer far.Close() // it has its own copy
	cmd, err := hardware.Command(s.dir, far)
	if err == nil {
		apart(cmd) // it is the phone that ends it
		err = cmd.Start()
	}
	if err != nil {
		near.Close()
		return nil, fmt.Errorf("start the secure hardware: %w", err)
	}
	line, ended := hardware.NewClient(near), make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended it has said itself
		close(ended)
	}()
	if err := line.Boot(boot()); err != nil {
		line.Close()
		<-ended
		return nil, err
	}
	s.line, s.cmd, s.ended = line, cmd, ended
	return line, nil
}

// stop ends it, if it runs; the caller holds s.mu.
func (s *secure) stop() {
	if s.line == nil {
		return
	}
	s.line.Close()
	late := time.AfterFunc(endTimeout, func() { confine.Kill(s.cmd.Process) })
	<-s.ended
	late.Stop()
	s.line, s.cmd, s.ended = nil, nil, nil
}

// restart takes its power away, and gives it again, if it has any.
func (s *secure) restart(boot func() evidence.System) error {
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	if _, err := s.running(boot); err != nil && !errors.Is(err, ErrNoHardware) {
		return err
	}
	return nil
}

func (s *secure) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.stop()
}

// booted is what the boot loader tells the hardware that it has started.
func (d *Device) booted() evidence.System {
	d.mu.Lock()
	defer d.mu.Unlock()
	started := hardware.MakersSystem(!d.state.Unlocked)
	if other := d.state.System; other != nil {
		started.Name, started.Version, started.Key = other.Name, other.Version, other.Key
	}
	return started
}

// askHardware asks the secure hardware. One that has stopped by itself is started again, once.
func (d *Device) askHardware(ask func(*hardware.Client) error) error {
	for again := true; ; again = false {
		line, err := d.secure.running(d.booted)
		if err != nil {
			return err
		}
		if err = ask(line); !again || !errors.Is(err, hardware.ErrGone) {
			return err
		}
		d.secure.mu.Lock()
		if d.secure.line == line {
			d.secure.stop()
		}
		d.secure.mu.Unlock()
	}
}

// System is an operating system that somebody has put on a device.
type System struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Key     pin.Pin `json:"key"` // with which it is signed
}

// MakeSystem makes a system of somebody's own, under a name. The key that it is signed with is made for it,
// and nobody keeps that: there is one version.
func MakeSystem(name string) (*System, error) {
	if !systemName.MatchString(name) {
		return nil, ErrSystemName
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for the system: %w", err)
	}
	of, err := pin.OfKey(key.Public())
	return &System{Name: name, Version: "1", Key: of}, err
}

// systemName is what systems are called.
var systemName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9 .-]{0,30}$`)

// System is the one that somebody has put on the device; nil: it runs its maker's.
func (d *Device) System() *System {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state.System
}

// InstallSystem puts another operating system in place of the one that is there; nil: the maker's again.
// That takes a boot loader that is unlocked ([ErrLocked]). It may be locked again afterwards: then it
// starts no other system than one that is signed with the same key. Keys of apps are gone.
func (d *Device) InstallSystem(other *System) error {
	d.mu.Lock()
	if !d.state.Unlocked {
		d.mu.Unlock()
		return fmt.Errorf("install a system: %w", ErrLocked)
	}
	d.state.System = other
	d.changed()
	err := d.save()
	d.mu.Unlock()
	return errors.Join(err, d.secure.restart(d.booted))
}

// asking is the app for the hardware. An app that was updated meanwhile is about to end, and is none any
// more.
func (a *App) asking() (hardware.App, error) {
	a.device.mu.Lock()
	current := a.device.state.Packages[a.installed.Name]
	a.device.mu.Unlock()
	if current.SHA256 != a.installed.SHA256 {
		return hardware.App{}, ErrChanged
	}
	return hardwareApp(a.installed)
}

func hardwareApp(installed Installed) (hardware.App, error) {
	signer, err := pin.OfKey(installed.Signer)
	return hardware.App{Name: installed.Name, Signer: signer, Measurement: attestation.Measurement(installed.SHA256)}, err
}

// Key answers with the public half of the app's key.
func (s *system) Key(_ sdk.None, key *jwk.Key) error {
	app, err := s.app.asking()
	if err != nil {
		return err
	}
	return s.app.device.askHardware(func(line *hardware.Client) (err error) {
		*key, err = line.Key(app)
		return err
	})
}

// Sign has the app's key sign a SHA-256.
func (s *system) Sign(digest []byte, signature *[]byte) error {
	app, err := s.app.asking()
	if err != nil {
		return err
	}
	return s.app.device.askHardware(func(line *hardware.Client) (err error) {
		*signature, err = line.Sign(app, digest)
		return err
	})
}

// Evidence has the hardware say what the device and the app are.
func (s *system) Evidence(asked sdk.Asked, text *string) error {
	app, err := s.app.asking()
	if err != nil {
		return err
	}
	debug := evidence.DebugDisabled
	if confine.Debugged(s.app.PID()) {
		debug = evidence.DebugEnabled
	}
	return s.app.device.askHardware(func(line *hardware.Client) (err error) {
		*text, err = line.Evidence(hardware.Asked{App: app, Nonce: asked.Nonce, Bound: asked.Bound, Debug: debug})
		return err
	})
}

// Impostor speaks to the secure hardware in the name of an app that it is not.
type Impostor struct {
	device *Device
	as     hardware.App
}

// Impersonate is what the owner of a phone can do once its boot loader is unlocked: the system is theirs,
// and tells the hardware that an app asks where it is a program of their own. [ErrLocked] otherwise.
func (d *Device) Impersonate(name string) (*Impostor, error) {
	d.mu.Lock()
	installed, ok := d.state.Packages[name]
	unlocked := d.state.Unlocked
	d.mu.Unlock()
	switch {
	case !unlocked:
		return nil, ErrLocked
	case !ok:
		return nil, ErrNotInstalled
	}
	app, err := hardwareApp(installed)
	return &Impostor{d, app}, err
}

// Key is the public half of the app's key.
func (i *Impostor) Key() (key jwk.Key, err error) {
	err = i.device.askHardware(func(line *hardware.Client) (err error) {
		key, err = line.Key(i.as)
		return err
	})
	return key, err
}

// Sign has the app's key sign a SHA-256. The signature is in ASN.1.
func (i *Impostor) Sign(digest []byte) (signature []byte, err error) {
	err = i.device.askHardware(func(line *hardware.Client) (err error) {
		signature, err = line.Sign(i.as, digest)
		return err
	})
	return signature, err
}

// Evidence has the hardware say what the device and the app are, as if nothing debugged it.
func (i *Impostor) Evidence(nonce, bound []byte) (text string, err error) {
	err = i.device.askHardware(func(line *hardware.Client) (err error) {
		text, err = line.Evidence(hardware.Asked{App: i.as, Nonce: nonce, Bound: bound, Debug: evidence.DebugDisabled})
		return err
	})
	return text, err
}
