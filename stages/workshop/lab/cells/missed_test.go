package cells_test

import (
	"slices"
	"strings"
	"testing"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/referee"
)

// A defence that is switched off must be missed: the attack that it stops comes
// through, or is stopped elsewhere, and the matrix is no longer as expected.
func TestMatrixMissesEveryCheck(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as the matrix")
	}
	t.Parallel()
	clear := func(p *catalog.Policies) { p.Package.Secrets = catalog.ClearSecrets }
	// With the pins replaced the proxy gets in between, but what it reads is sealed.
	open := func(p *catalog.Policies) {
		p.Package.Secrets, p.Call.Bodies = catalog.ClearSecrets, catalog.PlainBodies
	}
	// What an app says of itself counts, and nobody challenges it.
	onlyHash := func(p *catalog.Policies) {
		p.Attestation.Level, p.Attestation.Runtime, p.Attestation.Configuration = catalog.PackageHash, catalog.NotLookedAt, catalog.NotLookedAt
	}
	unbound := func(p *catalog.Policies) { p.Call.PKCE, p.Auth.PKCE = catalog.NoPKCE, catalog.NoPKCE }
	const bound, signed = "device-bound", "signed-calls"
	// Tokens are good for whoever has them.
	anySender := func(p *catalog.Policies) {
		p.Call.Binding, p.Call.Sender = catalog.TokenOfDevice, catalog.AnySender
		p.Call.ClientAuth, p.Auth.ClientAuth = catalog.ByIntegrity, catalog.ByIntegrity
	}
	// The app is asked, and not its device.
	challenged := func(p *catalog.Policies) {
		anySender(p)
		p.Attestation.Level = catalog.PackageChallenge
	}
	watched := func(p *catalog.Policies) {
		a := &p.Attestation
		a.Executables, a.Runtime, a.Configuration, a.Instance = catalog.Watched, catalog.Watched, catalog.Watched, catalog.Watched
	}
	unlocked := func(p *catalog.Policies) { p.Attestation.Configuration = catalog.Watched }
	for _, tt := range []struct {
		check  catalog.Check
		off    func(*catalog.Policies)
		stage  string
		attack string
		want   catalog.Outcome
		by     catalog.Check // where it is still blocked: by what
	}{
		{"app-key", func(p *catalog.Policies) { p.Call.AppProof = catalog.NoAppProof }, "app-id", "unknown-client", catalog.Succeeds, ""},
		{"address-limit", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }, "app-id", "flood", catalog.Succeeds, ""},
		{"tls", func(p *catalog.Policies) { p.Call.Transport = catalog.PlainHTTP }, "tls", "wiretap", catalog.Succeeds, ""},
		{"tls", func(p *catalog.Policies) { p.Call.Transport = catalog.PlainHTTP }, "tls", "wire-tamper", catalog.Succeeds, ""},
		{"key-in-url", func(p *catalog.Policies) {
			p.Call.KeyPlace, p.API.KeyInURL = catalog.KeyInPublicURLs, catalog.KeyInURLAccepted
		}, "tls", "url-leak", catalog.Succeeds, ""},
		{"pins", func(p *catalog.Policies) { p.Call.Pins, p.Call.Transport = catalog.NotPinned, catalog.TLS }, "pinned-mtls", "trusted-proxy", catalog.Succeeds, ""},
		{"pins", func(p *catalog.Policies) { p.Call.Pins, p.Call.Transport = catalog.NotPinned, catalog.TLS }, "hmac", "trusted-proxy", catalog.Blocked, "hawk"},
		{"client-certificate", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }, "pinned-mtls", "unknown-client", catalog.Blocked, "app-key"},
		{"hawk", func(p *catalog.Policies) {
			p.Call.AppProof, p.Call.KeyPlace, p.Call.Nonces = catalog.AppKey, catalog.KeyInField, catalog.NoNonces
		}, "hmac", "proxy-tamper", catalog.Succeeds, ""},
		{"hidden", clear, "hidden-secrets", "static-extract", catalog.Succeeds, ""},
		{"hidden", open, "hidden-secrets", "repin", catalog.Succeeds, ""},
		{"nonce", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }, "hidden-secrets", "replay", catalog.Succeeds, ""},
		{"nonce", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }, "user-session", "replay", catalog.Succeeds, ""},
		{"binding", func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfApp }, "user-session", "backup-restore", catalog.Succeeds, ""},
		{"not-stored", func(p *catalog.Policies) { p.Call.UserKey = catalog.UserKeyInStorage }, "password-grant", "backup-theft", catalog.Succeeds, ""},
		{"not-stored", func(p *catalog.Policies) { p.Call.UserKey = catalog.UserKeyInStorage }, "password-grant", "backup-restore", catalog.Succeeds, ""},
		{"not-stored", func(p *catalog.Policies) { p.Call.UserKey = catalog.UserKeyInStorage }, "code-grant", "backup-theft", catalog.Succeeds, ""},
		{"nonce", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }, "code-grant", "replay", catalog.Succeeds, ""},
		{"integrity-token", func(p *catalog.Policies) {
			p.Call.AppProof = catalog.NoAppProof
			p.Attestation = catalog.Attestation{
				Level: catalog.NotAttested, Executables: catalog.NotLookedAt, Runtime: catalog.NotLookedAt, Configuration: catalog.NotLookedAt, Instance: catalog.NotLookedAt,
			}
		}, "attested-hash", "memory-hook", catalog.Succeeds, ""},
		{"integrity-token", func(p *catalog.Policies) { p.Attestation.Executables = catalog.Watched }, "attested-hash", "repackaged-app", catalog.Succeeds, ""},
		{"integrity-token", func(p *catalog.Policies) { p.Attestation.Runtime = catalog.Watched }, "attested-challenge", "instrumented-app", catalog.Succeeds, ""},
		{"integrity-token", onlyHash, "attested-challenge", "hash-spoof", catalog.Succeeds, ""},
		{"integrity-token", onlyHash, "attested-challenge", "attestation-replay", catalog.Succeeds, ""},
		{"pkce", unbound, "pkce-plain", "code-relay", catalog.Succeeds, ""},
		{"client-attestation", unlocked, bound, "hardware-oracle", catalog.Succeeds, ""},
		{"client-attestation", challenged, bound, "challenge-oracle", catalog.Succeeds, ""},
		{"client-attestation", watched, bound, "hash-spoof", catalog.Succeeds, ""},
		{"client-attestation", watched, bound, "attestation-replay", catalog.Blocked, "dpop"}, // what is replayed is about another key
		{"client-attestation", func(p *catalog.Policies) { p.Attestation.Executables = catalog.Watched }, bound, "repackaged-app", catalog.Succeeds, ""},
		{"integrity-token", func(p *catalog.Policies) { p.Attestation.Runtime = catalog.Watched }, bound, "instrumented-app", catalog.Succeeds, ""},
		{"dpop", anySender, bound, "token-lift", catalog.Succeeds, ""},
		{"proof-new", anySender, bound, "replay", catalog.Succeeds, ""},
		{"message-signature", anySender, signed, "token-lift", catalog.Succeeds, ""},
		{"message-signature", func(p *catalog.Policies) { p.Call.Sender = catalog.DPoPProofs }, signed, "proxy-tamper", catalog.Succeeds, ""},
		{"proof-new", anySender, signed, "replay", catalog.Succeeds, ""},
	} {
		t.Run(string(tt.check)+"/"+tt.attack, func(t *testing.T) {
			t.Parallel()
			stages := catalog.All().With(tt.stage, tt.off)
			if tt.check == "hidden" { // one package serves several stages
				changed, _ := stages.Lookup(tt.stage)
				for _, other := range stages.Built() {
					if other.Package.Release == changed.Package.Release && other.Slug != tt.stage {
						stages = stages.With(other.Slug, func(p *catalog.Policies) { p.Package.Secrets = catalog.ClearSecrets })
					}
				}
			}
			cell, err := lab.Cell(t.Context(), stages, referee.Pair{Stage: tt.stage, Attack: tt.attack})
			if err != nil {
				t.Fatal(err)
			}
			if cell.Outcome != string(tt.want) || cell.Check != tt.by {
				t.Errorf("%s is off: %s by %q (%s), want %s by %q\n%s", tt.check, cell.Outcome, cell.Check, cell.Reason, tt.want, tt.by, strings.Join(cell.Steps, "\n"))
			}
			if referee.Expected(stages, cell) == nil {
				t.Errorf("%s is off at %s, and the matrix does not notice: %+v", tt.check, tt.stage, cell)
			}
		})
	}
}

