package server

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"keyladder/admin/access"
	"keyladder/internal/manage"
)

// populate gives the bank people who are signed in on their devices, and a partner.
func populate(set *setting) {
	now := set.clock.now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	seen := func(d time.Duration) *time.Time { at := ago(d); return &at }
	until := now.Add(150 * time.Second)
	set.bank.locked(func() {
		set.bank.users[0].FailedSignIns = 1
		set.bank.users[2].FailedSignIns, set.bank.users[2].ThrottledUntil = 18, &until
		set.bank.sessions = []manage.Session{
			{ID: "S3", User: "carol", App: "harbour-ops", Stage: "user-session", Device: "b7-ops", CreatedAt: ago(time.Minute), LastUsedAt: ago(4 * time.Second), ExpiresAt: now.Add(12*time.Hour - time.Minute)},
			{ID: "S2", User: "alice", App: "harbour-mobile", Stage: "user-session", Device: "a1-phone", CreatedAt: ago(20 * time.Minute), LastUsedAt: ago(2 * time.Minute), ExpiresAt: now.Add(11*time.Hour + 40*time.Minute)},
			{ID: "S1", User: "alice", App: "harbour-mobile", Stage: "user-session", CreatedAt: ago(11*time.Hour + 50*time.Minute), LastUsedAt: ago(14 * time.Minute), ExpiresAt: now.Add(10 * time.Minute)},
		}
		set.bank.devices = []manage.Device{
			{ID: "D3", Stage: "user-session", Identifier: "b7-ops", App: "harbour-ops", RegisteredAt: ago(time.Minute), LastSeen: seen(4 * time.Second)},
			{ID: "D2", Stage: "hmac", Identifier: "m9-mallory", App: "harbour-mobile", RegisteredAt: ago(time.Hour), BannedAt: seen(30 * time.Minute)},
			{ID: "D1", Stage: "hmac", Identifier: "a1-phone", App: "harbour-mobile", RegisteredAt: ago(3 * time.Hour), LastSeen: seen(2 * time.Minute)},
		}
		set.bank.apps = append(set.bank.apps, manage.App{
			ID: "quayside-books", Kind: manage.Partner, Name: "Quayside Books, web shop", UserAgent: "QuaysideBooks/",
			Scopes: []string{"settlements:read"}, PerSecond: 2, Burst: 4, CreatedAt: ago(72 * time.Hour),
			Certificates: []string{"sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
			Keys:         []manage.Key{{ID: "quayside-books", App: "quayside-books", CreatedAt: ago(72 * time.Hour)}},
		})
	})
	set.mobile.packages = []manage.Package{{Name: "com.harbourbank.app", Identifier: "a1-phone"}, {Name: "com.harbourbank.ops"}}
}

func TestPagesAboutPeopleAsTheyAre(t *testing.T) {
	t.Parallel()
	set := newSetting(t, func(c *Config) { c.Stages = declared()[:6] })
	populate(set)
	b := newBrowser(t, set).signIn()
	for name, path := range map[string]string{
		"users": "/users", "sessions": "/sessions", "devices": "/devices", "secret": "/keys/harbour-mobile/secret", "partner": "/apps/quayside-books",
	} {
		r := b.get(path)
		r.want(t, http.StatusOK)
		golden(t, name, r.Body)
	}
}

func TestPagesAboutNobody(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	set.bank.users = nil
	b := newBrowser(t, set).signIn()
	b.get("/users").want(t, http.StatusOK, "Nobody is registered", `data-test="run-app"`)
	b.get("/sessions").want(t, http.StatusOK, "Nobody is signed in")
	b.get("/devices").want(t, http.StatusOK, "No installation has registered here yet", `<option value="hmac">`)
	b.get("/devices?search=zz").want(t, http.StatusOK, "No device fits", `value="zz"`)
	b.get("/sessions?search=zz").want(t, http.StatusOK, "No session fits", `value="zz"`)
	b.get("/users?search=zz").want(t, http.StatusOK, "Nobody has “zz” in the name")

	set = newSetting(t, func(c *Config) { c.Stages = declared()[:3] }) // none that knows users or devices
	b = newBrowser(t, set).signIn()
	b.get("/devices").want(t, http.StatusOK, "No stage that is built registers devices")
	for _, path := range []string{"/users", "/sessions", "/devices", "/keys/harbour-mobile/secret"} {
		if r := b.get(path); r.StatusCode != http.StatusOK || strings.Contains(r.Body, "run-app") {
			t.Errorf("%s: status %d, or it lets the app run at no stage", path, r.StatusCode)
		}
	}
}

// runner runs the genuine app from a page and looks at what came of it.
func runner(t *testing.T, b *browser, page, stage string) func(ok bool) {
	return func(ok bool) {
		t.Helper()
		r := b.post("/run", "stage", stage, "back", page)
		if want := page + "?at=" + stage + "#the-run"; r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != want {
			t.Errorf("status %d, leads to %q, not %q", r.StatusCode, r.Header.Get("Location"), want)
		}
		b.get(page).want(t, http.StatusOK, fmt.Sprintf(`data-run-ok="%v" data-run-stage="%s"`, ok, stage))
		b.get("/stages/"+stage+"/try").want(t, http.StatusOK, `data-test="phone-here"`)
	}
}

func TestEndedSessionsAreSeenToBite(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	run := runner(t, b, "/sessions", "user-session")
	run(true)
	b.get("/sessions").want(t, http.StatusOK, `data-session="SESSION1" data-session-user="alice"`, "in 12 h 0 min")
	b.get("/users").want(t, http.StatusOK, `data-user="alice" data-sessions="1"`, `data-end-sessions="alice"`)

	b.get("/sessions/end?id=SESSION1").want(t, http.StatusOK, "End 1 session?", "alice in harbour-mobile at user-session on device "+phoneIdentifier, "They can&#39;t be brought back")
	if len(set.bank.sessions) != 1 {
		t.Error("asking ends it")
	}
	r := b.sure("/sessions/end?id=SESSION1&back=/sessions")
	if got := r.Header.Get("Location"); got != "/sessions?at=user-session" {
		t.Errorf("leads to %q", got)
	}
	r = b.get("/sessions?at=user-session")
	r.want(t, http.StatusOK, `data-notice="done"`, "The session has ended", `<option value="user-session" selected>`, "Nobody is signed in")
	run(false)
	b.get("/sessions").want(t, http.StatusOK, "your session has ended")
	run(true) // it has signed in again

	b.get("/users/alice/sessions/end").want(t, http.StatusOK, "End all sessions of alice?", "on device "+phoneIdentifier)
	b.sure("/users/alice/sessions/end?back=/users").want(t, http.StatusSeeOther)
	r = b.get("/users")
	r.want(t, http.StatusOK, `data-notice="done"`, `data-user="alice" data-sessions="0"`)
	if strings.Contains(r.Body, `data-end-sessions="alice"`) {
		t.Error("there is nothing to end any more")
	}
	run(false)
	b.post("/sessions/end", "id", "SESSION1", "back", "/sessions").want(t, http.StatusSeeOther)
	b.get("/sessions").want(t, http.StatusOK, `data-notice="failed"`, "There is no such session")
	b.post("/users/nobody/sessions/end", "back", "/users").want(t, http.StatusSeeOther)
	b.get("/users").want(t, http.StatusOK, `data-notice="failed"`, "There is no such user")
	b.get("/audit").want(t, http.StatusOK,
		`data-audit="end a session" data-audit-outcome="done"`, "alice in harbour-mobile at user-session on device "+phoneIdentifier+" (SESSION1)",
		`data-audit="end a session" data-audit-outcome="failed"`,
		`data-audit="end all sessions" data-audit-outcome="done"`, `data-audit="end all sessions" data-audit-outcome="failed"`)
}

func TestFailedSignInsAreCleared(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	populate(set)
	b := newBrowser(t, set).signIn()
	b.get("/users").want(t, http.StatusOK, `data-clear-failed="mallory"`, "18 failed attempts", "✕ throttled")
	if got := b.post("/users/mallory/failed-sign-ins/clear", "back", "/users").Header.Get("Location"); got != "/users" {
		t.Errorf("leads to %q", got)
	}
	r := b.get("/users")
	r.want(t, http.StatusOK, `data-notice="done"`, "The failed attempts to sign in as mallory are forgotten", `data-clear-failed="alice"`)
	if strings.Contains(r.Body, `data-clear-failed="mallory"`) || strings.Contains(r.Body, "✕ throttled") {
		t.Error("there is nothing to clear any more")
	}
	b.post("/users/nobody/failed-sign-ins/clear", "back", "/users").want(t, http.StatusSeeOther)
	b.get("/users").want(t, http.StatusOK, `data-notice="failed"`, "There is no such user")
	b.get("/audit").want(t, http.StatusOK,
		`data-audit="clear failed sign-ins" data-audit-outcome="done"`, `data-audit="clear failed sign-ins" data-audit-outcome="failed"`)
}

func TestBannedDevicesAreSeenToBite(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	run := runner(t, b, "/devices", "hmac")
	run(true)
	row := func(banned string) string {
		return `data-device="DEVICE1" data-identifier="` + phoneIdentifier + `" data-banned="` + banned + `"`
	}
	b.get("/devices").want(t, http.StatusOK, row("false"), `data-ban="DEVICE1"`)
	r := b.post("/devices/DEVICE1/ban", "back", "/devices?stage=hmac&search=3f")
	if got := r.Header.Get("Location"); got != "/devices?at=hmac&search=3f&stage=hmac" {
		t.Errorf("leads to %q", got)
	}
	b.get("/devices?at=hmac").want(t, http.StatusOK, `data-notice="done"`, row("true"), `data-allow="DEVICE1"`, `<option value="hmac" selected>`,
		`action="/devices/DEVICE1/allow"`, "Undo: allow it again")
	run(false)
	b.post("/devices/DEVICE1/allow", "back", "/devices").want(t, http.StatusSeeOther)
	b.get("/devices").want(t, http.StatusOK, row("false"))
	run(true)
	b.post("/devices/D9/ban", "back", "/devices").want(t, http.StatusSeeOther)
	b.get("/devices").want(t, http.StatusOK, `data-notice="failed"`, "There is no such device")
	b.get("/audit").want(t, http.StatusOK,
		`data-audit="ban a device" data-audit-outcome="done"`, phoneIdentifier+" at hmac (DEVICE1)",
		`data-audit="allow a device" data-audit-outcome="done"`, `data-audit="ban a device" data-audit-outcome="failed"`)
}

func TestRotatedSecretIsSeenToBite(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/apps").want(t, http.StatusOK, `data-has-secret="harbour-mobile"`, `href="/keys/harbour-mobile/secret"`)
	const page = "/keys/harbour-mobile/secret"
	run := runner(t, b, page, "hmac")
	run(true)
	b.get(page).want(t, http.StatusOK, `data-rotate-secret="harbour-mobile"`, "Every installed app with this key is shut out",
		"at stages 4, 5 and 6 are refused", "go run ./stages release", "stage 13 (Authorization mediator)")
	if set.bank.rotated != 0 {
		t.Fatal("looking at the page rotates the secret")
	}
	r := b.post(page, "back", page)
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != page || set.bank.rotated != 1 {
		t.Errorf("status %d, leads to %q, rotated %d times", r.StatusCode, r.Header.Get("Location"), set.bank.rotated)
	}
	b.get(page).want(t, http.StatusOK, `data-notice="done"`, "the old one is dead")
	run(false)
	runner(t, b, page, "tls")(true) // there the key alone is shown
	b.get("/audit").want(t, http.StatusOK, `data-audit="rotate a secret" data-audit-outcome="done"`)
	for _, path := range append([]string{page, "/apps", "/audit"}, allPages...) {
		if strings.Contains(b.get(path).Body, set.bank.secrets["harbour-mobile"]) {
			t.Errorf("%s shows the secret", path)
		}
	}
	var entries []access.Entry
	must(t, set.db.Find(&entries).Error)
	if strings.Contains(fmt.Sprint(entries), set.bank.secrets["harbour-mobile"]) {
		t.Error("the secret is in the audit log")
	}
}

func TestPartners(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	populate(set)
	b := newBrowser(t, set).signIn()
	r := b.get("/apps")
	r.want(t, http.StatusOK, `data-app="quayside-books"`, `data-kind="partner"`, "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "May read its settlements", `data-revoke="quayside-books"`)
	for _, not := range []string{`data-has-secret="quayside-books"`, `data-issue="quayside-books"`, `data-rotate="quayside-books"`} {
		if strings.Contains(r.Body, not) {
			t.Errorf("a partner has %s", not)
		}
	}
	b.get("/keys/quayside-books/secret").want(t, http.StatusNotFound, "proves itself with its certificate")
	r = b.get("/apps/quayside-books")
	r.want(t, http.StatusOK, `value="settlements:read" checked`)
	if strings.Contains(r.Body, `value="accounts:read"`) {
		t.Error("a partner can be given an app's scope")
	}
	if strings.Contains(b.get("/apps/harbour-mobile").Body, `value="settlements:read"`) {
		t.Error("an app can be given a partner's scope")
	}
	b.post("/apps/quayside-books", "name", "", "scope", "settlements:read", "per_second", "2", "burst", "4").
		want(t, http.StatusUnprocessableEntity, `value="settlements:read" checked`)
}

func TestChangesNeedTheFormsToken(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	populate(set)
	b := newBrowser(t, set)
	paths := []string{
		"/users/alice/sessions/end", "/users/mallory/failed-sign-ins/clear", "/sessions/end", "/devices/D1/ban", "/devices/D2/allow", "/devices/ban", "/devices/remove", "/devices/allow", "/keys/harbour-mobile/secret", "/run",
	}
	form := url.Values{"back": {"/users"}, "stage": {"hmac"}, "all": {"1"}}
	for _, path := range paths {
		b.send(path, form).want(t, http.StatusForbidden, "You are not signed in")
	}
	b.signIn()
	for _, path := range paths {
		b.send(path, form).want(t, http.StatusForbidden, "This form is out of date")
	}
	if len(set.bank.sessions) != 3 || set.bank.users[2].FailedSignIns == 0 || set.bank.devices[2].BannedAt != nil || set.bank.devices[1].BannedAt == nil || set.bank.rotated != 0 {
		t.Error("something was changed")
	}
	if _, ran := set.runner.Run(""); ran {
		t.Error("the app ran")
	}
}

func TestTheWayBackStaysHere(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	for _, back := range []string{"", "https://example.test/", "//example.test/users", `/\example.test`, "javascript:alert(1)", "/users\r\nSet-Cookie: a=b", "users"} {
		for path, stage := range map[string]string{"/run": "?at=hmac#the-run", "/users/alice/sessions/end": ""} {
			if got, want := b.post(path, "stage", "hmac", "back", back).Header.Get("Location"), "/stages"+stage; got != want {
				t.Errorf("%s with %q leads to %q", path, back, got)
			}
		}
	}
	b.post("/run", "stage", "nowhere", "back", "/users").want(t, http.StatusNotFound, "no stage of this name")
	b.post("/run", "stage", "signed-calls", "back", "/users").want(t, http.StatusConflict, "not built yet")
}

func TestMarkupOfPeopleIsText(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	now := set.clock.now()
	set.bank.users = []manage.User{{Name: evil, Sessions: 1}}
	set.bank.sessions = []manage.Session{{ID: evil, User: evil, App: evil, Stage: evil, Device: evil, CreatedAt: now, LastUsedAt: now, ExpiresAt: now}}
	set.bank.devices = []manage.Device{{ID: evil, Stage: "hmac", Identifier: evil, App: evil, RegisteredAt: now}}
	set.bank.apps = append(set.bank.apps, manage.App{ID: evil, Kind: manage.Partner, Name: evil, Certificates: []string{evil}, Keys: []manage.Key{{ID: evil}}})
	const evilKey = `"><img src=x onerror=alert(2)>` // a slash would be another path
	set.bank.apps[0].Keys[0].ID = evilKey
	for _, path := range []string{"/users", "/sessions", "/devices", "/devices?search=" + url.QueryEscape(evil), "/sessions/end?id=" + url.QueryEscape(evil), "/users/" + url.PathEscape(evil) + "/sessions/end", "/devices/ban?all=1", "/apps", "/keys/" + url.PathEscape(evilKey) + "/secret", "/users?at=" + url.QueryEscape(evil)} {
		r := b.get(path)
		r.want(t, http.StatusOK)
		if strings.Contains(r.Body, "<script>alert") || strings.Contains(r.Body, "<img src=x") {
			t.Errorf("%s holds markup of others", path)
		}
	}
	b.get("/sessions").want(t, http.StatusOK, "&lt;script&gt;alert(1)&lt;/script&gt;")
}

func TestWaitingKeepsTheFilter(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	set.mobile.hold = make(chan struct{})
	defer close(set.mobile.hold)
	b := newBrowser(t, set).signIn()
	b.post("/run", "stage", "hmac", "back", "/devices?stage=hmac").want(t, http.StatusSeeOther)
	b.get("/devices?at=hmac&stage=hmac").want(t, http.StatusOK, `<noscript><meta http-equiv="refresh" content="1; url=/devices?at=hmac&amp;stage=hmac">`)
}

func TestPagesAboutPeopleStandWithoutThePrograms(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	set.bank.Stop(true)
	set.mobile.Stop(true)
	for _, path := range []string{"/users", "/sessions", "/devices"} {
		r := b.get(path)
		r.want(t, http.StatusOK, "The resource server does not answer", "docker compose up -d resource")
		if strings.Contains(r.Body, "Nobody is") || strings.Contains(r.Body, "No installation") {
			t.Errorf("%s says that there is nothing, and does not know", path)
		}
	}
	b.get("/keys/harbour-mobile/secret").want(t, http.StatusBadGateway, "The resource server does not answer")
	for _, path := range []string{"/users/alice/sessions/end", "/sessions/end", "/devices/D1/ban", "/keys/harbour-mobile/secret"} {
		b.post(path, "back", "/users", "id", "S1").want(t, http.StatusBadGateway, "The resource server does not answer")
	}
	b.post("/run", "stage", "hmac", "back", "/users").want(t, http.StatusSeeOther)
	b.get("/users").want(t, http.StatusOK, `data-run-ok="false"`, "The phone does not answer")
	if page := b.get("/audit").Body; strings.Count(page, `data-audit-outcome="failed"`) != 5 {
		t.Error("what failed is not in the audit log")
	}
}

func TestReleasesAreReadAnew(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	hash := regexp.MustCompile(`[0-9a-f]{64}</code>`)
	before := hash.FindString(b.get("/releases").Body)
	file := filepath.Join(set.dir, "admin", "harbour-bank-1.pkg")
	must(t, os.WriteFile(file, packed(t, "another program"), 0o600))
	if after := hash.FindString(b.get("/releases").Body); before == "" || after == before {
		t.Errorf("the package is %q, as it was", after)
	}
	must(t, os.WriteFile(file, []byte("half a package"), 0o600))
	b.get("/releases").want(t, http.StatusOK, `data-published="harbour-bank-1.pkg"`, "✕ damaged")
}
