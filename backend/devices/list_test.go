package devices_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keyladder/internal/manage"
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
	id := r.Query(manage.DeviceQuery{Search: "phone-42"}).Devices[0].ID
	for name, test := range map[string]struct {
		query manage.DeviceQuery
		total int
		first string
		count int
	}{
		"all":           {manage.DeviceQuery{}, 101, "phone-of-17", 101},
		"of a stage":    {manage.DeviceQuery{Stage: "hmac"}, 100, "phone-99", 100},
		"of an app":     {manage.DeviceQuery{App: "ops"}, 1, "phone-of-17", 1},
		"of neither":    {manage.DeviceQuery{App: "ops", Stage: "hmac"}, 0, "", 0},
		"with a text":   {manage.DeviceQuery{Search: "17"}, 2, "phone-of-17", 2},
		"by ID":         {manage.DeviceQuery{Search: id}, 1, "phone-42", 1},
		"nobody's":      {manage.DeviceQuery{Search: "elsewhere"}, 0, "", 0},
		"last seen":     {manage.DeviceQuery{LastSeen: true}, 101, "phone-17", 101},
		"first page":    {manage.DeviceQuery{Stage: "hmac", Limit: 30}, 100, "phone-99", 30},
		"last page":     {manage.DeviceQuery{Stage: "hmac", From: 90, Limit: 30}, 100, "phone-9", 10},
		"after the end": {manage.DeviceQuery{From: 200}, 101, "", 0},
	} {
		list := r.Query(test.query)
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
		for _, d := range r.Query(manage.DeviceQuery{Stage: "hmac", From: from, Limit: 7}).Devices {
			pages = append(pages, d.Identifier)
		}
	}
	for i := range 100 {
		want = append(want, fmt.Sprint("phone-", 99-i))
	}
	if !slices.Equal(pages, want) {
		t.Errorf("page by page: %v", pages)
	}
}
