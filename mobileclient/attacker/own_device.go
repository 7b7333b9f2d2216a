package attacker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"keyladder/internal/problem"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
)

// phone is the attacker's own phone with the app open, genuine or not.
type phone struct {
	g      *Given
	device *device.Device
	app    *device.App
}

// open installs a package on a new device, prepares the device and starts the app.
func (g *Given) open(ctx context.Context, path string, prepare func(*device.Device) error) (*phone, error) {
	d, err := g.NewDevice(ctx)
	if err != nil {
		return nil, fmt.Errorf("get a phone: %w", err)
	}
	p := &phone{g: g, device: d}
	if prepare != nil {
		if err := prepare(d); err != nil {
			p.close()
			return nil, fmt.Errorf("prepare the phone: %w", err)
		}
	}
	installed, err := d.Install(path)
	if err != nil {
		p.close()
		return nil, fmt.Errorf("install the package: %w", err)
	}
	if p.app, err = d.Launch(ctx, installed.Name, g.Stage.Slug); err != nil {
		p.close()
		return nil, fmt.Errorf("start the app: %w", err)
	}
	return p, nil
}

func (p *phone) close() {
	if p.app != nil {
		_ = p.app.Close() // it is thrown away with the device
	}
	_ = p.device.Close()
}

// shown is nil where the app shows what it was asked for, and a [*refusal] where a
// protection stopped it, in the app or at the API.
func shown(screen device.Screen, err error) (device.Screen, error) {
	switch {
	case err != nil:
		return screen, fmt.Errorf("use the app: %w", err)
	case screen.OK:
		return screen, nil
	case screen.Check != "":
		return screen, &refusal{check: screen.Check, obstacle: "the app refuses: " + screen.Error}
	case screen.Status != 0:
		return screen, judge(screen.Status, problem.ContentType, screen.Body)
	}
	return screen, fmt.Errorf("the app does not work: %s", screen.Error)
}

// signIn signs the attacker in, who is a customer, too, where the stage knows users.
func (p *phone) signIn(ctx context.Context) error {
	return p.signInAs(ctx, p.g.User, p.g.Password)
}

func (p *phone) signInAs(ctx context.Context, user, password string) error {
	if p.g.Stage.Call.UserProof == catalog.NoUser {
		return nil
	}
	_, err := shown(p.g.SignIn(ctx, p.device, p.app, user, password))
	return err
}

// robbery uses the app to find out what to book.
func (p *phone) robbery(ctx context.Context) (from account, to string, err error) {
	screen, err := shown(p.app.Accounts(ctx))
	if err != nil {
		return account{}, "", err
	}
	return p.g.robbery(screen.Body)
}

// payment is one of the amount that takes what can be taken.
func (p *phone) payment(ctx context.Context, amount int64) (device.Payment, error) {
	from, to, err := p.robbery(ctx)
	return device.Payment{From: from.ID, To: to, Amount: amount, Reference: p.g.Reference}, err
}

// transferCap reads from the package how much the app transfers at once.
func (g *Given) transferCap() (int64, error) {
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
