package attacker

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/lab/testbank"
)

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs an attack. Where an error is expected, wantErr is a part of its text.
func run(t *testing.T, name string, g *attack.Given, wantErr string) attack.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
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

// What every attack achieves at every stage, against the whole deployment, the matrix's test
// shows. Here the attacks meet the real resource server where that does not look: stages at
// which a protection is missing, so that each attack is seen to succeed; protections that
// stop it although the first one does not; and what is broken, from which nothing is learned.

func anyApp(p *catalog.Policies) {
	p.Call.AppProof, p.Call.KeyPlace = catalog.NoAppProof, catalog.NoKeySent
}
func withoutCertificate(p *catalog.Policies) { p.Call.Transport = catalog.TLS }

// anyProgram leaves a stage with users nothing but their sessions.
func anyProgram(p *catalog.Policies) {
	p.Call.AppProof, p.Call.Bodies, p.Call.Devices = catalog.NoAppProof, catalog.PlainBodies, catalog.NoDevices
	p.Call.Binding, p.Call.Nonces = catalog.NotBound, catalog.NoNonces
}

func TestUnknownClient(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		stage   catalog.Stage
		prepare func(*bank)
		claim   bool
		by      catalog.Check
		err     string
	}{
		{name: "no app proof", stage: stage(t, "tls", anyApp), claim: true},
		{name: "keys", stage: stage(t, "tls"), by: catalog.CheckAppKey},
		{name: "certificates", stage: stage(t, "pinned-mtls"), by: catalog.CheckClientCert},
		{name: "MACs alone", stage: stage(t, "hmac", withoutCertificate), by: catalog.CheckHawk},
		{name: "tokens", stage: stage(t, "password-grant"), by: catalog.CheckAppKey},
		{name: "the API is broken", stage: stage(t, "tls"), prepare: (*bank).breakDown, err: "500"},
		{name: "the API is away", stage: stage(t, "tls"), prepare: func(b *bank) { b.Leave() }, err: "refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, test.stage, testbank.Options{})
			if test.prepare != nil {
				test.prepare(b)
			}
			result := run(t, "unknown-client", b.given(), test.err)
			if by := b.stoppedBy(result); result.Claim != test.claim || by != test.by {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			b.robbed(test.claim)
		})
	}
}

func TestURLLeak(t *testing.T) {
	t.Parallel()
	const (
		leaked   = `127.0.0.1 - - "GET /%s/v1/rates?key=harbour-mobile HTTP/1.1" 200 "HarbourBank/1.0"`
		redacted = `127.0.0.1 - - "GET /%s/v1/rates?key=[redacted] HTTP/1.1" 400`
		without  = `127.0.0.1 - - "GET /%s/v1/rates HTTP/1.1" 200`
	)
	tests := []struct {
		name, slug string
		lines      []string
		claim      bool
		by         catalog.Check
		err        string
	}{
		{name: "leaked", slug: "app-id", lines: []string{redacted, leaked}, claim: true},
		{name: "redacted", slug: "tls", lines: []string{redacted}, by: catalog.CheckKeyInURL},
		{name: "not there", slug: "tls", lines: []string{without}, by: catalog.CheckKeyInURL},
		{name: "leaked, and a certificate is needed", slug: "pinned-mtls", lines: []string{leaked}, by: catalog.CheckClientCert},
		{name: "no line about the stage", slug: "tls", err: "no line"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, stage(t, test.slug), testbank.Options{})
			g := b.given()
			g.AccessLog = []string{`"GET /other/v1/rates?key=harbour-kiosk HTTP/1.1"`}
			for _, line := range test.lines {
				g.AccessLog = append(g.AccessLog, strings.ReplaceAll(line, "%s", test.slug))
			}
			result := run(t, "url-leak", g, test.err)
			if by := b.stoppedBy(result); result.Claim != test.claim || by != test.by {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			b.robbed(test.claim)
		})
	}
}

// It is not parallel: the list of common passwords is everybody's.
func TestPasswordGuess(t *testing.T) {
	unlocked := stage(t, "user-session", anyProgram, withoutCertificate)
	granted := stage(t, "password-grant")
	tests := []struct {
		name     string
		stage    catalog.Stage
		broken   bool
		bad      int // how many common passwords come before the victim's; 0: it is not one
		claim    bool
		by       catalog.Check
		obstacle string
		err      string
	}{
		{name: "without the app", stage: stage(t, "user-session"), by: catalog.CheckClientCert, obstacle: "403"},
		{name: "good passwords", stage: unlocked, by: catalog.CheckSignIn, obstacle: "left alone after"},
		{name: "a bad password", stage: unlocked, bad: 1, claim: true},
		{name: "a bad password, found too late", stage: unlocked, bad: 12, by: catalog.CheckSignIn, obstacle: "left alone after"},
		{name: "broken", stage: unlocked, broken: true, err: "500"},
		{name: "good passwords at a token endpoint", stage: granted, by: catalog.CheckSignIn, obstacle: "left alone after"},
		{name: "a bad password at a token endpoint", stage: granted, bad: 1, claim: true},
		{name: "a broken token endpoint", stage: granted, broken: true, err: "500"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := open(t, test.stage, testbank.Options{})
			if test.broken {
				b.breakDown()
			}
			if test.bad > 0 {
				usual := commonPasswords
				t.Cleanup(func() { commonPasswords = usual })
				commonPasswords = slices.Insert(slices.Clone(usual), test.bad, b.Passwords[aCustomer])
			}
			result := run(t, "password-guess", b.given(), test.err)
			if by := b.stoppedBy(result); result.Claim != test.claim || by != test.by || !strings.Contains(result.Obstacle, test.obstacle) {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			b.robbed(test.claim)
		})
	}
}

func TestTokenForge(t *testing.T) {
	t.Parallel()
	t.Run("at the bank", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "password-grant"), testbank.Options{})
		result := run(t, "token-forge", b.given(), "")
		if by := b.stoppedBy(result); result.Claim || by != catalog.CheckToken {
			t.Errorf("%+v, stopped by %q", result, by)
		}
		refused := b.refused()
		others := slices.DeleteFunc(slices.Clone(refused), func(check catalog.Check) bool { return check == catalog.CheckToken })
		if len(refused) < 30 || len(others) > 0 {
			t.Errorf("%d refusals, %q among them", len(refused), others)
		}
		b.robbed(false)
	})
	// The bank gives whoever forgets to sign what they ask for.
	t.Run("at a careless bank", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "password-grant"), testbank.Options{})
		var alices string
		b.ChangeRequests(func(r *http.Request, body []byte) []byte {
			text, err := token.From(r.Header)
			if err != nil || !strings.HasSuffix(text, ".") || strings.Count(text, ".") != 2 {
				return body
			}
			token.Set(r.Header, alices)
			return body
		})
		p, err := attack.NewProgram(b.given(), protect.Identity{ClientID: clientID})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if _, err := p.SignIn(t.Context(), aCustomer, b.Passwords[aCustomer]); err != nil {
			t.Fatal(err)
		}
		alices = p.Caller.Identity().Token
		if result := run(t, "token-forge", b.given(), ""); !result.Claim {
			t.Errorf("%+v", result)
		}
		b.robbed(true)
	})
	t.Run("broken", func(t *testing.T) {
		t.Parallel()
		b := open(t, stage(t, "password-grant"), testbank.Options{})
		b.breakDown()
		run(t, "token-forge", b.given(), "500")
	})
}

func TestRunOfNoAttack(t *testing.T) {
	t.Parallel()
	if _, err := Run(t.Context(), "no-such-attack", &attack.Given{}); err == nil {
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
