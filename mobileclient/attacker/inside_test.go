package attacker

import (
	"slices"
	"strings"
	"testing"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/network"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

func TestInside(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, attack, slug string
		broken             bool
		claim              bool
		by                 catalog.Check
		err                string
	}{
		{name: "any call is good again", attack: "replay", slug: "pinned-mtls", claim: true},
		{name: "nonces are forgotten", attack: "replay", slug: "hmac", claim: true},
		{name: "nonces are remembered", attack: "replay", slug: "user-session", by: catalog.CheckNonce},
		{name: "the API is broken", attack: "replay", slug: "pinned-mtls", broken: true, err: "does not pay"},
		{name: "no MAC", attack: "proxy-tamper", slug: "pinned-mtls", claim: true},
		{name: "signed", attack: "proxy-tamper", slug: "hmac", by: catalog.CheckHawk},
		{name: "sealed", attack: "proxy-tamper", slug: "user-session", by: catalog.CheckHawk},
		{name: "the API is broken", attack: "proxy-tamper", slug: "pinned-mtls", broken: true, err: "500"},
	}
	for _, test := range tests {
		t.Run(test.attack+", "+test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, stage(t, test.slug), testbank.Options{})
			if test.broken {
				b.breakDown()
			}
			g := b.given()
			x := &terminator{c: &customer{b: b}}
			g.Inside = x.inside()
			result := run(t, test.attack, g, test.err)
			if by := b.stoppedBy(result); result.Claim != test.claim || by != test.by {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			paid := b.payments(victimReference)
			switch {
			case test.attack == "replay" && (len(paid) == 2) != test.claim,
				test.attack == "proxy-tamper" && (len(paid) == 1 && paid[0].To == catalog.MalloryAccount) != test.claim:
				t.Errorf("booked: %v", paid)
			}
			if x.rewrite != nil {
				t.Error("the terminator still changes calls")
			}
		})
	}
}

func TestStolenBearer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		stage catalog.Stage
		claim bool
		by    catalog.Check
		err   string
	}{
		{name: "with proof of the app", stage: stage(t, "user-session"), by: catalog.CheckHawk},
		{name: "without", stage: stage(t, "user-session", anyProgram), claim: true},
		{name: "nobody signs in", stage: stage(t, "hmac"), err: "stands for its user"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, test.stage, testbank.Options{})
			g := b.given()
			g.Inside = (&terminator{c: &customer{b: b}}).inside()
			result := run(t, "stolen-bearer", g, test.err)
			if by := b.stoppedBy(result); result.Claim != test.claim || by != test.by || strings.Contains(result.Data, victimReference) != test.claim {
				t.Errorf("%+v, stopped by %q", result, by)
			}
		})
	}
}

// A call that is sent again is told from the victim's by who sent it, in records of the
// attacker's own and in the server's.
func TestReplayIsOnRecordAsTheAttackers(t *testing.T) {
	t.Parallel()
	b := open(t, stage(t, "pinned-mtls"), testbank.Options{})
	g := b.given()
	x := &terminator{c: &customer{b: b}}
	g.Inside = x.inside()
	run(t, "replay", g, "")
	var own []traffic.Message
	for _, m := range g.Log.After(0) {
		if m.Kind == traffic.Request {
			own = append(own, m)
		}
	}
	if len(own) != 1 || own[0].From != network.Party || own[0].Exchange == x.calls[0].Header.Get(traffic.Header) {
		t.Fatalf("recorded: %+v", own)
	}
	if !slices.ContainsFunc(b.Log.After(0), func(m traffic.Message) bool { return m.Exchange == own[0].Exchange }) {
		t.Error("the server has not seen it")
	}
}
