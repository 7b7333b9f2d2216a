package attacker

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"

	"keyladder/internal/problem"
	"keyladder/mobileclient/attacker/network"
	"keyladder/stages/protect"
)

// proxyTamper sits where TLS ends: a load balancer, a content delivery network, a
// debugging proxy that somebody forgot. The app's TLS connection is perfect, and what
// arrives at the API is not what the app sent. A body that is sealed can't be read
// there, but it can be replaced.
//
//keyladder:code attack-proxy-tamper
func proxyTamper(ctx context.Context, g *Given) (Result, error) {
	var changed atomic.Int32
	g.Inside.Rewrite(func(call *Captured) {
		if call.PayTo(g.Account) {
			changed.Add(1)
			g.record(network.Changed("behind the end of TLS", call.Method, call.Target, call.Header))
		}
	})
	defer g.Inside.Rewrite(nil)
	g.Say("The terminator now changes the payee of payments, after TLS ended; what it can't read it replaces.")
	err := g.Inside.VictimPays(ctx)
	var unpaid *Unpaid
	switch {
	case changed.Load() == 0:
		return Result{}, errors.Join(errors.New("no payment came through that could be changed"), err)
	case err == nil:
		g.Say("Changed the payee of the payment to %s; the victim's app shows it as made.", g.Account)
		return Result{Claim: true}, nil
	case errors.As(err, &unpaid) && unpaid.Screen.Status != 0:
		return stopped(judge(unpaid.Screen.Status, problem.ContentType, unpaid.Screen.Body))
	case errors.As(err, &unpaid):
		_, err = shown(unpaid.Screen, nil)
		return stopped(err)
	}
	return Result{}, err
}

// PayTo changes the payee of a payment, and tells whether it did. A payment that can't be
// read is replaced by another one.
func (c *Captured) PayTo(account string) bool {
	if !network.IsPayment(c.Method, c.Target) {
		return false
	}
	body, err := network.WithPayee(c.Body, account)
	if err != nil { // the payee, or all of it, is sealed
		body = ownPayment(account)
		c.Header.Set("Content-Type", protect.JSON)
	}
	c.Body = body
	return true
}

// ownPayment is the body of a payment that somebody makes up who knows an account.
func ownPayment(payee string) []byte {
	body, err := json.Marshal(map[string]any{
		"from": anAccount.ID, "to": payee, "amount": pittance, "currency": anAccount.Currency, "reference": "invoice",
	})
	if err != nil {
		panic(err) // strings and a number
	}
	return body
}
