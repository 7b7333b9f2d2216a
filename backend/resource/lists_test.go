package resource_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/backend/devices"
	"keyladder/backend/resource"
	"keyladder/backend/sessions"
	"keyladder/backend/users"
	"keyladder/internal/manage"
	"keyladder/internal/store"
	"keyladder/internal/testenv"
)

// many is how many users, sessions and devices there are.
const many = 10_000

func userName(i int) string { return fmt.Sprintf("user-%05d", i) }

// crowd makes a database with many users, of whom each has a session on a device. The first ones
// were there last.
func crowd(t testing.TB) func(*resource.Config) {
	return func(c *resource.Config) {
		t.Helper()
		hash := testenv.Must[string](t)(passwordHash())
		people := make([]users.Seed, many)
		for i := range people {
			people[i] = users.Seed{Name: userName(i), PasswordHash: hash, Staff: i%1000 == 0}
		}
		write := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		write(os.WriteFile(c.Folder.Path("users.json"), testenv.Must[[]byte](t)(json.Marshal(people)), 0o600))
		db := testenv.Must[*gorm.DB](t)(store.Open(c.Folder.Path("resource.db"), slices.Concat(sessions.Models(), devices.Models())...))
		begin := time.Now().Add(-10 * time.Minute)
		write(db.Transaction(func(tx *gorm.DB) error {
			for i := range many {
				stage, at := [...]string{"hmac", users6}[i%2], begin.Add(time.Duration(-i)*time.Millisecond)
				digest := fmt.Appendf(nil, "%032d", i)
				err := tx.Exec("INSERT INTO devices (id, stage, identifier, app, digest, registered_at, last_seen) VALUES (?, ?, ?, ?, ?, ?, ?)",
					fmt.Sprintf("D%05d", i), stage, fmt.Sprintf("phone-%05d", i), mobile, digest, at, at.Add(time.Second)).Error
				if err != nil {
					return err
				}
				err = tx.Exec("INSERT INTO sessions (id, digest, user, app, stage, device, created_at, last_used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
					fmt.Sprintf("S%05d", i), digest, userName(i), mobile, users6, fmt.Sprintf("phone-%05d", i), at, at.Add(time.Second)).Error
				if err != nil {
					return err
				}
			}
			return nil
		}))
		write(store.Close(db))
	}
}

// listing is one of the lists, reduced to what tells its entries apart.
type listing func(search string, part manage.Part) (names []string, total int, err error)

func listings(ctx context.Context, api manage.Doer) map[string]listing {
	return map[string]listing{
		"users": func(search string, part manage.Part) (names []string, total int, err error) {
			list, err := manage.Users(ctx, api, manage.UserQuery{Search: search, Part: part})
			for _, u := range list.Users {
				names = append(names, u.Name)
			}
			return names, list.Total, err
		},
		"sessions": func(search string, part manage.Part) (names []string, total int, err error) {
			list, err := manage.Sessions(ctx, api, manage.SessionQuery{SessionFilter: manage.SessionFilter{Search: search}, Part: part})
			for _, s := range list.Sessions {
				names = append(names, s.User)
			}
			return names, list.Total, err
		},
		"devices": func(search string, part manage.Part) (names []string, total int, err error) {
			list, err := manage.Devices(ctx, api, manage.DeviceQuery{DeviceFilter: manage.DeviceFilter{Search: search}, Part: part})
			for _, d := range list.Devices {
				names = append(names, d.Identifier)
			}
			return names, list.Total, err
		},
	}
}

func TestListsOfManyEntries(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	r := start(t, crowd(t))
	ctx := context.Background()
	name := map[string]func(int) string{
		"users": userName, "sessions": userName, "devices": func(i int) string { return fmt.Sprintf("phone-%05d", i) },
	}
	orders := map[string]map[string]bool{ // the sort → whether the first ones come first; else the last ones
		"users":    {"": true, "name": true, "-name": false},
		"sessions": {"": true, "user": true, "-user": false, "-created": true, "created": false, "used": false, "-used": true, "-device": false},
		"devices":  {"": true, "identifier": true, "-identifier": false, "registered": false, "-registered": true, "seen": false, "-seen": true},
	}
	for what, list := range listings(ctx, r.admin) {
		for sort, firstFirst := range orders[what] {
			for _, from := range []int{0, 1, 24, 25, 4_990, many - 26, many - 25, many - 24, many - 1, many, many + 1, 5 * many} {
				got, total, err := list("", manage.Part{Sort: sort, From: from, Limit: 25})
				var want []string
				for i := from; i < min(from+25, many); i++ {
					at := i
					if !firstFirst {
						at = many - 1 - i
					}
					want = append(want, name[what](at))
				}
				if err != nil || total != many || !slices.Equal(got, want) {
					t.Errorf("%s by %q from %d: %d in all, %v, %v", what, sort, from, total, got, err)
				}
			}
		}
		for search, total := range map[string]int{"0007": 11, "-09999": 1, "-1": 0, "nobody": 0, "%": 0} { // 0007 is in 00007 and 00070 to 00079
			names, found, err := list(search, manage.Part{Limit: 5})
			if err != nil || found != total || len(names) != min(total, 5) {
				t.Errorf("%s with %q: %d, %v, %v", what, search, found, names, err)
			}
		}
		if names, _, err := list("", manage.Part{}); err != nil || len(names) != manage.MostListed {
			t.Errorf("%s: %d at once, %v", what, len(names), err)
		}
	}
	staff, err := manage.Users(ctx, r.admin, manage.UserQuery{Part: manage.Part{Sort: "role", From: 8, Limit: 4}})
	if err != nil || !staff.Users[0].Staff || !staff.Users[1].Staff || staff.Users[2].Staff || staff.Users[0].Sessions != 1 {
		t.Errorf("staff first: %+v, %v", staff, err)
	}
}

