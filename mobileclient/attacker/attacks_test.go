package attacker

import (
	"context"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs an attack. Where an error is expected, wantErr is a part of its text.
func run(t *testing.T, name string, g *Given, wantErr string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	result, err := Run(ctx, name, g)
	switch {
	case wantErr == "" && err != nil:
		t.Fatal(err)
	case wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)):
		t.Fatalf("error %v and %+v, want an error with %q in it", err, result, wantErr)
	case err == nil && result.Claim == (result.Obstacle != ""):
		t.Fatalf("neither success nor obstacle, or both: %+v", result)
	}
	return result
}

var builtSlugs = []string{"app-id", "tls", "pinned-mtls", "hmac", "hidden-secrets", "user-session"}

func anyApp(p *catalog.Policies)             { p.Call.AppProof = catalog.NoAppProof }
func withoutCertificate(p *catalog.Policies) { p.Call.Transport = catalog.TLS }

func TestUnknownClient(t *testing.T) {
	t.Parallel()
	for _, slug := range builtSlugs {
		t.Run(slug, func(t *testing.T) {
			t.Parallel()
			b := open(t, stage(t, slug))
			result := run(t, "unknown-client", b.given(t), "")
			if result.Claim {
				t.Errorf("it got in: %+v", result)
			}
			if want := catalog.CheckClientCert; b.stage.Call.Transport == catalog.MutualTLS && result.Check != want {
				t.Errorf("check %q, want %q", result.Check, want)
			}
			b.robbed(t, false)
		})
	}
	t.Run("no app proof", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "tls", anyApp))
		if result := run(t, "unknown-client", b.given(t), ""); !result.Claim {
			t.Errorf("it did not get in: %+v", result)
		}
		b.robbed(t, true)
	})
	t.Run("the API is broken", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "tls"))
		b.broken = true
		run(t, "unknown-client", b.given(t), "500")
	})
	t.Run("the API is away", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "tls"))
		b.Close()
		run(t, "unknown-client", b.given(t), "refused")
	})
}

func TestFlood(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(*bank)
		claim   bool
		err     string
	}{
		{"limited", func(b *bank) { b.limit, b.announce = 30, true }, false, ""},
		{"announced and not enforced", func(b *bank) { b.limit, b.announce, b.sealed = 30, true, true }, true, ""},
		{"no limit", func(*bank) {}, true, ""},
		{"broken", func(b *bank) { b.broken = true }, false, "500"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, stage(t, "pinned-mtls"))
			test.prepare(b)
			g := b.given(t)
			g.Package = b.pack(t, nil)
			result := run(t, "flood", g, test.err)
			if test.err != "" {
				return
			}
			if result.Claim != test.claim || (result.Served > result.Allowed) != test.claim {
				t.Errorf("%+v, want success: %v", result, test.claim)
			}
			if b.served < result.Served {
				t.Errorf("%d were served, it says %d", b.served, result.Served)
			}
		})
	}
}

func TestAnnouncedLimits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		policies, states []string
		want             []limit
	}{
		{"none", nil, nil, nil},
		{"two fields", []string{`"address";q=60;w=3`, `"app";q=100;w=2`}, []string{`"address";r=59;t=3`, `"app";r=7;t=1`}, []limit{{"address", 60, 3, 59}, {"app", 100, 2, 7}}},
		{"one list", []string{`"address";q=60;w=3, "app";q=100;qu="requests";w=2;pk=:cHJpdmF0ZQ==:`}, []string{`"address";r=59;t=3,"app";r=7`}, []limit{{"address", 60, 3, 59}, {"app", 100, 2, 7}}},
		{"policy alone", []string{`"address";q=60;w=3`}, nil, nil},
	}
	for _, test := range tests {
		got := announced(http.Header{"Ratelimit-Policy": test.policies, "Ratelimit": test.states})
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestWiretap(t *testing.T) {
	t.Parallel()
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "app-id"))
		g := b.given(t)
		g.Victim = (&customer{b: b, reference: "ref-victim"}).victim()
		if result := run(t, "wiretap", g, ""); !result.Claim {
			t.Errorf("%+v", result)
		}
		b.robbed(t, true)
		if got := b.payments("ref-victim"); len(got) != 1 || got[0].To != "HB-2001" {
			t.Errorf("the victim's payment: %v", got)
		}
	})
	for _, slug := range builtSlugs[1:] {
		t.Run(slug, func(t *testing.T) {
			t.Parallel()
			b := open(t, stage(t, slug))
			g := b.given(t)
			g.Victim = (&customer{b: b, reference: "ref-victim"}).victim()
			if result := run(t, "wiretap", g, ""); result.Claim || result.Check != catalog.CheckTLS {
				t.Errorf("%+v", result)
			}
			b.robbed(t, false)
		})
	}
	t.Run("signed, in the clear", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "hmac", func(p *catalog.Policies) {
			p.Call.Transport, p.Call.Pins = catalog.PlainHTTP, catalog.NotPinned
		}))
		g := b.given(t)
		g.Victim = (&customer{b: b, reference: "ref-victim"}).victim()
		if result := run(t, "wiretap", g, ""); result.Claim || result.Check != "" || !strings.Contains(result.Obstacle, "401") {
			t.Errorf("%+v", result)
		}
		b.robbed(t, false)
		if b.forged == 0 {
			t.Error("it did not try")
		}
	})
	t.Run("what was heard is refused", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "app-id"))
		g := b.given(t)
		victim := (&customer{b: b, reference: "ref-victim"}).victim()
		pay := victim.Pay
		victim.Pay = func(ctx context.Context) (screen device.Screen, err error) {
			screen, err = pay(ctx)
			b.mu.Lock()
			b.key = "another" // revoked a moment later
			b.mu.Unlock()
			return screen, err
		}
		g.Victim = victim
		if result := run(t, "wiretap", g, ""); result.Claim || result.Obstacle == "" || result.Check != "" {
			t.Errorf("%+v", result)
		}
	})
	t.Run("the victim did not use the network", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "app-id"))
		g := b.given(t)
		g.Victim = (&customer{b: b, reference: "ref-victim"}).victim()
		g.Victim.Join = func(string) {}
		run(t, "wiretap", g, "nothing was heard")
	})
	t.Run("the API is broken", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "tls"))
		b.broken = true
		g := b.given(t)
		g.Victim = (&customer{b: b, reference: "ref-victim"}).victim()
		run(t, "wiretap", g, "does not work")
	})
}

