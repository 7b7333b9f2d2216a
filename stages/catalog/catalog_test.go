package catalog

import (
	"strings"
	"testing"
)

func TestStagesAreNumberedAndComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i, stage := range All() {
		if stage.Number != i+1 {
			t.Errorf("stage %s has number %d at place %d", stage.Slug, stage.Number, i+1)
		}
		if seen[stage.Slug] {
			t.Errorf("the slug %s stands twice", stage.Slug)
		}
		seen[stage.Slug] = true
		if stage.Title == "" || stage.Adds == "" || stage.Package.Release < 1 || stage.Package.Release > 3 || stage.Chapter < 1 || stage.Chapter > len(Chapters()) {
			t.Errorf("stage %s is not fully described: %+v", stage.Slug, stage)
		}
		missing := stage.Undecided()
		if stage.Built && len(missing) > 0 {
			t.Errorf("stage %s is built, but its policy lacks %v", stage.Slug, missing)
		}
		if stage.Built && stage.Narrative() == "" {
			t.Errorf("stage %s is built, but has no narrative", stage.Slug)
		}
	}
}

func TestStagesMayNotBeOpen(t *testing.T) {
	t.Parallel()
	for _, stage := range All().Built() {
		p := stage.Policies
		if p.Call.AppProof == NoAppProof || p.API.Authorization == NotAuthorized || p.API.RateLimits == UnlimitedRates || p.API.UserAgents == AnyUserAgent {
			t.Errorf("stage %s has a check switched off: %+v", stage.Slug, p)
		}
	}
}

// The expected outcomes, written down a second time where they are easiest to get wrong:
// the last attack that still works at each stage that adds something.
func TestExpectedOutcomes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		attack string
		want   string // a letter a stage, from the first on
	}{
		{"wiretap", "Sbbbbbbbbbbbbbbbbb"},
		{"trusted-proxy", "SSbbbbbSbbbbbbbbbb"},
		{"repin", "..SSbbbbbbbbbbbbbb"},
		{"static-extract", "SSSSbbSSbbbbbbbbbb"},
		{"memory-hook", "SSSSSSSSSSbbbbbbbb"},
		{"replay", "SSSSbbSSbbSSSSSSbb"},
		{"proxy-tamper", "SSSbbbSSbbSSSSSSSb"},
		{"backup-theft", ".....SbbbSbbbbbbbb"},
		{"backup-restore", ".....bbbbSSSSSSbbb"},
		{"weak-provider", "..............Sbbb"},
	} {
		attack, ok := LookupAttack(tt.attack)
		if !ok {
			t.Fatalf("no attack %s", tt.attack)
		}
		got := ""
		for _, stage := range All()[:len(tt.want)] {
			got += map[Outcome]string{Succeeds: "S", Blocked: "b", NotApplicable: "."}[attack.Expected(stage)]
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.attack, got, tt.want)
		}
	}
}

func TestAsExpected(t *testing.T) {
	t.Parallel()
	attack, _ := LookupAttack("repin")
	for _, tt := range []struct {
		stage   string
		outcome Outcome
		check   Check
		want    bool
	}{
		{"hmac", Succeeds, "", true},
		{"hmac", Blocked, "pins", false},
		{"hidden-secrets", Blocked, "hidden", true},
		{"hidden-secrets", Blocked, "pins", false},
		{"hidden-secrets", Succeeds, "", false},
		{"hidden-secrets", Inconclusive, "", false},
		{"tls", NotApplicable, "", true},
		{"tls", Blocked, "", false},
	} {
		stage, _ := All().Lookup(tt.stage)
		if got := attack.AsExpected(stage, tt.outcome, tt.check); got != tt.want {
			t.Errorf("%s by %q at %s is as expected: %v", tt.outcome, tt.check, tt.stage, got)
		}
	}
	if (Attack{}).AsExpected(Stage{}, Inconclusive, "") {
		t.Error("nobody knows what to expect, and that is as expected")
	}
}

// The table is written by hand, and a shifted row would lie quietly.
func TestRowsHaveALetterAStage(t *testing.T) {
	t.Parallel()
	for _, attack := range Attacks() {
		for _, stage := range All() {
			if attack.Expected(stage) == Inconclusive {
				t.Errorf("%s: no S, b or . for stage %d in the row %q", attack.Name, stage.Number, attack.outcomes)
			}
		}
		if attack.outcomes.at(len(All())+1) != 0 {
			t.Errorf("%s: too many letters in the row %q", attack.Name, attack.outcomes)
		}
	}
}

