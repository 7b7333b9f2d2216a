package attacker

import (
	"context"

	"keyladder/stages/catalog"
)

// memoryHook runs the genuine app on the attacker's own phone, has it make a call, and
// reads its memory. However well a secret is hidden in the package, the app has to put
// it together before it can use it. The search knows what keys look like and not where
// they are; what it finds is tried.
//
//keyladder:code attack-memory-hook
func memoryHook(ctx context.Context, g *Given) (Result, error) {
	phone, found, err := g.hook(ctx)
	if err != nil {
		return stopped(err)
	}
	defer phone.close()
	tries, err := g.identities(found.OfApp()...)
	if err != nil {
		return Result{}, err
	}
	if len(tries) == 0 {
		return Result{Check: catalog.CheckHidden, Obstacle: "nothing in the app's memory turned out to be a secret"}, nil
	}
	return robAs(ctx, g, tries)
}
