package resource_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"keyladder/internal/manage"
	"keyladder/internal/testenv"
)

// An app of a small tier is told to come back later where one of a larger tier is served, and
// another tier, or other limits of the same one, hold at once.
func TestTiersOfService(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ctx := t.Context()
	basic, slow, one := "basic", 0.01, 1
	change := func(path string, to any) {
		t.Helper()
		if err := r.admin.Do(ctx, http.MethodPatch, path, to, nil); err != nil {
			t.Fatal(err)
		}
	}
	change("/tiers/basic", manage.TierChange{PerSecond: &slow})
	change("/apps/"+kiosk, manage.AppChange{Tier: &basic})
	url := r.plain + "/app-id/v1/rates"
	for call := range 7 {
		small := testenv.Must[*http.Response](t)(r.get(t, url, kiosk, nil))
		if want := map[bool]int{true: 200, false: 429}[call < 5]; small.StatusCode != want {
			t.Errorf("call %d of the small app: %s, want %d", call, small.Status, want)
		}
		policy, limit := strings.Join(small.Header["Ratelimit-Policy"], ", "), strings.Join(small.Header["Ratelimit"], ", ")
		if !strings.Contains(policy, `"app";q=5;w=500`) || !strings.Contains(limit, `"app";r=`) {
			t.Errorf("call %d of the small app: %s; %s", call, policy, limit)
		}
		if (small.Header.Get("Retry-After") != "") != (small.StatusCode == 429) {
			t.Errorf("call %d: Retry-After %q", call, small.Header.Get("Retry-After"))
		}
		if status := r.status(t, url, mobile, nil); status != 200 {
			t.Errorf("call %d of the large app: %d", call, status)
		}
	}
	fast := 1000.0
	change("/tiers/basic", manage.TierChange{PerSecond: &fast})
	if status := r.status(t, url, kiosk, nil); status != 200 {
		t.Errorf("the tier was raised: %d", status)
	}
	change("/apps/"+mobile, manage.AppChange{PerSecond: &slow, Burst: &one})
	if first, second := r.status(t, url, mobile, nil), r.status(t, url, mobile, nil); first != 200 || second != 429 {
		t.Errorf("limits of its own: %d, %d", first, second)
	}
	if tiers := testenv.Must[[]manage.Tier](t)(manage.Get[[]manage.Tier](ctx, r.admin, "/tiers")); !slices.Contains(tiers, manage.Tier{Name: "basic", PerSecond: 1000, Burst: 5}) {
		t.Errorf("%+v", tiers)
	}
}

// Calls are counted by user, address and user agent, served and refused, and the user is
// known where the stage proves one.
func TestSourcesOfCalls(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ctx := t.Context()
	who := func(kind manage.SourceKind, query string) manage.SourceList {
		t.Helper()
		return testenv.Must[manage.SourceList](t)(manage.Get[manage.SourceList](ctx, r.admin, "/usage/sources?kind="+string(kind)+query))
	}
	url := r.plain + "/app-id/v1/rates"
	request := testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, url, nil))
	request.Header.Set("User-Agent", "Crawler/1.0")
	answer := testenv.Must[*http.Response](t)(http.DefaultClient.Do(request))
	answer.Body.Close()
	if status := r.status(t, url, mobile, nil); status != 200 {
		t.Fatal(status)
	}
	agents := who(manage.ByAgent, "&stage=app-id")
	got := map[string]manage.Calls{}
	for _, agent := range agents.Sources {
		got[agent.Value] = agent.Calls
	}
	if got["Crawler/1.0"] != (manage.Calls{Refused: 1}) || got["HarbourBank/1.0"] != (manage.Calls{Served: 1}) {
		t.Errorf("%+v", agents)
	}
	if from := who(manage.ByAddress, "&app="+mobile); from.Total != 1 || from.Sources[0].Value != "127.0.0.1" || from.Sources[0].Calls != (manage.Calls{Served: 1}) {
		t.Errorf("%+v", from)
	}
	if users := who(manage.ByUser, "&stage=app-id"); users.Total != 0 {
		t.Errorf("users where there are none: %+v", users)
	}
	keyOf(t, signIn(r.server, r.site, mobile, "alice", password))
	if users := who(manage.ByUser, "&stage=user-session"); users.Total != 1 || users.Sources[0].Value != "alice" || users.Sources[0].Served == 0 {
		t.Errorf("%+v", users)
	}
	for _, wrong := range []string{"", "?kind=colour", "?kind=user&limit=0", "?kind=user&days=x"} {
		if err := r.admin.Do(ctx, http.MethodGet, "/usage/sources"+wrong, nil, nil); err == nil || !strings.Contains(err.Error(), "must be") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	if err := r.admin.Do(ctx, http.MethodPost, "/reset", nil, nil); err != nil {
		t.Fatal(err)
	}
	if left := who(manage.ByAgent, ""); left.Total != 0 {
		t.Errorf("after a reset: %+v", left)
	}
}
