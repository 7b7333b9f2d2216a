package attacker

import (
	"context"
	"encoding/json"
	"fmt"
)

// repackagedApp changes the app itself: it raises the cap in the package's settings,
// signs the package with another key and installs it on a phone that takes packages
// from anywhere. Everything else in it is genuine, secrets included, so the API sees
// the app that it knows.
//
//keyladder:code attack-repackaged-app
func repackagedApp(ctx context.Context, g *Given) (Result, error) {
	transferCap, err := g.transferCap()
	if err != nil {
		return Result{}, err
	}
	path, err := g.repackage(func(settings map[string]any) error {
		settings["TRANSFER_CAP"] = json.Number(fmt.Sprint(transferCap * 1000))
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	g.Say("Took the package apart, raised TRANSFER_CAP from %d to %d, and signed it with a key of our own.", transferCap, transferCap*1000)
	phone, err := g.open(ctx, path, sideload)
	if err != nil {
		return Result{}, err
	}
	defer phone.close()
	g.Say("Installed it on a phone that allows any signer, and started it.")
	if err := phone.signIn(ctx); err != nil {
		return stopped(err)
	}
	payment, err := phone.payment(ctx, transferCap+pittance)
	if err != nil {
		return stopped(err)
	}
	if _, err := shown(phone.app.Transfer(ctx, payment)); err != nil {
		return stopped(err)
	}
	g.Say("Transferred %d minor units with it; the genuine app stops at %d.", payment.Amount, transferCap)
	return Result{Claim: true}, nil
}
