package attacker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"

	"keyladder/stages/catalog"
)

func init() { attacks["unknown-client"] = unknownClient }

// anAccount is an account number such as stands on every invoice.
var anAccount = account{ID: "HB-1001", Currency: "EUR"}

// unknownClient knows what everybody can know: the addresses, how the API is used, and
// what the app calls itself. It tries to get in with credentials that it makes up.
func unknownClient(ctx context.Context, g *Ground) (Result, error) {
	type try struct {
		what          string
		authorization string // field; empty: none
		certificate   *tls.Certificate
	}
	tries := []try{
		{"no credentials", "", nil},
		{"an invented key", "key " + rand.Text(), nil},
		{"a guessed name", "key admin", nil},
		{"another guessed name", "key harbour-bank", nil},
		{"another scheme", "Bearer " + rand.Text(), nil},
		{"a guessed password", "Basic YWRtaW46YWRtaW4=", nil}, // admin:admin
	}
	if g.Stage.Policy.Transport == catalog.MutualTLS {
		own, err := selfSignedClient("harbour-bank app")
		if err != nil {
			return Result{}, err
		}
		tries = append(tries, try{"a client certificate that we made ourselves", "key " + rand.Text(), own})
	}
	last := errors.New("nothing was tried")
	for _, try := range tries {
		last = g.breakIn(ctx, try.authorization, try.certificate)
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
func (g *Ground) breakIn(ctx context.Context, authorization string, certificate *tls.Certificate) error {
	p, err := newProgram(g, identity{certificate: certificate})
	if err != nil {
		return err
	}
	defer p.close()
	p.authorization = authorization
	err = p.rob(ctx)
	var refused *refusal
	if errors.As(err, &refused) {
		_, err = p.book(ctx, anAccount)
	}
	return err
}
