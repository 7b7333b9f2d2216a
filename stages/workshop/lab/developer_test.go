package lab_test

import (
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/testenv"
	"keyladder/stages/workshop/lab"
)

// A developer registers an app in the admin UI, is shown its ID and a first call with curl, and
// that works as it is printed.
func TestDeveloperRegistersAnApp(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	testenv.Program(t, "curl")
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword})
	base := l.Addresses.URL(deployment.AdminUI)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	token := func(path string) string {
		t.Helper()
		found := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(page(t)(browser.Get(base + path)))
		if found == nil {
			t.Fatalf("%s has no form", path)
		}
		return found[1]
	}
	page(t)(browser.PostForm(base+"/sign-in", url.Values{"csrf": {token("/sign-in")}, "password": {adminPassword}}))
	shown := page(t)(browser.PostForm(base+"/apps", url.Values{
		"csrf": {token("/apps")}, "id": {"harbour-watch"}, "name": {"Harbour Bank for watches"}, "user_agent": {"HarbourWatch/"},
		"scope": {"rates:read"}, "tier": {"basic"},
	}))
	command := regexp.MustCompile(`data-first-call>([^<]+)<`).FindStringSubmatch(shown)
	if command == nil {
		t.Fatalf("no first call is shown:\n%s", shown)
	}
	call := func() (status string, output []byte) {
		t.Helper()
		output, err := exec.CommandContext(t.Context(), "sh", "-c", html.UnescapeString(command[1])).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command[1], err, output)
		}
		return string(statusLine.FindSubmatch(output)[1]), output
	}
	if status, output := call(); status != "200" {
		t.Errorf("$ %s\n%s", html.UnescapeString(command[1]), output)
	}
	page(t)(browser.PostForm(base+"/keys/harbour-watch/revoke", url.Values{"csrf": {token("/apps")}}))
	if status, output := call(); status != "401" {
		t.Errorf("with the ID revoked:\n%s", output)
	}
}
