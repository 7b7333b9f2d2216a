package attacker

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"
	"time"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

// ownCalls is how many requests the attacker's own programs made.
func ownCalls(g *attack.Given) int {
	n := 0
	for _, m := range g.Log.After(0) {
		if m.Kind == traffic.Request {
			n++
		}
	}
	return n
}

func TestStaticExtract(t *testing.T) {
	t.Parallel()
	hidden := stage(t, "hidden-secrets")
	decoy := func(s *release.Settings) { s.APIPlain = "QZ3M5V7KXO2RCN4A6TJWLBYEHDIUPSFG" }
	tests := []struct {
		name     string
		stage    catalog.Stage
		prepare  func(*bank)
		settings func(*release.Settings) // nil: the bank's
		claim    bool
		by       catalog.Check
		obstacle string
		tries    bool // calls are made; without the private key no secret is looked at
	}{
		{name: "under its name", stage: stage(t, "hmac"), claim: true, tries: true},
		{name: "hidden", stage: hidden, by: catalog.CheckHidden},
		{
			name: "hidden, and no client certificate is needed", stage: stage(t, "hidden-secrets", withoutCertificate), settings: decoy,
			by: catalog.CheckHidden, obstacle: "401", tries: true,
		},
		{name: "the bank's clock is wrong", stage: stage(t, "hmac"), prepare: func(b *bank) { b.SetClock(time.Hour) }, claim: true, tries: true},
		{name: "in base64", stage: stage(t, "hmac"), claim: true, tries: true, settings: func(s *release.Settings) {
			s.ClientKey = base64.StdEncoding.EncodeToString([]byte(s.ClientKey))
			s.ClientCertificate = base64.RawURLEncoding.EncodeToString([]byte(s.ClientCertificate))
		}},
		{name: "under no name", stage: stage(t, "hmac"), claim: true, tries: true, settings: func(s *release.Settings) {
			s.SharedSecret, s.ClientSecret, s.ServerPins = "", "", []string{s.SharedSecret}
		}},
		{name: "the secret was changed", stage: stage(t, "hmac"), by: catalog.CheckHawk, obstacle: "401", tries: true, settings: func(s *release.Settings) {
			s.SharedSecret = strings.ToLower(s.SharedSecret)
		}},
		{name: "nothing in it", stage: stage(t, "tls"), by: catalog.CheckHidden, settings: func(s *release.Settings) { *s = release.Settings{} }},
		{name: "no private key in it", stage: stage(t, "pinned-mtls"), by: catalog.CheckClientCert, obstacle: "403", tries: true, settings: func(s *release.Settings) {
			s.ClientKey = ""
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, test.stage, testbank.Options{})
			if test.prepare != nil {
				test.prepare(b)
			}
			g := b.given()
			g.Package = b.pack(test.settings)
			result := run(t, "static-extract", g, "")
			if by := b.stoppedBy(result); result.Claim != test.claim || by != test.by || !strings.Contains(result.Obstacle, test.obstacle) {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			if calls := ownCalls(g); (calls > 0) != test.tries {
				t.Errorf("%d calls", calls)
			}
			b.robbed(test.claim)
		})
	}
	t.Run("not a package", func(t *testing.T) {
		t.Parallel()
		g := open(t, stage(t, "tls"), testbank.Options{}).given()
		g.Package = os.Args[0]
		run(t, "static-extract", g, "unzip")
	})
}
