package device

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"keyladder/internal/route"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/device/hardware"
	"keyladder/mobileclient/device/sdk"
)

// Config is what a device is made with.
type Config struct {
	Dir         string              // where it keeps packages, storage and settings; made if need be
	Owner       string              // the customer whose phone it is: alice
	Roots       []byte              // trust store as shipped, PEM
	Developers  []ed25519.PublicKey // signers that the app store vouches for
	Routes      route.Table         // where addresses lead; nil: they are what they are
	Log         *traffic.Log        // nil: nothing is recorded
	Participant string              // name of its apps in traffic; empty: app
	Agent       string              // name of its user agent there; empty: [AgentParty]
	Servers     map[string]string   // names there of those at an address, host:port; others are the network

	NewIdentifier func() string // makes what it calls an installation; nil: [rand.Text]
}

// The requests to an app, and the screens that it shows.
type (
	// Payment is what a user types in to make a transfer.
	Payment = sdk.Payment
	// Screen is what the app shows when it has done what it was asked for.
	Screen = sdk.Screen
	// SignInWay is how an app has its user sign in.
	SignInWay = sdk.SignInWay
)

// How an app has its user sign in.
const (
	InApp  = sdk.InApp
	InPage = sdk.InPage
)

// AgentParty is what a user agent is called in traffic, unless its device says otherwise.
const AgentParty = "user agent"

// Errors of this package.
var (
	// ErrNotInstalled means that there is no app of that name on the device.
	ErrNotInstalled = errors.New("the app is not installed")
	// ErrSideloading means that the app store does not vouch for a package's signer.
	ErrSideloading = errors.New("the package does not come from a developer that the app store knows: allow sideloading to install it all the same")
	// ErrOtherSigner means that a package can't update what somebody else signed.
	ErrOtherSigner = errors.New("another version by a different signer is installed: uninstall it first")
	// ErrChanged means that an installed package is no longer what was installed.
	ErrChanged = errors.New("the installed package was changed: install it again")
	// ErrStopped means that the app is no longer running.
	ErrStopped = errors.New("the app has stopped")
	// ErrClosed means that the device was closed.
	ErrClosed = errors.New("the device is switched off")
)

// Device is a phone. Its methods may be called at the same time.
type Device struct {
	config Config
	roots  *x509.CertPool
	secure secure // its secure hardware

	mu      sync.Mutex
	state   state
	images  map[string]*image // of what is installed, by the package's name
	version int               // of what apps are told, see sdk.Settings
	apps    []*App            // running, in order of their start
	lines   map[*line]bool    // open connections
	agent   *Agent
	closed  bool
}

// New switches a device on. Apps and settings from before, under the same folder,
// are there again.
func New(config Config) (*Device, error) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		return nil, fmt.Errorf("the phone runs on Linux and macOS only, not on %s", runtime.GOOS)
	}
	if config.Participant == "" {
		config.Participant = "app"
	}
	if config.Agent == "" {
		config.Agent = AgentParty
	}
	if config.NewIdentifier == nil {
		config.NewIdentifier = rand.Text
	}
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("switch the device on: %w", err)
	}
	config.Dir = dir
	d := &Device{config: config, version: 1, images: map[string]*image{}, lines: map[*line]bool{}}
	if len(config.Roots) > 0 && !x509.NewCertPool().AppendCertsFromPEM(config.Roots) {
		return nil, errors.New("switch the device on: there is no certificate in the trust store that it was shipped with")
	}
	for _, folder := range []string{"packages", "storage"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return nil, fmt.Errorf("switch the device on: %w", err)
		}
	}
	if err := d.load(); err != nil {
		return nil, fmt.Errorf("switch the device on: %w", err)
	}
	if folder := HardwareFolder(dir); hardware.Exists(folder) {
		d.secure.dir = folder
	}
	d.refreshRoots()
	d.agent = newAgent(d)
	return d, nil
}

// Owner is the customer whose phone it is.
func (d *Device) Owner() string { return d.config.Owner }

// Close stops all apps and ends all connections. Installed apps stay.
func (d *Device) Close() error {
	d.mu.Lock()
	d.closed = true
	apps := slices.Clone(d.apps)
	d.mu.Unlock()
	var errs []error
	for _, app := range apps {
		errs = append(errs, app.Close())
	}
	d.hangUp()
	d.agent.close()
	d.secure.close()
	d.mu.Lock()
	for name := range d.images {
		d.drop(name)
	}
	d.mu.Unlock()
	return errors.Join(errs...)
}

func (d *Device) record(m traffic.Message) {
	d.config.Log.Add(m)
}
