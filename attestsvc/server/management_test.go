package server_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
)

// Results are listed by stage, client, device and outcome, the newest first, in parts.
func TestResultsAreListed(t *testing.T) {
	t.Parallel()
	w := start(t)
	other := mine()
	other.Device = "device-2"
	var references []string
	for _, one := range []struct {
		stage   string
		opening attestation.Opening
		pkg     []byte
		found   attestation.Findings
	}{
		{byHash, mine(), w.pkg, attestation.Findings{}},
		{byHash, other, w.pkg[1:], attestation.Findings{}},
		{byChallenge, mine(), w.pkg, attestation.Findings{}},
		{byChallenge, mine(), w.pkg, attestation.Findings{Traced: true}},
		{byHash, attestation.Opening{ClientID: staff, Release: 1}, w.pkg, attestation.Findings{}},
	} {
		references = append(references, w.attests(t, one.stage, one.opening, one.pkg, one.found).Reference)
	}
	for name, tt := range map[string]struct {
		query manage.AttestationQuery
		want  []int // of the references
		total int
	}{
		"all":                 {manage.AttestationQuery{}, []int{4, 3, 2, 1, 0}, 5},
		"the oldest first":    {manage.AttestationQuery{Part: manage.Part{Sort: "at"}}, []int{0, 1, 2, 3, 4}, 5},
		"a part":              {manage.AttestationQuery{Part: manage.Part{From: 1, Limit: 2}}, []int{3, 2}, 5},
		"a stage":             {manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Stage: byHash}}, []int{4, 1, 0}, 3},
		"a client":            {manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Client: staff}}, []int{4}, 1},
		"a device":            {manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Device: "device-2"}}, []int{1}, 1},
		"good ones":           {manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Outcome: manage.GoodOutcome}}, []int{2, 0}, 2},
		"failing ones":        {manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Outcome: manage.FailingOutcome}}, []int{4, 3, 1}, 3},
		"watched ones":        {manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Outcome: manage.WatchedOutcome}}, nil, 0},
		"a reference":         {manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Search: references[2]}}, []int{2}, 1},
		"a part of a device":  {manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Search: "CE-2"}}, []int{1}, 1},
		"no pattern, a text":  {manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Search: "%"}}, nil, 0},
		"a part and a filter": {manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Stage: byHash}, Part: manage.Part{From: 2}}, []int{0}, 3},
	} {
		list := testenv.Must[manage.AttestationList](t)(manage.Attestations(t.Context(), w.admin, tt.query))
		var got []string
		for _, a := range list.Attestations {
			got = append(got, a.Reference)
		}
		var want []string
		for _, i := range tt.want {
			want = append(want, references[i])
		}
		if list.Total != tt.total || !slices.Equal(got, want) {
			t.Errorf("%s: %v of %d, want %v of %d", name, got, list.Total, want, tt.total)
		}
	}
	for _, path := range []string{"?sort=secret", "?outcome=perhaps", "?limit=0", "?from=x"} {
		wantStatus(t, w.admin.Do(t.Context(), http.MethodGet, manage.AttestationsPath+path, nil, nil), path, http.StatusBadRequest)
	}
	wantStatus(t, w.admin.Do(t.Context(), http.MethodGet, manage.AttestationsPath+"/AAAAA-AAAAA", nil, nil), "an unknown reference", http.StatusNotFound)
}

func wantStatus(t *testing.T, err error, what string, status int) {
	t.Helper()
	var p *problem.Problem
	if !errors.As(err, &p) || p.Status != status {
		t.Errorf("%s: %v, want status %d", what, err, status)
	}
}

