package enforcement_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"keyladder/attestsvc/enforcement"
	"keyladder/attestsvc/level"
	"keyladder/internal/manage"
	"keyladder/internal/store"
	"keyladder/stages/catalog"
)

// Stages that are made up: all is reported at the first, little at the second, and nobody attests at
// the third.
const challenged, hashed, open = "challenged", "hashed", "open"

func stages() catalog.Set {
	stage := func(slug string, attestation catalog.Attestation) catalog.Stage {
		return catalog.Stage{Slug: slug, Built: true, Policies: catalog.Policies{Attestation: attestation}}
	}
	return catalog.Set{
		stage(challenged, catalog.Attestation{
			Level: catalog.PackageChallenge, Executables: catalog.Enforced, Runtime: catalog.Enforced, Configuration: catalog.Watched, Instance: catalog.Enforced,
		}),
		stage(hashed, catalog.Attestation{
			Level: catalog.PackageHash, Executables: catalog.Enforced, Runtime: catalog.NotLookedAt, Configuration: catalog.NotLookedAt, Instance: catalog.Watched,
		}),
		stage(open, catalog.Attestation{Level: catalog.NotAttested}),
	}
}

func opened(t *testing.T, path string, stages catalog.Set) *enforcement.Store {
	t.Helper()
	db, err := store.Open(path, enforcement.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	s, err := enforcement.Open(t.Context(), db, stages, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func set(t *testing.T, s *enforcement.Store, stage string, claim manage.ClaimName, to catalog.Claim) manage.Enforcement {
	t.Helper()
	now, err := s.Set(t.Context(), manage.EnforcementChange{Stage: stage, Claim: claim, Policy: to})
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// What is decided at run time is a version, of its stage alone. All versions are there after a
// restart, and each says what was in force.
func TestVersionsAreKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "enforcement.db")
	s := opened(t, path, stages())
	before := time.Now()
	set(t, s, challenged, manage.Runtime, catalog.Watched)
	set(t, s, challenged, manage.Executables, catalog.NotLookedAt)
	if same := set(t, s, challenged, manage.Runtime, catalog.Watched); same.Version != 3 {
		t.Errorf("what is so already is version %d", same.Version)
	}
	last := set(t, s, challenged, manage.Runtime, catalog.Enforced)
	for name, s := range map[string]*enforcement.Store{"as it runs": s, "after a restart": opened(t, path, stages())} {
		all := s.All()
		if len(all) != 2 || all[0].Stage != challenged || all[1].Stage != hashed {
			t.Fatalf("%s: %+v", name, all)
		}
		now := all[0]
		if now.Version != 4 || now.Version != last.Version || now.Since == nil || now.Since.Before(before) || s.At(challenged).Version != 4 {
			t.Errorf("%s: version %d since %v", name, now.Version, now.Since)
		}
		if now.Claims[manage.Executables] != catalog.NotLookedAt || now.Claims[manage.Runtime] != catalog.Enforced || now.Catalog[manage.Executables] != catalog.Enforced {
			t.Errorf("%s: %v, in the catalog %v", name, now.Claims, now.Catalog)
		}
		wantRuntime := []catalog.Claim{catalog.Enforced, catalog.Watched, catalog.Watched, catalog.Enforced}
		wantExecutables := []catalog.Claim{catalog.Enforced, catalog.Enforced, catalog.NotLookedAt, catalog.NotLookedAt}
		if len(now.History) != 4 {
			t.Fatalf("%s: %+v", name, now.History)
		}
		for i, version := range now.History {
			if version.Version != i+1 || (version.At == nil) != (i == 0) || version.Claims[manage.Runtime] != wantRuntime[i] || version.Claims[manage.Executables] != wantExecutables[i] {
				t.Errorf("%s: version %d is %+v", name, i+1, version)
			}
		}
		if other := all[1]; other.Version != 1 || other.Since != nil || len(other.History) != 1 {
			t.Errorf("%s: the other stage has %+v", name, other)
		}
		if s.At(open) != nil || s.At("nowhere") != nil {
			t.Errorf("%s: something is in force where nobody attests", name)
		}
	}
	// Versions of a stage that is not there any more say nothing about others.
	if all := opened(t, path, stages()[1:]).All(); len(all) != 1 || all[0].Version != 1 {
		t.Errorf("without the stage: %+v", all)
	}
}

// A change that is refused is no version, and says what is wrong with it.
func TestChangesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := opened(t, filepath.Join(t.TempDir(), "enforcement.db"), stages())
	for name, tt := range map[string]struct {
		change manage.EnforcementChange
		want   error
	}{
		"a stage that there is not":     {manage.EnforcementChange{Stage: "nowhere", Claim: manage.Runtime, Policy: catalog.Watched}, enforcement.ErrStage},
		"a stage without attestation":   {manage.EnforcementChange{Stage: open, Claim: manage.Executables, Policy: catalog.Watched}, enforcement.ErrStage},
		"a claim that there is not":     {manage.EnforcementChange{Stage: challenged, Claim: "luck", Policy: catalog.Watched}, enforcement.ErrClaim},
		"a decision that there is not":  {manage.EnforcementChange{Stage: challenged, Claim: manage.Runtime, Policy: "perhaps"}, enforcement.ErrClaim},
		"no decision":                   {manage.EnforcementChange{Stage: challenged, Claim: manage.Runtime}, enforcement.ErrClaim},
		"what is not reported, watched": {manage.EnforcementChange{Stage: hashed, Claim: manage.Runtime, Policy: catalog.Watched}, enforcement.ErrClaim},
	} {
		if _, err := s.Set(t.Context(), tt.change); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	for _, now := range s.All() {
		if now.Version != 1 {
			t.Errorf("what was refused is a version: %+v", now)
		}
	}
}

// Changes that come at the same time are a version each, and none undoes another; whoever judges
// meanwhile goes by one version as a whole.
func TestChangesAtTheSameTime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "enforcement.db")
	s := opened(t, path, stages())
	const rounds = 4
	var changing, judging sync.WaitGroup
	over := make(chan struct{})
	judging.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			p := s.At(challenged)
			if claims, _, _ := p.Judge(level.Verdict{}); len(claims) != 4 || claims[0].Policy != p.Claims[manage.Executables] {
				t.Errorf("version %d: %+v", p.Version, claims)
			}
		}
	})
	for _, claim := range manage.ClaimNames() {
		changing.Go(func() {
			for i := range rounds { // it ends where nobody looks
				to := catalog.Enforced
				if i%2 == 1 {
					to = catalog.NotLookedAt
				}
				if _, err := s.Set(t.Context(), manage.EnforcementChange{Stage: challenged, Claim: claim, Policy: to}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	changing.Wait()
	close(over)
	judging.Wait()
	now := opened(t, path, stages()).All()[0]
	changes := 0
	for i, version := range now.History {
		if version.Version != i+1 {
			t.Errorf("version %d follows version %d", version.Version, i)
		}
		if i == 0 {
			continue
		}
		differ := 0
		for _, claim := range manage.ClaimNames() {
			if version.Claims[claim] != now.History[i-1].Claims[claim] {
				differ++
			}
		}
		if differ != 1 {
			t.Errorf("version %d changes %d claims", version.Version, differ)
		}
		changes++
	}
	for claim, policy := range now.Claims {
		if policy != catalog.NotLookedAt {
			t.Errorf("%s is %s", claim, policy)
		}
	}
	if want := 3*(rounds-1) + rounds; changes != want { // three were enforced already
		t.Errorf("%d changes, want %d", changes, want)
	}
}

// Who fails is decided by what is in force about the claim in which something is wrong.
func TestJudgements(t *testing.T) {
	t.Parallel()
	wrong := func(claims ...manage.ClaimName) level.Verdict {
		v := level.Verdict{}
		for _, claim := range claims {
			v[claim] = []manage.Finding{{What: "something"}}
		}
		return v
	}
	policy := &enforcement.Policy{Version: 7, Claims: map[manage.ClaimName]catalog.Claim{
		manage.Executables: catalog.Enforced, manage.Runtime: catalog.Watched, manage.Configuration: catalog.NotLookedAt, manage.Instance: "a word of another release",
	}}
	for name, tt := range map[string]struct {
		verdict       level.Verdict
		good, watched bool
		trust         [4]manage.Trust
	}{
		"nothing is wrong":           {wrong(), true, false, [4]manage.Trust{manage.Affirming, manage.Affirming, manage.NotLookedAt, manage.Affirming}},
		"what is enforced":           {wrong(manage.Executables), false, false, [4]manage.Trust{manage.Contraindicated, manage.Affirming, manage.NotLookedAt, manage.Affirming}},
		"what is watched":            {wrong(manage.Runtime), true, true, [4]manage.Trust{manage.Affirming, manage.Warning, manage.NotLookedAt, manage.Affirming}},
		"what nobody looks at":       {wrong(manage.Configuration), true, false, [4]manage.Trust{manage.Affirming, manage.Affirming, manage.NotLookedAt, manage.Affirming}},
		"what is not decided denies": {wrong(manage.Instance), false, false, [4]manage.Trust{manage.Affirming, manage.Affirming, manage.NotLookedAt, manage.Contraindicated}},
		"watched beside enforced":    {wrong(manage.Executables, manage.Runtime), false, false, [4]manage.Trust{manage.Contraindicated, manage.Warning, manage.NotLookedAt, manage.Affirming}},
	} {
		claims, good, watched := policy.Judge(tt.verdict)
		if good != tt.good || watched != tt.watched {
			t.Errorf("%s: good %v, watched %v", name, good, watched)
		}
		for i, claim := range claims {
			findings := claim.Trust == manage.Warning || claim.Trust == manage.Contraindicated
			if claim.Claim != manage.ClaimNames()[i] || claim.Trust != tt.trust[i] || (len(claim.Findings) > 0) != findings {
				t.Errorf("%s: %+v, want %s", name, claim, tt.trust[i])
			}
		}
	}
}

// A reset has all as the catalog has it, now and after a restart, and versions count from there.
func TestReset(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "enforcement.db")
	s := opened(t, path, stages())
	set(t, s, challenged, manage.Runtime, catalog.Watched)
	set(t, s, hashed, manage.Instance, catalog.Enforced)
	if err := s.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*enforcement.Store{"as it runs": s, "after a restart": opened(t, path, stages())} {
		for _, now := range s.All() {
			if now.Version != 1 || len(now.History) != 1 || now.Claims[manage.Runtime] != now.Catalog[manage.Runtime] || now.Claims[manage.Instance] != now.Catalog[manage.Instance] {
				t.Errorf("%s: %+v", name, now)
			}
		}
	}
	if now := set(t, s, challenged, manage.Runtime, catalog.Watched); now.Version != 2 {
		t.Errorf("the next version is %d", now.Version)
	}
}
