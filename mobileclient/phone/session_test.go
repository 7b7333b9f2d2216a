package phone_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyladder/stages/workshop/lab"
)

func TestSession(t *testing.T) {
	t.Parallel()
	// Where passwords are guessed, nobody of the others can sign in for long.
	own, err := lab.Start(t.Context(), lab.Options{Phones: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	h := newHandAt(t, own)
	_, page := h.submit(t, "/stage", url.Values{"stage": {"user-session"}})
	wants(t, "at first", page, "<h1>Sign in</h1>", `href="/?fill=alice"`, `href="/?fill=carol"`)
	if strings.Contains(page, "Sign out") {
		t.Error("nobody can sign out")
	}
	for _, path := range []string{"/pay", "/accounts/HB-1001"} {
		_, page = h.see(t, path)
		wants(t, path, page, "<h1>Sign in</h1>", "Sign in first")
	}
	_, page = h.see(t, "/rates")
	wants(t, "rates", page, "CHF")
	_, page = h.submit(t, "/sign-in", url.Values{"user": {"alice"}, "password": {"a guess"}})
	wants(t, "a wrong password", page, "The bank refused", `value="alice"`)
	if strings.Contains(page, "a guess") {
		t.Error("the password is on the page")
	}

	page = h.signIn(t, "alice")
	wants(t, "alice", page, "HB-1001 · alice", "HB-1002", "Sign out")
	if strings.Contains(page, "HB-2001") {
		t.Error("alice sees bob's account")
	}
	_, page = h.see(t, "/pay")
	wants(t, "pay", page, `name="from" value="HB-1001"`)

	h.off(t)
	h.on(t, "")
	_, page = h.see(t, "/")
	wants(t, "after a restart of the phone", page, "HB-1001 · alice", "Sign out")

	_, page = h.submit(t, "/sign-out", nil)
	wants(t, "sign out", page, "Signed out", "<h1>Sign in</h1>")
	_, password := h.see(t, "/?fill=alice")
	_, password, _ = strings.Cut(password, `type="password" value="`)
	password, _, _ = strings.Cut(password, `"`)
	_, page = h.submit(t, "/sign-in", url.Values{"user": {"alice"}, "password": {password}})
	wants(t, "alice does not want to stay", page, "in the app&#39;s memory alone", "HB-1001 · alice")
	h.off(t)
	h.on(t, "")
	_, page = h.see(t, "/")
	wants(t, "she has to sign in after a restart of the phone", page, "<h1>Sign in</h1>")
	page = h.signIn(t, "bob")
	wants(t, "bob", page, "HB-2001 · bob")
	_, page = h.see(t, "/pay")
	wants(t, "bob pays", page, `name="from" value="HB-2001"`, `name="to" value="HB-1001"`)
}

func TestTimes(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	_, page := h.submit(t, "/pay", url.Values{"from": {"HB-1001"}, "to": {"HB-2001"}, "amount": {"1"}})
	wants(t, "paid", page, "times are UTC")
	seen := 0
	for _, part := range strings.Split(page, ` datetime="`)[1:] {
		machine, shown, _ := strings.Cut(part, `">`)
		shown, _, _ = strings.Cut(shown, "</time>")
		at, err := time.Parse(time.RFC3339, machine)
		if err != nil {
			t.Fatal(err)
		}
		if shown != at.Format("2 Jan, 15:04 UTC") && shown != at.Format("15:04:05") {
			t.Errorf("%s is shown as %s", machine, shown)
		}
		seen++
	}
	if seen < 2 {
		t.Errorf("%d times on the page: %s", seen, page)
	}
}

// TestSessionRevoked has the bank end the session.
func TestSessionRevoked(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.submit(t, "/stage", url.Values{"stage": {"user-session"}})
	h.signIn(t, "mallory") // nobody else's in these tests
	if err := bank.Resource.Do(t.Context(), http.MethodPost, "/users/mallory/sessions/revoke", nil, nil); err != nil {
		t.Fatal(err)
	}
	_, page := h.submit(t, "/pay", url.Values{"from": {"HB-3001"}, "to": {"HB-2001"}, "amount": {"1"}})
	wants(t, "revoked", page, "<h1>Sign in</h1>", "your session has ended")
	page = h.signIn(t, "mallory")
	wants(t, "again", page, "HB-3001 · mallory")
}
