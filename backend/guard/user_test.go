package guard_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyladder/backend/guard"
	"keyladder/backend/sessions"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/session"
)

// anybody knows no users. The app's proof moves to another field then, so it is off, too.
func anybody(p *catalog.Policies) {
	unsigned(p)
	p.Call.UserProof, p.Call.UserKey, p.Call.Binding, p.API.Authorization = catalog.NoUser, catalog.NoUserKey, catalog.NotBound, catalog.AppScopes
}

func signingIn(change func(http.Header)) func(*world) func(*http.Request) {
	return instead(func(w *world) *http.Request { return w.signIn(change) })
}

// signIn is a call with which alice signs in, changed before the app signs it.
func (w *world) signIn(change func(http.Header)) *http.Request {
	r := w.request("user-session", http.MethodPost, "/v1/session", "")
	change(r.Header)
	again(w, r, asItIs)
	return r
}

// signedWith changes the fields of a call before the app signs it.
func signedWith(change func(*world, http.Header)) func(*world) func(*http.Request) {
	return func(w *world) func(*http.Request) {
		return func(r *http.Request) {
			change(w, r.Header)
			again(w, r, asItIs)
		}
	}
}

// unsignedFields does not ask whether the call was signed with its user and device.
func unsignedFields(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfDevice }

// otherDevice puts a second device of the mobile app into a header.
func (w *world) otherDevice(h http.Header) {
	const identifier = "another-device"
	guid, err := w.devices.Register(context.Background(), w.clock.Now(), "user-session", mobile, identifier)
	if err != nil {
		w.Fatal(err)
	}
	deviceid.Set(h, identifier, guid)
}

func basic(user, password string) func(http.Header) {
	return func(h http.Header) {
		if err := session.SetBasic(h, user, password); err != nil {
			panic(err)
		}
	}
}

