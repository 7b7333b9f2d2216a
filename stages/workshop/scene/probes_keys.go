package scene

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/httpsig"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
)

func byAttestation(p catalog.Policies) bool { return p.Call.ClientAuth == catalog.ByAttestation }
func possession(p catalog.Policies) bool    { return p.Call.Sender == catalog.DPoPProofs }
func signedCalls(p catalog.Policies) bool   { return p.Call.Sender == catalog.SignedMessages }
func ofOneKey(p catalog.Policies) bool      { return p.Call.Sender != catalog.AnySender }

// keyProbes are requests of a client whose attestation, or whose proof that it has the key of that, is wrong.
// Codes are looked at by nobody, so any will do.
var keyProbes = []probe{
	{"a token request without a client attestation", byAttestation, catalog.CheckAttested, 401, exchangeWith(nothing)},
	{"a token request with the client attestation of a failed attestation", byAttestation, catalog.CheckAttested, 401, exchangeWith(failing)},
	{"a token request with a client attestation that has expired", byAttestation, catalog.CheckAttested, 401, exchangeWith(expired)},
	{"a token request with a client integrity token in the place of the client attestation", byAttestation, catalog.CheckAttested, 401, exchangeWith(func(_ context.Context, p *prober) (protect.Attested, error) {
		return protect.Attested{Client: p.bank.app.held.Token}, nil
	})},
	{"a token request without any proof of the key", byAttestation, catalog.CheckAttested, 401, exchangeSpoilt(func(r *http.Request) {
		r.Header.Del(dpop.Field)
	})},
	{"a token request with a proof of another key", byAttestation, catalog.CheckDPoP, 401, func(ctx context.Context, p *prober, _ people) (reply, error) {
		by, err := p.bank.As(anotherKey)
		if err != nil {
			return reply{}, err
		}
		return p.exchanged(ctx, &caller{Caller: by, redirectURI: p.bank.redirectURI}, noCode())
	}},
	{"a token request with a proof that was used", byAttestation, catalog.CheckProofNew, 400, func(ctx context.Context, p *prober, users people) (reply, error) {
		var used string
		got, err := exchangeSpoilt(func(r *http.Request) { used = r.Header.Get(dpop.Field) })(ctx, p, users)
		if err != nil || got.status == http.StatusUnauthorized {
			return got, err
		}
		return exchangeSpoilt(func(r *http.Request) { r.Header.Set(dpop.Field, used) })(ctx, p, users)
	}},
	{"a pushed request without a client attestation", byAttestation, catalog.CheckAttested, 401, pushWith(nothing)},
	{"a pushed request with the client attestation of a failed attestation", byAttestation, catalog.CheckAttested, 401, pushWith(failing)},

	{"rates without a proof of possession", possession, catalog.CheckDPoP, 401, rates(func(_ *prober, spoil *protect.Spoiler) {
		spoil.AfterSigning = func(r *protect.Request) { r.Header.Del(dpop.Field) }
	})},
	{"rates with a proof of another key", possession, catalog.CheckDPoP, 401, ratesAs(func(_ *prober, as *protect.Identity) { anotherKey(as) })},
	{"rates with a proof for another URL", possession, catalog.CheckDPoP, 401, rates(elsewhereSigned)},
	{"rates with a proof for another method", possession, catalog.CheckDPoP, 401, rates(func(_ *prober, spoil *protect.Spoiler) {
		spoil.BeforeSigning = func(r *protect.Request) { r.Method = http.MethodPost }
		spoil.AfterSigning = func(r *protect.Request) { r.Method = http.MethodGet }
	})},
	{"rates with a proof of an hour ago", possession, catalog.CheckDPoP, 401, proofOf(func(good string) (string, time.Time) {
		return dpop.NonceOf(good), time.Now().Add(-time.Hour)
	})},
	{"rates with a proof whose nonce nobody has given out", possession, catalog.CheckDPoP, 401, proofOf(func(string) (string, time.Time) {
		return rand.Text(), time.Now()
	})},
	{"accounts with a proof for another access token", possession, catalog.CheckDPoP, 401, accounts(shownAlice, otherTokenSigned)},

	{"rates without a signature", signedCalls, catalog.CheckSignature, 401, rates(func(_ *prober, spoil *protect.Spoiler) {
		spoil.AfterSigning = func(r *protect.Request) {
			r.Header.Del(httpsig.FieldSignature)
			r.Header.Del(httpsig.FieldInput)
		}
	})},
	{"rates signed with another key", signedCalls, catalog.CheckSignature, 401, ratesAs(func(_ *prober, as *protect.Identity) { anotherKey(as) })},
	{"rates signed for another URL", signedCalls, catalog.CheckSignature, 401, rates(elsewhereSigned)},
	{"accounts signed with another access token", signedCalls, catalog.CheckSignature, 401, accounts(shownAlice, otherTokenSigned)},
	{"a transfer with another body than was signed", signedCalls, catalog.CheckSignature, 401, func(ctx context.Context, p *prober, users people) (reply, error) {
		d := draft{by: p.bank, as: users.alice.Show, Call: protect.Call{Method: http.MethodPost, Path: "/v1/transfers", Body: []byte(`{"amount":1}`)}}
		d.Spoil.AfterSigning = func(r *protect.Request) { r.Body = []byte(`{"amount":0}`) } // of nothing, in case it gets through
		return p.send(ctx, d)
	}},
	{"rates with one proof twice", ofOneKey, catalog.CheckProofNew, 401, onceMore},
}