func TestAttacksOfBuiltStagesAreDescribed(t *testing.T) {
	t.Parallel()
	for _, attack := range Attacks() {
		if attack.Summary == "" || attack.Position == "" {
			t.Errorf("%s is not described", attack.Name)
		}
		for _, stage := range All().Built() {
			expected := attack.Expected(stage)
			if expected == NotApplicable {
				continue
			}
			if attack.Goal == LaterStage || attack.Goal.Done() == "" {
				t.Errorf("%s applies to %s, but has no goal", attack.Name, stage.Slug)
			}
			if expected == Blocked && attack.BlockedBy(stage) == "" {
				t.Errorf("%s is blocked at %s, but the catalog does not say by which check", attack.Name, stage.Slug)
			}
		}
	}
}

func TestNarrativesPointAtCode(t *testing.T) {
	t.Parallel()
	snippets := Snippets()
	for _, stage := range All().Built() {
		for _, marker := range stage.Markers() {
			if snippets[marker].Code == "" {
				t.Errorf("the narrative of %s points at [[code:%s]], which is not there: run `go run ./stages snippets`", stage.Slug, marker)
			}
		}
		if strings.Contains(stage.Narrative(), "[[code:") {
			t.Errorf("the narrative of %s has an unresolved reference", stage.Slug)
		}
	}
}

func TestWithLeavesTheCatalogAlone(t *testing.T) {
	t.Parallel()
	changed := All().With("tls", func(p *Policies) { p.Call.Transport = PlainHTTP })
	before, _ := All().Lookup("tls")
	after, _ := changed.Lookup("tls")
	if before.Call.Transport != TLS || after.Call.Transport != PlainHTTP {
		t.Errorf("catalog %s, changed set %s", before.Call.Transport, after.Call.Transport)
	}
}

// A stage remembers what the ladder declares, however often its policies were changed.
func TestDeclaredPolicies(t *testing.T) {
	t.Parallel()
	before, _ := All().Lookup("hmac")
	set := All().
		With("hmac", func(p *Policies) { p.Call.AppProof = NoAppProof }).
		With("hmac", func(p *Policies) { p.Call.Transport = PlainHTTP }).
		WithoutCheck("hmac", CheckHawk)
	changed, _ := set.Lookup("hmac")
	if changed.Declared() != before.Policies || changed.Policies == before.Policies {
		t.Errorf("declared %+v, is %+v", changed.Declared(), changed.Policies)
	}
	if before.Declared() != before.Policies {
		t.Error("nothing was changed, and something else is declared")
	}
}

// Where some secrets are, written down a second time: as the narratives say.
func TestSecrets(t *testing.T) {
	t.Parallel()
	want := map[string][]string{ // by stage; letters of places, and names of servers; -: it is nowhere
		"the app's ID, as its key":    {1: "NPC api", 2: "PC api", 3: "PC api", 7: "PC api", 8: "PC api"},
		"the app's TLS key":           {3: "P", 4: "P", 5: "pM", 6: "pM"},
		"the app's Hawk secret":       {4: "P api", 5: "pM api", 6: "pM api"},
		"a session key":               {6: "CSM api"},
		"an access token":             {7: "CM", 8: "UCM", 9: "CM", 18: "CM"},
		"the key of access tokens":    {7: " api", 8: " api auth", 15: " api auth", 16: " mediator", 18: " mediator"},
		"a code":                      {8: "-", 9: "U auth", 16: "U mediator"},
		"the app's client secret":     {8: "-", 9: "pM api auth", 10: "pM api auth", 11: "pM auth", 12: "pM auth", 13: " auth mediator", 16: " auth mediator"},
		"a refresh token":             {9: "-", 10: "S auth", 15: "S auth", 16: "S mediator"},
		"the key of integrity tokens": {10: "-", 11: " api auth attestation", 12: " api auth attestation", 13: " api auth attestation mediator", 16: " auth attestation mediator"},
		"a PKCE verifier":             {13: "-", 14: "UM", 15: "M", 16: "M"},
		"the app's device key":        {16: "-", 17: "H", 18: "H"},
		"the key of signed answers":   {17: "-", 18: " mediator"},
	}
	for _, secret := range AllSecrets() {
		there := false
		for _, stage := range All() {
			got, servers := "", ""
			for _, place := range secret.At(stage.Policies) {
				if got += place.Letter(); place.Letter() == "" {
					servers += " " + string(place)
				}
				if place.Words() == string(place) {
					t.Errorf("the place %s has no words", place)
				}
			}
			got += servers
			if there = there || got != ""; got == "" {
				got = "-"
			}
			if by := want[secret.Name]; stage.Number < len(by) && by[stage.Number] != "" && by[stage.Number] != got {
				t.Errorf("%s at %s is at %q, want %q", secret.Name, stage.Slug, got, by[stage.Number])
			}
		}
		if !there {
			t.Errorf("%s is nowhere", secret.Name)
		}
		delete(want, secret.Name)
	}
	if len(want) > 0 {
		t.Errorf("these are no secrets: %v", want)
	}
}