func TestWireTamper(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, slug string
		trusting   bool // the app accepts any certificate
		claim      bool
		check      catalog.Check
	}{
		{"plain", "app-id", false, true, ""},
		{"TLS", "tls", false, false, "tls"},
		{"mutual TLS", "pinned-mtls", false, false, "tls"},
		{"TLS, an app that trusts everybody", "tls", true, true, ""},
		{"mutual TLS, an app that trusts everybody", "pinned-mtls", true, false, ""},
		{"signed", "hmac", false, false, "tls"},
		{"sealed", "hidden-secrets", false, false, "tls"},
		{"in a session", "user-session", false, false, "tls"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, stage(t, test.slug))
			g := b.given(t)
			g.Victim = (&customer{b: b, reference: "ref-victim", trusting: test.trusting}).victim()
			result := run(t, "wire-tamper", g, "")
			if result.Claim != test.claim || result.Check != test.check {
				t.Errorf("%+v", result)
			}
			got := b.payments("ref-victim")
			if stolen := len(got) == 1 && got[0].To == "HB-3001"; stolen != test.claim {
				t.Errorf("booked: %v", got)
			}
		})
	}
	t.Run("the API is away", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "app-id"))
		b.Close()
		g := b.given(t)
		g.Victim = (&customer{b: b, reference: "ref-victim"}).victim()
		run(t, "wire-tamper", g, "does not work")
	})
}

func TestURLLeak(t *testing.T) {
	t.Parallel()
	leaked := `127.0.0.1 - - "GET /%s/v1/rates?key=harbour-mobile HTTP/1.1" 200 "HarbourBank/1.0"`
	redacted := `127.0.0.1 - - "GET /%s/v1/rates?key=[redacted] HTTP/1.1" 400`
	tests := []struct {
		name, slug string
		lines      []string
		claim      bool
		check      catalog.Check
		err        string
	}{
		{"leaked", "app-id", []string{redacted, leaked}, true, "", ""},
		{"redacted", "tls", []string{redacted}, false, "key-in-url", ""},
		{"not there", "tls", []string{`"GET /%s/v1/rates HTTP/1.1"`}, false, "key-in-url", ""},
		{"leaked, and a certificate is needed", "pinned-mtls", []string{leaked}, false, "", ""},
		{"empty log", "tls", nil, false, "", "no line"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, stage(t, test.slug))
			g := b.given(t)
			g.AccessLog = []string{`"GET /other/v1/rates?key=harbour-kiosk HTTP/1.1"`}
			for _, line := range test.lines {
				g.AccessLog = append(g.AccessLog, strings.ReplaceAll(line, "%s", test.slug))
			}
			result := run(t, "url-leak", g, test.err)
			if result.Claim != test.claim || result.Check != test.check {
				t.Errorf("%+v", result)
			}
			b.robbed(t, test.claim)
		})
	}
}

