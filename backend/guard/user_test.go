package guard_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"keyladder/backend/sessions"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
)

// TestRightsOfAppAndUser are those that both have.
func TestRightsOfAppAndUser(t *testing.T) {
	t.Parallel()
	calls := []struct{ method, path string }{
		{http.MethodGet, "/v1/accounts"}, {http.MethodPost, "/v1/transfers"}, {http.MethodPost, "/v1/accounts/HB-1/freeze"},
	}
	for who, want := range map[as]string{
		{mobile, "alice"}: "200 200 403", {mobile, "carol"}: "200 403 403",
		{ops, "alice"}: "200 403 403", {ops, "carol"}: "200 403 200", {kiosk, "alice"}: "403 403 403",
	} {
		w := newWorld(t, catalog.All())
		var got []string
		for _, call := range calls {
			answer, _ := w.do(w.requestAs(who, "user-session", call.method, call.path, ""))
			got = append(got, fmt.Sprint(answer.Code))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v: %s, want %s", who, got, want)
		}
	}
}

// TestSignIn lets users in by password, with whatever app they have.
func TestSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for _, user := range []string{"alice", "bob", "carol"} {
		answer, verdict := w.do(w.requestAs(as{mobile, user}, "user-session", http.MethodPost, "/v1/session", ""))
		if answer.Code != http.StatusOK || answer.Body.String() != mobile+"|"+user+"|user-session|0" {
			t.Errorf("%s: %d %s, %+v", user, answer.Code, answer.Body, verdict)
		}
	}
}

// TestSignInOnKnownDevices is not kept up by what others try at the same address. A device
// that is banned is not known.
func TestSignInOnKnownDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	signIn := func(app, password string) (int, catalog.Check) {
		r := w.requestAs(as{app, "alice"}, "user-session", http.MethodPost, "/v1/session", "")
		basic("alice", password)(r.Header)
		again(w, r, asItIs)
		answer, verdict := w.do(r)
		return answer.Code, verdict.Check
	}
	if status, check := signIn(mobile, password); status != http.StatusOK {
		t.Fatalf("%d by %s", status, check)
	}
	for range 10 {
		signIn(ops, "guess")
	}
	if status, check := signIn(ops, password); status != http.StatusTooManyRequests || check != "sign-in" {
		t.Errorf("on a new device: %d by %s", status, check)
	}
	if status, check := signIn(mobile, password); status != http.StatusOK {
		t.Errorf("on a known one: %d by %s", status, check)
	}
	for _, device := range w.registered() {
		if device.App == mobile {
			if _, err := w.devices.Ban(context.Background(), w.clock.Now(), device.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if status, check := signIn(mobile, password); status != http.StatusForbidden || check != "device" {
		t.Errorf("on a banned one: %d by %s", status, check)
	}
}

// TestForgedSignInsAreNotTried: passwords that are put into another's sign-in cost their
// user no attempts.
func TestForgedSignInsAreNotTried(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for range 10 {
		r := w.requestAs(as{mobile, "bob"}, "user-session", http.MethodPost, "/v1/session", "")
		basic("alice", "guess")(r.Header)
		if _, verdict := w.do(r); verdict.Check != "signed-fields" {
			t.Fatalf("%+v", verdict)
		}
	}
	if answer, verdict := w.do(w.request("user-session", http.MethodPost, "/v1/session", "")); answer.Code != http.StatusOK {
		t.Errorf("alice signs in: %d, %+v", answer.Code, verdict)
	}
}

// TestSplicedCallsUseUpNoNonce: the call that they were made of is still good.
func TestSplicedCallsUseUpNoNonce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	good := w.requestAs(as{mobile, "bob"}, "user-session", http.MethodGet, "/v1/accounts", "")
	spliced := good.Clone(good.Context())
	session.SetKey(spliced.Header, w.key("user-session", as{mobile, "alice"}))
	if _, verdict := w.do(spliced); verdict.Check != "signed-fields" {
		t.Errorf("%+v", verdict)
	}
	if answer, verdict := w.do(good); answer.Code != http.StatusOK {
		t.Errorf("%d, %+v", answer.Code, verdict)
	}
}

// TestUnknownUsersLookTheSame, from outside, as wrong passwords.
func TestUnknownUsersLookTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	bodies := map[string]bool{}
	for _, user := range []string{"alice", "nobody"} {
		for range 8 {
			answer, _ := w.do(w.signIn(basic(user, "guess")))
			bodies[fmt.Sprint(answer.Code, answer.Body, answer.Header().Get("Retry-After"), answer.Header().Get("WWW-Authenticate"))] = true
		}
	}
	if len(bodies) != 2 { // wrong, and too many
		t.Errorf("%d different answers: %v", len(bodies), bodies)
	}
}

// TestRefusedCallsKeepNoSessionAlive: a key that is used without its app's secret gets idle.
func TestRefusedCallsKeepNoSessionAlive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	w.key("user-session", as{mobile, "alice"})
	for range 3 {
		r := w.requestAs(as{ops, "alice"}, "user-session", http.MethodGet, "/v1/accounts", "")
		session.SetKey(r.Header, w.key("user-session", as{mobile, "alice"}))
		again(w, r, asItIs)
		if _, verdict := w.do(r); verdict.Check != "binding" {
			t.Fatalf("%+v", verdict)
		}
		w.clock.advance(sessions.Default.Idle / 3)
	}
	if _, verdict := w.do(w.request("user-session", http.MethodGet, "/v1/accounts", "")); verdict.Check != "session" {
		t.Errorf("the session is still there: %+v", verdict)
	}
}

// TestBanEndsSessions of the device, even for an app that registers it under a new identifier
// and signs the calls as it should.
func TestBanEndsSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	w.request("user-session", http.MethodGet, "/v1/accounts", "") // registers the device, signs in
	for _, device := range w.registered() {
		if _, err := w.devices.Ban(context.Background(), w.clock.Now(), device.ID); err != nil {
			t.Fatal(err)
		}
	}
	r := w.request("user-session", http.MethodGet, "/v1/accounts", "")
	if _, verdict := w.do(r); verdict.Check != "device" {
		t.Errorf("the banned device: %+v", verdict)
	}
	w.otherDevice(r.Header)
	again(w, r, asItIs)
	if answer, verdict := w.do(r); answer.Code != http.StatusUnauthorized || verdict.Check != "binding" {
		t.Errorf("its session on a new one: %d, %+v", answer.Code, verdict)
	}
}