// What a stage's policy could say less of, and which call that is made beside the genuine
// app's is then served, or refused by another check.
func TestGenuineMissesWhatAPolicyLeavesOut(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as the matrix")
	}
	t.Parallel()
	const last = "user-session"
	for _, tt := range []struct {
		stage string
		off   func(*catalog.Policies)
		want  string
	}{
		{"app-id", func(p *catalog.Policies) { p.API.UserAgents = catalog.AnyUserAgent }, "rates in a browser: "},
		{"app-id", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }, "more calls at once than the app may make: "},
		{"app-id", func(p *catalog.Policies) { p.API.Authorization = catalog.NotAuthorized }, "a freeze with an app that lacks the scope: "},
		{"tls", func(p *catalog.Policies) { p.Call.Transport = catalog.PlainHTTP }, "rates over plain HTTP: "},
		{"tls", func(p *catalog.Policies) { p.API.KeyInURL = catalog.KeyInURLAccepted }, "rates with the key in the URL: "},
		{"pinned-mtls", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }, "rates without a client certificate: "},
		{"hmac", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }, "POST /v1/devices: the API answers 404 "},
		{"hidden-secrets", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }, "rates asked for with one nonce twice: "},
		{"hidden-secrets", func(p *catalog.Policies) { p.Call.Bodies = catalog.PlainBodies }, "POST /v1/devices: the API answers 400 "},
		{last, func(p *catalog.Policies) { p.Call.Binding = catalog.NotBound }, "accounts as a user who signed in with another app: "},
		{last, func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfApp }, "accounts with a session of another device: "},
		{last, func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfDevice }, "a signed call with another user put into it: "},
		{last, func(p *catalog.Policies) { p.API.Authorization = catalog.AppScopes }, "a freeze by a customer, with the staff's app: "},
		{"password-grant", func(p *catalog.Policies) { p.Auth.Revocations = catalog.RevokedServed }, "accounts with a token that was revoked: "},
		{"password-grant", func(p *catalog.Policies) { p.Call.Binding = catalog.NotBound }, "accounts as a user who signed in with another app: "},
		{"password-grant", func(p *catalog.Policies) { p.API.Authorization = catalog.AppAndUser }, "accounts with a token for something else: "},
		{"code-grant", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }, "rates asked for with one nonce twice: "},
		{"code-grant", func(p *catalog.Policies) { p.Call.Binding = catalog.TokenOfClient }, "a signed call with another user put into it: "},
		{"refresh", func(p *catalog.Policies) { p.Auth.Revocations = catalog.RevokedServed }, "accounts with a token that was revoked: "},
		{"pkce-plain", func(p *catalog.Policies) { p.Call.PKCE, p.Auth.PKCE = catalog.NoPKCE, catalog.NoPKCE }, "an authorization request without a code challenge: "},
	} {
		t.Run(tt.stage+"/"+tt.want, func(t *testing.T) {
			t.Parallel()
			genuine, err := lab.Genuine(t.Context(), catalog.All().With(tt.stage, tt.off), tt.stage)
			if err != nil {
				t.Fatal(err)
			}
			if genuine.OK || !strings.Contains(genuine.Reason, tt.want) {
				t.Errorf("ok %v, %q", genuine.OK, genuine.Reason)
			}
		})
	}
}

