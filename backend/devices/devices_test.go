package devices_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/backend/devices"
	"keyladder/internal/store"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, path string) *devices.Registry {
	t.Helper()
	db, err := store.Open(path, devices.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	r, err := devices.Open(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func register(t *testing.T, r *devices.Registry, stage, app, identifier string) string {
	t.Helper()
	guid, err := r.Register(context.Background(), now, stage, app, identifier)
	if err != nil {
		t.Fatal(err)
	}
	return guid
}

// use serves a call of a device.
func use(t *testing.T, r *devices.Registry, app, identifier, guid string) {
	t.Helper()
	found, err := r.Check("hmac", app, identifier, guid)
	if err != nil {
		t.Fatal(err)
	}
	found.Seen(now)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	r := open(t, filepath.Join(t.TempDir(), "devices.db"))
	one, two := register(t, r, "hmac", "mobile", "phone-1"), register(t, r, "hmac", "mobile", "phone-2")
	there := register(t, r, "user-session", "mobile", "phone-1")
	if bits, err := base64.RawURLEncoding.DecodeString(one); err != nil || len(bits) != 16 || one == two || one == there {
		t.Errorf("GUIDs %q, %q, %q", one, two, there)
	}
	for name, test := range map[string]struct {
		stage, app, identifier, guid string
		want                         error
	}{
		"as registered":             {"hmac", "mobile", "phone-1", one, nil},
		"the other one":             {"hmac", "mobile", "phone-2", two, nil},
		"another device's GUID":     {"hmac", "mobile", "phone-1", two, devices.ErrGUID},
		"another stage's GUID":      {"hmac", "mobile", "phone-1", there, devices.ErrGUID},
		"no GUID":                   {"hmac", "mobile", "phone-1", "", devices.ErrGUID},
		"nothing":                   {"hmac", "mobile", "", "", devices.ErrUnknown},
		"identifier in other case":  {"hmac", "mobile", "Phone-1", one, devices.ErrUnknown},
		"another app":               {"hmac", "ops", "phone-1", one, devices.ErrApp},
		"a stage without this GUID": {"hidden-secrets", "mobile", "phone-1", one, devices.ErrUnknown},
	} {
		if _, err := r.Check(test.stage, test.app, test.identifier, test.guid); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	r := open(t, filepath.Join(t.TempDir(), "devices.db"))
	use(t, r, "mobile", "phone-1", register(t, r, "hmac", "mobile", "phone-1"))
	for identifier, want := range map[string]error{
		"phone-1": devices.ErrTaken, "": devices.ErrIdentifier, "a b": devices.ErrIdentifier, "a\n": devices.ErrIdentifier, "é": devices.ErrIdentifier,
		strings.Repeat("x", devices.MaxIdentifier+1): devices.ErrIdentifier, strings.Repeat("x", devices.MaxIdentifier): nil,
	} {
		for _, app := range []string{"mobile", "ops"} { // an app can't claim another one's either
			if _, err := r.Register(context.Background(), now, "hmac", app, identifier); !errors.Is(err, want) {
				t.Errorf("%q by %s: %v, want %v", identifier, app, err, want)
			}
			if want == nil {
				break
			}
		}
	}
}

// TestBan bans and allows a device, across restarts, and it can't come back.
func TestBan(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "devices.db")
	r := open(t, path)
	guid := register(t, r, "hmac", "mobile", "phone-1")
	check := func(want error) {
		t.Helper()
		for _, r := range []*devices.Registry{r, open(t, path)} {
			if _, err := r.Check("hmac", "mobile", "phone-1", guid); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
	}
	found, err := r.Check("hmac", "mobile", "phone-1", guid)
	if err != nil {
		t.Fatal(err)
	}
	found.Seen(now.Add(time.Minute))
	if err := r.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	id := r.List()[0].ID
	banned, err := r.Ban(ctx, now, id)
	if err != nil || banned.BannedAt == nil || banned.LastSeen == nil || !banned.LastSeen.Equal(now.Add(time.Minute)) {
		t.Errorf("%+v, %v", banned, err)
	}
	check(devices.ErrBanned)
	if _, err := r.Register(ctx, now, "hmac", "mobile", "phone-1"); !errors.Is(err, devices.ErrTaken) {
		t.Errorf("the banned device registers anew: %v", err)
	}
	if again, err := r.Ban(ctx, now.Add(time.Hour), id); err != nil || !again.BannedAt.Equal(now) {
		t.Errorf("banned again: %+v, %v", again, err)
	}
	if listed := open(t, path).List(); len(listed) != 1 || listed[0].BannedAt == nil || listed[0].LastSeen == nil || listed[0].App != "mobile" {
		t.Errorf("after a restart: %+v", listed)
	}
	if allowed, err := r.Allow(ctx, id); err != nil || allowed.BannedAt != nil {
		t.Errorf("%+v, %v", allowed, err)
	}
	check(nil)
	for name, err := range map[string]error{
		"ban":   func() error { _, err := r.Ban(ctx, now, "x"); return err }(),
		"allow": func() error { _, err := r.Allow(ctx, "x"); return err }(),
	} {
		if !errors.Is(err, devices.ErrNoDevice) {
			t.Errorf("%s of nothing: %v", name, err)
		}
	}
	if err := r.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	check(devices.ErrUnknown)
}

// TestClaimAtOnce lets many claim one identifier: one gets it.
func TestClaimAtOnce(t *testing.T) {
	t.Parallel()
	r := open(t, filepath.Join(t.TempDir(), "devices.db"))
	var mu sync.Mutex
	var wait sync.WaitGroup
	guids := []string{}
	for i := range 10 {
		wait.Go(func() {
			guid, err := r.Register(context.Background(), now, "hmac", fmt.Sprint("app-", i), "phone-1")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				guids = append(guids, guid)
			} else if !errors.Is(err, devices.ErrTaken) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if len(guids) != 1 {
		t.Errorf("%d of them got it", len(guids))
	}
}

// TestLostAnswer: an app that did not get its GUID registers its identifier anew, until a
// call was served; a ban stays in force. Nobody else's app can.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "devices.db")
	r := open(t, path)
	again := func(app string) (string, error) { return r.Register(ctx, now, "hmac", app, "phone-1") }
	first := register(t, r, "hmac", "mobile", "phone-1")
	id := r.List()[0].ID
	if _, err := again("ops"); !errors.Is(err, devices.ErrTaken) {
		t.Errorf("another app: %v", err)
	}
	second, err := again("mobile")
	if err != nil || second == first {
		t.Fatalf("the same app: %v", err)
	}
	for _, r := range []*devices.Registry{r, open(t, path)} {
		if _, err := r.Check("hmac", "mobile", "phone-1", first); !errors.Is(err, devices.ErrGUID) {
			t.Errorf("the GUID from before: %v", err)
		}
		if _, err := r.Check("hmac", "mobile", "phone-1", second); err != nil {
			t.Error(err)
		}
		if list := r.List(); len(list) != 1 || list[0].ID == id {
			t.Errorf("%+v", list)
		}
	}

	if _, err := r.Ban(ctx, now, r.List()[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := again("mobile"); !errors.Is(err, devices.ErrTaken) {
		t.Errorf("banned: %v", err)
	}
	if _, err := r.Allow(ctx, r.List()[0].ID); err != nil {
		t.Fatal(err)
	}
	use(t, r, "mobile", "phone-1", second)
	if _, err := again("mobile"); !errors.Is(err, devices.ErrTaken) {
		t.Errorf("used: %v", err)
	}
	if err := r.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	r = open(t, path)
	if _, err := again("mobile"); !errors.Is(err, devices.ErrTaken) {
		t.Errorf("used before a restart: %v", err)
	}
}

// fill registers a hundred devices, as many as there can be, a minute after each other
// until now, and returns their GUIDs.
func fill(t *testing.T, r *devices.Registry) (guids []string) {
	t.Helper()
	r.Hold(100)
	for i := range 100 {
		at := now.Add(time.Duration(i-100) * time.Minute)
		guid, err := r.Register(context.Background(), at, "hmac", "mobile", fmt.Sprint("phone-", i))
		if err != nil {
			t.Fatal(err)
		}
		guids = append(guids, guid)
	}
	return guids
}

// TestFull: those that were never used and are not banned make room, when they are an
// hour old.
func TestFull(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "devices.db")
	r := open(t, path)
	guids := fill(t, r)
	for i := range 20 {
		use(t, r, "mobile", fmt.Sprint("phone-", i), guids[i])
	}
	for _, d := range r.List() {
		if slices.Contains([]string{"phone-20", "phone-21", "phone-22"}, d.Identifier) {
			if _, err := r.Ban(ctx, now, d.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	register := func(at time.Time, identifier string) time.Duration {
		t.Helper()
		_, err := r.Register(ctx, at, "hmac", "mobile", identifier)
		var full *devices.FullError
		if errors.As(err, &full) {
			return full.Until.Sub(at)
		}
		if err != nil {
			t.Fatal(err)
		}
		return 0
	}
	early := now.Add(-18 * time.Minute) // phone-23 registered 59 minutes before
	for range 2 {
		if wait := register(early, "new-1"); wait != time.Minute {
			t.Errorf("full for %s", wait)
		}
	}
	if wait := register(early, "phone-99"); wait != 0 {
		t.Errorf("one that did not get its answer has to wait for %s", wait)
	}
	gone := func(r *devices.Registry) (gone []int) {
		for i := range 100 {
			if _, err := r.Check("hmac", "mobile", fmt.Sprint("phone-", i), ""); errors.Is(err, devices.ErrUnknown) {
				gone = append(gone, i)
			}
		}
		return gone
	}
	if got := gone(r); len(got) != 0 {
		t.Errorf("%v are gone", got)
	}
	if wait := register(early.Add(time.Minute), "new-1"); wait != 0 {
		t.Errorf("full for %s", wait)
	}
	if wait := register(now, "new-2"); wait != 0 {
		t.Errorf("full for %s", wait)
	}
	for i := 3; len(r.List()) < 100; i++ {
		register(now, fmt.Sprint("new-", i))
	}
	if wait := register(now, "one-too-many"); wait != time.Minute {
		t.Errorf("full for %s", wait)
	}
	for _, r := range []*devices.Registry{r, open(t, path)} {
		if got := gone(r); len(got) != 18 || got[0] != 23 || got[17] != 40 { // 40 is an hour old
			t.Errorf("%v are gone", got)
		}
		if _, err := r.Check("hmac", "mobile", "new-2", ""); !errors.Is(err, devices.ErrGUID) {
			t.Errorf("what was registered: %v", err)
		}
	}
}

// TestFullForGood: nobody knows when a place becomes free where all are used.
func TestFullForGood(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := open(t, filepath.Join(t.TempDir(), "devices.db"))
	for i, guid := range fill(t, r) {
		use(t, r, "mobile", fmt.Sprint("phone-", i), guid)
	}
	for range 2 {
		var full *devices.FullError
		if _, err := r.Register(ctx, now.Add(48*time.Hour), "hmac", "mobile", "new"); !errors.As(err, &full) || !full.Until.IsZero() {
			t.Errorf("%v, %+v", err, full)
		}
	}
	if err := r.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	fill(t, r)
}

func TestWithoutDatabase(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db, err := store.Open(filepath.Join(t.TempDir(), "devices.db"), devices.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	r, err := devices.Open(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	guid := register(t, r, "hmac", "mobile", "phone-1")
	if err := store.Close(db); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Register(ctx, now, "hmac", "mobile", "phone-2"); err == nil {
		t.Error("a registration that is not written was acknowledged")
	}
	if _, err := r.Ban(ctx, now, r.List()[0].ID); err == nil {
		t.Error("a ban that is not written was acknowledged")
	}
	if _, err := r.Check("hmac", "mobile", "phone-1", guid); err != nil {
		t.Errorf("the device: %v", err)
	}
}
