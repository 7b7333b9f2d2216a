package resource_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/workshop/terminator"
)

// TestListeners calls over the network, on each listener.
func TestListeners(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	mobileClient, kioskClient := r.clients[mobile], r.clients[kiosk]
	tests := []struct {
		name   string
		base   string
		stage  string
		client *tls.Certificate
		status int // 0: the handshake fails
	}{
		{"stage 1 over HTTP", r.plain, "app-id", nil, 200},
		{"stage 1 over TLS", r.tls, "app-id", nil, 200},
		{"stage 2 over HTTP", r.plain, "tls", nil, 403},
		{"stage 2 over TLS", r.tls, "tls", nil, 200},
		{"stage 2 over TLS with a certificate", r.tls, "tls", &mobileClient, 200},
		{"stage 3 over HTTP", r.plain, "pinned-mtls", nil, 403},
		{"stage 3 over TLS", r.tls, "pinned-mtls", nil, 403},
		{"stage 3 over TLS with the app's certificate", r.tls, "pinned-mtls", &mobileClient, 200},
		{"stage 3 over TLS with another app's certificate", r.tls, "pinned-mtls", &kioskClient, 403},
		{"stage 3 over TLS with a stranger's certificate", r.tls, "pinned-mtls", &r.strangers, 0},
		{"stage 2 over TLS with a stranger's certificate", r.tls, "tls", &r.strangers, 0},
		{"the terminator's listener without a certificate", r.terminated, "app-id", nil, 0},
		{"the terminator's listener with an app's certificate", r.terminated, "app-id", &mobileClient, 0},
		{"the terminator's listener with another program's certificate", r.terminated, "app-id", r.programs(t), 0},
		{"the gateway's listener without a certificate", r.inside, "tls", nil, 0},
		{"the gateway's listener with an app's certificate", r.inside, "tls", &mobileClient, 0},
		{"the gateway's listener with another program's certificate", r.inside, "tls", r.programs(t), 0},
		{"the gateway's listener with the terminator's certificate", r.inside, "tls", &r.terminator, 0},
		{"the terminator's listener, but without an address", r.terminated, "app-id", &r.terminator, 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if status := r.status(t, test.base+"/"+test.stage+"/v1/rates", mobile, test.client); status != test.status {
				t.Errorf("%d, want %d", status, test.status)
			}
		})
	}
	t.Run("levels", func(t *testing.T) {
		t.Cleanup(func() {
			for line := range strings.Lines(r.log.String()) {
				if strings.Contains(line, "handshake") && !strings.Contains(line, "level=DEBUG") {
					t.Errorf("a handshake was logged: %s", line)
				}
			}
		})
	})
}

// programs is the certificate of another program, of the same authority as the
// terminator's.
func (s *site) programs(t *testing.T) *tls.Certificate {
	t.Helper()
	pair := testenv.Must[tls.Certificate](t)(s.folder(t, deployment.Admin).Pair("manage"))
	return &pair
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	address := strings.TrimPrefix(r.tls, "https://")
	for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: r.roots, MinVersion: version, MaxVersion: version})
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			conn.Close()
		}
	}
}

