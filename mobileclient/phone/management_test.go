package phone_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/phone"
	"keyladder/stages/catalog"
)

func TestWhoMayUseTheScreen(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	for _, test := range []struct {
		name, method, path, host string
		header                   map[string]string
		want                     int
	}{
		{"oneself", "GET", "/rates", "", nil, 200},
		{"as localhost", "GET", "/rates", "localhost:8090", nil, 200},
		{"as a neighbour", "GET", "/rates", "phone:8090", nil, 200},
		{"as a name of somebody else's", "GET", "/rates", "mallory.test:8090", nil, 421},
		{"a form of another site", "POST", "/stage", "", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"a form of another port", "POST", "/stage", "", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"a form of another site, in an old browser", "POST", "/stage", "", map[string]string{"Origin": "http://mallory.test"}, 403},
		{"no such page", "GET", "/admin", "", nil, 404},
		{"a form without a form", "GET", "/stage", "", nil, 405},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, h.screen.URL+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.host != "" {
			req.Host = test.host
			for _, cookie := range h.client.Jar.Cookies(req.URL) { // for which the jar looks under that name
				req.AddCookie(cookie)
			}
		}
		for name, value := range test.header {
			req.Header.Set(name, value)
		}
		resp, err := h.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != test.want {
			t.Errorf("%s: %s, want %d, %v", test.name, resp.Status, test.want, err)
		}
		if test.want == http.StatusMisdirectedRequest && bytes.Contains(page, []byte("/v1/rates")) {
			t.Errorf("%s: it is told what the app did: %s", test.name, page)
		}
		if test.want == http.StatusForbidden {
			continue // refused before there is a page
		}
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", test.name, policy)
		}
	}
	if status, _ := h.submit(t, "/settings/trust", url.Values{"pem": {strings.Repeat("A", 300<<10)}}); status < 400 {
		t.Errorf("a very large form: %d", status)
	}
}

func TestManagement(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	ctx, client := t.Context(), h.managed(t, deployment.Admin)
	if err := client.Healthy(ctx); err != nil {
		t.Error(err)
	}
	state, err := manage.Get[manage.Phone](ctx, client, "/phone")
	if err != nil {
		t.Fatal(err)
	}
	if state.Stage != "app-id" || len(state.Packages) != 1 || !state.Packages[0].Genuine || !strings.HasPrefix(state.Packages[0].Signer, "sha256/") {
		t.Errorf("%+v", state)
	}
	if err := client.Do(ctx, http.MethodPost, "/phone/stage", map[string]string{"stage": "tls"}, nil); err != nil {
		t.Error(err)
	}
	for stage, calls := range map[string]int{
		"tls":            3, // the phone's own
		"pinned-mtls":    3, // another
		"hmac":           3, // and one at which it registers
		"hidden-secrets": 3, // one that uses another release
		"user-session":   4, // and one where the app's user signs in
	} {
		reference := "managed at " + stage + " " + rand.Text()
		run, err := manage.Post[manage.Run](ctx, client, "/phone/run", map[string]string{"stage": stage, "reference": reference})
		if err != nil || !run.OK || len(run.Calls) != calls {
			t.Errorf("%s: %+v, %v", stage, run, err)
		}
		booked, err := bank.Resource.Transfers(ctx, reference)
		if err != nil || len(booked) != 1 || booked[0].Amount != 100 || booked[0].Stage != stage {
			t.Errorf("%s: booked %+v, %v", stage, booked, err)
		}
	}
	if left, err := filepath.Glob(h.folder.Path("run-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if state, err = manage.Get[manage.Phone](ctx, client, "/phone"); err != nil || state.Stage != "tls" {
		t.Errorf("%+v, %v", state, err)
	}
	devices, err := manage.Devices(ctx, bank.Resource, manage.DeviceQuery{})
	if err != nil || !slices.ContainsFunc(devices.Devices, func(d manage.Device) bool {
		return d.Stage == "hmac" && d.Identifier == state.Packages[0].Identifier
	}) {
		t.Errorf("the phone's own is not among %+v, %v", devices, err)
	}
	for _, test := range []struct {
		path string
		body any
		want int
	}{
		{"/phone/stage", map[string]string{"stage": "oauth"}, http.StatusNotFound},
		{"/phone/stage", map[string]string{"stage": unbuilt}, http.StatusNotFound},
		{"/phone/run", map[string]string{"stage": ""}, http.StatusNotFound},
		{"/phone/run", map[string]string{"stage": "tls", "who": "me"}, http.StatusBadRequest},
		{"/phone/run", []int{1}, http.StatusBadRequest},
	} {
		err := client.Do(ctx, http.MethodPost, test.path, test.body, nil)
		if p, ok := err.(*problem.Problem); !ok || p.Status != test.want {
			t.Errorf("%s %v: got %v, want %d", test.path, test.body, err, test.want)
		}
	}
	recorded, err := client.Traffic(ctx, feed.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	lanes := map[traffic.Lane]int{}
	for _, m := range recorded.Entries {
		lanes[m.Lane]++
	}
	if lanes[traffic.App] == 0 || lanes[traffic.Network] == 0 {
		t.Errorf("recorded: %v", lanes)
	}
}

func TestStageAtStart(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	chosen := func() string {
		_, page := h.see(t, "/settings")
		before, _, _ := strings.Cut(page, `" selected`)
		return before[strings.LastIndex(before, `"`)+1:]
	}
	for _, step := range []struct{ configured, choose, want string }{
		{"", "", "app-id"},
		{"tls", "", "tls"},                 // asked for
		{"tls", "pinned-mtls", "tls"},      // nothing new; then somebody chooses
		{"tls", "", "pinned-mtls"},         // a restart keeps the choice
		{"app-id", "", "app-id"},           // asked for anew
		{"", "", "app-id"},                 // nothing asked for
		{"pinned-mtls", "", "pinned-mtls"}, // asked for anew
	} {
		h.off(t)
		h.on(t, step.configured)
		if got := chosen(); got != step.want {
			t.Errorf("%+v: got %s", step, got)
		}
		if step.choose != "" {
			h.submit(t, "/stage", url.Values{"stage": {step.choose}})
		}
	}
	for _, stage := range []string{"oauth", unbuilt} {
		_, err := phone.New(phone.Config{Folder: h.folder, Stages: catalog.All().Unbuilt(unbuilt), Stage: stage})
		if err == nil || !strings.Contains(err.Error(), "app-id, tls, pinned-mtls") {
			t.Errorf("%s: %v", stage, err)
		}
	}
}