// missed is what tells that the server does not heed a check: a call beside the genuine
// app's, or an attack.
type missed struct {
	at     func(catalog.Policies) bool // which stages have the check
	call   string
	attack string
}

// A server that does not heed one of its checks, be it the API or the attestation service, is found out at the first stage that has it
// and at the last, although the app does what it always does.
func TestEveryCheckIsMissed(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as the matrix")
	}
	t.Parallel()
	rows := map[catalog.Check]missed{
		"transport":           {call: "rates over plain HTTP", at: func(p catalog.Policies) bool { return p.Call.Transport != catalog.PlainHTTP }},
		"user-agent":          {call: "rates in a browser", at: func(p catalog.Policies) bool { return p.API.UserAgents == catalog.RegisteredUserAgents }},
		"address-limit":       {attack: "flood", at: func(p catalog.Policies) bool { return p.API.RateLimits == catalog.LimitedRates }},
		"client-certificate":  {call: "rates without a client certificate", at: func(p catalog.Policies) bool { return p.Call.Transport == catalog.MutualTLS }},
		"certificate-of-app":  {call: "rates with the client certificate of another app", at: func(p catalog.Policies) bool { return p.Call.Transport == catalog.MutualTLS }},
		"key-in-url":          {call: "rates with the key in the URL", at: func(p catalog.Policies) bool { return p.API.KeyInURL == catalog.KeyInURLRefused }},
		"app-key":             {call: "rates under an invented key", at: func(p catalog.Policies) bool { return p.Call.AppProof == catalog.AppKey }},
		"attestation-session": {call: "evidence for an attestation session that was answered", at: func(p catalog.Policies) bool { return p.Attestation.Level != catalog.NotAttested }},
		"integrity-token":     {call: "rates without a client integrity token", at: func(p catalog.Policies) bool { return p.Call.AppProof == catalog.IntegrityToken }},
		"hawk":                {call: "rates signed with another secret", at: func(p catalog.Policies) bool { return p.Call.AppProof == catalog.Hawk }},
		"signed-fields": {call: "a signed call with another user put into it", at: func(p catalog.Policies) bool {
			return p.Call.Binding == catalog.SessionOfCall || p.Call.Binding == catalog.TokenOfCall
		}},
		"nonce":               {call: "rates asked for with one nonce twice", at: func(p catalog.Policies) bool { return p.Call.Nonces == catalog.NoncesRemembered }},
		"app-limit":           {call: "more calls at once than the app may make", at: func(p catalog.Policies) bool { return p.API.RateLimits == catalog.LimitedRates }},
		"sealed-body":         {call: "a signed transfer in the clear", at: func(p catalog.Policies) bool { return p.Call.Bodies == catalog.SealedBodies }},
		"device":              {call: "rates without a device", at: func(p catalog.Policies) bool { return p.Call.Devices == catalog.RegisteredDevices }},
		"sign-in":             {call: "a sign-in with a wrong password", at: func(p catalog.Policies) bool { return p.Call.UserProof == catalog.UserSession }},
		"session":             {call: "accounts without a session", at: func(p catalog.Policies) bool { return p.Call.UserProof == catalog.UserSession }},
		"access-token":        {call: "accounts with a token that says more than its issuer signed", at: func(p catalog.Policies) bool { return p.Call.UserProof == catalog.AccessToken }},
		"revoked":             {call: "accounts with a token that was revoked", at: func(p catalog.Policies) bool { return p.Auth.Revocations == catalog.RevokedRefused }},
		"binding":             {call: "accounts as a user who signed in with another app", at: func(p catalog.Policies) bool { return p.Call.Binding != catalog.NotBound }},
		catalog.CheckAttested: {call: "a token request without a client attestation", at: func(p catalog.Policies) bool { return p.Call.ClientAuth == catalog.ByAttestation }},
		// The app's own first request is refused for its nonce, so that nothing goes without the check, and
		// no probe gets its turn. Where it is heeded, the referee looks whether each probe of it was refused
		// by it, and TestProbesFollowThePolicies of the scene, whether there are any.
		catalog.CheckDPoP:      {call: "sign-in", at: func(p catalog.Policies) bool { return p.Call.Sender != catalog.AnySender }},
		catalog.CheckSignature: {call: "rates without a signature", at: func(p catalog.Policies) bool { return p.Call.Sender == catalog.SignedMessages }},
		catalog.CheckProofNew:  {call: "rates with one proof twice", at: func(p catalog.Policies) bool { return p.Call.Sender != catalog.AnySender }},
		"gateway":              {call: "accounts past the gateway", at: func(p catalog.Policies) bool { return p.Call.Gateway == catalog.ThroughGateway }},
		"scope":                {call: "a freeze with an app that lacks the scope", at: func(p catalog.Policies) bool { return p.API.Authorization != catalog.NotAuthorized }},
	}
	elsewhere := map[catalog.Check]string{
		"stage":      "without it there is no stage, and no matrix",
		"body":       "it reads the body for the others, and bounds memory: see TestChecksRefuse of the guard",
		"partner":    "no app is one: see TestPartners of the guard",
		"app":        "what proves an app has refused before: see TestNobodyIsProven of the guard",
		"nonce-kept": "it refuses copies that come at the same moment, and when memory is full: see TestOneOfManyCopies of the guard",
	}
	for _, check := range append(guard.Checks(), catalog.OfAttestation.Checks()...) {
		row, ok := rows[check]
		if ok == (elsewhere[check] != "") {
			t.Errorf("say of the check %q where it is missed, once", check)
		}
		if !ok || !slices.ContainsFunc(catalog.All().Built(), func(s catalog.Stage) bool { return row.at(s.Policies) }) {
			continue
		}
		for _, stage := range firstAndLast(t, row.at) {
			t.Run(string(check)+"/"+stage.Slug, func(t *testing.T) {
				t.Parallel()
				stages := catalog.All().WithoutCheck(stage.Slug, check)
				if row.attack != "" {
					cell, err := lab.Cell(t.Context(), stages, referee.Pair{Stage: stage.Slug, Attack: row.attack})
					if err != nil {
						t.Fatal(err)
					}
					if cell.Outcome != string(catalog.Succeeds) || referee.Expected(stages, cell) == nil {
						t.Errorf("%s is %s: %s", row.attack, cell.Outcome, cell.Reason)
					}
					return
				}
				genuine, err := lab.Genuine(t.Context(), stages, stage.Slug)
				if err != nil {
					t.Fatal(err)
				}
				if genuine.OK || !strings.HasPrefix(genuine.Reason, row.call+": ") {
					t.Errorf("ok %v, %q", genuine.OK, genuine.Reason)
				}
			})
		}
	}
}

