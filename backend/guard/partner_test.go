package guard_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
)

// TestPartners walks the stages with each kind of caller. It adds one at which apps have no
// client certificates.
func TestPartners(t *testing.T) {
	t.Parallel()
	const path = "/partner/v1/settlements"
	stages := catalog.All().With("tls", func(p *catalog.Policies) { p.API.Partners = catalog.PartnersByCertificate })
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range stages.Built() {
		w := newWorld(t, stages)
		unpinned := issue(w, ca, partner)
		served := stage.API.Partners == catalog.PartnersByCertificate
		call := func(client string, change func(*http.Request)) (int, catalog.Check, string) {
			r := w.request(stage.Slug, http.MethodGet, path, "")
			for _, name := range []string{"Authorization", "App-Authorization", "Client-Integrity-Token", "Device-Id", "Device-Guid"} {
				r.Header.Del(name)
			}
			r.Header.Set("User-Agent", "HarbourBank/1.0")
			over(guard.TLS, nil)(r)
			if client != "" {
				over(guard.TLS, w.clients[client])(r)
			}
			change(r)
			answer, verdict := w.do(r)
			return answer.Code, verdict.Check, answer.Body.String()
		}
		expect := func(what, client string, change func(*http.Request), status int, check catalog.Check) {
			t.Helper()
			if !served {
				status, check = 404, catalog.CheckStage
			}
			if gotStatus, gotCheck, body := call(client, change); gotStatus != status || gotCheck != check {
				t.Errorf("%s: %s: %d %s by %s, want %d by %s", stage.Slug, what, gotStatus, body, gotCheck, status, check)
			}
		}
		as := func(*http.Request) {}
		expect("partner", partner, as, 200, "scope")
		expect("partner behind the terminator", partner, terminated(w.clients[partner]), 200, "scope")
		expect("no certificate", "", as, 403, "client-certificate")
		expect("an app's certificate", mobile, as, 403, catalog.CheckPartner)
		expect("a stranger's certificate", "", terminated(strangersCertificate(w)), 403, "client-certificate")
		expect("a certificate in the partner's name with another key", "", over(guard.TLS, unpinned), 403, catalog.CheckPartner)
		expect("no TLS", "", over(guard.Plain, nil), 403, "transport")
		expect("an app's certificate and proof", mobile, func(r *http.Request) {
			r.Header = w.request(stage.Slug, http.MethodGet, path, "").Header
		}, 403, catalog.CheckPartner)
		expect("a certificate in a field past the terminator", "", func(r *http.Request) {
			r.Header.Set(clientcert.Field, clientcert.Encode(w.clients[partner].Raw))
		}, 403, "client-certificate")
		if served {
			if _, _, body := call(partner, as); body != partner+"||"+stage.Slug+"|0" {
				t.Errorf("%s: %s", stage.Slug, body)
			}
			// Apps' routes are not for partners.
			r := w.request(stage.Slug, http.MethodGet, "/v1/accounts", "")
			r.Header.Del("App-Authorization")
			r.Header.Del("Client-Integrity-Token")
			setKey(partner)(r)
			over(guard.TLS, w.clients[partner])(r)
			if answer, verdict := w.do(r); answer.Code < 401 || !slices.Contains([]catalog.Check{"app-key", "hawk", "integrity-token", "gateway"}, verdict.Check) {
				t.Errorf("%s: a partner at an app's route: %d, %+v", stage.Slug, answer.Code, verdict)
			}
		}
		if _, err := w.apps.Revoke(context.Background(), partner); err != nil {
			t.Fatal(err)
		}
		expect("revoked", partner, as, 403, catalog.CheckPartner)
		if _, err := w.apps.Restore(context.Background(), partner); err != nil {
			t.Fatal(err)
		}
		expect("restored", partner, as, 200, "scope")
	}
}

// TestRoutesOfSomeStages are not there at others.
func TestRoutesOfSomeStages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for _, stage := range catalog.All().Built() {
		want := http.StatusNotFound
		if stage.Call.AppProof == catalog.Hawk {
			want = http.StatusOK
		}
		if answer, verdict := w.do(w.request(stage.Slug, http.MethodGet, "/v1/later", "")); answer.Code != want {
			t.Errorf("%s: %d, %+v", stage.Slug, answer.Code, verdict)
		}
	}
}

// TestRoutesWithoutScopes let nobody in.
func TestRoutesWithoutScopes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for _, stage := range catalog.All().Built() {
		if answer, verdict := w.do(w.request(stage.Slug, http.MethodGet, "/v1/nothing", "")); answer.Code != 403 || verdict.Check != "scope" {
			t.Errorf("%s: %d, %+v", stage.Slug, answer.Code, verdict)
		}
	}
}

// TestOnlyTheAppsOwnRoutesAreLenient: devices and users are asked for where nothing is.
func TestOnlyTheAppsOwnRoutesAreLenient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for path, check := range map[string]catalog.Check{"/v1/whatever": "session", "/v1/devices/x": "session", "/v1/session/x": "session"} {
		r := w.request("user-session", http.MethodGet, path, "")
		r.Header.Del("Authorization")
		again(w, r, asItIs)
		if _, verdict := w.do(r); verdict.Check != check {
			t.Errorf("%s: %+v", path, verdict)
		}
		r = w.request("user-session", http.MethodGet, path, "")
		r.Header.Del("Device-Guid")
		again(w, r, asItIs)
		if _, verdict := w.do(r); verdict.Check != "device" {
			t.Errorf("%s: %+v", path, verdict)
		}
	}
}
