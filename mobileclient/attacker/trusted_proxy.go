package attacker

import (
	"context"
	"errors"
	"fmt"

	"keyladder/mobileclient/device"
)

// trustedProxy runs the genuine, unmodified app on a phone whose owner has installed a
// certification authority of their own, and lets it talk through a proxy that has
// certificates from there. TLS does what it promises: it protects the owner's traffic
// from everybody but the owner. What the proxy reads goes into a program of one's own.
//
//keyladder:code attack-trusted-proxy
func trustedProxy(ctx context.Context, g *Ground) (Result, error) {
	ca, err := newAuthority()
	if err != nil {
		return Result{}, err
	}
	proxy, err := newInterceptor(g, ca, nil)
	if err != nil {
		return Result{}, err
	}
	defer proxy.close()
	phone, err := g.open(ctx, g.Package, func(d *device.Device) error {
		return errors.Join(d.SetNetwork(proxy.network()), d.Trust(ca.pem()))
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

	var heard loot
	for _, call := range proxy.read() {
		g.Say("The proxy reads: %s %s, answered with %d.", call.request.Method, call.request.URL.Path, call.status)
		heard.search(call.sent)
	}
	switch {
	case len(heard.keys) == 0 && appErr != nil:
		return stopped(appErr)
	case len(heard.signatures) > 0:
		return g.robUnder(ctx, &heard)
	case len(heard.keys) == 0:
		return Result{}, errors.New("the app works, but nothing of use came through the proxy")
	}
	// The app may fail because the proxy has no client certificate; its key came through.
	var refused *refusal
	if appErr != nil && !errors.As(appErr, &refused) {
		return Result{}, fmt.Errorf("through the proxy, %w", appErr)
	}
	g.Say("In it: %s.", &heard)
	return robAs(ctx, g, heard.identities(g.Stage.Call))
}

// robUnder robs somebody under the code of a call that was heard, as the one who made that
// call. The secret that codes are made with does not travel, so there is no other code to
// be had, and this one was made for another call.
func (g *Ground) robUnder(ctx context.Context, heard *loot) (Result, error) {
	g.Say("The calls are signed, and the secret does not come with them. Put the code of one on calls of our own.")
	var as identity
	if len(heard.devices) > 0 {
		as.device = heard.devices[0]
	}
	if len(heard.sessions) > 0 {
		as.session = heard.sessions[0]
	}
	latest := heard.signatures[len(heard.signatures)-1]
	if err := g.breakIn(ctx, as, latest.field); err != nil {
		return stopped(err)
	}
	return Result{Claim: true}, nil
}
