package attacker

import (
	"context"
	"crypto/rand"
	"errors"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
)

// anAccount is an account number such as stands on every invoice.
var anAccount = account{ID: catalog.AliceAccount, Currency: "EUR"}

// unknownClient knows what everybody can know: the addresses, how the API is used, and
// what the app calls itself. It tries to get in with credentials that it makes up.
//
//keyladder:code attack-unknown-client
func unknownClient(ctx context.Context, g *Ground) (Result, error) {
	type try struct {
		what          string
		as            identity
		authorization string // in place of the app's proof
	}
	tries := []try{
		{"no credentials", identity{}, ""},
		{"an invented key", identity{}, "key " + rand.Text()},
		{"a guessed name", identity{}, "key admin"},
		{"another guessed name", identity{}, "key harbour-bank"},
		{"another scheme", identity{}, "Bearer " + rand.Text()},
		{"a guessed password", identity{}, "Basic YWRtaW46YWRtaW4="}, // admin:admin
	}
	invented := identity{
		key: "harbour-bank", secret: rand.Text(), session: session.NewKey(),
		device: installation{rand.Text(), rand.Text()},
	}
	if g.Stage.Call.AppProof == catalog.Hawk {
		tries = append(tries, try{"a signature with an invented secret", invented, ""})
	}
	if g.Stage.Call.Transport == catalog.MutualTLS {
		own, err := selfSignedClient("harbour-bank app")
		if err != nil {
			return Result{}, err
		}
		invented.certificate = own
		tries = append(tries, try{"a client certificate that we made ourselves", invented, ""})
	}
	last := errors.New("nothing was tried")
	for _, try := range tries {
		last = g.breakIn(ctx, try.as, try.authorization)
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
func (g *Ground) breakIn(ctx context.Context, as identity, authorization string) error {
	p, err := newProgram(g, as)
	if err != nil {
		return err
	}
	defer p.close()
	p.authorization = authorization
	err = p.rob(ctx)
	var refused *refusal
	if errors.As(err, &refused) {
		_, err = p.book(ctx, anAccount, g.Account)
	}
	return err
}
