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
	"keyladder/internal/manage"
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

// gone are the devices of fill's that are not there any more.
func gone(r *devices.Registry) (gone []int) {
	for i := range 100 {
		if _, err := r.Check("hmac", "mobile", fmt.Sprint("phone-", i), ""); errors.Is(err, devices.ErrUnknown) {
			gone = append(gone, i)
		}
	}
	return gone
}

func ban(t *testing.T, r *devices.Registry, identifiers ...string) {
	t.Helper()
	for _, d := range r.List() {
		if slices.Contains(identifiers, d.Identifier) {
			if _, err := r.Ban(context.Background(), now, d.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestFull: those that were never used and are not banned make room, the oldest first.
func TestFull(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "devices.db")
	r := open(t, path)
	guids := fill(t, r)
	for i := range 20 {
		use(t, r, "mobile", fmt.Sprint("phone-", i), guids[i])
	}
	ban(t, r, "phone-20", "phone-21", "phone-22")
	register(t, r, "hmac", "mobile", "phone-99") // did not get its answer
	if got := gone(r); len(got) != 0 {
		t.Errorf("%v are gone", got)
	}
	for i := range 3 {
		register(t, r, "hmac", "mobile", fmt.Sprint("new-", i))
	}
	for _, r := range []*devices.Registry{r, open(t, path)} {
		if got := gone(r); !slices.Equal(got, []int{23, 24, 25}) {
			t.Errorf("%v are gone", got)
		}
		if _, err := r.Check("hmac", "mobile", "new-2", ""); !errors.Is(err, devices.ErrGUID) {
			t.Errorf("what was registered: %v", err)
		}
		if n := len(r.List()); n != 100 {
			t.Errorf("%d devices", n)
		}
	}
}

// TestFullForOthers: whoever fills one app's places at one stage with inventions, and uses them
// all, keeps nobody else out.
func TestFullForOthers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := open(t, filepath.Join(t.TempDir(), "devices.db"))
	for i, guid := range fill(t, r) {
		use(t, r, "mobile", fmt.Sprint("phone-", i), guid)
	}
	if _, err := r.Register(ctx, now.Add(48*time.Hour), "hmac", "mobile", "new"); !errors.Is(err, devices.ErrFull) {
		t.Errorf("got %v", err)
	}
	register(t, r, "hidden-secrets", "mobile", "new")
	register(t, r, "hmac", "ops", "new")
	if n, err := r.Remove(ctx, manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{Stage: "hmac", App: "mobile"}}); n != 100 || err != nil {
		t.Errorf("%d removed, %v", n, err)
	}
	register(t, r, "hmac", "mobile", "another")
	if n := len(r.List()); n != 3 {
		t.Errorf("%d devices", n)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	hour := now.Add(-time.Hour) // that of phone-40
	for name, test := range map[string]struct {
		selection func(ids []string) manage.DeviceSelection
		want      int
	}{
		"by ID, banned ones, too": {func(ids []string) manage.DeviceSelection {
			return manage.DeviceSelection{IDs: append(ids[20:24], "nobody's")}
		}, 4},
		"never used": {func([]string) manage.DeviceSelection { return manage.DeviceSelection{NeverUsed: true} }, 77},
		"unseen":     {func([]string) manage.DeviceSelection { return manage.DeviceSelection{UnseenSince: &hour} }, 17},
		"another stage's": {func([]string) manage.DeviceSelection {
			return manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{Stage: "user-session"}}
		}, 0},
		"another app's": {func([]string) manage.DeviceSelection {
			return manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{App: "ops"}, NeverUsed: true}
		}, 0},
		"all of a stage": {func([]string) manage.DeviceSelection {
			return manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{Stage: "hmac"}}
		}, 97},
		"all": {func([]string) manage.DeviceSelection { return manage.DeviceSelection{All: true} }, 97},
		"banned ones": {func([]string) manage.DeviceSelection {
			return manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{State: "banned"}}
		}, 3},
		"with a text": {func([]string) manage.DeviceSelection {
			return manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{Search: "one-9"}}
		}, 11},
		"the workshop's": {func([]string) manage.DeviceSelection {
			return manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{By: manage.Workshop}}
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "devices.db")
			r := open(t, path)
			guids := fill(t, r)
			for i := range 20 {
				use(t, r, "mobile", fmt.Sprint("phone-", i), guids[i]) // now
			}
			ban(t, r, "phone-20", "phone-21", "phone-22")
			if err := r.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			if n, err := r.MarkWorkshop(ctx, "hmac", []string{"phone-22", "phone-30", "phone-31"}); n != 3 || err != nil {
				t.Fatalf("%d marked, %v", n, err)
			}
			var ids []string
			for _, d := range slices.Backward(r.List()) {
				ids = append(ids, d.ID)
			}
			if n, err := r.Remove(ctx, test.selection(ids)); n != test.want || err != nil {
				t.Errorf("%d removed, want %d, %v", n, test.want, err)
			}
			for _, r := range []*devices.Registry{r, open(t, path)} {
				if got := gone(r); len(got) != test.want || len(r.List()) != 100-test.want {
					t.Errorf("%v are gone, %d are there", got, len(r.List()))
				}
			}
		})
	}
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
	id := r.List()[0].ID
	if err := store.Close(db); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Register(ctx, now, "hmac", "mobile", "phone-2"); err == nil {
		t.Error("a registration that is not written was acknowledged")
	}
	if _, err := r.Ban(ctx, now, id); err == nil {
		t.Error("a ban that is not written was acknowledged")
	}
	if _, err := r.Check("hmac", "mobile", "phone-1", guid); err != nil {
		t.Errorf("the device: %v", err)
	}
}