// TestTerminator puts the terminator in front of the API, and itself where the
// terminator is.
func TestTerminator(t *testing.T) {
	t.Parallel()
	for _, verifies := range []bool{true, false} {
		r := start(t, nil)
		config := terminator.Config{Certificate: r.api, Upstream: r.terminated, Client: r.terminator, Roots: r.roots}
		if verifies {
			config.ClientCAs = r.clientCAs
		}
		front := testenv.Must[*terminator.Terminator](t)(terminator.New(config))
		listener := testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- front.Serve(ctx, listener) }()
		base := "https://" + listener.Addr().String()
		mobileClient, kioskClient := r.clients[mobile], r.clients[kiosk]
		for name, test := range map[string]struct {
			client *tls.Certificate
			status int
		}{
			"the app's certificate":     {&mobileClient, 200},
			"no certificate":            {nil, 403},
			"another app's certificate": {&kioskClient, 403},
		} {
			if status := r.status(t, base+"/pinned-mtls/v1/rates", mobile, test.client); status != test.status {
				t.Errorf("%s: %d, want %d", name, status, test.status)
			}
		}
		// Whether the terminator or the API notices: a stranger's certificate is no good.
		if status := r.status(t, base+"/pinned-mtls/v1/rates", mobile, &r.strangers); status == 200 {
			t.Error("a stranger's certificate was accepted")
		}
		if status := r.status(t, base+"/tls/v1/rates", mobile, nil); status != 200 {
			t.Errorf("stage 2 behind the terminator: %d", status)
		}

		// What clients say about themselves does not get through.
		req := testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, base+"/pinned-mtls/v1/rates", nil))
		identify(req, mobile)
		req.Header.Set(clientcert.Field, clientcert.Encode(mobileClient.Leaf.Raw))
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.roots}, DisableKeepAlives: true}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("a certificate in a field opened the door: %d", resp.StatusCode)
		}

		// From here, a call can be made again: replay.
		for _, call := range front.Calls() {
			if call.ClientCert == nil || string(call.ClientCert) != string(mobileClient.Leaf.Raw) {
				continue
			}
			again, err := front.Send(ctx, call)
			if err != nil {
				t.Fatal(err)
			}
			again.Body.Close()
			if again.StatusCode != http.StatusOK {
				t.Errorf("a call sent again: %d", again.StatusCode)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestStopsWhenAsked(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	if status := r.status(t, r.plain+"/app-id/v1/rates", mobile, nil); status != http.StatusOK {
		t.Fatalf("%d", status)
	}
	r.stop()
	if status := r.status(t, r.plain+"/app-id/v1/rates", mobile, nil); status != 0 {
		t.Errorf("it still answers: %d", status)
	}
}

// TestRestart shows that what was acknowledged is there after a restart: transfers,
// usage, revocations.
func TestRestart(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ctx := context.Background()
	if answer := do(r.server, r.call(mobile, "app-id", "POST", "/v1/transfers", order("100", "Lunch"))); answer.Code != http.StatusCreated {
		t.Fatal(answer.Code)
	}
	if err := r.admin.Do(ctx, http.MethodPost, "/keys/"+mobile+"/revoke", nil, nil); err != nil {
		t.Fatal(err)
	}
	r.stop()
	again := newServer(t, r.site, nil)
	if answer := do(again, r.call(mobile, "app-id", "GET", "/v1/rates", "")); answer.Code != http.StatusUnauthorized {
		t.Errorf("the revoked key after a restart: %d", answer.Code)
	}
	if answer := do(again, r.call(kiosk, "app-id", "GET", "/v1/accounts/HB-2001/transfers", "")); !strings.Contains(answer.Body.String(), "Lunch") {
		t.Errorf("the history after a restart: %s", answer.Body)
	}
	l := resource.Listeners{Manage: testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))}
	second := &running{site: r.site, log: &lines{}}
	second.serve(t, l, nil)
	folder := r.folder(t, deployment.Admin)
	folder.Addresses.Public = map[deployment.ServiceName]string{deployment.Manage(deployment.Resource): "https://" + l.Manage.Addr().String()}
	admin := testenv.Must[*manage.Client](t)(manage.NewClient(folder, deployment.Resource))
	usage := testenv.Must[[]manage.Usage](t)(admin.Usage(ctx, 2)) // the day may have ended meanwhile
	served := false
	for _, u := range usage {
		served = served || u.App == mobile && u.Stage == "app-id" && u.Route == "POST /v1/transfers" && u.Served == 1
	}
	if !served {
		t.Errorf("the usage after a restart: %+v", usage)
	}
}

