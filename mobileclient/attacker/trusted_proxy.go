package attacker

import (
	"context"
	"errors"
	"fmt"

	"keyladder/mobileclient/attacker/loot"
	"keyladder/mobileclient/attacker/network"
	"keyladder/mobileclient/device"
	"keyladder/stages/protect"
)

// trustedProxy runs the genuine, unmodified app on a phone whose owner has installed a
// certification authority of their own, and lets it talk through a proxy that has
// certificates from there. TLS does what it promises: it protects the owner's traffic
// from everybody but the owner. What the proxy reads goes into a program of one's own.
//
//keyladder:code attack-trusted-proxy
func trustedProxy(ctx context.Context, g *Given) (Result, error) {
	ca, err := network.NewAuthority()
	if err != nil {
		return Result{}, err
	}
	uplink, err := g.uplink(nil)
	if err != nil {
		return Result{}, err
	}
	proxy, err := network.NewInterceptor(uplink, ca)
	if err != nil {
		return Result{}, err
	}
	defer proxy.Close()
	phone, err := g.open(ctx, g.Package, func(d *device.Device) error {
		return errors.Join(d.SetNetwork(proxy.Network()), d.Trust(ca.PEM()))
	})
	if err != nil {
		return Result{}, err
	}
	defer phone.close()
	g.Say("Installed the genuine app on our own phone, which trusts our own CA and goes through our own proxy.")
	appErr := phone.signIn(ctx)
	if appErr == nil {
		_, appErr = shown(phone.app.Accounts(ctx))
	}

	var heard loot.Loot
	for _, call := range proxy.Calls() {
		g.Say("The proxy reads: %s %s, answered with %d.", call.Request.Method, call.Request.URL.Path, call.Status)
		heard.Search(call.Sent)
	}
	switch {
	case len(heard.ClientIDs) == 0 && appErr != nil:
		return stopped(appErr)
	case len(heard.Secrets.Signed) > 0:
		return g.robUnder(ctx, &heard)
	case len(heard.ClientIDs) == 0:
		return Result{}, errors.New("the app works, but nothing of use came through the proxy")
	}
	// The app may fail because the proxy has no client certificate; its key came through.
	var refused *refusal
	if appErr != nil && !errors.As(appErr, &refused) {
		return Result{}, fmt.Errorf("through the proxy, %w", appErr)
	}
	g.Say("In it: %s.", &heard)
	tries, err := g.identities(heard.OfApp()...)
	if err != nil {
		return Result{}, err
	}
	return robAs(ctx, g, tries)
}

// robUnder robs somebody with the MAC of a call that was heard, in the name of the app and
// user that made it. The secret that MACs are made with does not travel, so the attacker
// has no other MAC, and this one was made for another call.
func (g *Given) robUnder(ctx context.Context, heard *loot.Loot) (Result, error) {
	g.Say("The calls are signed, and the secret does not come with them. Put the MAC of one on calls of our own.")
	latest := heard.Secrets.Signed[len(heard.Secrets.Signed)-1]
	as := protect.Identity{Proof: latest.Field}
	if len(heard.Installations) > 0 {
		as.Device = heard.Installations[0]
	}
	if len(heard.Sessions) > 0 {
		as.Session = heard.Sessions[0]
	}
	result, err := Result{Claim: true}, g.breakIn(ctx, as)
	if err != nil {
		result, err = stopped(err)
	}
	result.Stolen = stolen(as)
	return result, err
}
