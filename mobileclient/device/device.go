package device

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"time"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/release"
)

// Config is what a device is made with.
type Config struct {
	Dir         string              // where it keeps its packages, storage and settings
	Owner       string              // the customer whose phone it is: alice
	Roots       []byte              // trust store as shipped, PEM
	Developers  []ed25519.PublicKey // signers that the app store vouches for
	Address     string              // source IP of its connections; empty: any
	Log         *traffic.Log        // nil: nothing is recorded
	Participant string              // name of its apps in traffic; empty: app
}

// Network is how the device reaches the network.
type Network struct {
	AccessPoint string `json:"access_point"` // host:port of the router that it joined; empty: direct
	Proxy       string `json:"proxy"`        // URL of an HTTP proxy that apps honour; empty: none
}

// Installed is an installed package.
type Installed struct {
	release.Package
	Genuine     bool // its signer is one that the app store vouches for
	InstalledAt time.Time
}

// Payment is what a user types in to make a transfer.
type Payment struct {
	From      string `json:"from"`
	To        string `json:"to"`
	Amount    int64  `json:"amount"` // minor units
	Reference string `json:"reference"`
}

// Screen is what the app shows when it has done what it was asked for.
type Screen struct {
	OK     bool            `json:"ok"`
	Status int             `json:"status"`          // HTTP; 0: there was no response
	Body   json.RawMessage `json:"body,omitempty"`  // as the API sent it
	Check  string          `json:"check,omitempty"` // the check of the app's own that refused, if one did
	Error  string          `json:"error,omitempty"` // for the user
}

// Device is a phone.
type Device struct{}

// App is a running app.
type App struct{}

var errTODO = errors.New("device: not written yet")

func New(Config) (*Device, error)                        { return nil, errTODO }
func (d *Device) Close() error                           { return errTODO }
func (d *Device) AllowSideloading(bool)                  {}
func (d *Device) Trust(pem []byte) error                 { return errTODO }
func (d *Device) SetNetwork(Network)                     {}
func (d *Device) Network() Network                       { return Network{} }
func (d *Device) Install(path string) (Installed, error) { return Installed{}, errTODO }
func (d *Device) Installed() []Installed                 { return nil }
func (d *Device) Uninstall(name string) error            { return errTODO }
func (d *Device) Launch(ctx context.Context, name, stage string) (*App, error) {
	return nil, errTODO
}

func (a *App) PID() int            { return 0 }
func (a *App) Measurement() string { return "" }
func (a *App) Close() error        { return errTODO }

func (a *App) Rates(ctx context.Context) (Screen, error)    { return Screen{}, errTODO }
func (a *App) Accounts(ctx context.Context) (Screen, error) { return Screen{}, errTODO }
func (a *App) Account(ctx context.Context, account string) (Screen, error) {
	return Screen{}, errTODO
}

func (a *App) Transfers(ctx context.Context, account string) (Screen, error) {
	return Screen{}, errTODO
}

func (a *App) Transfer(ctx context.Context, payment Payment) (Screen, error) {
	return Screen{}, errTODO
}

func (a *App) Freeze(ctx context.Context, account string, frozen bool) (Screen, error) {
	return Screen{}, errTODO
}
