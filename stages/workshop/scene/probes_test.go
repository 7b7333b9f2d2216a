package scene

import (
	"slices"
	"testing"

	"keyladder/stages/catalog"
)

func applicable(p catalog.Policies) []catalog.Check {
	var checks []catalog.Check
	for _, probe := range allProbes() {
		if probe.applies(p) && !slices.Contains(checks, probe.check) {
			checks = append(checks, probe.check)
		}
	}
	return checks
}

// TestProbesFollowThePolicies asks which checks are probed at combinations of policies that no
// range of stages' numbers could describe.
func TestProbesFollowThePolicies(t *testing.T) {
	t.Parallel()
	stage := func(slug string) catalog.Policies {
		t.Helper()
		found, ok := catalog.All().Lookup(slug)
		if !ok {
			t.Fatalf("no stage %q", slug)
		}
		return found.Policies
	}
	withoutCertificates := stage("hidden-secrets")
	withoutCertificates.Call.Transport = catalog.TLS
	keysAgain := stage("hidden-secrets")
	keysAgain.Call.AppProof, keysAgain.Call.KeyPlace = catalog.AppKey, catalog.KeyInField
	keysAgain.Call.Nonces, keysAgain.Call.Bodies = catalog.NoNonces, catalog.PlainBodies
	verifiers := stage("mediated")
	verifiers.Call.PKCE, verifiers.Auth.PKCE = catalog.S256PKCE, catalog.S256PKCE
	proven := stage("device-bound") // at the API alone
	proven.Call.ClientAuth, proven.Auth.ClientAuth = catalog.ByIntegrity, catalog.ByIntegrity
	for _, test := range []struct {
		name     string
		policies catalog.Policies
		with     []catalog.Check
		without  []catalog.Check
	}{
		{
			name: "the first stage", policies: stage("app-id"),
			with:    []catalog.Check{catalog.CheckUserAgent, catalog.CheckAppKey, catalog.CheckScope, catalog.CheckAppLimit},
			without: []catalog.Check{catalog.CheckTransport, catalog.CheckKeyInURL, catalog.CheckHawk, catalog.CheckSession},
		},
		{
			name: "signed and sealed without certificates", policies: withoutCertificates,
			with:    []catalog.Check{catalog.CheckHawk, catalog.CheckSealedBody, catalog.CheckNonce, catalog.CheckTransport},
			without: []catalog.Check{catalog.CheckClientCert, catalog.CheckAppKey, catalog.CheckSession},
		},
		{
			name: "keys again, after signatures", policies: keysAgain,
			with:    []catalog.Check{catalog.CheckAppKey, catalog.CheckClientCert, catalog.CheckDevice},
			without: []catalog.Check{catalog.CheckHawk, catalog.CheckNonce, catalog.CheckSealedBody},
		},
		{
			name: "codes that are bound to nothing", policies: stage("mediated"),
			with:    []catalog.Check{catalog.CheckCode, catalog.CheckIntegrity},
			without: []catalog.Check{catalog.CheckPKCE},
		},
		{
			name: "codes that are bound to verifiers", policies: verifiers,
			with: []catalog.Check{catalog.CheckCode, catalog.CheckPKCE},
		},
		{
			name: "users", policies: stage("user-session"),
			with:    []catalog.Check{catalog.CheckSignIn, catalog.CheckSession, catalog.CheckBinding, catalog.CheckSignedFields},
			without: []catalog.Check{catalog.CheckAppKey, catalog.CheckToken},
		},
		{
			name: "tokens", policies: stage("password-grant"),
			with: []catalog.Check{
				catalog.CheckSignIn, catalog.CheckForm, catalog.CheckClient, catalog.CheckGrant, catalog.CheckWanted,
				catalog.CheckToken, catalog.CheckRevoked, catalog.CheckBinding, catalog.CheckScope, catalog.CheckAppKey,
			},
			without: []catalog.Check{catalog.CheckSession, catalog.CheckHawk, catalog.CheckDevice, catalog.CheckClientCert, catalog.CheckIntegrity},
		},
		{
			name: "attested", policies: stage("attested-hash"),
			with:    []catalog.Check{catalog.CheckAttestation, catalog.CheckIntegrity, catalog.CheckToken, catalog.CheckRefresh, catalog.CheckBinding, catalog.CheckScope},
			without: []catalog.Check{catalog.CheckHawk, catalog.CheckNonce, catalog.CheckAppKey, catalog.CheckSignedFields, catalog.CheckDPoP, catalog.CheckProofNew},
		},
		{
			name: "bound to a key", policies: stage("device-bound"),
			with:    []catalog.Check{catalog.CheckAttested, catalog.CheckDPoP, catalog.CheckProofNew, catalog.CheckToken, catalog.CheckBinding, catalog.CheckGateway},
			without: []catalog.Check{catalog.CheckSignature},
		},
		{
			name: "proven, and by clients that are not attested", policies: proven,
			with:    []catalog.Check{catalog.CheckDPoP, catalog.CheckProofNew},
			without: []catalog.Check{catalog.CheckAttested, catalog.CheckSignature},
		},
		{
			name: "signed with a key", policies: stage("signed-calls"),
			with: []catalog.Check{catalog.CheckAttested, catalog.CheckDPoP, catalog.CheckSignature, catalog.CheckProofNew, catalog.CheckToken, catalog.CheckBinding},
		},
	} {
		checks := applicable(test.policies)
		for _, check := range test.with {
			if !slices.Contains(checks, check) {
				t.Errorf("%s: nothing probes %s", test.name, check)
			}
		}
		for _, check := range test.without {
			if slices.Contains(checks, check) {
				t.Errorf("%s: something probes %s", test.name, check)
			}
		}
	}
}
