package device

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/release"
)

// TestAgentRecords: what the user agent asks for and gets is on record as its own, under the
// exchange that its connection and the server have, and without cookies and passwords.
func TestAgentRecords(t *testing.T) {
	t.Parallel()
	const password, cookie = "correct-horse", "5ec7e7"
	var exchanges []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchanges = append(exchanges, r.Header.Get(traffic.Header))
		switch {
		case r.Method == http.MethodPost:
			http.Redirect(w, r, "com.example.app:/done?code=c0de", http.StatusSeeOther)
		case r.URL.Path == "/find":
			http.Error(w, "not found", http.StatusNotFound)
		default:
			http.SetCookie(w, &http.Cookie{Name: "session", Value: cookie})
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<form method=post action=/login><input name=user><input type=password name=pin></form>
				<form action=/find><input type=password name=pin></form>`)
		}
	}))
	defer server.Close()
	there, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(t, func(c *Config) {
		c.Roots, c.Agent, c.Servers = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), "alice's user agent", map[string]string{there.Host: "auth"}
	})
	name := install(t, d, packaged(t, developer, release.Manifest{Schemes: []string{"com.example.app"}}, "")).Name
	page, err := d.Agent().Open(t.Context(), server.URL+"/start?state=x", "tls")
	if err != nil {
		t.Fatal(err)
	}
	typed := url.Values{"pin": {password}}
	if _, err := d.Agent().Submit(t.Context(), page, page.Forms[0], typed, Button{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Agent().Submit(t.Context(), page, page.Forms[1], typed, Button{}); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if _, err := d.Agent().Open(t.Context(), server.URL+"/gone?state=x", "tls"); err == nil {
		t.Fatal("a server that is gone has answered")
	}

	var lines []string
	carried := map[string]bool{}
	for _, m := range d.config.Log.After(0) {
		if m.Stage != "tls" {
			t.Errorf("%s: the stage is %q", m.Summary, m.Stage)
		}
		if m.Lane == traffic.Network {
			carried[m.Exchange] = true
			continue
		}
		if m.Lane != traffic.App || strings.Contains(m.Head+string(m.Body), password) || strings.Contains(m.Head, cookie) {
			t.Errorf("on record: %+v", m)
		}
		lines = append(lines, fmt.Sprintf("%s %s→%s %s", m.Kind, m.From, m.To, m.Summary))
		if body := string(m.Body); m.Summary == "POST /login" && body != "pin=not-recorded&user=" {
			t.Errorf("the form that was sent: %q", body)
		}
		if m.Summary == "GET /find" && !strings.HasPrefix(m.Head, "GET /find?pin=not-recorded HTTP/1.1\nHost: "+there.Host+"\n") {
			t.Errorf("the form that was sent with a URL: %q", m.Head)
		}
		if m.Summary == "GET /start" && !strings.HasPrefix(m.Head, "GET /start?state=x ") {
			t.Errorf("the request: %q", m.Head)
		}
	}
	want := []string{
		"request alice's user agent→auth GET /start", "response auth→alice's user agent 200 OK",
		"request alice's user agent→auth POST /login", "response auth→alice's user agent 303 See Other",
		"note alice's user agent→alice's user agent hands com.example.app:/done to " + name,
		"request alice's user agent→auth GET /find", "response auth→alice's user agent 404 Not Found",
		"request alice's user agent→auth GET /gone", "note alice's user agent→alice's user agent no answer: dial tcp " + there.Host + ": connect: connection refused",
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("on record is\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	for _, exchange := range exchanges {
		if exchange == "" || !carried[exchange] {
			t.Errorf("the connection of the exchange %q is not on record", exchange)
		}
	}
	if len(exchanges) != 3 {
		t.Errorf("asked %d times", len(exchanges))
	}
}