// boundProbes are calls with access tokens that are bound to another key, or shown as if they were to none.
var boundProbes = []probe{
	{"accounts with a bound access token as a bearer token", ofOneKey, catalog.CheckToken, 401, func(ctx context.Context, p *prober, users people) (reply, error) {
		d := draft{by: p.bank, as: users.alice.Show, Call: protect.Call{Path: "/v1/accounts"}}
		d.Spoil.BeforeSigning = func(r *protect.Request) { token.Set(r.Header, users.alice.Token) }
		return p.send(ctx, d)
	}},
	{"accounts with the access token of another key", ofOneKey, catalog.CheckBinding, 401, func(ctx context.Context, p *prober, users people) (reply, error) {
		return p.elsewhere(ctx, func(by *caller) (reply, error) {
			return p.send(ctx, draft{by: by, Call: protect.Call{Path: "/v1/accounts"}, as: users.alice.Show})
		})
	}},
}

func shownAlice(as *protect.Identity, users people) { users.alice.Show(as) }

// anotherKey has somebody sign with a key that nothing is bound to.
func anotherKey(as *protect.Identity) { as.Key = newKey() }

func newKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // there is no randomness
	}
	return key
}

// elsewhereSigned has a call be signed for another address than it is sent to.
func elsewhereSigned(_ *prober, spoil *protect.Spoiler) {
	var meant string
	spoil.BeforeSigning = func(r *protect.Request) { meant, r.URL.Path = r.URL.Path, r.URL.Path+"/other" }
	spoil.AfterSigning = func(r *protect.Request) { r.URL.Path = meant }
}

// otherTokenSigned puts another access token of the same user into a call that is signed.
func otherTokenSigned(r *protect.Request, users people) { token.SetBound(r.Header, users.carol.Token) }

// proofOf asks for the rates with a proof that has another nonce, or was made at another time.
func proofOf(made func(good string) (nonce string, at time.Time)) func(context.Context, *prober, people) (reply, error) {
	return rates(func(p *prober, spoil *protect.Spoiler) {
		spoil.AfterSigning = func(r *protect.Request) {
			nonce, at := made(r.Header.Get(dpop.Field))
			text, err := dpop.Sign(p.bank.Identity().Key, dpop.Request{Method: r.Method, URL: r.URL.String()}, nonce, at)
			if err == nil { // it is the same as before otherwise, which is served, and so found out
				dpop.Set(r.Header, text)
			}
		}
	})
}

// onceMore sends a good call, and then the same again.
func onceMore(ctx context.Context, p *prober, users people) (reply, error) {
	if got, err := p.send(ctx, draft{by: p.bank, Call: ratesCall}); err != nil || got.status != http.StatusOK {
		return got, err // from now on it has the newest nonce
	}
	return twice(ctx, p, users)
}

// exchangeSpoilt trades a code with a request that is changed on its way.
func exchangeSpoilt(spoil func(*http.Request)) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, _ people) (reply, error) {
		return p.traded(p.bank, spoil, func(oauth *protect.OAuth, client *http.Client) (protect.SignedIn, error) {
			return oauth.Exchange(ctx, client, noCode())
		})
	}
}
