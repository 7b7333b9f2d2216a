package phone_test

import (
	"crypto/rand"
	"html"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"keyladder/internal/pki"
	"keyladder/mobileclient/phone"
	"keyladder/stages/catalog"
)

func TestScreenAtEveryStage(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	for _, stage := range catalog.All().Unbuilt(unbuilt).Built() {
		_, page := h.submit(t, "/stage", url.Values{"stage": {stage.Slug}})
		others := "HB-2001 · bob" // that the app is shown
		if stage.Call.UserProof != catalog.NoUser {
			page = h.signIn(t, "alice")
			others = "HB-1002 · alice"
		}
		wants(t, stage.Slug, page, `href="http://localhost:8000/stages/`+stage.Slug+`"`, `value="`+stage.Slug+`" selected`, html.EscapeString(stage.Adds), "HB-1001", others, "/"+stage.Slug+"/v1/accounts")
		_, page = h.see(t, "/rates")
		wants(t, "rates", page, "CHF", "/"+stage.Slug+"/v1/rates")
		reference := "from the screen at " + stage.Slug + " " + rand.Text()
		_, page = h.submit(t, "/pay", url.Values{"from": {"HB-1001"}, "to": {"HB-2001"}, "amount": {"12,34"}, "reference": {reference}})
		wants(t, "pay", page, "Transfer booked", "12.34 EUR went from HB-1001 to HB-2001", reference, "\u221212.34")
		if stage.API.Authorization != catalog.AppScopes {
			_, page = h.see(t, "/accounts/HB-2001")
			wants(t, "bob's transfers", page, "The bank refused")
		} else {
			_, page = h.see(t, "/accounts/HB-2001")
			wants(t, "transfers", page, reference, "+12.34")
		}
		if strings.Contains(page, "Transfer booked") {
			t.Error("a notice is shown twice")
		}
	}
	if _, page := h.submit(t, "/stage", url.Values{"stage": {unbuilt}}); !strings.Contains(page, "not built yet: those that are") {
		t.Error("a stage that is not built was accepted")
	}
	if _, page := h.see(t, "/"); !strings.Contains(page, `value="`+unbuilt+`" disabled`) {
		t.Error("a stage that is not built can be chosen")
	}
}