// An authorization server that does not heed one of its checks is found out at the first stage that has
// it and at the last.
func TestEveryCheckOfTheAuthorizationServerIsMissed(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as the matrix")
	}
	t.Parallel()
	always := func(p catalog.Policies) bool { return p.Auth.Issuer == catalog.AuthServer }
	codes := func(p catalog.Policies) bool { return always(p) && p.Auth.Grants.HasCode() }
	secrets := func(p catalog.Policies) bool { return codes(p) && p.Auth.ClientAuth == catalog.ClientSecret }
	chosen := func(p catalog.Policies) bool { return p.Call.Providers == catalog.ChosenInApp }
	public := func(p catalog.Policies) bool { return always(p) && !secrets(p) && !chosen(p) }
	rows := map[catalog.Check][]missed{
		catalog.CheckForm: {{call: "an authorization request with a parameter twice", at: always}},
		catalog.CheckClient: { // the probe that tells first depends on how clients authenticate
			{call: "an authorization request of an unknown client", at: public},
			{call: "a token request with another client secret", at: secrets},
			{call: "a token request to the other provider with the secret in a field", at: chosen},
		},
		catalog.CheckRedirect: {{call: "an authorization request for another redirect URI", at: always}},
		catalog.CheckGrant:    {{call: "an authorization request for another grant", at: always}},
		catalog.CheckWanted:   {{call: "an authorization request for what nobody may do", at: always}},
		catalog.CheckSignIn:   {{call: "a sign-in on the page with a wrong password", at: always}},
		catalog.CheckConsent:  {{call: "an app that its user does not allow anything", at: always}},
		catalog.CheckCode:     {{call: "a token request with a code that was used", at: codes}},
		catalog.CheckPKCE:     {{call: "an authorization request without a code challenge", at: func(p catalog.Policies) bool { return codes(p) && p.Auth.PKCE != catalog.NoPKCE }}},
		catalog.CheckRefresh: {{call: "a token request with a refresh token that was used", at: func(p catalog.Policies) bool {
			return codes(p) && p.Auth.Grants == catalog.CodeAndRefresh
		}}},
	}
	for _, check := range append(catalog.OfAuth.Checks(), catalog.CheckSignIn) {
		if len(rows[check]) == 0 {
			t.Errorf("say of the check %q where it is missed", check)
		}
		for _, row := range rows[check] {
			for _, stage := range firstAndLast(t, row.at) {
				t.Run(string(check)+"/"+stage.Slug, func(t *testing.T) {
					t.Parallel()
					isMissed(t, stage.Slug, check, row.call)
				})
			}
		}
	}
}

