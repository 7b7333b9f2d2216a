package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// ownKey is a key that is not in any device.
func ownKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// TestUnknownPolicy changes every field of every stage's policy, and leaves each out.
func TestUnknownPolicy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, stage := range catalog.All().Built() {
		settings := b.settings
		settings.Stages = map[string]catalog.Call{"s": stage.Call}
		if _, err := newCaller(&settings, 1, "s", ownKey); err != nil {
			t.Fatalf("%s: %v", stage.Slug, err)
		}
		data, err := json.Marshal(stage.Call)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]string
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatal(err)
		}
		for field := range fields {
			for _, value := range []string{"", "of-a-later-release"} {
				changed := maps.Clone(fields)
				changed[field] = value
				data, err := json.Marshal(changed)
				if err != nil {
					t.Fatal(err)
				}
				var policy catalog.Call
				if err := json.Unmarshal(data, &policy); err != nil {
					t.Fatal(err)
				}
				settings.Stages = map[string]catalog.Call{"s": policy}
				if _, err := newCaller(&settings, 1, "s", ownKey); !errors.Is(err, protect.ErrPolicy) {
					t.Errorf("%s, %s is %q: got %v, want %v", stage.Slug, field, value, err, protect.ErrPolicy)
				}
			}
		}
	}
	if _, err := newCaller(&b.settings, 1, "no-such-stage", ownKey); !errors.Is(err, errSettings) {
		t.Errorf("an unknown stage: %v", err)
	}
	b.install(t, "app-id")
	if _, err := b.device.Launch(t.Context(), appName, "hidden-secrets"); err == nil || !strings.Contains(err.Error(), "hidden-secrets") {
		t.Errorf("launched for a stage of another release: %v", err)
	}
}

// TestContradictions has policies whose parts do not go together.
func TestContradictions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, test := range []struct {
		name, stage string
		change      func(*catalog.Policies)
	}{
		{"pins without TLS", "pinned-mtls", func(p *catalog.Policies) { p.Call.Transport = catalog.PlainHTTP }},
		{"sealed and not signed", "hidden-secrets", func(p *catalog.Policies) { p.Call.AppProof = catalog.AppKey }},
		{"sessions and app keys in one field", "user-session", func(p *catalog.Policies) { p.Call.AppProof, p.Call.Bodies = catalog.AppKey, catalog.PlainBodies }},
		{"passwords without TLS", "user-session", func(p *catalog.Policies) { p.Call.Transport, p.Call.Pins = catalog.PlainHTTP, catalog.NotPinned }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			stage := lookup(t, test.stage)
			test.change(&stage.Policies)
			settings := b.settings
			settings.Stages = map[string]catalog.Call{"s": stage.Call}
			if _, err := newCaller(&settings, 1, "s", ownKey); !errors.Is(err, protect.ErrPolicy) {
				t.Errorf("got %v, want %v", err, protect.ErrPolicy)
			}
		})
	}
}

// TestBrokenSettings has packages whose settings can't protect a call: they refuse
// rather than do less.
func TestBrokenSettings(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, test := range []struct {
		name   string
		change func(*release.Settings)
	}{
		{"no pins", func(s *release.Settings) { s.ServerPins = nil }},
		{"a mistyped pin", func(s *release.Settings) { s.ServerPins = []string{s.ServerPins[0], "sha256/oops"} }},
		{"no client key", func(s *release.Settings) { s.ClientKey = "" }},
		{"no client ID", func(s *release.Settings) { s.ClientID = "" }},
		{"HTTP where TLS is due", func(s *release.Settings) { s.APITLS = s.APIPlain }},
		{"a stranger's app", func(s *release.Settings) { s.App = "harbour-kiosk" }},
		{"no shared secret", func(s *release.Settings) { s.SharedSecret = "" }},
		{"a port that is none", func(s *release.Settings) { s.APITLS = "https://bank:99999" }},
	} {
		settings := b.settings
		stage := lookup(t, "user-session")
		settings.Stages = map[string]catalog.Call{"s": stage.Call}
		if _, err := newCaller(&settings, 1, "s", ownKey); err != nil {
			t.Fatal(err)
		}
		test.change(&settings)
		if _, err := newCaller(&settings, 1, "s", ownKey); err == nil {
			t.Errorf("%s: it was accepted", test.name)
		}
	}
}
