package attacker

import (
	"context"
	"crypto/rand"
	"errors"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/network"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/protect"
)

// unknownClient knows what everybody can know: the addresses, how the API is used, and
// what the app calls itself. It tries to get in with credentials that it makes up.
//
//keyladder:code attack-unknown-client
func unknownClient(ctx context.Context, g *attack.Given) (attack.Result, error) {
	type try struct {
		what string
		as   protect.Identity
	}
	tries := []try{
		{"no credentials", protect.Identity{}},
		{"an invented key", protect.Identity{Proof: "key " + rand.Text()}},
		{"a guessed name", protect.Identity{Proof: "key admin"}},
		{"another guessed name", protect.Identity{Proof: "key harbour-bank"}},
		{"another scheme", protect.Identity{Proof: "Bearer " + rand.Text()}},
		{"a guessed password", protect.Identity{Proof: "Basic YWRtaW46YWRtaW4="}}, // admin:admin
	}
	invented := protect.Identity{
		ClientID: "harbour-bank", Secret: rand.Text(), Session: session.NewKey(),
		Device: protect.Installation{Identifier: rand.Text(), GUID: rand.Text()},
	}
	nobody, err := g.Caller(protect.Identity{})
	if err != nil {
		return attack.Result{}, err
	}
	if attack.Lacks(nobody, protect.Secret) {
		tries = append(tries, try{"a MAC under an invented secret", invented})
	}
	if attack.Lacks(nobody, protect.ClientCertificate) {
		own, err := network.SelfSignedClient("harbour-bank app")
		if err != nil {
			return attack.Result{}, err
		}
		invented.Certificate = own
		tries = append(tries, try{"a client certificate that we made ourselves", invented})
	}
	if g.Stage.Call.UserProof == catalog.AccessToken {
		tries = append(tries,
			try{"an invented access token", protect.Identity{Token: rand.Text()}},
			try{"an invented access token of an invented client", protect.Identity{ClientID: invented.ClientID, Token: rand.Text()}})
	}
	last := errors.New("nothing was tried")
	for _, try := range tries {
		last = g.BreakIn(ctx, try.as)
		if last == nil {
			g.Say("Tried %s: served.", try.what)
			return attack.Result{Claim: true}, nil
		}
		var refused *attack.Refusal
		if !errors.As(last, &refused) {
			return attack.Result{}, last
		}
		g.Say("Tried %s: %s.", try.what, refused.Obstacle)
	}
	return attack.Stopped(last)
}