func TestManagement(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ctx := context.Background()
	rates := func(app string) int { return r.status(t, r.plain+"/app-id/v1/rates", app, nil) }

	if err := r.admin.Healthy(ctx); err != nil {
		t.Errorf("health: %v", err)
	}
	if status := rates(mobile); status != http.StatusOK {
		t.Fatalf("before: %d", status)
	}
	revoked := testenv.Must[manage.Key](t)(manage.Post[manage.Key](ctx, r.admin, "/keys/"+mobile+"/revoke", nil))
	if revoked.RevokedAt == nil || revoked.LastAccepted == nil {
		t.Errorf("revoked: %+v", revoked)
	}
	if status := rates(mobile); status != http.StatusUnauthorized {
		t.Errorf("with a revoked key: %d", status)
	}
	testenv.Must[manage.Key](t)(manage.Post[manage.Key](ctx, r.admin, "/keys/"+mobile+"/restore", nil))
	if status := rates(mobile); status != http.StatusOK {
		t.Errorf("with a restored key: %d", status)
	}

	registered := testenv.Must[manage.App](t)(manage.Post[manage.App](ctx, r.admin, "/apps", manage.App{
		ID: "tester", Name: "Tester", UserAgent: "Tester/", Scopes: []string{"rates:read"}, PerSecond: 1, Burst: 1,
	}))
	if len(registered.Keys) != 1 || registered.Keys[0].ID != "tester" || registered.CreatedAt.IsZero() {
		t.Errorf("registered: %+v", registered)
	}
	var changed manage.App
	burst := 5
	if err := r.admin.Do(ctx, http.MethodPatch, "/apps/tester", manage.AppChange{Burst: &burst}, &changed); err != nil || changed.Burst != 5 || changed.Name != "Tester" {
		t.Errorf("changed: %+v, %v", changed, err)
	}
	issued := testenv.Must[manage.Key](t)(manage.Post[manage.Key](ctx, r.admin, "/apps/tester/keys", nil))
	rotated := testenv.Must[manage.Key](t)(manage.Post[manage.Key](ctx, r.admin, "/apps/tester/rotate", nil))
	for key, want := range map[string]int{"tester": 401, issued.ID: 401, rotated.ID: 200} {
		req := r.call(mobile, "app-id", "GET", "/v1/rates", "")
		appkey.Set(req.Header, "Authorization", key)
		if answer := do(r.server, req); answer.Code != want {
			t.Errorf("with the key %s after rotation: %d, want %d", key, answer.Code, want)
		}
	}
	testenv.Must[manage.Key](t)(manage.Post[manage.Key](ctx, r.admin, "/keys/"+issued.ID+"/restore", nil))
	testenv.Must[manage.Secret](t)(manage.Get[manage.Secret](ctx, r.admin, "/keys/"+rotated.ID+"/secret"))
	if log := r.log.String(); strings.Contains(log, issued.ID) || strings.Contains(log, rotated.ID) {
		t.Error("a good key is in the log")
	} else if want := "path=/keys/" + issued.ID[:len("tester.")+4] + ".../restore "; !strings.Contains(log, want) {
		t.Errorf("the log does not say %q", want)
	}
	if apps := testenv.Must[[]manage.App](t)(r.admin.Apps(ctx)); len(apps) != 5 {
		t.Errorf("%d apps", len(apps))
	}

	for i := range 3 {
		do(r.server, r.call(mobile, "app-id", "POST", "/v1/transfers", order("100", strings.Repeat("x", i))))
	}
	state := testenv.Must[manage.Ledger](t)(r.admin.Ledger(ctx))
	if len(state.Accounts) != 6 || state.Sum != 5_000_000_00+12_500_00+1_840_50+2_000_000_00+2_150_00+100_000_00 {
		t.Errorf("ledger: %+v", state)
	}
	if found := testenv.Must[[]manage.Transfer](t)(r.admin.Transfers(ctx, "xx")); len(found) != 1 || found[0].App != mobile || found[0].Stage != "app-id" {
		t.Errorf("transfers by reference: %+v", found)
	}
	if found := testenv.Must[[]manage.Transfer](t)(r.admin.Transfers(ctx, "")); len(found) != 1 {
		t.Errorf("transfers with an empty reference: %+v", found)
	}
	if latest := testenv.Must[[]manage.Transfer](t)(manage.Get[[]manage.Transfer](ctx, r.admin, "/transfers?limit=2")); len(latest) != 2 || latest[0].Reference != "xx" {
		t.Errorf("latest transfers: %+v", latest)
	}
	if page := testenv.Must[feed.Page[traffic.Message]](t)(r.admin.Traffic(ctx, feed.Cursor{})); len(page.Entries) == 0 {
		t.Error("no traffic")
	}

	for name, refused := range map[string]struct {
		method, path string
		in           any
		status       int
	}{
		"taken":          {"POST", "/apps", manage.App{ID: mobile, Name: "x", UserAgent: "x/", PerSecond: 1, Burst: 1}, 409},
		"invalid":        {"POST", "/apps", manage.App{ID: "x"}, 422},
		"not an app":     {"POST", "/apps", []int{1}, 400},
		"unknown member": {"POST", "/apps", map[string]any{"id": "x", "admin": true}, 400},
		"unknown app":    {"PATCH", "/apps/nobody", manage.AppChange{}, 404},
		"unknown key":    {"POST", "/keys/nobody/revoke", nil, 404},
		"days":           {"GET", "/usage?days=0", nil, 400},
		"limit":          {"GET", "/transfers?limit=-1", nil, 400},
	} {
		err := r.admin.Do(ctx, refused.method, refused.path, refused.in, nil)
		var p *problem.Problem
		if !errors.As(err, &p) || p.Status != refused.status {
			t.Errorf("%s: %v, want %d", name, err, refused.status)
		}
	}

	if err := r.admin.Do(ctx, http.MethodPost, "/reset", nil, nil); err != nil {
		t.Fatal(err)
	}
	if apps := testenv.Must[[]manage.App](t)(r.admin.Apps(ctx)); len(apps) != 4 {
		t.Errorf("%d apps after a reset", len(apps))
	}
	if usage := testenv.Must[[]manage.Usage](t)(r.admin.Usage(ctx, 30)); len(usage) != 0 {
		t.Errorf("usage after a reset: %+v", usage)
	}
	if found := testenv.Must[[]manage.Transfer](t)(manage.Get[[]manage.Transfer](ctx, r.admin, "/transfers")); len(found) != 0 {
		t.Errorf("transfers after a reset: %+v", found)
	}
}

