package attacker

import (
	"context"
	"errors"
	"fmt"

	"keyladder/internal/problem"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/network"
)

// replay sends a payment that it found in a log behind the end of TLS once more, byte
// for byte. It needs to understand nothing of it.
//
//keyladder:code attack-replay
func replay(ctx context.Context, g *attack.Given) (attack.Result, error) {
	if err := g.Inside.VictimPays(ctx); err != nil {
		return attack.Result{}, fmt.Errorf("the victim does not pay: %w", err)
	}
	var payment *attack.Captured
	for _, call := range g.Inside.Calls() {
		if network.IsPayment(call.Method, call.Target) {
			payment = &call
		}
	}
	if payment == nil {
		return attack.Result{}, errors.New("the victim's payment is not in the log")
	}
	g.Say("The victim's payment is in the log, complete: %s %s, %d header fields, %d bytes of body.",
		payment.Method, payment.Target, len(payment.Header), len(payment.Body))
	status, body, err := g.SendFromInside(ctx, *payment)
	if err != nil {
		return attack.Result{}, err
	}
	g.Say("Sent it to the API once more, unchanged: %d.", status)
	result, err := attack.Result{Claim: true}, attack.Judge(status, problem.ContentType, body)
	if err != nil {
		result, err = attack.Stopped(err)
	} else {
		err = g.SpendLoot(ctx, again(g, *payment))
	}
	result.Stolen = []string{payment.Header.Get("Authorization")}
	return result, err
}

// again sends a call to the API from behind the end of TLS, as it is.
func again(g *attack.Given, call attack.Captured) attack.Use {
	return func(ctx context.Context) error {
		status, body, err := g.SendFromInside(ctx, call)
		if err != nil {
			return err
		}
		return attack.Judge(status, problem.ContentType, body)
	}
}
