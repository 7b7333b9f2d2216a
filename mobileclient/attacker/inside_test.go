package attacker

import (
	"context"
	"slices"
	"strings"
	"testing"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/attack"
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

// A call that was held back is served once it is sent, and where its nonce is remembered it is served
// once. Another one that was held back is good as well.
func TestHeldCall(t *testing.T) {
	t.Parallel()
	for slug, want := range map[string]int{"hmac": 3, "user-session": 1} {
		t.Run(slug, func(t *testing.T) {
			t.Parallel()
			b := open(t, stage(t, slug), testbank.Options{})
			g := b.given()
			x := &terminator{c: &customer{b: b}}
			g.Inside = x.inside()
			served := 0
			g.Spend = func(ctx context.Context, held []attack.Use) error {
				for range 3 {
					if err := held[0](ctx); err == nil {
						served++
					} else if !attack.Refused(err) {
						return err
					}
				}
				return held[1](ctx)
			}
			if result := run(t, "held-call", g, ""); !result.Claim {
				t.Errorf("%+v", result)
			}
			if served != want {
				t.Errorf("one that was held back was served %d times, want %d", served, want)
			}
			if booked := len(b.payments(victimReference)); booked != want+2 {
				t.Errorf("%d payments were booked, want %d", booked, want+2)
			}
			if x.hold != nil {
				t.Error("the terminator still holds calls back")
			}
		})
	}
}