func TestPayRefusals(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	for _, test := range []struct {
		name, to, amount string
		status           int
		want             []string
	}{
		{"not an amount", "HB-2001", "1,000.00", http.StatusUnprocessableEntity, []string{`aria-invalid="true"`, "like 12.34", `value="1,000.00"`}},
		{"above what the app does", "HB-2001", "1000.01", http.StatusOK, []string{"The app refused", "transfer-cap", "at most 1,000.00 EUR"}},
		{"unknown payee", "HB-0000", "1", http.StatusOK, []string{"The bank refused", `value="HB-0000"`}},
		{"nothing", "HB-2001", "0", http.StatusOK, []string{"The bank refused"}},
		{"markup", `"><script>alert(1)</script>`, "1", http.StatusOK, []string{"The bank refused", "&#34;&gt;&lt;script&gt;"}},
	} {
		status, page := h.submit(t, "/pay", url.Values{"from": {"HB-1001"}, "to": {test.to}, "amount": {test.amount}})
		if status != test.status {
			t.Errorf("%s: status %d", test.name, status)
		}
		wants(t, test.name, page, test.want...)
		if strings.Contains(page, "<script>") {
			t.Errorf("%s: a script on the page", test.name)
		}
	}
	if _, page := h.see(t, "/accounts/HB-0000"); !strings.Contains(page, "The bank refused") {
		t.Error("an unknown account is shown")
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.submit(t, "/stage", url.Values{"stage": {"tls"}})

	status, page := h.submit(t, "/settings/network", url.Values{"use": {"yes"}, "proxy": {"localhost:8081"}})
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong proxy: %d", status)
	}
	wants(t, "a wrong proxy", page, "That was not changed", "http://host:port", ` checked> Apps use a proxy`, `value="localhost:8081"`, `aria-invalid="true"`)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	proxy := "http://" + closed.Addr().String()
	_, page = h.submit(t, "/settings/network", url.Values{"use": {"yes"}, "proxy": {proxy}})
	wants(t, "a proxy", page, "Apps now use the proxy", "through the proxy "+closed.Addr().String())
	_, page = h.see(t, "/")
	wants(t, "a proxy that is not there", page, "can&#39;t be reached", "Check the phone&#39;s network settings")

	status, page = h.submit(t, "/settings/trust", url.Values{"pem": {"hello </textarea>"}})
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong certificate: %d", status)
	}
	wants(t, "a wrong certificate", page, "This is not a PEM certificate: one starts with -----BEGIN CERTIFICATE-----.",
		`aria-invalid="true"`, ">hello &lt;/textarea&gt;</textarea>")
	if _, page = h.see(t, "/settings?pem=hello"); strings.Contains(page, "hello") {
		t.Error("a link fills in a certificate")
	}
	ca, err := pki.NewCA("Mallory's CA")
	if err != nil {
		t.Fatal(err)
	}
	_, page = h.submit(t, "/settings/trust", url.Values{"pem": {string(ca.Certificate)}})
	wants(t, "trust", page, "trusts this CA", "Mallory&#39;s CA")
	h.submit(t, "/settings/sideloading", url.Values{"allowed": {"yes"}})
	_, page = h.submit(t, "/settings/unlocked", url.Values{"unlocked": {"yes"}})
	wants(t, "unlocked", page, "The phone is unlocked", `name="unlocked" value="yes" checked`)
	_, page = h.submit(t, "/settings/system", url.Values{"system": {"FreeOS 1"}})
	wants(t, "another system", page, "The phone runs FreeOS 1", "signed with the key <code>sha256/")
	_, page = h.submit(t, "/settings/system", url.Values{"system": {"!"}})
	wants(t, "a system without a name", page, "That was not changed", `aria-invalid="true"`)

	// All that survives that the phone is switched off.
	h.off(t)
	h.on(t, "")
	_, page = h.see(t, "/settings")
	wants(t, "after a restart", page, `value="tls" selected`, "through the proxy", "Mallory&#39;s CA", `name="allowed" value="yes" checked`, `name="unlocked" value="yes" checked`)
	wants(t, "after a restart", page, "It runs FreeOS 1")
	if _, page = h.submit(t, "/settings/unlocked", nil); strings.Contains(page, `name="unlocked" value="yes" checked`) {
		t.Error("the phone is still unlocked")
	}
	_, page = h.submit(t, "/settings/system", url.Values{"makers": {"yes"}})
	wants(t, "a system for a locked phone", page, "the phone is locked: unlock its boot loader first.", "It runs FreeOS 1")

	_, fingerprint, _ := strings.Cut(page, `name="fingerprint" value="`)
	fingerprint, _, _ = strings.Cut(fingerprint, `"`)
	if _, page = h.submit(t, "/settings/distrust", url.Values{"fingerprint": {fingerprint}}); strings.Contains(page, "Mallory") {
		t.Error("it is still trusted")
	}
	_, page = h.submit(t, "/settings/network", url.Values{"proxy": {proxy}})
	wants(t, "no proxy", page, "The proxy is off", "direct connection")
}

// TestOwnPages looks at the pages that are the phone's and not the app's: around them is
// what is around the app's.
func TestOwnPages(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.submit(t, "/stage", url.Values{"stage": {"user-session"}})
	h.signIn(t, "alice")
	h.submit(t, "/settings/network", url.Values{"use": {"yes"}, "proxy": {"http://127.0.0.1:1"}})
	for _, test := range []struct {
		name, method, path string
		status             int
		want               []string
	}{
		{"settings", http.MethodGet, "/settings", 200, []string{"<h1>Phone settings</h1>"}},
		{"not an amount", http.MethodPost, "/pay", 422, []string{"<h1>Pay</h1>", "like 12.34"}},
		{"no such page", http.MethodGet, "/nosuch", 404, []string{"<h1>Not possible</h1>", "There is no such page on this phone."}},
		{"a form without a form", http.MethodGet, "/stage", 405, []string{"<h1>Not possible</h1>", "This address only takes forms."}},
	} {
		status, page := h.send(t, test.method, test.path, "application/x-www-form-urlencoded", nil)
		if status != test.status {
			t.Errorf("%s: status %d", test.name, status)
		}
		wants(t, test.name, page, test.want...)
		wants(t, test.name, page, "through the proxy 127.0.0.1:1", "</span>alice</span>", "Sign out", `action="/app"`, "/user-session/v1/session")
	}
	h.submit(t, "/settings/uninstall", url.Values{"name": {phone.AppName}})
	status, page := h.see(t, "/settings")
	if status != http.StatusOK || strings.Contains(page, "Sign out") {
		t.Errorf("without the app: %d, %s", status, page)
	}
}

func TestAppThatDiedIsStartedAgain(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.see(t, "/")
	pid, err := h.PID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.PID(t.Context()); err != nil || again != pid {
		t.Errorf("the app is not kept running: %d, then %d, %v", pid, again, err)
	}
	app, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Kill(); err != nil {
		t.Fatal(err)
	}
	h.Wait(pid)
	_, page := h.see(t, "/")
	wants(t, "afterwards", page, "HB-1001")
	if again, err := h.PID(t.Context()); err != nil || again == pid {
		t.Errorf("process %d, %v", again, err)
	}
}
