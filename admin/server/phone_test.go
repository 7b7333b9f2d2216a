package server

import (
	"net/http"
	"strings"
	"testing"
)

// The link to the phone pairs the browser of an admin, and of nobody else.
func TestOpenPhone(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set)
	if r := b.get("/phone"); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/sign-in") {
		t.Errorf("signed out: %d, to %q", r.StatusCode, r.Header.Get("Location"))
	}
	b.signIn()
	if r := b.get("/stages"); !strings.Contains(r.Body, `href="/phone"`) {
		t.Error("no link to the phone")
	}
	if r := b.get("/phone"); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "http://localhost:8090/pair?code=ONCE" {
		t.Errorf("signed in: %d, to %q", r.StatusCode, r.Header.Get("Location"))
	}
}
