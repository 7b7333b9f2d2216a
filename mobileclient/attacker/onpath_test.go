package attacker

import (
	"context"
	"testing"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

func TestWiretap(t *testing.T) {
	t.Parallel()
	revokedMeanwhile := func(b *bank, v *attack.Victim) {
		pay := v.Pay
		v.Pay = func(ctx context.Context) (device.Screen, error) {
			defer b.tell("/keys/" + clientID + "/revoke")
			return pay(ctx)
		}
	}
	tests := []struct {
		name    string
		stage   catalog.Stage
		prepare func(*bank, *attack.Victim)
		claim   bool
		by      catalog.Check
		err     string
	}{
		{name: "in the clear", stage: stage(t, "app-id"), claim: true},
		{name: "encrypted", stage: stage(t, "tls"), by: catalog.CheckTLS},
		{name: "signed, in the clear", by: catalog.CheckHawk, stage: stage(t, "hmac", func(p *catalog.Policies) {
			p.Call.Transport, p.Call.Pins = catalog.PlainHTTP, catalog.NotPinned
		})},
		{name: "what was heard is refused", stage: stage(t, "app-id"), prepare: revokedMeanwhile, by: catalog.CheckAppKey},
		{name: "the victim does not use the network", stage: stage(t, "app-id"), prepare: func(_ *bank, v *attack.Victim) { v.Join = func(string) {} }, err: "nothing was heard"},
		{name: "the API is broken", stage: stage(t, "tls"), prepare: func(b *bank, _ *attack.Victim) { b.breakDown() }, err: "does not work"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, test.stage, testbank.Options{})
			g := b.given()
			g.Victim = (&customer{b: b}).victim()
			if test.prepare != nil {
				test.prepare(b, g.Victim)
			}
			result := run(t, "wiretap", g, test.err)
			if by := b.stoppedBy(result); result.Claim != test.claim || by != test.by {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			b.robbed(test.claim)
			if paid := b.payments(victimReference); test.err == "" && (len(paid) != 1 || paid[0].To != catalog.BobAccount) {
				t.Errorf("the victim's payment: %v", paid)
			}
		})
	}
}

func TestWireTamper(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, slug string
		trusting   bool // the app accepts any certificate
		away       bool
		claim      bool
		by         catalog.Check
		err        string
	}{
		{name: "in the clear", slug: "app-id", claim: true},
		{name: "TLS", slug: "tls", by: catalog.CheckTLS},
		{name: "TLS, an app that trusts everybody", slug: "tls", trusting: true, claim: true},
		{name: "mutual TLS, an app that trusts everybody", slug: "pinned-mtls", trusting: true, by: catalog.CheckClientCert},
		{name: "the API is away", slug: "app-id", away: true, err: "does not work"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, stage(t, test.slug), testbank.Options{})
			if test.away {
				b.Leave()
			}
			g := b.given()
			g.Victim = (&customer{b: b, trusting: test.trusting}).victim()
			result := run(t, "wire-tamper", g, test.err)
			if by := b.stoppedBy(result); result.Claim != test.claim || by != test.by {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			paid := b.payments(victimReference)
			if stolen := len(paid) == 1 && paid[0].To == catalog.MalloryAccount; stolen != test.claim {
				t.Errorf("booked: %v", paid)
			}
		})
	}
}
