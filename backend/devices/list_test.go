package devices_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/internal/store"
)

func TestQuery(t *testing.T) {
	t.Parallel()
	r := open(t, filepath.Join(t.TempDir(), "devices.db"))
	guids := fill(t, r) // phone-0 registered first
	used, err := r.Check("hmac", "mobile", "phone-17", guids[17])
	if err != nil {
		t.Fatal(err)
	}
	used.Seen(now.Add(time.Minute))
	register(t, r, "user-session", "ops", "phone-of-17")
	query := func(q manage.DeviceQuery) manage.DeviceList {
		t.Helper()
		list, err := r.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	filter := func(f manage.DeviceFilter) manage.DeviceQuery { return manage.DeviceQuery{DeviceFilter: f} }
	part := func(stage, sort string, from, limit int) manage.DeviceQuery {
		return manage.DeviceQuery{DeviceFilter: manage.DeviceFilter{Stage: stage}, Part: manage.Part{Sort: sort, From: from, Limit: limit}}
	}
	id := query(filter(manage.DeviceFilter{Search: "phone-42"})).Devices[0].ID
	if _, err := r.Ban(t.Context(), now, id); err != nil {
		t.Fatal(err)
	}
	if n, err := r.MarkWorkshop(t.Context(), "hmac", []string{"phone-7", "phone-8", "nobody's"}); n != 2 || err != nil {
		t.Fatalf("%d marked, %v", n, err)
	}
	for name, test := range map[string]struct {
		query manage.DeviceQuery
		total int
		first string
		count int
	}{
		"all":              {manage.DeviceQuery{}, 101, "phone-of-17", 101},
		"of a stage":       {filter(manage.DeviceFilter{Stage: "hmac"}), 100, "phone-99", 100},
		"of an app":        {filter(manage.DeviceFilter{App: "ops"}), 1, "phone-of-17", 1},
		"of neither":       {filter(manage.DeviceFilter{App: "ops", Stage: "hmac"}), 0, "", 0},
		"with a text":      {filter(manage.DeviceFilter{Search: "17"}), 2, "phone-of-17", 2},
		"in capitals":      {filter(manage.DeviceFilter{Search: "PHONE-OF"}), 1, "phone-of-17", 1},
		"any letter":       {filter(manage.DeviceFilter{Search: "phone_1"}), 0, "", 0},
		"anything":         {filter(manage.DeviceFilter{Search: "%"}), 0, "", 0},
		"by ID":            {filter(manage.DeviceFilter{Search: id}), 1, "phone-42", 1},
		"nobody's":         {filter(manage.DeviceFilter{Search: "elsewhere"}), 0, "", 0},
		"banned":           {filter(manage.DeviceFilter{State: "banned"}), 1, "phone-42", 1},
		"served":           {filter(manage.DeviceFilter{State: "served"}), 100, "phone-of-17", 100},
		"the workshop's":   {filter(manage.DeviceFilter{By: manage.Workshop}), 2, "phone-8", 2},
		"but those":        {filter(manage.DeviceFilter{By: manage.NotWorkshop, Search: "phone-8"}), 10, "phone-89", 10},
		"last seen":        {part("", "-seen", 0, 0), 101, "phone-17", 101},
		"by identifier":    {part("hmac", "identifier", 0, 0), 100, "phone-0", 100},
		"other way round":  {part("hmac", "-identifier", 0, 0), 100, "phone-99", 100},
		"by app":           {part("", "-app", 0, 1), 101, "phone-of-17", 1},
		"banned first":     {part("", "-banned", 0, 1), 101, "phone-42", 1},
		"first registered": {part("", "registered", 0, 1), 101, "phone-0", 1},
		"first page":       {part("hmac", "", 0, 30), 100, "phone-99", 30},
		"last page":        {part("hmac", "", 90, 30), 100, "phone-9", 10},
		"after the end":    {part("", "", 200, 0), 101, "", 0},
	} {
		list := query(test.query)
		first := ""
		if len(list.Devices) > 0 {
			first = list.Devices[0].Identifier
		}
		if list.Total != test.total || first != test.first || len(list.Devices) != test.count {
			t.Errorf("%s: %d of %d, the first is %q", name, len(list.Devices), list.Total, first)
		}
	}
	var pages, want []string
	for from := 0; from < 100; from += 7 {
		for _, d := range query(part("hmac", "", from, 7)).Devices {
			pages = append(pages, d.Identifier)
		}
	}
	for i := range 100 {
		want = append(want, fmt.Sprint("phone-", 99-i))
	}
	if !slices.Equal(pages, want) {
		t.Errorf("page by page: %v", pages)
	}
	for _, sort := range []string{"nothing", "id; DROP TABLE devices", "digest", "--seen"} {
		if _, err := r.Query(t.Context(), part("", sort, 0, 0)); !errors.Is(err, store.ErrSort) {
			t.Errorf("sorted by %q: %v", sort, err)
		}
	}
}