// TestManyAreChanged ends, bans, removes and marks in bulk, and what was not meant stays.
func TestManyAreChanged(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	r := start(t, crowd(t))
	ctx := context.Background()
	change := func(path string, selection any, want int) {
		t.Helper()
		changed, err := manage.Post[manage.Changed](ctx, r.admin, path, selection)
		if err != nil || changed.Changed != want {
			t.Errorf("%s %+v: %d, want %d, %v", path, selection, changed.Changed, want, err)
		}
	}
	sessionsLeft := func(f manage.SessionFilter, want int) {
		t.Helper()
		list, err := manage.Sessions(ctx, r.admin, manage.SessionQuery{SessionFilter: f, Part: manage.Part{Limit: 1}})
		if err != nil || list.Total != want {
			t.Errorf("sessions %+v: %d, want %d, %v", f, list.Total, want, err)
		}
	}
	devicesLeft := func(f manage.DeviceFilter, want int) {
		t.Helper()
		list, err := manage.Devices(ctx, r.admin, manage.DeviceQuery{DeviceFilter: f, Part: manage.Part{Limit: 1}})
		if err != nil || list.Total != want {
			t.Errorf("devices %+v: %d, want %d, %v", f, list.Total, want, err)
		}
	}
	var made []manage.Installation
	for i := range 1_400 {
		made = append(made, manage.Installation{Stage: [...]string{"hmac", users6}[i%2], Identifier: fmt.Sprintf("phone-%05d", i)})
	}
	made = append(made, manage.Installation{Stage: "hmac", Identifier: "phone-00001"}) // which is not there
	if err := manage.MarkWorkshop(ctx, r.admin, made); err != nil {
		t.Error(err)
	}
	devicesLeft(manage.DeviceFilter{By: manage.Workshop}, 1_400)
	devicesLeft(manage.DeviceFilter{By: manage.NotWorkshop}, many-1_400)
	sessionsLeft(manage.SessionFilter{By: manage.Workshop}, 700) // those that are at the stage of their device
	change("/sessions/revoke", manage.SessionSelection{SessionFilter: manage.SessionFilter{By: manage.Workshop}}, 700)
	sessionsLeft(manage.SessionFilter{}, many-700)
	change("/sessions/revoke", manage.SessionSelection{SessionFilter: manage.SessionFilter{Search: "user-09"}}, 1_000)
	change("/sessions/revoke", manage.SessionSelection{IDs: []string{"S05000", "S05001", "S09999", "nothing"}}, 2)
	sessionsLeft(manage.SessionFilter{}, many-700-1_000-2)
	change("/sessions/revoke", manage.SessionSelection{All: true}, many-700-1_000-2)
	sessionsLeft(manage.SessionFilter{}, 0)

	change("/devices/ban", manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{Stage: "hmac", Search: "phone-01"}}, 500)
	change("/devices/ban", manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{Search: "phone-01"}}, 500) // the others
	change("/devices/allow", manage.DeviceSelection{IDs: []string{"D01000", "D02000"}}, 1)
	devicesLeft(manage.DeviceFilter{State: "banned"}, 999)
	change("/devices/remove", manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{By: manage.Workshop}}, 1_001) // not the 399 that are banned
	devicesLeft(manage.DeviceFilter{By: manage.Workshop}, 399)
	change("/devices/remove", manage.DeviceSelection{All: true}, many-1_001-999)
	devicesLeft(manage.DeviceFilter{}, 999)
	change("/devices/remove", manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{State: "banned"}}, 999)
	devicesLeft(manage.DeviceFilter{}, 0)
	for path, selection := range map[string]any{
		"/sessions/revoke": manage.SessionSelection{}, "/devices/ban": manage.DeviceSelection{}, "/devices/allow": manage.DeviceSelection{},
		"/devices/remove": manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{By: "me"}},
	} {
		if changed, err := manage.Post[manage.Changed](ctx, r.admin, path, selection); err == nil {
			t.Errorf("%s changed %d of nothing in particular", path, changed.Changed)
		}
	}
}
