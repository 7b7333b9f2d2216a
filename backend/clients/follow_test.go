package clients_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/backend/clients"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
)

// following opens the registry as a process of its own does, and follows.
func following(t *testing.T, path string) *clients.Registry {
	t.Helper()
	r := open(t, path)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan bool)
	go func() { r.Follow(ctx); ended <- true }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// within waits up to a second for what another process has to hear of.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	testenv.Within(t, time.Second, what, holds)
}

// Two processes on one database agree on every kind of change within a second, whoever made it.
func TestAnotherProcessFollows(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "registry.db")
	ours, theirs := following(t, path), following(t, path)
	good := func(key, want string) func() bool { return func() bool { return lookup(theirs, key) == want } }
	do := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(ours.Revoke(ctx, "harbour-mobile"))
	within(t, "revoked", good("harbour-mobile", "revoked"))
	do(ours.Restore(ctx, "harbour-mobile"))
	within(t, "restored", good("harbour-mobile", "good"))
	do(ours.Register(ctx, app(func(a *manage.App) { a.ID, a.UserAgent = "tester", "Tester" })))
	within(t, "registered", func() bool { return lookup(theirs, "tester") == "good" && theirs.KnowsUserAgent("Tester/1") })
	burst := 7
	do(ours.Change(ctx, "tester", manage.AppChange{Burst: &burst}))
	within(t, "changed", func() bool {
		found, _, _ := theirs.Lookup("tester")
		return found.Burst == 7 && found.Limiter.Burst() == 7
	})
	issued, err := ours.Issue(ctx, "tester")
	do(issued, err)
	within(t, "issued", good(issued.ID, "good"))
	rotated, err := ours.Rotate(ctx, "tester")
	do(rotated, err)
	within(t, "rotated", func() bool {
		return lookup(theirs, "tester") == "revoked" && lookup(theirs, issued.ID) == "revoked" && lookup(theirs, rotated.ID) == "good"
	})
	secret, err := ours.RotateSecret(ctx, "harbour-mobile")
	do(secret, err)
	within(t, "another secret", func() bool { return secretOf(t, theirs, "harbour-mobile") == secret.Secret })
	do(nil, theirs.Reset(ctx))
	within(t, "reset by the other", func() bool {
		return lookup(ours, "tester") == "unknown" && secretOf(t, ours, "harbour-mobile") == "seeded"
	})
	do(theirs.Revoke(ctx, "harbour-mobile"))
	within(t, "revoked by the other", func() bool { return lookup(ours, "harbour-mobile") == "revoked" })
}

// What a change depends on is read where it is written: memory may be behind.
func TestChangesDoNotRelyOnMemory(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "registry.db")
	ours, theirs := open(t, path), open(t, path) // neither follows
	if _, err := ours.Revoke(ctx, "harbour-mobile"); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Restore(ctx, "harbour-mobile"); err != nil || lookup(theirs, "harbour-mobile") != "good" {
		t.Errorf("restored: %s, %v", lookup(theirs, "harbour-mobile"), err)
	}
	// Ours still takes it for revoked. That must not keep it from being revoked again.
	if key, err := ours.Revoke(ctx, "harbour-mobile"); err != nil || key.RevokedAt == nil {
		t.Errorf("%+v, %v", key, err)
	}
	if got := lookup(open(t, path), "harbour-mobile"); got != "revoked" {
		t.Errorf("in the database it is %s", got)
	}
	if _, err := ours.Register(ctx, app(func(a *manage.App) { a.ID = "tester" })); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Register(ctx, app(func(a *manage.App) { a.ID = "tester" })); !errors.Is(err, clients.ErrTaken) {
		t.Errorf("registered twice: %v", err)
	}
	name, burst := "Other", 7
	if _, err := ours.Change(ctx, "harbour-mobile", manage.AppChange{Name: &name}); err != nil {
		t.Fatal(err)
	}
	if changed, err := theirs.Change(ctx, "harbour-mobile", manage.AppChange{Burst: &burst}); err != nil || changed.Name != name || changed.Burst != burst {
		t.Errorf("the other's change was lost: %+v, %v", changed, err)
	}
}

// More changes than the feed keeps, and both processes changing at once, end with both of one
// mind.
func TestProcessesAgree(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "registry.db")
	both := []*clients.Registry{following(t, path), following(t, path)}
	var wg sync.WaitGroup
	for i, r := range both {
		wg.Go(func() {
			for n := range 40 {
				var err error
				switch (n + i) % 3 {
				case 0:
					_, err = r.Revoke(ctx, "harbour-mobile")
				case 1:
					_, err = r.Restore(ctx, "harbour-mobile")
				default:
					_, err = r.Issue(ctx, "harbour-mobile")
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := func(r *clients.Registry) string {
		var keys []string
		for _, key := range r.Apps()[0].Keys {
			keys = append(keys, fmt.Sprint(key.ID, key.RevokedAt != nil))
		}
		slices.Sort(keys)
		return strings.Join(keys, " ")
	}
	want := seen(open(t, path))
	for i, r := range both {
		within(t, fmt.Sprint("process ", i), func() bool { return seen(r) == want })
	}
}