func TestManagementIsForTheAdmin(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ctx := context.Background()
	for role, want := range map[deployment.Role][2]bool{ // health, the rest
		deployment.Admin: {true, true}, deployment.Resource: {true, false}, deployment.Phone: {false, false},
	} {
		client := testenv.Must[*manage.Client](t)(manage.NewClient(r.folder(t, role), deployment.Resource))
		_, err := client.Apps(ctx)
		if health := client.Healthy(ctx) == nil; health != want[0] || (err == nil) != want[1] {
			t.Errorf("%s: health %v, apps %v", role, health, err)
		}
	}
}

// TestAccessLog shows where keys are logged, and where they are not.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ctx := context.Background()
	for _, stage := range append(catalog.All(), catalog.Stage{Slug: "bogus"}) {
		for _, query := range []string{"key=inurl-" + stage.Slug, "%6Bey=inurl-" + stage.Slug, "x=1;KEY=inurl-" + stage.Slug} {
			req := r.call(mobile, stage.Slug, "GET", "/v1/rates", "")
			req.URL.RawQuery = query
			req.Header.Set("Authorization", "key infield-"+stage.Slug)
			req.Header.Set("Cookie", "incookie")
			do(r.server, req)
		}
	}
	if status := r.status(t, r.plain+"/app-id/v1/rates?page=%22%0a", mobile, nil); status != http.StatusOK {
		t.Errorf("a harmless query: %d", status)
	}
	tail := testenv.Must[[]string](t)(r.admin.AccessLog(ctx))
	for name, text := range map[string]string{"tail": strings.Join(tail, "\n"), "log": r.log.String()} {
		if strings.Contains(text, "infield") || strings.Contains(text, "incookie") || strings.Contains(text, "Authorization") {
			t.Errorf("the %s has header fields", name)
		}
		if got := strings.Count(text, "inurl-app-id"); got != 3 {
			t.Errorf("the %s has %d keys of the stage that takes them from the URL, want 3", name, got)
		}
		if got := strings.Count(text, "inurl-"); got != 3 {
			t.Errorf("the %s has %d keys in all", name, got)
		}
	}
	if want := `127.0.0.1 - - [`; !strings.HasPrefix(tail[len(tail)-1], want) || !strings.Contains(tail[len(tail)-1], `] "GET /app-id/v1/rates?page=%22%0a HTTP/1.1" 200 `) {
		t.Errorf("the last line is %s", tail[len(tail)-1])
	}
}

