package attacker

import (
	"context"
	"crypto/rand"
	"errors"

	"keyladder/mobileclient/attacker/network"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/protect"
)

// anAccount is an account number such as stands on every invoice.
var anAccount = account{ID: catalog.AliceAccount, Currency: "EUR"}

// unknownClient knows what everybody can know: the addresses, how the API is used, and
// what the app calls itself. It tries to get in with credentials that it makes up.
//
//keyladder:code attack-unknown-client
func unknownClient(ctx context.Context, g *Given) (Result, error) {
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
	nobody, err := g.caller(protect.Identity{})
	if err != nil {
		return Result{}, err
	}
	if lacks(nobody, protect.Secret) {
		tries = append(tries, try{"a MAC under an invented secret", invented})
	}
	if lacks(nobody, protect.ClientCertificate) {
		own, err := network.SelfSignedClient("harbour-bank app")
		if err != nil {
			return Result{}, err
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
		last = g.breakIn(ctx, try.as)
		if last == nil {
			g.Say("Tried %s: served.", try.what)
			return Result{Claim: true}, nil
		}
		var refused *refusal
		if !errors.As(last, &refused) {
			return Result{}, last
		}
		g.Say("Tried %s: %s.", try.what, refused.obstacle)
	}
	return stopped(last)
}

// breakIn robs somebody with made-up credentials. Reading may be guarded better than
// writing, so that is tried on its own.
func (g *Given) breakIn(ctx context.Context, as protect.Identity) error {
	p, err := newProgram(g, as)
	if err != nil {
		return err
	}
	defer p.close()
	err = p.rob(ctx)
	var refused *refusal
	if errors.As(err, &refused) {
		err = p.book(ctx, anAccount, g.Account)
	}
	return err
}
