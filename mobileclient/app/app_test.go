package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/lab/testbank"
)

// TestStages walks the app through every built stage.
func TestStages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, stage := range catalog.All().Built() {
		t.Run(stage.Slug, func(t *testing.T) {
			app := b.launch(t, stage.Slug)
			b.signIn(t, app, stage.Call)
			for _, call := range []struct {
				name, method, path, body string
				status                   int
				do                       func() (device.Screen, error)
			}{
				{"rates", "GET", "/v1/rates", "", 200, func() (device.Screen, error) { return app.Rates(t.Context()) }},
				{"accounts", "GET", "/v1/accounts", "", 200, func() (device.Screen, error) { return app.Accounts(t.Context()) }},
				{"account", "GET", "/v1/accounts/HB-1001", "", 200, func() (device.Screen, error) { return app.Account(t.Context(), "HB-1001") }},
				{"an account with a strange name", "GET", "/v1/accounts/..%2Frates", "", 404, func() (device.Screen, error) { return app.Account(t.Context(), "../rates") }},
				{"transfers", "GET", "/v1/accounts/HB-1001/transfers", "", 200, func() (device.Screen, error) { return app.Transfers(t.Context(), "HB-1001") }},
				{
					"transfer", "POST", "/v1/transfers",
					`{"amount":1234,"currency":"EUR","from":"HB-1001","reference":"rent \u0026 more","to":"HB-2001"}`,
					201, func() (device.Screen, error) { return app.Transfer(t.Context(), payment()) },
				},
				{"freeze", "POST", "/v1/accounts/HB-2001/freeze", `{"frozen":true}`, 403, func() (device.Screen, error) { return app.Freeze(t.Context(), "HB-2001", true) }},
			} {
				screen := shown(t)(call.do())
				if screen.OK != (call.status < 300) || screen.Status != call.status || len(screen.Body) == 0 {
					t.Errorf("%s: %+v", call.name, screen)
				}
				r := b.last(t)
				body := b.opened(t, r, stage.Call)
				if r.Method != call.method || r.URL.EscapedPath() != "/"+stage.Slug+call.path || body != call.body {
					t.Errorf("%s: %s %s %s", call.name, r.Method, r.URL.EscapedPath(), body)
				}
				if r.UserAgent() != fmt.Sprintf("HarbourBank/%d.0", stage.Package.Release) || r.Header.Get(traffic.Header) == "" {
					t.Errorf("%s: header %v", call.name, r.Header)
				}
				if (r.TLS != nil) != (stage.Call.Transport != catalog.PlainHTTP) {
					t.Errorf("%s: over TLS: %v", call.name, r.TLS != nil)
				}
				if r.TLS != nil && (len(r.TLS.PeerCertificates) > 0) != (stage.Call.Transport == catalog.MutualTLS) {
					t.Errorf("%s: %d client certificates", call.name, len(r.TLS.PeerCertificates))
				}
				checkFields(t, call.name, r.Request, stage.Call)
			}
			if err := app.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	connections := map[string]bool{}
	for _, r := range b.bank.Arrived() {
		connections[r.RemoteAddr] = true
	}
	if len(connections) != len(catalog.All().Built()) {
		t.Errorf("the app used %d connections in %d runs, it should keep them alive", len(connections), len(catalog.All().Built()))
	}
}

// opened is what a call carries, as it was before it was sealed.
func (b *bench) opened(t *testing.T, r testbank.Arrived, policy catalog.Call) string {
	t.Helper()
	if policy.Bodies != catalog.SealedBodies || len(r.Content) == 0 {
		return string(r.Content)
	}
	keys, err := sealed.DeriveKeys(b.settings.SharedSecret)
	if err != nil {
		t.Fatal(err)
	}
	content, _, err := keys.Requests.Open(r.Content)
	if err != nil {
		t.Error(err)
	}
	return string(content)
}

// checkFields looks at who the request says that app, user and device are.
func checkFields(t *testing.T, name string, r *http.Request, policy catalog.Call) {
	t.Helper()
	rates := name == "rates"
	want, app := map[catalog.AppProof]string{catalog.AppKey: "key harbour-mobile", catalog.Hawk: "Hawk "}[policy.AppProof], ""
	key := ""
	if policy.KeyPlace == catalog.KeyInPublicURLs && rates {
		want, key = "", "harbour-mobile"
	}
	if policy.UserProof != catalog.NoUser {
		want, app = map[catalog.UserProof]string{catalog.UserSession: "Session ", catalog.AccessToken: "Bearer eyJ"}[policy.UserProof], want
		if policy.Binding == catalog.TokenOfKey {
			want = "DPoP eyJ"
		}
		if rates {
			want = ""
		}
	}
	got := r.Header.Get("Authorization")
	if !strings.HasPrefix(got, want) || (want == "") != (got == "") {
		t.Errorf("%s: Authorization: %q, want %q", name, got, want)
	}
	if got := r.Header.Get("App-Authorization"); !strings.HasPrefix(got, app) || (app == "") != (got == "") {
		t.Errorf("%s: App-Authorization: %q, want %q", name, got, app)
	}
	if got := r.URL.Query().Get("key"); got != key {
		t.Errorf("%s: key in the URL: %q, want %q", name, got, key)
	}
	registered := policy.Devices == catalog.RegisteredDevices
	if (r.Header.Get("Device-Id") != "") != registered || (r.Header.Get("Device-Guid") != "") != registered {
		t.Errorf("%s: device %q, GUID %q", name, r.Header.Get("Device-Id"), r.Header.Get("Device-Guid"))
	}
	media := ""
	if r.Method == http.MethodPost {
		media = map[catalog.Bodies]string{catalog.PlainBodies: protect.JSON, catalog.SealedBodies: "application/jose"}[policy.Bodies]
	}
	if got := r.Header.Get("Content-Type"); got != media {
		t.Errorf("%s: Content-Type: %q, want %q", name, got, media)
	}
}

// TestLanes looks at what is recorded of a call at each transport.
func TestLanes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		stage   string
		visible bool // to the network
	}{{"app-id", true}, {"tls", false}} {
		t.Run(test.stage, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			app := b.launch(t, test.stage)
			for range 2 { // the second on the same connection
				shown(t)(app.Accounts(t.Context()))
			}
			exchanges := map[string]map[traffic.Lane]int{}
			seen := false
			for _, m := range b.log.After(0) {
				if exchanges[m.Exchange] == nil {
					exchanges[m.Exchange] = map[traffic.Lane]int{}
				}
				exchanges[m.Exchange][m.Lane]++
				if m.Stage != test.stage || m.From == "" || m.To == "" || m.Summary == "" {
					t.Errorf("incomplete: %+v", m)
				}
				if m.Lane == traffic.Network && bytes.Contains(m.Body, []byte("harbour-mobile")) {
					seen = true
				}
				if m.Lane == traffic.App && m.Kind == traffic.Request && !strings.Contains(m.Head, "Authorization: key harbour-mobile\r\n") {
					t.Errorf("head: %q", m.Head)
				}
			}
			if seen != test.visible {
				t.Errorf("the network sees the key: %v", seen)
			}
			if len(exchanges) != 2 {
				t.Errorf("exchanges: %v", exchanges)
			}
			for id, lanes := range exchanges {
				if lanes[traffic.App] != 2 || lanes[traffic.Network] < 2 {
					t.Errorf("exchange %s: %v", id, lanes)
				}
			}
		})
	}
}