// ownCalls is how many requests the attacker's own programs made.
func ownCalls(g *Given) int {
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
	for _, slug := range builtSlugs {
		t.Run(slug, func(t *testing.T) {
			t.Parallel()
			b := open(t, stage(t, slug))
			g := b.given(t)
			g.Package = b.pack(t, nil)
			result := run(t, "static-extract", g, "")
			hidden := b.stage.Package.Secrets == catalog.HiddenSecrets
			if result.Claim == hidden || (result.Check == catalog.CheckHidden) != hidden {
				t.Errorf("%+v", result)
			}
			if calls := ownCalls(g); (calls == 0) != hidden { // without the private key no secret is looked at
				t.Errorf("%d calls", calls)
			}
			b.robbed(t, result.Claim)
		})
	}
	t.Run("hidden, and no client certificate is needed", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "hidden-secrets", withoutCertificate))
		g := b.given(t)
		g.Package = b.pack(t, func(s *release.Settings) { s.APIPlain = "QZ3M5V7KXO2RCN4A6TJWLBYEHDIUPSFG" })
		result := run(t, "static-extract", g, "")
		if result.Claim || result.Check != catalog.CheckHidden || !strings.Contains(result.Obstacle, "401") || ownCalls(g) == 0 {
			t.Errorf("%+v after %d calls", result, ownCalls(g))
		}
		b.robbed(t, false)
	})
	t.Run("the bank's clock is wrong", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "hmac"))
		b.ahead = time.Hour
		g := b.given(t)
		g.Package = b.pack(t, nil)
		if result := run(t, "static-extract", g, ""); !result.Claim {
			t.Errorf("%+v", result)
		}
		b.robbed(t, true)
	})
	t.Run("in base64", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "hmac"))
		g := b.given(t)
		g.Package = b.pack(t, func(s *release.Settings) {
			s.ClientKey = base64.StdEncoding.EncodeToString([]byte(s.ClientKey))
			s.ClientCertificate = base64.RawURLEncoding.EncodeToString([]byte(s.ClientCertificate))
		})
		if result := run(t, "static-extract", g, ""); !result.Claim {
			t.Errorf("%+v", result)
		}
	})
	t.Run("under no name", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "hmac"))
		g := b.given(t)
		g.Package = b.pack(t, func(s *release.Settings) {
			s.SharedSecret, s.ServerPins = "", []string{b.secret}
		})
		if result := run(t, "static-extract", g, ""); !result.Claim {
			t.Errorf("%+v", result)
		}
	})
	t.Run("the secret was changed", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "hmac"))
		g := b.given(t)
		g.Package = b.pack(t, nil)
		b.secret = strings.ToLower(b.secret)
		if result := run(t, "static-extract", g, ""); result.Claim || result.Check != "" || !strings.Contains(result.Obstacle, "401") {
			t.Errorf("%+v", result)
		}
	})
	t.Run("nothing in it", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "tls"))
		g := b.given(t)
		g.Package = b.pack(t, func(s *release.Settings) { *s = release.Settings{} })
		if result := run(t, "static-extract", g, ""); result.Claim {
			t.Errorf("%+v", result)
		}
	})
	t.Run("no client certificate in it", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "pinned-mtls"))
		g := b.given(t)
		g.Package = b.pack(t, func(s *release.Settings) { s.ClientKey = "" })
		if result := run(t, "static-extract", g, ""); result.Claim {
			t.Errorf("%+v", result)
		}
		b.robbed(t, false)
	})
	t.Run("not a package", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "tls"))
		g := b.given(t)
		g.Package = os.Args[0]
		run(t, "static-extract", g, "unzip")
	})
}

func TestInside(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, attack, slug string
		prepare            func(*bank)
		claim              bool
		err                string
	}{
		{"replay", "replay", "pinned-mtls", func(*bank) {}, true, ""},
		{"replay, good once", "replay", "pinned-mtls", func(b *bank) { b.onceEach = true }, false, ""},
		{"replay, broken", "replay", "pinned-mtls", func(b *bank) { b.broken = true }, false, "does not pay"},
		{"replay, nonces forgotten", "replay", "hmac", func(*bank) {}, true, ""},
		{"replay, nonces remembered", "replay", "hidden-secrets", func(*bank) {}, false, ""},
		{"replay in a session", "replay", "user-session", func(*bank) {}, false, ""},
		{"proxy-tamper", "proxy-tamper", "pinned-mtls", func(*bank) {}, true, ""},
		{"proxy-tamper, noticed", "proxy-tamper", "pinned-mtls", func(b *bank) { b.sealed = true }, false, ""},
		{"proxy-tamper, broken", "proxy-tamper", "pinned-mtls", func(b *bank) { b.broken = true }, false, "500"},
		{"proxy-tamper, signed", "proxy-tamper", "hmac", func(*bank) {}, false, ""},
		{"proxy-tamper, sealed", "proxy-tamper", "hidden-secrets", func(*bank) {}, false, ""},
		{"proxy-tamper in a session", "proxy-tamper", "user-session", func(*bank) {}, false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, stage(t, test.slug))
			test.prepare(b)
			g := b.given(t)
			x := &terminator{c: &customer{b: b, reference: "ref-victim"}}
			g.Inside = x.inside()
			result := run(t, test.attack, g, test.err)
			if result.Claim != test.claim {
				t.Errorf("%+v", result)
			}
			got := b.payments("ref-victim")
			switch {
			case test.attack == "replay" && (len(got) == 2) != test.claim,
				test.attack == "proxy-tamper" && (len(got) == 1 && got[0].To == "HB-3001") != test.claim:
				t.Errorf("booked: %v", got)
			}
			if x.rewrite != nil {
				t.Error("the terminator still changes calls")
			}
		})
	}
}

