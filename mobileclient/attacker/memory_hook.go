package attacker

import (
	"context"
	"fmt"
)

func init() { attacks["memory-hook"] = memoryHook }

// memoryHook runs the genuine app on the attacker's own phone, has it make a call, and
// reads its memory. However well a secret is hidden in the package, the app has to put
// it together before it can use it. The search knows what keys look like and not where
// they are; what it finds is tried.
func memoryHook(ctx context.Context, g *Ground) (Result, error) {
	phone, err := g.open(ctx, g.Package, nil)
	if err != nil {
		return Result{}, err
	}
	defer phone.close()
	if _, err := shown(phone.app.Accounts(ctx)); err != nil {
		return stopped(err)
	}
	g.Say("Started the genuine app on our own phone and had it show the accounts.")
	var found loot
	searched, err := eachWritable(ctx, phone.app.PID(), func(_ uint64, data []byte) { found.search(data) })
	if err != nil {
		return Result{}, fmt.Errorf("read the app's memory: %w", err)
	}
	g.Say("Searched %d MiB of its memory: %s.", searched>>20, &found)
	tries := found.identities()
	if len(tries) == 0 {
		return Result{Check: checkHidden, Obstacle: "nothing in the app's memory looks like a secret"}, nil
	}
	return robAs(ctx, g, tries)
}
