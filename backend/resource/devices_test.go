package resource_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"keyladder/backend/devices"
	"keyladder/backend/resource"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/testenv"
)

func TestNoRoomForDevices(t *testing.T) {
	t.Parallel()
	answer := httptest.NewRecorder()
	problem.From(resource.RegistrationProblem(devices.ErrFull), func(err error) { t.Error(err) }).Write(answer)
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

// TestRemovedDevices are not served any more, one by one and in bulk, and can be registered again.
func TestRemovedDevices(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ctx := context.Background()
	call := func(user string) *httptest.ResponseRecorder {
		return do(r.server, r.callAs(mobile, user, "hmac", http.MethodGet, "/v1/rates", ""))
	}
	remove := func(selection any) (int, error) {
		removed, err := manage.Post[manage.Changed](ctx, r.admin, "/devices/remove", selection)
		return removed.Changed, err
	}
	for _, user := range []string{"alice", "bob"} {
		if answer := call(user); answer.Code != http.StatusOK {
			t.Fatal(answer.Code, answer.Body)
		}
	}
	listed := testenv.Must[manage.DeviceList](t)(manage.Devices(ctx, r.admin, manage.DeviceQuery{})).Devices
	alices := slices.IndexFunc(listed, func(d manage.Device) bool { return strings.Contains(d.Identifier, "alice") })
	if n, err := remove(manage.DeviceSelection{IDs: []string{listed[alices].ID}}); n != 1 || err != nil {
		t.Fatalf("%d removed, %v", n, err)
	}
	if a, b := kindOf(call("alice")), kindOf(call("bob")); a != "device-not-accepted" || b != "" {
		t.Errorf("hers: %q, his: %q", a, b)
	}
	if page := testenv.Must[manage.DeviceList](t)(manage.Devices(ctx, r.admin, manage.DeviceQuery{
		DeviceFilter: manage.DeviceFilter{Stage: "hmac", App: mobile, Search: "phone"}, Part: manage.Part{Sort: "-seen", Limit: 1},
	})); page.Total != 1 || len(page.Devices) != 1 {
		t.Errorf("%+v", page)
	}
	for _, query := range []string{"limit=1001", "limit=0", "from=x", "sort=name", "by=me", "state=gone"} {
		if list, err := manage.Get[manage.DeviceList](ctx, r.admin, "/devices?"+query); err == nil {
			t.Errorf("%s: %+v", query, list)
		}
	}
	for name, nothing := range map[string]any{"empty": manage.DeviceSelection{}, "no IDs": map[string]any{"ids": []string{}}, "unknown member": map[string]any{"everything": true}} {
		if n, err := remove(nothing); n != 0 || err == nil {
			t.Errorf("%s: %d removed, %v", name, n, err)
		}
	}
	if n, err := remove(manage.DeviceSelection{DeviceFilter: manage.DeviceFilter{Stage: "hmac"}}); n != 1 || err != nil {
		t.Errorf("%d removed, %v", n, err)
	}
	if kind := kindOf(call("bob")); kind != "device-not-accepted" {
		t.Errorf("his: %q", kind)
	}
	r.phones = map[phoneID]*phone{}
	if answer := call("alice"); answer.Code != http.StatusOK {
		t.Errorf("registered again: %d %s", answer.Code, answer.Body)
	}
}
