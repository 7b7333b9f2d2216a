package server_test

import (
	"slices"
	"testing"

	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
)

// What the admin sees of a token is what it says, though the token itself is kept nowhere.
func TestResultSaysWhatTheTokenSays(t *testing.T) {
	t.Parallel()
	w := start(t)
	result := w.attests(t, byChallenge, mine(), w.pkg, attestation.Findings{})
	claims, err := w.verify(byChallenge, result.Token)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []manage.Attestation{
		w.result(t, result),
		testenv.Must[manage.AttestationList](t)(manage.Attestations(t.Context(), w.admin, manage.AttestationQuery{})).Attestations[0],
	} {
		if shown.Issuer != claims.Issuer || !slices.Equal(shown.Audience, claims.Audience) || shown.Key != app+"-servers" || shown.Token != claims.ID {
			t.Errorf("%+v, and the token says %+v", shown, claims)
		}
	}
}

func TestVersionsOfWhatIsEnforced(t *testing.T) {
	t.Parallel()
	w := start(t)
	at := func(stage string) manage.Enforcement {
		all := testenv.Must[[]manage.Enforcement](t)(manage.Enforcements(t.Context(), w.admin))
		return all[slices.IndexFunc(all, func(e manage.Enforcement) bool { return e.Stage == stage })]
	}
	before := at(byChallenge)
	to := catalog.Enforced
	if before.Claims[manage.Runtime] == to {
		to = catalog.Watched
	}
	testenv.Must[manage.Enforcement](t)(manage.Enforce(t.Context(), w.admin, manage.EnforcementChange{Stage: byChallenge, Claim: manage.Runtime, Policy: to}))
	w.reopen(t)
	after := at(byChallenge)
	if len(before.History) != 1 || before.History[0].At != nil || len(after.History) != 2 {
		t.Fatalf("%+v became %+v", before.History, after.History)
	}
	if last := after.History[1]; last.Version != 2 || last.At == nil || last.Claims[manage.Runtime] != to || after.History[0].Claims[manage.Runtime] == to {
		t.Errorf("the versions: %+v", after.History)
	}
	if !slices.Equal(after.Reports, manage.ClaimNames()) || slices.Contains(at(byHash).Reports, manage.Runtime) {
		t.Errorf("at the levels apps report %v and %v", after.Reports, at(byHash).Reports)
	}
}

// A good and a failing answer have one shape.
func TestShapesOfAnswers(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.attests(t, byChallenge, mine(), w.pkg, attestation.Findings{})
	changed := slices.Clone(w.pkg)
	changed[len(changed)/2] ^= 1
	if r := w.attests(t, byChallenge, mine(), changed, attestation.Findings{}); w.good(t, byChallenge, r.Token) {
		t.Fatal("a changed package is accepted")
	}
	all := testenv.Must[[]manage.Latencies](t)(manage.Get[[]manage.Latencies](t.Context(), w.admin, manage.LatenciesPath))
	if len(all) != 1 || len(all[0].Shapes) == 0 {
		t.Fatalf("%+v", all)
	}
	first := all[0].Shapes[0]
	good, failing := int64(0), int64(0)
	for _, shape := range all[0].Shapes { // they may differ by the digits of a time
		good, failing = good+shape.Good, failing+shape.Failing
		if shape.Client != app || shape.Status != 200 || shape.Token != first.Token || shape.Header != first.Header || !slices.Equal(shape.Fields, first.Fields) {
			t.Errorf("%+v beside %+v", shape, first)
		}
	}
	if good != 1 || failing != 1 || first.Header != `{"alg":"HS256","kid":"harbour-mobile-servers","typ":"client-integrity+jwt"}` || first.Body <= first.Token {
		t.Errorf("%+v", all[0].Shapes)
	}
	coverage := testenv.Must[[]manage.Coverage](t)(manage.Get[[]manage.Coverage](t.Context(), w.admin, manage.CoveragePath))
	if len(coverage) == 0 || coverage[0].Seconds != 60 {
		t.Errorf("coverage: %+v", coverage)
	}
}
