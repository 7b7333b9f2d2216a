package appside

import (
	"context"
	"encoding/json"
	"fmt"

	"keyladder/mobileclient/attacker/attack"
)

// RepackagedApp changes the app itself: it raises the cap in the package's settings,
// signs the package with another key and installs it on a phone that takes packages
// from anywhere. Everything else in it is genuine, secrets included, so the API sees
// the app that it knows.
//
//keyladder:code attack-repackaged-app
func RepackagedApp(ctx context.Context, g *attack.Given) (attack.Result, error) {
	transferCap, err := g.TransferCap()
	if err != nil {
		return attack.Result{}, err
	}
	path, err := g.Repackage(func(settings map[string]any) error {
		settings["TRANSFER_CAP"] = json.Number(fmt.Sprint(transferCap * 1000))
		return nil
	})
	if err != nil {
		return attack.Result{}, err
	}
	g.Say("Took the package apart, raised TRANSFER_CAP from %d to %d, and signed it with a key of our own.", transferCap, transferCap*1000)
	phone, err := g.Open(ctx, path, attack.Sideload)
	if err != nil {
		return attack.Result{}, err
	}
	defer phone.Close()
	g.Say("Installed it on a phone that allows any signer, and started it.")
	if err := phone.SignIn(ctx); err != nil {
		return attack.Stopped(err)
	}
	payment, err := phone.Payment(ctx, transferCap+attack.Pittance)
	if err != nil {
		return attack.Stopped(err)
	}
	if _, err := attack.Shown(phone.App.Transfer(ctx, payment)); err != nil {
		return attack.Stopped(err)
	}
	g.Say("Transferred %d minor units with it; the genuine app stops at %d.", payment.Amount, transferCap)
	return attack.Result{Claim: true}, nil
}