// Sessions are counted, and shown without what it takes to answer them.
func TestSessionsAreListed(t *testing.T) {
	t.Parallel()
	w := start(t)
	waiting := w.opens(t, byChallenge, mine())
	result := w.attests(t, byHash, mine(), w.pkg, attestation.Findings{})
	w.call(t, http.MethodPost, waiting.path+"x", `{"measurement":"`+strings.Repeat("0", 64)+`","answer":"`+strings.Repeat("A", 43)+`=","findings":{}}`)
	list := func(stage, state string) manage.AttestationSessionList {
		return testenv.Must[manage.AttestationSessionList](t)(manage.AttestationSessions(t.Context(), w.admin, stage, state, manage.Part{}))
	}
	all := list("", "")
	if all.Total != 2 || all.Waiting != 1 || all.Opened != 2 || all.Answered != 1 || all.Refused != 1 || all.Sessions[0].Reference != result.Reference || all.Sessions[1].Ranges != 64 {
		t.Errorf("%+v", all)
	}
	for _, s := range all.Sessions {
		if strings.HasSuffix(waiting.path, "/"+s.ID) || len(s.ID) < 4 {
			t.Errorf("the ID of a session is shown as %q", s.ID)
		}
	}
	if found := list(byChallenge, "waiting"); found.Total != 1 || found.Sessions[0].Stage != byChallenge {
		t.Errorf("those that wait: %+v", found)
	}
	w.advance(5e9)
	if found := list("", "expired"); found.Total != 1 || found.Waiting != 0 {
		t.Errorf("those that have expired: %+v", found)
	}
}

// What is only watched is counted: how many would have failed were it enforced.
func TestWatchedIsCounted(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, claim := range []manage.ClaimName{manage.Runtime, manage.Configuration} {
		change := manage.EnforcementChange{Stage: byChallenge, Claim: claim, Policy: catalog.Watched}
		testenv.Must[manage.Enforcement](t)(manage.Post[manage.Enforcement](t.Context(), w.admin, manage.EnforcementPath, change))
	}
	for _, found := range []attestation.Findings{{}, {}, {Traced: true}, {Traced: true, Unlocked: true}, {Unlocked: true, OtherSigner: true}} {
		w.attests(t, byChallenge, mine(), w.pkg, found)
	}
	all := testenv.Must[[]manage.Watched](t)(manage.Get[[]manage.Watched](t.Context(), w.admin, manage.AttestationsWatchedPath))
	of := all[slices.IndexFunc(all, func(found manage.Watched) bool { return found.Stage == byChallenge })]
	if of.Total != 5 || of.Failing != 1 || of.Would != 2 {
		t.Errorf("%+v", of)
	}
	for claim, want := range map[manage.ClaimName]manage.WatchedCounts{
		manage.Executables: {Affirming: 4, Contraindicated: 1}, manage.Runtime: {Affirming: 3, Warning: 2, Would: 2},
		manage.Configuration: {Affirming: 3, Warning: 2, Would: 1}, manage.Instance: {Affirming: 5},
	} {
		if of.Claims[claim] != want {
			t.Errorf("%s: %+v, want %+v", claim, of.Claims[claim], want)
		}
	}
}

func TestEnforcementThatIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, tt := range map[string]struct {
		change manage.EnforcementChange
		status int
	}{
		"no stage":                    {manage.EnforcementChange{Stage: "nowhere", Claim: manage.Runtime, Policy: catalog.Watched}, http.StatusNotFound},
		"a stage without attestation": {manage.EnforcementChange{Stage: without, Claim: manage.Runtime, Policy: catalog.Watched}, http.StatusNotFound},
		"no claim":                    {manage.EnforcementChange{Stage: byHash, Claim: "luck", Policy: catalog.Watched}, http.StatusUnprocessableEntity},
		"no policy":                   {manage.EnforcementChange{Stage: byHash, Claim: manage.Executables, Policy: "perhaps"}, http.StatusUnprocessableEntity},
		"what apps do not report":     {manage.EnforcementChange{Stage: byHash, Claim: manage.Runtime, Policy: catalog.Enforced}, http.StatusUnprocessableEntity},
	} {
		wantStatus(t, w.admin.Do(t.Context(), http.MethodPost, manage.EnforcementPath, tt.change, nil), name, tt.status)
	}
	enforced := testenv.Must[[]manage.Enforcement](t)(manage.Get[[]manage.Enforcement](t.Context(), w.admin, manage.EnforcementPath))
	for _, e := range enforced {
		if e.Version != 1 || e.Since != nil {
			t.Errorf("what was refused is a version: %+v", e)
		}
	}
	same := manage.EnforcementChange{Stage: byHash, Claim: manage.Executables, Policy: catalog.Enforced}
	if now := testenv.Must[manage.Enforcement](t)(manage.Post[manage.Enforcement](t.Context(), w.admin, manage.EnforcementPath, same)); now.Version != 1 {
		t.Errorf("what is so already is version %d", now.Version)
	}
}