// isMissed runs the genuine app at a stage without a check: the call tells.
func isMissed(t *testing.T, stage string, check catalog.Check, call string) {
	t.Helper()
	genuine, err := lab.Genuine(t.Context(), catalog.All().WithoutCheck(stage, check), stage)
	if err != nil {
		t.Fatal(err)
	}
	if genuine.OK || !strings.HasPrefix(genuine.Reason, call+": ") {
		t.Errorf("ok %v, %q", genuine.OK, genuine.Reason)
	}
}

// firstAndLast are the first and the last built stage at which a policy is like that, as the
// catalog has it.
func firstAndLast(t *testing.T, at func(catalog.Policies) bool) catalog.Set {
	t.Helper()
	having := slices.DeleteFunc(catalog.All().Built(), func(stage catalog.Stage) bool { return !at(stage.Policies) })
	switch len(having) {
	case 0:
		t.Error("no stage that is built has the check")
		return nil
	case 1:
		return having
	}
	return catalog.Set{having[0], having[len(having)-1]}
}

// TestForgedTokensMeetTheirCheck: without the check of access tokens it is no longer that which
// stops forged ones, and the matrix notices. Nobody is let in all the same: what comes after it
// has no token to look at.
func TestForgedTokensMeetTheirCheck(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as a cell of the matrix")
	}
	t.Parallel()
	for _, stage := range catalog.All().Built() {
		forging, _ := catalog.LookupAttack("token-forge")
		if forging.BlockedBy(stage) != catalog.CheckToken { // nobody gets as far, or there are no tokens
			continue
		}
		stages := catalog.All().WithoutCheck(stage.Slug, catalog.CheckToken)
		cell, err := lab.Cell(t.Context(), stages, referee.Pair{Stage: stage.Slug, Attack: "token-forge"})
		if err != nil {
			t.Fatal(err)
		}
		if cell.Outcome != string(catalog.Blocked) || cell.Check != catalog.CheckRevoked || referee.Expected(stages, cell) == nil {
			t.Errorf("%s: %s by %q (%s)", stage.Slug, cell.Outcome, cell.Check, cell.Reason)
		}
	}
}

