package attacker

import (
	"net/http"
	"slices"
	"testing"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

func TestFlood(t *testing.T) {
	t.Parallel()
	few := guard.Limit{PerSecond: 5, Burst: 10}
	unlimited := stage(t, "pinned-mtls", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates })
	tests := []struct {
		name    string
		stage   catalog.Stage
		options testbank.Options
		prepare func(*bank)
		claim   bool
		err     string
	}{
		{name: "limited", stage: stage(t, "pinned-mtls"), options: testbank.Options{Address: few}},
		{
			name: "announced and not enforced", stage: stage(t, "pinned-mtls"), claim: true,
			options: testbank.Options{Address: few, Stages: catalog.All().WithoutCheck("pinned-mtls", catalog.CheckAddressLimit)},
		},
		{name: "no limit", stage: unlimited, claim: true},
		{name: "broken", stage: unlimited, prepare: (*bank).breakDown, err: "500"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, test.stage, test.options)
			if test.prepare != nil {
				test.prepare(b)
			}
			g := b.given()
			g.Package = b.pack(nil)
			result := run(t, "flood", g, test.err)
			if test.err != "" {
				return
			}
			if result.Claim != test.claim || (result.Served > result.Allowed) != test.claim {
				t.Errorf("%+v, want success: %v", result, test.claim)
			}
			if served := b.servedRates(); served < result.Served {
				t.Errorf("%d were served, it says %d", served, result.Served)
			}
		})
	}
}

// servedRates is how many calls for the rates the bank has served.
func (b *bank) servedRates() (served int) {
	b.t.Helper()
	usage, err := b.Manage().Usage(b.t.Context(), 2)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, u := range usage {
		if u.Stage == b.stage.Slug && u.Route == "GET /v1/rates" {
			served += int(u.Served)
		}
	}
	return served
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

func FuzzAnnounced(f *testing.F) {
	f.Add(`"address";q=60;w=3`, `"address";r=59;t=3`)
	f.Fuzz(func(t *testing.T, policy, state string) {
		for _, l := range announced(map[string][]string{"Ratelimit-Policy": {policy}, "Ratelimit": {state}}) {
			if l.quota < 0 || l.window < 0 || l.left < 0 {
				t.Errorf("%+v", l)
			}
		}
	})
}
