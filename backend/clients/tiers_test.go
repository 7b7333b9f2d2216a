package clients_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"keyladder/backend/clients"
	"keyladder/internal/manage"
)

// A tier's limits are those of all apps in it, here and in another process, from the moment of
// the change on.
func TestTiers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "registry.db")
	ours, theirs := following(t, path), following(t, path)
	limits := func(r *clients.Registry, id string) string {
		app, _, err := r.Lookup(id)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%q: %g, %d; bucket %g, %d", app.Tier, app.PerSecond, app.Burst, float64(app.Limiter.Limit()), app.Limiter.Burst())
	}
	do := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tier, own, three, seven := "basic", "", 3.0, 7
	do(ours.Register(ctx, app(func(a *manage.App) { a.ID, a.Tier, a.PerSecond, a.Burst = "small", "basic", 0, 0 })))
	do(ours.Change(ctx, "harbour-mobile", manage.AppChange{Tier: &tier}))
	for _, step := range []struct {
		what   string
		change func() error
		want   map[string]string
	}{
		{"two in a tier", func() error { return nil }, map[string]string{"small": `"basic": 1, 5; bucket 1, 5`, "harbour-mobile": `"basic": 1, 5; bucket 1, 5`}},
		{"another tier", func() error {
			_, err := ours.ChangeTier(ctx, "premium", manage.TierChange{PerSecond: &three})
			return err
		}, map[string]string{"small": `"basic": 1, 5; bucket 1, 5`}},
		{"theirs", func() error {
			_, err := ours.ChangeTier(ctx, "basic", manage.TierChange{PerSecond: &three})
			return err
		}, map[string]string{"small": `"basic": 3, 5; bucket 3, 5`, "harbour-mobile": `"basic": 3, 5; bucket 3, 5`}},
		{"limits of its own", func() error {
			_, err := ours.Change(ctx, "small", manage.AppChange{Burst: &seven})
			return err
		}, map[string]string{"small": `"": 3, 7; bucket 3, 7`, "harbour-mobile": `"basic": 3, 5; bucket 3, 5`}},
		{"out of its tier", func() error {
			_, err := ours.Change(ctx, "harbour-mobile", manage.AppChange{Tier: &own})
			return err
		}, map[string]string{"harbour-mobile": `"": 3, 5; bucket 3, 5`}},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		for id, want := range step.want {
			if got := limits(ours, id); got != want {
				t.Errorf("%s: %s has %s, want %s", step.what, id, got, want)
			}
			within(t, step.what, func() bool {
				_, _, err := theirs.Lookup(id)
				return err == nil && limits(theirs, id) == want
			})
		}
	}
	if tiers := open(t, path).Tiers(); len(tiers) != 3 || tiers[0] != (manage.Tier{Name: "basic", PerSecond: 3, Burst: 5}) || tiers[1] != (manage.Tier{Name: "premium", PerSecond: 3, Burst: 600}) {
		t.Errorf("after a restart: %+v", tiers)
	}

	nothing, none := 0.0, "gold"
	if _, err := ours.ChangeTier(ctx, "gold", manage.TierChange{}); !errors.Is(err, clients.ErrNoTier) {
		t.Errorf("a tier that there is not: %v", err)
	}
	if _, err := ours.ChangeTier(ctx, "basic", manage.TierChange{PerSecond: &nothing}); !errors.Is(err, clients.ErrInvalid) {
		t.Errorf("no calls at all: %v", err)
	}
	if _, err := ours.Change(ctx, "small", manage.AppChange{Tier: &none}); !errors.Is(err, clients.ErrInvalid) {
		t.Errorf("an app in a tier that there is not: %v", err)
	}
	do(nil, ours.Reset(ctx))
	if tiers := ours.Tiers(); len(tiers) != 3 || tiers[0] != (manage.Tier{Name: "basic", PerSecond: 1, Burst: 5}) {
		t.Errorf("after a reset: %+v", tiers)
	}
}