func TestTransferCap(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "app-id")
	payment := payment()
	payment.Amount = 100_001
	screen := shown(t)(app.Transfer(t.Context(), payment))
	if screen.OK || screen.Check != "transfer-cap" || !strings.Contains(screen.Error, "1,000.00 EUR") || len(b.bank.Calls()) != 0 {
		t.Errorf("above: %+v", screen)
	}
	payment.Amount--
	if screen := shown(t)(app.Transfer(t.Context(), payment)); !screen.OK {
		t.Errorf("at the limit: %+v", screen)
	}
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for minor, want := range map[int64]string{
		0: "0.00 EUR", 5: "0.05 EUR", 100_000: "1,000.00 EUR", 500_000_000: "5,000,000.00 EUR", -123: "-1.23 EUR",
	} {
		if got := amount(minor); got != want {
			t.Errorf("%d: got %s, want %s", minor, got, want)
		}
	}
}

// TestOpsApp packs the same program as the app for the bank's staff.
func TestOpsApp(t *testing.T) {
	t.Parallel()
	const name = "com.harbourbank.ops"
	b := newBench(t, func(b *bench) { b.settings = b.bank.Settings("harbour-ops") })
	stage := lookup(t, "user-session")
	if _, err := b.device.Install(b.pack(t, stage, name)); err != nil {
		t.Fatal(err)
	}
	app, err := b.device.Launch(t.Context(), name, stage.Slug)
	if err != nil {
		t.Fatal(err)
	}
	if screen := shown(t)(app.SignIn(t.Context(), "carol", b.bank.Passwords["carol"])); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	if screen := shown(t)(app.Freeze(t.Context(), "HB-2001", true)); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	r := b.last(t)
	if r.UserAgent() != "HarbourOps/2.0" || !strings.HasPrefix(r.Header.Get("App-Authorization"), `Hawk id="harbour-ops"`) {
		t.Errorf("%v", r.Header)
	}
}
