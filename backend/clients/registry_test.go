package clients_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyladder/backend/clients"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/store"
	"keyladder/stages/mechanism/appkey"
)

func app(change func(*manage.App)) manage.App {
	a := manage.App{ID: "harbour-mobile", Name: "Harbour Bank", UserAgent: "HarbourBank/", Scopes: []string{"rates:read"}, PerSecond: 200, Burst: 600}
	if change != nil {
		change(&a)
	}
	return a
}

func open(t *testing.T, path string) *clients.Registry {
	t.Helper()
	db, err := store.Open(path, slices.Concat(clients.Models(), durable.Models())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	r, err := clients.Open(context.Background(), db, clients.Config{
		Seed: []manage.App{app(nil)}, Secrets: map[string]string{"harbour-mobile": "seeded"}, Overlap: overlap,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// overlap is for how long the tests' registries keep a secret that was replaced.
const overlap = time.Hour

func fresh(t *testing.T) *clients.Registry {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "registry.db"))
}

// lookup is what Lookup says about a key, as a word.
func lookup(r *clients.Registry, key string) string {
	switch _, _, err := r.Lookup(key); {
	case err == nil:
		return "good"
	case errors.Is(err, clients.ErrRevoked):
		return "revoked"
	case errors.Is(err, clients.ErrUnknown):
		return "unknown"
	default:
		return err.Error()
	}
}

// TestChangesSurviveRestart makes each kind of change and looks at it before and after
// the registry is read anew.
func TestChangesSurviveRestart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	if _, err := r.Register(ctx, app(func(a *manage.App) { a.ID, a.UserAgent = "tester", "Tester" })); err != nil {
		t.Fatal(err)
	}
	name, scopes, burst := "Changed", []string{"accounts:read"}, 7
	changed, err := r.Change(ctx, "tester", manage.AppChange{Name: &name, Scopes: &scopes, Burst: &burst})
	if err != nil {
		t.Fatal(err)
	}
	if changed.Name != name || changed.PerSecond != 200 || changed.Burst != 7 || changed.UserAgent != "Tester/" {
		t.Errorf("changed: %+v", changed)
	}
	further, err := r.Issue(ctx, "tester")
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := r.Rotate(ctx, "harbour-mobile")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Revoke(ctx, "tester"); err != nil {
		t.Fatal(err)
	}
	check := func(r *clients.Registry) {
		t.Helper()
		want := map[string]string{
			"harbour-mobile": "revoked", rotated.ID: "good", "tester": "revoked", further.ID: "good", "nobody": "unknown",
		}
		got := map[string]string{}
		for key := range want {
			got[key] = lookup(r, key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		found, _, _ := r.Lookup(further.ID)
		if found == nil || !found.May("accounts:read") || found.May("rates:read") || found.May("") || found.Limiter.Burst() != 7 {
			t.Errorf("the app of %s: %+v", further.ID, found)
		}
		if !r.KnowsUserAgent("Tester/2.1 (x)") || r.KnowsUserAgent("Testers/2.1") || r.KnowsUserAgent("Tester") || r.KnowsUserAgent("") {
			t.Error("user agents are told apart wrongly")
		}
	}
	check(r)
	again := open(t, path)
	check(again)
	if diff := cmp.Diff(r.Apps(), again.Apps(), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("before and after the restart:\n%s", diff)
	}
	if _, err := again.Restore(ctx, "tester"); err != nil || lookup(again, "tester") != "good" {
		t.Errorf("restored: %s, %v", lookup(again, "tester"), err)
	}
	if err := again.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	if apps := again.Apps(); len(apps) != 1 || len(apps[0].Keys) != 1 || lookup(again, "harbour-mobile") != "good" {
		t.Errorf("after a reset: %+v", apps)
	}
}

func TestIssuedKeysAreKeys(t *testing.T) {
	t.Parallel()
	r := fresh(t)
	seen := map[string]bool{}
	for range 20 {
		key, err := r.Issue(context.Background(), "harbour-mobile")
		if err != nil {
			t.Fatal(err)
		}
		if !appkey.Valid(key.ID) || seen[key.ID] || len(key.ID) < len("harbour-mobile.")+26 {
			t.Errorf("issued %q", key.ID)
		}
		seen[key.ID] = true
	}
}

func TestRevokingTwiceKeepsTheTime(t *testing.T) {
	t.Parallel()
	r := fresh(t)
	first, err := r.Revoke(context.Background(), "harbour-mobile")
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Revoke(context.Background(), "harbour-mobile")
	if err != nil || !second.RevokedAt.Equal(*first.RevokedAt) {
		t.Errorf("revoked at %v, and again at %v (%v)", first.RevokedAt, second.RevokedAt, err)
	}
}

func TestChangingTheNameKeepsTheBucket(t *testing.T) {
	t.Parallel()
	r := fresh(t)
	before, _, _ := r.Lookup("harbour-mobile")
	name, burst := "Other", 3
	if _, err := r.Change(context.Background(), "harbour-mobile", manage.AppChange{Name: &name}); err != nil {
		t.Fatal(err)
	}
	if after, _, _ := r.Lookup("harbour-mobile"); after.Limiter != before.Limiter {
		t.Error("a new name filled the bucket")
	}
	if _, err := r.Change(context.Background(), "harbour-mobile", manage.AppChange{Burst: &burst}); err != nil {
		t.Fatal(err)
	}
	if after, _, _ := r.Lookup("harbour-mobile"); after.Limiter.Burst() != 3 {
		t.Error("a new limit did not take effect")
	}
}

func TestRefusedRegistrations(t *testing.T) {
	t.Parallel()
	r := fresh(t)
	ctx := context.Background()
	tests := []struct {
		name   string
		change func(*manage.App)
		err    error
	}{
		{"taken", func(*manage.App) {}, clients.ErrTaken},
		{"no ID", func(a *manage.App) { a.ID = "" }, clients.ErrInvalid},
		{"ID in capitals", func(a *manage.App) { a.ID = "Tester" }, clients.ErrInvalid},
		{"ID like an issued key", func(a *manage.App) { a.ID = "harbour-mobile.x" }, clients.ErrInvalid},
		{"ID with a line end", func(a *manage.App) { a.ID = "tester\n" }, clients.ErrInvalid},
		{"no name", func(a *manage.App) { a.Name = " " }, clients.ErrInvalid},
		{"no user agent", func(a *manage.App) { a.UserAgent = "" }, clients.ErrInvalid},
		{"everybody's user agent", func(a *manage.App) { a.UserAgent = "/" }, clients.ErrInvalid},
		{"user agent with a space", func(a *manage.App) { a.UserAgent = "a b" }, clients.ErrInvalid},
		{"unknown scope", func(a *manage.App) { a.Scopes = []string{"everything"} }, clients.ErrInvalid},
		{"empty scope", func(a *manage.App) { a.Scopes = []string{""} }, clients.ErrInvalid},
		{"scope twice", func(a *manage.App) { a.Scopes = []string{"rates:read", "rates:read"} }, clients.ErrInvalid},
		{"no calls a second", func(a *manage.App) { a.PerSecond = 0 }, clients.ErrInvalid},
		{"too many calls a second", func(a *manage.App) { a.PerSecond = 1e300 }, clients.ErrInvalid},
		{"no burst", func(a *manage.App) { a.Burst = 0 }, clients.ErrInvalid},
		{"unknown kind", func(a *manage.App) { a.Kind = "bank" }, clients.ErrInvalid},
		{"app with a partner's scope", func(a *manage.App) { a.Scopes = []string{"settlements:read"} }, clients.ErrInvalid},
		{"partner with an app's scope", func(a *manage.App) { a.Kind = manage.Partner }, clients.ErrInvalid},
		{"certificate that is no pin", func(a *manage.App) { a.Certificates = []string{"sha256/abc"} }, clients.ErrInvalid},
	}
	for _, test := range tests {
		a := app(func(a *manage.App) { a.ID = "tester" })
		if test.err == clients.ErrTaken {
			a.ID = "harbour-mobile"
		}
		test.change(&a)
		if _, err := r.Register(ctx, a); !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v", test.name, err, test.err)
		}
	}
	empty := ""
	if _, err := r.Change(ctx, "harbour-mobile", manage.AppChange{UserAgent: &empty}); !errors.Is(err, clients.ErrInvalid) {
		t.Errorf("changed to no user agent: %v", err)
	}
	if r.KnowsUserAgent("curl/8") {
		t.Error("everybody is let in")
	}
	for name, err := range map[string]error{
		"change":  func() error { _, err := r.Change(ctx, "x", manage.AppChange{}); return err }(),
		"issue":   func() error { _, err := r.Issue(ctx, "x"); return err }(),
		"rotate":  func() error { _, err := r.Rotate(ctx, "x"); return err }(),
		"revoke":  func() error { _, err := r.Revoke(ctx, "x"); return err }(),
		"restore": func() error { _, err := r.Restore(ctx, "x"); return err }(),
		"secret":  func() error { _, err := r.Secret("x"); return err }(),
		"another": func() error { _, err := r.RotateSecret(ctx, "x"); return err }(),
	} {
		if !errors.Is(err, clients.ErrNoApp) && !errors.Is(err, clients.ErrNoKey) {
			t.Errorf("%s of what is not there: %v", name, err)
		}
	}
}

func TestBadSeed(t *testing.T) {
	t.Parallel()
	db, err := store.Open(filepath.Join(t.TempDir(), "registry.db"), slices.Concat(clients.Models(), durable.Models())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	_, err = clients.Open(context.Background(), db, clients.Config{Seed: []manage.App{app(func(a *manage.App) { a.UserAgent = "" })}})
	if err == nil || !strings.Contains(err.Error(), "harbour-mobile") {
		t.Errorf("Open = %v", err)
	}
}
