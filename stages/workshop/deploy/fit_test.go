package deploy_test

import (
	"slices"
	"testing"

	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
)

func TestPackagesFitTheirStages(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	shipped := catalog.All().With("hmac", func(p *catalog.Policies) { p.Call.Binding = "" }) // a field that was not there yet
	if _, err := deploy.Init(t.Context(), deploy.Options{Dir: data, Stages: shipped, Programs: programs(t)}); err != nil {
		t.Fatal(err)
	}
	if got, err := deploy.Unfit(data, shipped); err != nil || len(got) > 0 {
		t.Errorf("by the stages that they were packed for: %v, %v", got, err)
	}
	got, err := deploy.Unfit(data, catalog.All())
	want := "harbour-bank-1.pkg (hmac)"
	if err != nil || !slices.Contains(got, want) || slices.ContainsFunc(got, func(s string) bool { return s == "harbour-bank-2.pkg" }) {
		t.Errorf("got %v, %v, want %s", got, err, want)
	}
}
