package attack

import (
	"context"
	"fmt"
	"net/http"

	"keyladder/internal/problem"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

// Phone is the attacker's own phone with the app open, genuine or not.
type Phone struct {
	Device  *device.Device
	Package string      // the app's name
	App     *device.App // nil: not started
	g       *Given
}

// Open installs a package on a new device, prepares the device and starts the app.
func (g *Given) Open(ctx context.Context, path string, prepare func(*device.Device) error) (*Phone, error) {
	p, err := g.Install(ctx, path, prepare)
	if err != nil {
		return nil, err
	}
	if err := p.Start(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Install prepares a new device and installs a package on it.
func (g *Given) Install(ctx context.Context, path string, prepare func(*device.Device) error) (*Phone, error) {
	d, err := g.NewDevice(ctx)
	if err != nil {
		return nil, fmt.Errorf("get a phone: %w", err)
	}
	p := &Phone{g: g, Device: d}
	if prepare != nil {
		if err := prepare(d); err != nil {
			p.Close()
			return nil, fmt.Errorf("prepare the phone: %w", err)
		}
	}
	installed, err := d.Install(path)
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("install the package: %w", err)
	}
	p.Package = installed.Name
	return p, nil
}

// Start starts the app that was installed.
func (p *Phone) Start(ctx context.Context) (err error) {
	if p.App, err = p.Device.Launch(ctx, p.Package, p.g.Stage.Slug); err != nil {
		return fmt.Errorf("start the app: %w", err)
	}
	return nil
}

// Close throws the phone away.
func (p *Phone) Close() {
	if p.App != nil {
		_ = p.App.Close() // it is thrown away with the device
	}
	_ = p.Device.Close()
}

// Shown is nil where the app shows what it was asked for, and a [*Refusal] where a
// protection stopped it, in the app or at the API.
func Shown(screen device.Screen, err error) (device.Screen, error) {
	switch {
	case err != nil:
		return screen, fmt.Errorf("use the app: %w", err)
	case screen.OK:
		return screen, nil
	case screen.Check != "":
		return screen, &Refusal{Check: screen.Check, Obstacle: "the app refuses: " + screen.Error}
	case screen.Status == http.StatusUnauthorized && len(screen.Body) == 0: // of a token endpoint, in the app's words
		return screen, &Refusal{Obstacle: "the app shows: " + screen.Error}
	case screen.Status != 0:
		return screen, Judge(screen.Status, problem.ContentType, screen.Body)
	}
	return screen, fmt.Errorf("the app does not work: %s", screen.Error)
}

// SignIn signs the attacker in, who is a customer, too, where the stage knows users.
func (p *Phone) SignIn(ctx context.Context) error {
	return p.SignInAs(ctx, p.g.User, p.g.Password)
}

func (p *Phone) SignInAs(ctx context.Context, user, password string) error {
	if p.g.Stage.Call.UserProof == catalog.NoUser {
		return nil
	}
	_, err := Shown(p.g.SignIn(ctx, p.Device, p.App, user, password))
	return err
}

// Robbery uses the app to find out what to book.
func (p *Phone) Robbery(ctx context.Context) (from Account, to string, err error) {
	screen, err := Shown(p.App.Accounts(ctx))
	if err != nil {
		return Account{}, "", err
	}
	return p.g.Robbery(screen.Body)
}

// Payment is one of the amount that takes what can be taken.
func (p *Phone) Payment(ctx context.Context, amount int64) (device.Payment, error) {
	from, to, err := p.Robbery(ctx)
	return device.Payment{From: from.ID, To: to, Amount: amount, Reference: p.g.Reference}, err
}