func TestAccessLogIsBounded(t *testing.T) {
	t.Parallel()
	site := newSite(t, deployment.Addresses{})
	l := resource.Listeners{Manage: testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))}
	r := &running{site: site, log: &lines{}}
	r.serve(t, l, nil)
	folder := site.folder(t, deployment.Admin)
	folder.Addresses.Public = map[deployment.ServiceName]string{deployment.Manage(deployment.Resource): "https://" + l.Manage.Addr().String()}
	admin := testenv.Must[*manage.Client](t)(manage.NewClient(folder, deployment.Resource))
	for i := range 1100 {
		req := site.call(mobile, "bogus", "GET", "/"+strings.Repeat("x", 4000), "")
		req.Method = "M" + string(rune('A'+i%26)) + strings.Repeat("X", 4000)
		do(r.server, req)
	}
	tail := testenv.Must[[]string](t)(admin.AccessLog(context.Background()))
	if len(tail) != 1000 {
		t.Errorf("%d lines", len(tail))
	}
	for i, line := range tail {
		if want := `"M` + string(rune('A'+(100+i)%26)) + "X"; !strings.Contains(line, want) || len(line) > 2200 {
			t.Fatalf("line %d, of %d bytes, is not in order: %.80s", i, len(line), line)
		}
	}
}

// TestMetrics reads the metrics and looks for what must not be in them.
func TestMetrics(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for _, req := range []*http.Request{
		r.call(mobile, "app-id", "GET", "/v1/rates", ""),
		r.call(kiosk, "app-id", "POST", "/v1/transfers", ""),
		r.call(mobile, "made-up-1", "GET", "/v1/rates", ""),
		r.call(mobile, "made-up-2", "GET", "/v1/rates", ""),
		r.call(mobile, "app-id", "GET", "/made/up", ""),
	} {
		do(r.server, req)
	}
	pair := r.programs(t)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*pair}}}
	defer transport.CloseIdleConnections()
	base := r.folder(t, deployment.Admin).Addresses.URL(deployment.Manage(deployment.Resource))
	resp, err := transport.RoundTrip(testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, base+"/metrics", nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text := string(testenv.Must[[]byte](t)(io.ReadAll(resp.Body)))
	for _, want := range []string{
		`keyladder_calls_total{outcome="served",route="GET /v1/rates",stage="app-id"} 1`,
		`keyladder_calls_total{outcome="scope",route="POST /v1/transfers",stage="app-id"} 1`,
		`keyladder_calls_total{outcome="stage",route="GET /v1/rates",stage="unknown"} 2`,
		`keyladder_calls_total{outcome="served",route="other",stage="app-id"} 1`,
		`keyladder_call_duration_seconds_count{route="GET /v1/rates",stage="app-id"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	for _, secret := range []string{mobile, kiosk, "made-up"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the metrics", secret)
		}
	}
}

// TestTransfersInParallel books over the network while somebody reads, and compares the
// sum.
func TestTransfersInParallel(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ctx := context.Background()
	before := testenv.Must[manage.Ledger](t)(r.admin.Ledger(ctx))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 10 {
				if answer := do(r.server, r.call(mobile, "app-id", "POST", "/v1/transfers", order("100", "many"))); answer.Code != http.StatusCreated {
					t.Errorf("%d %s", answer.Code, answer.Body)
				}
				if state, err := r.admin.Ledger(ctx); err != nil || state.Sum != before.Sum {
					t.Errorf("the sum is %d, %v; it was %d", state.Sum, err, before.Sum)
				}
			}
		})
	}
	wait.Wait()
	if found := testenv.Must[[]manage.Transfer](t)(r.admin.Transfers(ctx, "many")); len(found) != 40 {
		t.Errorf("%d transfers were booked, want 40", len(found))
	}
}