func anyProgram(p *catalog.Policies) {
	p.Call.AppProof, p.Call.Bodies, p.Call.Devices = catalog.NoAppProof, catalog.PlainBodies, catalog.NoDevices
	p.Call.Binding, p.Call.Nonces = catalog.NotBound, catalog.NoNonces
}

func TestStolenBearer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		stage catalog.Stage
		claim bool
		err   string
	}{
		{"with proof of the app", stage(t, "user-session"), false, ""},
		{"without", stage(t, "user-session", anyProgram), true, ""},
		{"nobody signs in", stage(t, "hmac"), false, "stands for its user"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, test.stage)
			g := b.given(t)
			g.Inside = (&terminator{c: &customer{b: b, reference: "ref-victim"}}).inside()
			result := run(t, "stolen-bearer", g, test.err)
			if result.Claim != test.claim || strings.Contains(result.Data, "ref-canary") != test.claim || result.Check != "" {
				t.Errorf("%+v", result)
			}
		})
	}
}

func TestPasswordGuess(t *testing.T) {
	t.Parallel()
	unlocked := func(p *catalog.Policies) { anyProgram(p); p.Call.Transport = catalog.TLS }
	tests := []struct {
		name     string
		stage    catalog.Stage
		prepare  func(*bank)
		claim    bool
		obstacle string
		err      string
	}{
		{"without the app", stage(t, "user-session"), func(*bank) {}, false, "403", ""},
		{"good passwords", stage(t, "user-session", unlocked), func(*bank) {}, false, "401", ""},
		{"a bad password", stage(t, "user-session", unlocked), func(b *bank) { b.passwords["alice"] = "harbour" }, true, "", ""},
		{"a bad password, throttled", stage(t, "user-session", unlocked), func(b *bank) { b.passwords["alice"], b.throttle = "harbour", 3 }, false, "after 4 passwords", ""},
		{"broken", stage(t, "user-session", unlocked), func(b *bank) { b.broken = true }, false, "", "500"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, test.stage)
			test.prepare(b)
			result := run(t, "password-guess", b.given(t), test.err)
			if result.Claim != test.claim || !strings.Contains(result.Obstacle, test.obstacle) {
				t.Errorf("%+v", result)
			}
			b.robbed(t, test.claim)
		})
	}
}

func TestRunOfNoAttack(t *testing.T) {
	t.Parallel()
	if _, err := Run(t.Context(), "no-such-attack", &Given{}); err == nil {
		t.Error("no error")
	}
}

func TestEveryAttackOfTheBuiltStagesIsThere(t *testing.T) {
	t.Parallel()
	for _, a := range catalog.Attacks() {
		for _, s := range catalog.All().Built() {
			if a.Expected(s) != catalog.NotApplicable && !slices.Contains(Names(), a.Name) {
				t.Errorf("%s is expected at %s and is not there", a.Name, s.Slug)
			}
		}
	}
	for _, name := range Names() {
		if _, ok := catalog.LookupAttack(name); !ok {
			t.Errorf("the catalog does not know %s", name)
		}
	}
}

// An attacker that could import the servers, the PKI or the lab would not have to
// steal anything.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	allowed := []string{
		"keyladder/mobileclient/attacker", "keyladder/mobileclient/device", "keyladder/mobileclient/release",
		"keyladder/stages/catalog", "keyladder/stages/mechanism", "keyladder/stages/protect",
		"keyladder/internal/traffic", "keyladder/internal/feed", "keyladder/internal/problem", "keyladder/internal/route",
	}
	own := 0
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		if !strings.HasPrefix(path, "keyladder/") {
			continue
		}
		own++
		if !slices.ContainsFunc(allowed, func(prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }) {
			t.Errorf("the attacker depends on %s", path)
		}
	}
	if own == 0 {
		t.Error("go list named none of our packages")
	}
}