var userRefusals = []refusal{
	{"sign-in without a password", "user-session", signingIn(func(h http.Header) { h.Del("Authorization") }), "sign-in", 401, "sign-in-failed", anybody},
	{"sign-in with a session key", "user-session", signingIn(func(h http.Header) { session.SetKey(h, session.NewKey()) }), "sign-in", 401, "sign-in-failed", anybody},
	{"unreadable password", "user-session", signingIn(func(h http.Header) { h.Set("Authorization", "Basic !") }), "sign-in", 400, "bad-request", anybody},
	{"wrong password", "user-session", signingIn(basic("alice", "guess")), "sign-in", 401, "sign-in-failed", anybody},
	{"empty password", "user-session", signingIn(basic("alice", "")), "sign-in", 401, "sign-in-failed", anybody},
	{"unknown user", "user-session", signingIn(basic("nobody", password)), "sign-in", 401, "sign-in-failed", anybody},
	{"unknown user, empty password", "user-session", signingIn(basic("", "")), "sign-in", 401, "sign-in-failed", anybody},
	{"user's name in capitals", "user-session", signingIn(basic("Alice", password)), "sign-in", 401, "sign-in-failed", anybody},
	{"right password after many wrong ones", "user-session", func(w *world) func(*http.Request) {
		for range 6 {
			w.do(w.signIn(basic("alice", "guess")))
		}
		return signingIn(func(http.Header) {})(w)
	}, "sign-in", 429, "rate-limited", anybody},

	{"no session", "user-session", signedWith(func(_ *world, h http.Header) { h.Del("Authorization") }), "session", 401, "session-not-accepted", anybody},
	{"password in place of a session", "user-session", signedWith(func(_ *world, h http.Header) { basic("alice", password)(h) }), "session", 401, "session-not-accepted", anybody},
	{"invented session", "user-session", signedWith(func(_ *world, h http.Header) { session.SetKey(h, session.NewKey()) }), "session", 401, "session-not-accepted", anybody},
	{"unreadable session", "user-session", signedWith(func(_ *world, h http.Header) { h.Set("Authorization", "Session x") }), "session", 401, "session-not-accepted", anybody},
	{"idle session", "user-session", func(w *world) func(*http.Request) {
		w.key("user-session", as{mobile, "alice"})
		w.clock.advance(sessions.Default.Idle)
		return func(*http.Request) {}
	}, "session", 401, "session-not-accepted", anybody},
	{"busy session that got too old", "user-session", func(w *world) func(*http.Request) {
		for range int(sessions.Default.Absolute / (10 * time.Minute)) {
			if answer, verdict := w.do(w.request("user-session", http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusOK {
				w.Fatalf("%d, %+v", answer.Code, verdict)
			}
			w.clock.advance(10 * time.Minute)
		}
		return func(*http.Request) {}
	}, "session", 401, "session-not-accepted", anybody},
	{"revoked session", "user-session", func(w *world) func(*http.Request) {
		w.key("user-session", as{mobile, "alice"})
		if n, err := w.sessions.EndAll(context.Background(), "alice"); n != 1 || err != nil {
			w.Fatal(n, err)
		}
		return func(*http.Request) {}
	}, "session", 401, "session-not-accepted", anybody},
	{"session of another stage", "user-session", signedWith(func(w *world, h http.Header) {
		session.SetKey(h, w.key("hmac", as{mobile, "alice"}))
	}), "session", 401, "session-not-accepted", anybody},

	{"session of another app", "user-session", signedWith(func(w *world, h http.Header) {
		session.SetKey(h, w.key("user-session", as{ops, "alice"}))
	}), "binding", 401, "session-not-accepted", func(p *catalog.Policies) { p.Call.Binding = catalog.NotBound }},

	{"session of another device", "user-session", signedWith(func(w *world, h http.Header) {
		w.otherDevice(h)
	}), "binding", 401, "session-not-accepted", func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfApp }},

	{"one user's call with another's session", "user-session", instead(func(w *world) *http.Request {
		r := w.requestAs(as{mobile, "bob"}, "user-session", http.MethodPost, "/v1/transfers", "{}")
		session.SetKey(r.Header, w.key("user-session", as{mobile, "alice"}))
		return r
	}), "signed-fields", 401, "client-not-accepted", unsignedFields},
	{"call of nobody with a session", "user-session", instead(func(w *world) *http.Request {
		r := w.request("user-session", http.MethodGet, "/v1/accounts", "")
		key := r.Header.Get("Authorization")
		r.Header.Del("Authorization")
		again(w, r, asItIs)
		r.Header.Set("Authorization", key)
		return r
	}), "signed-fields", 401, "client-not-accepted", unsignedFields},
	{"call with another device", "user-session", instead(func(w *world) *http.Request {
		r := w.request("user-session", http.MethodGet, "/v1/rates", "")
		w.otherDevice(r.Header)
		return r
	}), "signed-fields", 401, "client-not-accepted", unsignedFields},
	{"one user's sign-in with another's password", "user-session", instead(func(w *world) *http.Request {
		r := w.requestAs(as{mobile, "bob"}, "user-session", http.MethodPost, "/v1/session", "")
		basic("alice", password)(r.Header)
		return r
	}), "signed-fields", 401, "client-not-accepted", unsignedFields},
	{"call whose signature says nothing of its user", "user-session", func(w *world) func(*http.Request) {
		return func(r *http.Request) {
			client := w.client(catalog.Call{UserProof: catalog.UserSession}, mobile)
			sent, err := client.Sign(r, nil, "", w.clock.Now())
			if err != nil {
				w.Fatal(err)
			}
			w.sent.Store(signature(r), sent)
		}
	}, "signed-fields", 401, "client-not-accepted", unsignedFields},
	{"two sessions", "user-session", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }
	}, "signed-fields", 400, "bad-request", anybody},

	{"user without the scope", "user-session", instead(func(w *world) *http.Request {
		return w.requestAs(as{mobile, "carol"}, "user-session", http.MethodPost, "/v1/transfers", "{}")
	}), "scope", 403, "not-allowed", func(p *catalog.Policies) { p.API.Authorization = catalog.AppScopes }},
	{"customer who freezes accounts", "user-session", instead(func(w *world) *http.Request {
		return w.requestAs(as{ops, "alice"}, "user-session", http.MethodPost, "/v1/accounts/HB-1/freeze", "{}")
	}), "scope", 403, "not-allowed", func(p *catalog.Policies) { p.API.Authorization = catalog.AppScopes }},
	{"clerk who freezes accounts in the customers' app", "user-session", instead(func(w *world) *http.Request {
		return w.requestAs(as{mobile, "carol"}, "user-session", http.MethodPost, "/v1/accounts/HB-1/freeze", "{}")
	}), "scope", 403, "not-allowed", func(p *catalog.Policies) { p.API.Authorization = catalog.NotAuthorized }},
}

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
			for _, name := range []string{"Authorization", "App-Authorization", "Device-Id", "Device-Guid"} {
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
			setKey(partner)(r)
			over(guard.TLS, w.clients[partner])(r)
			if answer, verdict := w.do(r); answer.Code != 401 || verdict.Check != "app-key" && verdict.Check != "hawk" {
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
