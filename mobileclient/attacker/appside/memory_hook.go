package appside

import (
	"context"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
)

// MemoryHook runs the genuine app on the attacker's own phone, has it make a call, and
// reads its memory. However well a secret is hidden in the package, the app has to put
// it together before it can use it. The search knows what keys look like and not where
// they are; what it finds is tried.
//
//keyladder:code attack-memory-hook
func MemoryHook(ctx context.Context, g *attack.Given) (attack.Result, error) {
	phone, found, err := g.Hook(ctx)
	if err != nil {
		return attack.Stopped(err)
	}
	defer phone.Close()
	tries, err := g.Identities(found.OfApp()...)
	if err != nil {
		return attack.Result{}, err
	}
	if len(tries) == 0 {
		return attack.Result{Check: catalog.CheckHidden, Obstacle: "nothing in the app's memory turned out to be a secret"}, nil
	}
	return attack.RobAs(ctx, g, tries)
}
