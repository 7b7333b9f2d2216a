package guard

import (
	"slices"
	"strings"
	"testing"

	"keyladder/backend/tokens"
	"keyladder/stages/catalog"
)

func steps() []step { return pipeline(Config{Tokens: &tokens.Store{}}, &memories{}).steps() }

// TestUnservedValuesAreRefused takes each check out of the pipeline: stages whose policies ask
// for it can't be guarded any more, and the error says which field does.
func TestUnservedValuesAreRefused(t *testing.T) {
	t.Parallel()
	all := steps()
	for _, s := range all {
		without := slices.DeleteFunc(slices.Clone(all), func(other step) bool { return other.check == s.check })
		for _, stage := range catalog.All().Built() {
			err := fits(stage, without)
			for _, d := range stage.Decisions() {
				others := slices.ContainsFunc(without, func(other step) bool { return other.serves.serves(d) })
				missed := err != nil && strings.Contains(err.Error(), "stage "+stage.Slug+": "+d.Field+": no check of the guard serves ")
				if missed != (s.serves.serves(d) && !others && !d.Off) {
					t.Errorf("%s without %s: %s is missed: %v (%v)", stage.Slug, s.check, d.Field, missed, err)
				}
			}
		}
	}
	for _, stage := range catalog.All().Built() {
		if err := fits(stage, all); err != nil {
			t.Error(err)
		}
	}
}

// TestChecksMustBeDeclared refuses those that are not the guard's, and those that are there
// twice.
func TestChecksMustBeDeclared(t *testing.T) {
	t.Parallel()
	if err := declared(steps()); err != nil {
		t.Error(err)
	}
	for _, check := range []catalog.Check{"made-up", catalog.CheckPins, catalog.CheckStage} {
		if declared(append(steps(), step{check: check})) == nil {
			t.Errorf("%s was taken", check)
		}
	}
}

// TestPlans are the checks that calls pass at the first stage, where little is asked, and
// those of partners.
func TestPlans(t *testing.T) {
	t.Parallel()
	first := catalog.All()[0]
	asked := first.Policies
	asked.API.Partners = catalog.PartnersByCertificate
	for _, test := range []struct {
		name  string
		route Route
		want  string
	}{
		{"an app's", Route{Path: "/v1/accounts"}, "address-limit stage transport user-agent body app-key app app-limit scope"},
		{"what is no route", Route{}, "address-limit stage transport user-agent body app-key app app-limit"},
		{"a partner's", Route{Path: "/partner", Partner: true}, "address-limit stage transport user-agent body client-certificate key-in-url partner app app-limit scope"},
	} {
		var got []string
		policies := test.route.asks(asked)
		for _, s := range newPlan(&route{Route: test.route}, &first, policies, inForce(steps(), policies)).steps {
			got = append(got, string(s.check))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %v, want %s", test.name, got, test.want)
		}
	}
}

// TestNobodyIsProven: no check before lets a call get there without an app.
func TestNobodyIsProven(t *testing.T) {
	t.Parallel()
	if appProven(&call{}) == nil {
		t.Error("nobody was let through")
	}
}
