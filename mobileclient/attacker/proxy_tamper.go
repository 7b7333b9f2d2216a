package attacker

import (
	"context"
	"errors"
	"sync/atomic"

	"keyladder/internal/problem"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/network"
)

// proxyTamper sits where TLS ends: a load balancer, a content delivery network, a
// debugging proxy that somebody forgot. The app's TLS connection is perfect, and what
// arrives at the API is not what the app sent. A body that is sealed can't be read
// there, but it can be replaced.
//
//keyladder:code attack-proxy-tamper
func proxyTamper(ctx context.Context, g *attack.Given) (attack.Result, error) {
	var changed atomic.Int32
	g.Inside.Rewrite(func(call *attack.Captured) {
		if call.PayTo(g.Account) {
			changed.Add(1)
			g.Record(network.Changed("behind the end of TLS", call.Method, call.Target, call.Header))
		}
	})
	defer g.Inside.Rewrite(nil)
	g.Say("The terminator now changes the payee of payments, after TLS ended; what it can't read it replaces.")
	err := g.Inside.VictimPays(ctx)
	var unpaid *attack.Unpaid
	switch {
	case changed.Load() == 0:
		return attack.Result{}, errors.Join(errors.New("no payment came through that could be changed"), err)
	case err == nil:
		g.Say("Changed the payee of the payment to %s; the victim's app shows it as made.", g.Account)
		return attack.Result{Claim: true}, nil
	case errors.As(err, &unpaid) && unpaid.Screen.Status != 0:
		return attack.Stopped(attack.Judge(unpaid.Screen.Status, problem.ContentType, unpaid.Screen.Body))
	case errors.As(err, &unpaid):
		_, err = attack.Shown(unpaid.Screen, nil)
		return attack.Stopped(err)
	}
	return attack.Result{}, err
}