// TestSwappedRedirectsLeadToTheAttacker where redirect URIs are not compared: with a token the
// victim is robbed, and with a code there is the check of clients left, or the mediator's of the app.
func TestSwappedRedirectsLeadToTheAttacker(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as a cell of the matrix")
	}
	t.Parallel()
	const name = "redirect-swap"
	swapping, _ := catalog.LookupAttack(name)
	for _, stage := range catalog.All().Built() {
		if swapping.BlockedBy(stage) != catalog.CheckRedirect {
			continue
		}
		t.Run(stage.Slug, func(t *testing.T) {
			t.Parallel()
			stages := catalog.All().WithoutCheck(stage.Slug, catalog.CheckRedirect)
			cell, err := lab.Cell(t.Context(), stages, referee.Pair{Stage: stage.Slug, Attack: name})
			if err != nil {
				t.Fatal(err)
			}
			want, by := catalog.Succeeds, catalog.Check("")
			switch {
			case stage.Call.ClientAuth.Attested():
				want, by = catalog.Blocked, catalog.CheckIntegrity
			case stage.Auth.ClientAuth == catalog.ClientSecret:
				want, by = catalog.Blocked, catalog.CheckClient
			}
			if cell.Outcome != string(want) || cell.Check != by || referee.Expected(stages, cell) == nil {
				t.Errorf("%s by %q (%s), want %s by %q\n%s", cell.Outcome, cell.Check, cell.Reason, want, by, strings.Join(cell.Steps, "\n"))
			}
		})
	}
}
