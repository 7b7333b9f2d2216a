package scene

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"

	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// chosenInApp says whether users choose a provider in the app.
func chosenInApp(p catalog.Policies) bool { return p.Call.Providers == catalog.ChosenInApp }

// providerProbes are about the provider of another company, and its access tokens.
var providerProbes = []probe{
	{"accounts with an opaque access token that nobody has issued", chosenInApp, catalog.CheckToken, 401, accounts(func(as *protect.Identity, _ people) {
		as.Token = rand.Text() + rand.Text()
	}, nil)},
	{"accounts with an opaque access token that was revoked", chosenInApp, catalog.CheckToken, 401, revokedElsewhere},
	{"a token request to the other provider with the secret in a field", chosenInApp, catalog.CheckClient, 401, basicAtLite},
	{"a revocation at a provider that nobody knows", chosenInApp, catalog.CheckClient, 400, func(ctx context.Context, p *prober, users people) (reply, error) {
		by, err := p.bank.As(users.alice.Show)
		if err != nil {
			return reply{}, err
		}
		call, err := by.SignOutCall()
		if err != nil {
			return reply{}, err
		}
		call.Body = append(call.Body, "&"+protect.ProviderParameter+"=nobody"...)
		return p.send(ctx, draft{by: p.bank, Call: call})
	}},
}

// atLite is the customers' app as a client of the other provider.
func (p *prober) atLite() (*protect.OAuth, *caller, error) {
	by, err := p.bank.As(func(as *protect.Identity) { as.Provider = catalog.Lite })
	if err != nil {
		return nil, nil, err
	}
	oauth, err := by.OAuth(p.bank.redirectURI)
	return oauth, &caller{Caller: by, redirectURI: p.bank.redirectURI + "/" + catalog.Lite}, err
}

// revokedElsewhere shows an access token that the API has just taken, and that was revoked since.
func revokedElsewhere(ctx context.Context, p *prober, users people) (reply, error) {
	oauth, by, err := p.atLite()
	if err != nil {
		return reply{}, err
	}
	who, err := person.Person{Name: victimsName, Password: users.password}.SignInTo(ctx, oauth, p.patient(by.Caller), by.redirectURI)
	if err != nil {
		return reply{}, err
	}
	shown := draft{by: p.bank, Call: protect.Call{Path: "/v1/accounts"}, as: who.Show}
	switch got, err := p.send(ctx, shown); {
	case err != nil:
		return reply{}, err
	case got.status != http.StatusOK:
		return reply{}, fmt.Errorf("an opaque access token that is good is refused: %d", got.status)
	}
	signedIn, err := p.bank.As(who.Show)
	if err != nil {
		return reply{}, err
	}
	call, err := signedIn.SignOutCall()
	if err != nil {
		return reply{}, err
	}
	if _, err := p.made(ctx, p.bank, call); err != nil {
		return reply{}, err
	}
	if err := p.untilRevoked(ctx, signedIn); err != nil {
		return reply{}, err
	}
	return p.send(ctx, shown)
}

// basicAtLite authenticates there in the way that each server has to know, and that one does not.
func basicAtLite(ctx context.Context, p *prober, _ people) (reply, error) {
	oauth, _, err := p.atLite()
	if err != nil {
		return reply{}, err
	}
	at, err := url.Parse(oauth.Issuer() + "/token")
	if err != nil {
		return reply{}, err
	}
	return p.send(ctx, draft{by: p.bank, Call: protect.Call{
		Method: http.MethodPost, URL: at, Media: protect.FormMedia, Public: true, Unproven: true, Body: []byte("grant_type=authorization_code&code=none"),
		Header: http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(p.bank.Identity().ClientID+":"+rand.Text()))}},
	}})
}
