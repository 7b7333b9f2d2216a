package guard_test

import (
	"context"
	"net/http"
	"time"

	"keyladder/backend/sessions"
	"keyladder/stages/catalog"
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