// The coverage of a challenge of today's length, and of another.
func TestCoverageIsShown(t *testing.T) {
	t.Parallel()
	w := start(t)
	for query, n := range map[string]float64{"": 64, "?ranges=8": 8} {
		all := testenv.Must[[]manage.Coverage](t)(manage.Get[[]manage.Coverage](t.Context(), w.admin, manage.CoveragePath+query))
		i := slices.IndexFunc(all, func(c manage.Coverage) bool { return c.Package == appPackage })
		if want := math.Pow(1-4096/float64(len(w.pkg)), n); len(all) != 2 || math.Abs(all[i].Missed-want) > 1e-12 || all[i].Size != int64(len(w.pkg)) {
			t.Errorf("%q: %+v, want %v", query, all, want)
		}
	}
}

// How long answers took is counted, the good and the failing ones apart.
func TestLatenciesAreCounted(t *testing.T) {
	t.Parallel()
	w := start(t)
	for range 3 {
		w.attests(t, byHash, mine(), w.pkg, attestation.Findings{})
	}
	w.attests(t, byHash, mine(), w.pkg[1:], attestation.Findings{})
	all := testenv.Must[[]manage.Latencies](t)(manage.Get[[]manage.Latencies](t.Context(), w.admin, manage.LatenciesPath))
	sum := func(counts []int64) (n int64) {
		for _, count := range counts {
			n += count
		}
		return n
	}
	if len(all) != 1 || all[0].Level != catalog.PackageHash || sum(all[0].Good) != 3 || sum(all[0].Failing) != 1 || len(all[0].Good) != len(all[0].Bounds)+1 {
		t.Errorf("%+v", all)
	}
}

// logged keeps what is logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Changes are logged with who made them, and nothing is that is secret; and the management API is
// for the admin alone.
func TestManagementIsLoggedAndClosed(t *testing.T) {
	t.Parallel()
	w := deploy(t)
	var log logged
	w.logger = slog.New(slog.NewTextHandler(&log, nil))
	w.open(t)
	result := w.attests(t, byChallenge, mine(), w.pkg, attestation.Findings{})
	id := w.reference(t, w.pkg).SHA256
	testenv.Must[manage.Reference](t)(manage.WithdrawReference(t.Context(), w.admin, id, false))
	if text := log.String(); !strings.Contains(text, "/references/"+id+"/withdraw") || !strings.Contains(text, "by=admin") || strings.Contains(text, result.Token) ||
		strings.Contains(text, "the secret of") {
		t.Errorf("logged is %s", text)
	}
	auth := testenv.Must[*manage.Client](t)(manage.NewClient(w.folder(t, deployment.Auth), deployment.Attestation))
	defer auth.Close()
	for _, path := range []string{
		manage.AttestationsPath, manage.AttestationSessionsPath, manage.ReferencesPath, manage.SignersPath, manage.AttestedDevicesPath, manage.EnforcementPath,
		manage.LatenciesPath, manage.CoveragePath, manage.AttestationsWatchedPath, manage.AttestationsPath + "/" + result.Reference,
	} {
		wantStatus(t, auth.Do(t.Context(), http.MethodGet, path, nil, nil), path, http.StatusForbidden)
	}
}
