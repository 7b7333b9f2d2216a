package phone_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/mobileclient/phone"
)

// stranger is a browser of another user of this machine.
func (h *hand) stranger(t *testing.T) *hand {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	other := *h
	other.client = &http.Client{Jar: jar}
	return &other
}

// link is the path of a pairing link.
func (h *hand) link() string { return h.pathOf(h.PairingLink()) }

func (h *hand) pathOf(link string) string {
	return strings.TrimPrefix(link, h.folder.Addresses.URL(deployment.PhoneScreen))
}

// Another user of the machine can reach the screen. Nothing on it is shown to them or done
// for them.
func TestStrangerAtTheScreen(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.see(t, "/rates")
	other := h.stranger(t)
	for _, path := range []string{"/", "/accounts/HB-1001", "/pay", "/rates", "/settings", "/browser", "/no-such-page", "/pair"} {
		status, page := other.see(t, path)
		if status != http.StatusForbidden {
			t.Errorf("GET %s: %d", path, status)
		}
		for _, told := range []string{"/v1/rates", "app-id", "HB-1001"} {
			if strings.Contains(page, told) {
				t.Errorf("GET %s tells %s", path, told)
			}
		}
	}
	for _, path := range []string{
		"/pay", "/stage", "/app", "/sign-in", "/sign-out", "/settings/network", "/settings/trust", "/settings/sideloading", "/settings/store",
		"/settings/unlocked", "/settings/system", "/settings/uninstall", "/settings/update", "/browser/open", "/browser/submit", "/browser/follow", "/accounts/HB-1001/freeze",
	} {
		if status, _ := other.submit(t, path, url.Values{"stage": {"tls"}, "allowed": {"yes"}, "name": {phone.AppName}}); status != http.StatusForbidden {
			t.Errorf("POST %s: %d", path, status)
		}
	}
	if status, _ := other.upload(t, []byte("a program")); status != http.StatusForbidden {
		t.Errorf("a package: %d", status)
	}
	if status, page := other.submit(t, "/pair", url.Values{"code": {strings.Repeat("A", 300<<10)}}); status < 400 || strings.Contains(page, "/v1/rates") {
		t.Errorf("a very large code: %d, %s", status, page)
	}
	_, page := h.see(t, "/settings")
	if !strings.Contains(page, "from the store") || strings.Contains(page, `name="allowed" value="yes" checked`) || !strings.Contains(page, `value="app-id" selected`) {
		t.Error("something was changed")
	}
	if status, _ := other.see(t, "/healthz"); status != http.StatusOK {
		t.Errorf("health: %d", status)
	}
}

func TestPairing(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	link := h.link()
	first := h.stranger(t)
	first.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.screen.URL+link, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := first.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cookies := resp.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || resp.Header.Get("Location") != "/" {
		t.Errorf("cookies %v, to %q", cookies, resp.Header.Get("Location"))
	}
	if status, page := h.stranger(t).see(t, link); status != http.StatusForbidden || !strings.Contains(page, "not good") {
		t.Errorf("a link that was used: %d", status)
	}
	second := h.stranger(t)
	if status, page := second.see(t, h.link()); status != http.StatusOK || !strings.Contains(page, "HB-1001") {
		t.Errorf("a second browser: %d", status)
	}
	if status, _ := second.see(t, link); status != http.StatusOK {
		t.Errorf("an old link in a paired browser: %d", status)
	}
	if status, _ := h.stranger(t).see(t, "/pair?code=GUESS"); status != http.StatusForbidden {
		t.Errorf("a guess: %d", status)
	}
	old := h.MakeCode(-time.Second)
	if status, _ := h.stranger(t).submit(t, "/pair", url.Values{"code": {old}}); status != http.StatusForbidden {
		t.Errorf("a code that is too old: %d", status)
	}
	if status, page := h.stranger(t).submit(t, "/pair", url.Values{"code": {" " + strings.ToLower(h.MakeCode(time.Minute)) + " "}}); status != http.StatusOK {
		t.Errorf("a code that was typed in: %d, %s", status, page)
	}

	h.off(t)
	h.on(t, "")
	second.screen = h.screen // on the same host, so the browser sends its cookie there
	if status, _ := second.see(t, "/"); status != http.StatusOK {
		t.Errorf("after a restart: %d", status)
	}
}

// The phone itself, and the admin UI, get codes over the management API.
func TestPairingThroughManagement(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	for _, role := range []deployment.Role{deployment.Admin, deployment.Phone} {
		pairing, err := manage.Post[manage.Pairing](t.Context(), h.managed(t, role), manage.PairingPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := h.stranger(t).see(t, h.pathOf(phone.LinkOf(h.folder, pairing.Code))); status != http.StatusOK {
			t.Errorf("with the code that %s got: %d", role, status)
		}
	}
	if _, err := manage.Post[manage.Pairing](t.Context(), h.managed(t, deployment.Attacker), manage.PairingPath, nil); err == nil {
		t.Error("the attacker's certificate gets a code")
	}
	if err := h.managed(t, deployment.Phone).Do(t.Context(), http.MethodPost, "/phone/stage", map[string]string{"stage": "tls"}, nil); err == nil {
		t.Error("the phone's certificate opens more than that")
	}
}
