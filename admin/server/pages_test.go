package server

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/admin/access"
	"keyladder/admin/jobs"
	"keyladder/admin/programs/programtest"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
)

// allPages are the pages that a signed-in admin sees.
var allPages = []string{
	"/stages", "/stages/app-id", "/stages/tls", "/stages/tls/try", "/stages/tls/code", "/stages/pinned-mtls", "/stages/signed-calls", "/stages/signed-calls/try", "/stages/signed-calls/code", "/stages/nowhere", "/no-rung",
	"/compare/tls/hmac", "/compare/tls/signed-calls", "/compare/tls/nowhere", "/attacks/wiretap", "/attacks/nothing", "/identifiers", "/ladder", "/exposure",
	"/traffic", "/traffic?stage=tls", "/traffic/999", "/traffic/x", "/matrix", "/matrix/tls/wiretap", "/matrix/tls/repin", "/matrix/tls/nothing",
	"/apps", "/apps/harbour-mobile", "/apps/nobody", "/callers", "/callers?kind=agent&stage=tls", "/keys/harbour-mobile/secret", "/keys/nobody/secret",
	"/users", "/users?sort=-failed&search=a", "/users/alice/sessions/end", "/sessions", "/sessions?by=all&page=9", "/sessions/end?id=S1", "/sessions/end?all=1",
	"/take-apart", "/take-apart?document=1", "/tokens", "/tokens?state=any&sort=-calls", "/tokens/revoke?all=1", "/tokens/T9", "/revocation-checks/password-grant/off", "/signing-keys/password-grant/rotate", "/signing-keys/K1/withdraw",
	"/auth/clients", "/auth/clients/harbour-mobile", "/auth/clients/harbour-ops", "/auth/clients/harbour-ops/secret/rotate", "/auth/clients/harbour-ops/servers/rotate", "/auth/users", "/auth/users/alice/end", "/auth/consents", "/auth/consents/withdraw?id=C1", "/auth/families", "/auth/families?state=any", "/auth/families/F1", "/auth/families/revoke?all=1", "/auth/tokens", "/auth/tokens/A1",
	"/attestations", "/attestations?search=PAT&outcome=failing", "/attestations/GENUI-NECAL", "/attestations/PATCH-EDAPP", "/attestations/NOBOD-YHERE", "/attestations/sessions", "/attestations/sessions?state=expired", "/attestations/enforcement",
	"/attestations/enforcement/change?stage=looked-at&claim=runtime&policy=enforced", "/attestations/releases", "/attestations/releases/" + referenceHash + "/withdraw", "/attestations/signers/withdraw?client=harbour-mobile&signer=sha256/abc=",
	"/attestations/devices", "/attestations/devices/AD1", "/attestations/devices/AD9", "/attestations/answers", "/attestations/clock", "/attestations/clock?device=AD1",
	"/mediator/providers", "/mediator/providers/lite", "/mediator/providers/nobody", "/mediator/providers/lite/disable",
	"/mediator/sessions", "/mediator/sessions?state=any&provider=lite", "/mediator/sessions/SIGNIN1", "/mediator/sessions/nothing", "/mediator/sessions/end?all=1", "/mediator/tokens", "/mediator/tokens/MT1",
	"/mediator/gateway", "/stolen-codes",
	"/lite/clients", "/lite/clients/harbour-mobile", "/lite/users", "/lite/consents", "/lite/families", "/lite/families/F1", "/lite/tokens", "/lite/tokens/A1",
	"/devices", "/devices?stage=hmac&search=a", "/devices/ban?id=D1&id=D2", "/devices/remove?all=1", "/releases", "/audit", "/audit?outcome=done&sort=who&page=2", "/reset", "/nowhere",
}

var (
	inline  = regexp.MustCompile(`(?i)<script(?:\s+defer)?>|<style|\sstyle=|\son[a-z]+=|javascript:`)
	outside = regexp.MustCompile(`(?i)(?:src=|<link[^>]*href=)"(?:https?:)?//`)
)

func TestEveryPageIsStrict(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set)
	check := func(path string, r reply) {
		t.Helper()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff",
			"Referrer-Policy":        "no-referrer", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		for _, part := range []string{"script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "default-src 'none'"} {
			if !strings.Contains(r.Header.Get("Content-Security-Policy"), part) {
				t.Errorf("%s: the policy lacks %s", path, part)
			}
		}
		if found := inline.FindString(r.Body); found != "" {
			t.Errorf("%s holds %q", path, found)
		}
		if found := outside.FindString(r.Body); found != "" {
			t.Errorf("%s loads from elsewhere: %q", path, found)
		}
		if r.StatusCode != http.StatusSeeOther && !strings.Contains(r.Body, `<html lang="en">`) {
			t.Errorf("%s is no page", path)
		}
	}
	check("/sign-in", b.get("/sign-in"))
	check("/stages", b.get("/stages"))
	b.signIn()
	b.post("/stages/tls/run")
	b.post("/matrix/app-id/wiretap/run")
	for _, path := range allPages {
		check(path, b.get(path))
	}
}

func TestPagesAsTheyAre(t *testing.T) {
	t.Parallel()
	set := newSetting(t, func(c *Config) { c.Stages = declared()[:3] })
	published, err := release.Open(set.folder.Packages()[0])
	must(t, err)
	set.mobile.packages = []manage.Package{{
		Name: "com.harbourbank.app", Label: "Harbour Bank", Release: 1, Genuine: true, Signer: "sha256/abc=",
		SHA256: published.SHA256, Size: published.Size, Filename: "harbour-bank-1.pkg",
	}}
	b := newBrowser(t, set)
	golden(t, "sign-in", b.get("/sign-in").Body)
	b.signIn()
	set.clock.turn(time.Minute)
	b.post("/keys/harbour-ops/revoke", "back", "/apps#app-harbour-ops").want(t, http.StatusSeeOther)
	b.post("/stages/tls/run").want(t, http.StatusSeeOther)
	b.post("/matrix/app-id/wiretap/run").want(t, http.StatusSeeOther)
	set.referee.differ[jobs.CellKey{Stage: "tls", Attack: "flood"}] = catalog.Succeeds
	b.post("/matrix/tls/flood/run").want(t, http.StatusSeeOther)
	set.clock.turn(5 * time.Second)
	b.get("/stages") // takes the notice
	for name, path := range map[string]string{
		"ladder": "/stages", "whole-ladder": "/ladder", "matrix": "/matrix", "cell": "/matrix/app-id/wiretap", "cell-not-as-expected": "/matrix/tls/flood",
		"apps": "/apps", "app": "/apps/harbour-mobile", "releases": "/releases", "audit": "/audit", "reset": "/reset", "not-found": "/stages/nowhere",
	} {
		golden(t, name, b.get(path).Body)
	}
	hear(t, b, set)
	golden(t, "traffic", b.get("/traffic?stage=tls").Body)
}

// hear waits until what the programs have recorded so far is heard.
func hear(t *testing.T, b *browser, set *setting) {
	t.Helper()
	set.listening.Do(func() {
		ctx, stop := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { set.traffic.Run(ctx) })
		t.Cleanup(func() { stop(); wg.Wait() })
	})
	want := 0
	for _, program := range []*programtest.Program{set.bank.Program, set.mobile.Program, set.foe} {
		want += len(program.Traffic().After(0))
	}
	if want == 0 { // or the answer would come when nobody had anything to say for a while
		return
	}
	for range 400 {
		if strings.Count(b.get("/traffic/rows?after=0").Body, "data-message") >= want {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%d messages were not heard", want)
}

// TestLinksInNarratives: links within a page, and to the code, lead to something.
func TestLinksInNarratives(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, newSetting(t)).signIn()
	link := regexp.MustCompile(`<a href="((?:/stages/[a-z0-9-]+/code)?)#([^"]+)"`)
	pages, code := map[string]string{}, 0
	for _, stage := range catalog.All() {
		for _, path := range []string{"/stages/" + stage.Slug, "/stages/" + stage.Slug + "/code"} {
			pages[path] = b.get(path).Body
		}
	}
	for path, body := range pages {
		for _, found := range link.FindAllStringSubmatch(body, -1) {
			page := cmp.Or(found[1], path)
			if !strings.Contains(pages[page], `id="`+found[2]+`"`) {
				t.Errorf("%s links to %s#%s, and there is nothing", path, page, found[2])
			}
			if found[1] != "" {
				code++
			}
		}
	}
	if code == 0 {
		t.Error("nothing links to the code")
	}
}

func TestStagePage(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/stages/tls").want(t, http.StatusOK,
		`data-stage="tls"`, "What changed since stage 1", "TLS, the server shows a certificate", "plain HTTP", "curl", `href="/compare/app-id/tls"`)
	b.get("/stages/tls/try").want(t, http.StatusOK,
		`data-attack="wiretap"`, `data-expected="blocked"`, "Nothing was heard at this stage yet")
	b.get("/stages/tls/code").want(t, http.StatusOK, `id="the-code"`, `href="/stages/pinned-mtls/code"`)
	page := b.get("/stages/pinned-mtls").Body
	if !strings.Contains(page, `id="what-is-new"`) || !strings.Contains(page, `href="#what-is-new"`) {
		t.Error("the narrative's headings have no anchors")
	}
	b.get("/stages/signed-calls").want(t, http.StatusOK, "declared, but not built yet")
	b.post("/stages/signed-calls/run").want(t, http.StatusConflict, "not built yet")
	b.post("/stages/signed-calls/phone").want(t, http.StatusConflict)
	b.post("/matrix/signed-calls/wiretap/run").want(t, http.StatusConflict)
	b.post("/matrix/tls/repin/run").want(t, http.StatusConflict, "does not apply")

	b.post("/stages/tls/phone").want(t, http.StatusSeeOther)
	b.get("/stages/tls/try").want(t, http.StatusOK, `data-test="phone-here"`)

	r := b.post("/stages/tls/run")
	if r.Header.Get("Location") != "/stages/tls/try#the-run" {
		t.Errorf("leads to %q", r.Header.Get("Location"))
	}
	hear(t, b, set)
	page = b.get("/stages/tls/try").Body
	if !strings.Contains(page, `data-run-ok="true"`) || !strings.Contains(page, "<svg class=\"diagram\"") {
		t.Error("the run is not shown")
	}
	// Every arrow leads to its message.
	links := regexp.MustCompile(`<a href="(/traffic/\d+)" class="message`).FindAllStringSubmatch(page, -1)
	if len(links) < 10 {
		t.Fatalf("%d arrows", len(links))
	}
	for _, link := range links {
		b.get(link[1]).want(t, http.StatusOK)
	}
}

func TestRevocationIsSeenToBite(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	run := func(want string) {
		t.Helper()
		b.post("/apps/run", "stage", "tls").want(t, http.StatusSeeOther)
		b.get("/apps").want(t, http.StatusOK, `data-run-ok="`+want+`"`)
	}
	run("true")
	r := b.post("/keys/harbour-mobile/revoke", "back", "/apps/harbour-mobile#keys")
	if got := r.Header.Get("Location"); r.StatusCode != http.StatusSeeOther || got != "/apps/harbour-mobile#keys" {
		t.Errorf("status %d, leads to %q", r.StatusCode, got)
	}
	b.get("/apps").want(t, http.StatusOK, `data-notice="done"`, `data-key="harbour-mobile" data-revoked="true"`, `data-restore="harbour-mobile"`)
	run("false")
	b.get("/apps").want(t, http.StatusOK, "the key was revoked", "The bank does not accept this app")
	b.post("/keys/harbour-mobile/restore", "back", "/apps#app-harbour-mobile").want(t, http.StatusSeeOther)
	run("true")
	b.post("/apps/harbour-mobile/rotate").want(t, http.StatusSeeOther)
	run("false")
	b.post("/keys/nothing/revoke", "back", "/apps").want(t, http.StatusSeeOther)
	b.get("/apps").want(t, http.StatusOK, `data-notice="failed"`, "There is no such key")
}

func TestAppsAreRegisteredAndChanged(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	good := []string{"id", "harbour-watch", "name", "Harbour Bank for watches", "user_agent", "HarbourWatch/", "scope", "rates:read", "per_second", "2.5", "burst", "4"}
	b.post("/apps", good...).want(t, http.StatusSeeOther)
	b.get("/apps").want(t, http.StatusOK, `data-app="harbour-watch"`, "2.5 calls a second, 4 at once", `data-key="harbour-watch"`, `href="/callers"`)
	b.post("/apps", good...).want(t, http.StatusUnprocessableEntity, "This ID is taken. Choose another one.", `value="Harbour Bank for watches"`, `value="harbour-watch" aria-describedby="form-failure" aria-invalid="true"`)
	for _, bad := range [][2]string{{"id", ""}, {"name", " "}, {"per_second", "0"}, {"per_second", "NaN"}, {"per_second", "many"}, {"burst", "0"}, {"burst", "1.5"}} {
		form := append([]string{}, good...)
		for i := 0; i < len(form); i += 2 {
			if form[i] == bad[0] {
				form[i+1] = bad[1]
			}
		}
		r := b.post("/apps", form...)
		r.want(t, http.StatusUnprocessableEntity, `class="sheet register" id="register" open`, `action="/apps#register"`)
		if !regexp.MustCompile(`<input id="`+bad[0]+`"[^>]* aria-invalid="true"`).MatchString(r.Body) || strings.Count(r.Body, "aria-invalid") != 1 {
			t.Errorf("%s = %q: the field is not marked, or another one is", bad[0], bad[1])
		}
	}
	b.post("/apps/harbour-watch", "name", "Watch", "user_agent", "W/", "scope", "accounts:read", "per_second", "1", "burst", "1").want(t, http.StatusSeeOther)
	b.get("/apps/harbour-watch").want(t, http.StatusOK, "Watch", `value="accounts:read" checked`)
	b.post("/apps/harbour-watch/keys").want(t, http.StatusSeeOther)
	b.get("/apps").want(t, http.StatusOK, `data-key="harbour-watch-2"`)
}

func TestMarkupIsText(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	b.post("/apps", "id", "evil", "name", evil, "user_agent", evil, "scope", evil, "per_second", "1", "burst", "1").want(t, http.StatusSeeOther)
	b.post("/apps", "id", evil, "name", evil, "per_second", evil, "burst", "1").want(t, http.StatusUnprocessableEntity)
	set.bank.Traffic().Add(traffic.Message{
		Lane: traffic.Server, Stage: "tls", Exchange: evil, Kind: traffic.Request, From: evil, To: evil, Summary: evil,
		Head: evil, Body: []byte(evil), Verdict: &traffic.Verdict{Check: evil, Reason: evil},
	})
	set.mobile.packages = []manage.Package{{Name: evil, Label: evil, Signer: evil, SHA256: evil, Schemes: []string{evil}}}
	set.bank.apps[0].Keys[0].LastRefusal = evil
	now := set.clock.now()
	set.bank.apps[0].Keys[0].LastRefused = &now
	hear(t, b, set)
	set.runner.KeepCell(manage.Cell{Stage: "tls", Attack: "wiretap", Outcome: evil, Check: evil, Reason: evil, Steps: []string{evil, "`" + evil}, Evidence: []string{evil}})
	for _, path := range append([]string{"/traffic/1", "/traffic/rows?after=0", "/apps/evil"}, allPages...) {
		r := b.get(path)
		if strings.Contains(r.Body, "<script>alert") || strings.Contains(r.Body, "<img src=x") {
			t.Errorf("%s holds markup of others", path)
		}
	}
	b.get("/apps").want(t, http.StatusOK, "&lt;script&gt;alert(1)&lt;/script&gt;")
	b.get("/traffic/1").want(t, http.StatusOK, "&lt;script&gt;alert(1)&lt;/script&gt;")
}

func TestMessagePage(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	// A JWT: {"alg":"HS256","typ":"JWT"} and {"sub":"alice","exp":1800000000}.
	const jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6MTgwMDAwMDAwMH0.c2lnbmF0dXJl"
	set.bank.Traffic().Add(traffic.Message{
		At:   time.Date(2026, 11, 21, 10, 30, 7, 89_000_000, time.FixedZone("CET", 3600)),
		Lane: traffic.Server, Stage: "tls", Exchange: "e1", Kind: traffic.Request, From: "app", To: "resource", Summary: "POST /tls/v1/transfers",
		Head: "POST /tls/v1/transfers HTTP/1.1\r\nAuthorization: Bearer " + jwt + "\r\n\r\n", Body: []byte(`{"amount":100,"to":"HB-2001"}`), Size: 29,
		Verdict: &traffic.Verdict{Check: "scope", Reason: "harbour-kiosk may not make transfers"},
	})
	set.bank.Traffic().Add(traffic.Message{Lane: traffic.Network, Exchange: "e1", Kind: traffic.Bytes, From: "app", To: "resource", Summary: "TLS application data", Body: []byte{0x17, 3, 3, 0xff}, Size: 5000})
	hear(t, b, set)
	b.get("/traffic/1").want(t, http.StatusOK,
		"2026-11-21 09:30:07.089 UTC", "refused by scope", "harbour-kiosk may not make transfers", "  &#34;amount&#34;: 100", "exp: 2027-01-15 08:00:00 UTC",
		"&#34;sub&#34;: &#34;alice&#34;", `href="/traffic/2"`)
	b.get("/traffic/2").want(t, http.StatusOK, "17 03 03 ff", "The rest, to 4.9 KiB, is not shown")
}

func TestLiveRows(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	r := b.get("/traffic")
	r.want(t, http.StatusOK, `data-last="0"`, "Nothing was heard yet")
	hear(t, b, set)
	type result struct{ reply }
	got := make(chan result, 1)
	go func() { got <- result{b.get("/traffic/rows?stage=tls&after=0")} }()
	set.bank.Traffic().Add(traffic.Message{Stage: "app-id", Summary: "of another stage"})
	set.bank.Traffic().Add(traffic.Message{Stage: "tls", Lane: traffic.App, Summary: "GET /tls/v1/rates"})
	rows := (<-got).reply
	rows.want(t, http.StatusOK, "GET /tls/v1/rates")
	if strings.Contains(rows.Body, "of another stage") || rows.Header.Get("Live-Last") != "2" {
		t.Errorf("rows up to %s: %s", rows.Header.Get("Live-Last"), rows.Body)
	}
	b.get("/traffic/rows?after=x").want(t, http.StatusBadRequest)
	b.post("/traffic/clear").want(t, http.StatusSeeOther)
	b.get("/traffic").want(t, http.StatusOK, "Nothing was heard yet")
}

func TestAttackRunsAsAJob(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	set.referee.hold = make(chan struct{})
	r := b.post("/matrix/app-id/wiretap/run")
	r.want(t, http.StatusSeeOther)
	if r.Header.Get("Location") != "/matrix/app-id/wiretap" {
		t.Errorf("leads to %q", r.Header.Get("Location"))
	}
	page := b.get("/matrix/app-id/wiretap")
	page.want(t, http.StatusOK, `<noscript><meta http-equiv="refresh" content="1; url=/matrix/app-id/wiretap">`, `data-poll="/jobs/`, "Under way")
	poll := regexp.MustCompile(`data-poll="([^"]+)"`).FindStringSubmatch(page.Body)[1]
	if r := b.get(poll); r.Header.Get("Job-Ended") != "" || r.StatusCode != http.StatusOK {
		t.Error("the job has ended already")
	}
	b.get("/stages/app-id/try").want(t, http.StatusOK, "running …")
	b.post("/matrix/app-id/wiretap/run") // the same is asked for again
	set.referee.mu.Lock()
	if len(set.referee.ran) != 1 {
		t.Errorf("it ran %d times", len(set.referee.ran))
	}
	set.referee.mu.Unlock()
	close(set.referee.hold)
	set.runner.Await(context.Background(), strings.TrimPrefix(poll, "/jobs/"), time.Minute)
	if r := b.get(poll); r.Header.Get("Job-Ended") == "" {
		t.Error("the job has not ended")
	}
	b.get("/matrix/app-id/wiretap").want(t, http.StatusOK, `data-outcome="succeeds"`, "as expected", "transfer 4117", "Set up an access point")
	b.get("/stages/app-id/try").want(t, http.StatusOK, `data-outcome="succeeds"`)
	b.get("/attacks/wiretap").want(t, http.StatusOK, `data-cell="app-id/wiretap"`, `data-outcome="succeeds"`)
	b.get("/audit").want(t, http.StatusOK, `data-audit="run an attack" data-audit-outcome="done"`, "wiretap at app-id")
}

func TestAttackHasItsTraffic(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	from := set.clock.now()
	cell := manage.Cell{Stage: "tls", Attack: "wiretap", Outcome: "blocked", Check: "tls", From: from, To: from.Add(2 * time.Second)}
	set.runner.KeepCell(cell)
	if page := b.get("/matrix/tls/wiretap").Body; strings.Contains(page, "the-traffic") {
		t.Error("traffic is shown where none was heard")
	}
	for summary, at := range map[string]time.Duration{"of the app before": -time.Second, "of the attack": time.Second, "of the app after": 3 * time.Second} {
		set.bank.Traffic().Add(traffic.Message{At: from.Add(at), Lane: traffic.Server, Stage: "tls", Kind: traffic.Request, Summary: summary})
	}
	set.bank.Traffic().Add(traffic.Message{At: from.Add(time.Second), Lane: traffic.Server, Stage: "app-id", Kind: traffic.Request, Summary: "of another stage"})
	hear(t, b, set)
	r := b.get("/matrix/tls/wiretap")
	r.want(t, http.StatusOK, `<a href="#the-traffic">its traffic</a>`, `<svg class="diagram"`, "of the attack")
	for _, not := range []string{"of the app before", "of the app after", "of another stage"} {
		if strings.Contains(r.Body, not) {
			t.Errorf("it shows what is %s", not)
		}
	}
}

func TestMatrixRun(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	set.referee.differ[jobs.CellKey{Stage: "tls", Attack: "static-extract"}] = catalog.Blocked
	b := newBrowser(t, set).signIn()
	b.get("/matrix").want(t, http.StatusOK, `data-cell="tls/wiretap" data-expected="blocked"`, "expected: blocked")
	b.post("/matrix/run").want(t, http.StatusSeeOther)
	b.get("/matrix").want(t, http.StatusOK, "Choose at least one stage")
	b.post("/matrix/run", "stage", "app-id", "stage", "tls", "stage", "signed-calls", "stage", "nowhere").want(t, http.StatusSeeOther)
	if j, _ := set.runner.Latest(func(j jobs.Job) bool { return j.Kind == jobs.Matrix }); strings.Join(j.Stages, " ") != "app-id tls" {
		t.Errorf("ran %v", j.Stages)
	} else {
		set.runner.Await(context.Background(), j.ID, time.Minute)
	}
	b.get("/matrix").want(t, http.StatusOK,
		`data-matrix-differ="1"`, "1 cell is not as expected",
		`data-cell="tls/static-extract" data-expected="succeeds" data-outcome="blocked"`,
		`data-cell="tls/wiretap" data-expected="blocked" data-outcome="blocked"`,
		"blocked by tls, as expected")
	b.get("/matrix/tls/static-extract").want(t, http.StatusOK, "not as expected")
}

// resetNoted is a program of which is noted when it is reset.
type resetNoted struct {
	manage.Doer
	note func()
}

func (r resetNoted) Do(ctx context.Context, method, path string, in, out any) error {
	if method == http.MethodPost && path == "/reset" {
		r.note()
		return nil
	}
	return r.Doer.Do(ctx, method, path, in, out)
}

func TestReset(t *testing.T) {
	t.Parallel()
	var done []deployment.Role
	set := newSetting(t, func(cfg *Config) {
		for role, program := range cfg.Programs {
			cfg.Programs[role] = resetNoted{program, func() { done = append(done, role) }}
		}
	})
	b := newBrowser(t, set).signIn()
	b.post("/stages/tls/run")
	hear(t, b, set)
	b.post("/reset", "confirm", "reset").want(t, http.StatusUnprocessableEntity, "Nothing was reset")
	if len(done) > 0 {
		t.Fatal("it was reset without being confirmed")
	}
	b.post("/reset", "confirm", "RESET").want(t, http.StatusSeeOther)
	every := deployment.Servers()
	slices.Reverse(every)
	if !slices.Equal(done, every) {
		t.Errorf("reset were %v, want %v", done, every)
	}
	if len(set.mobile.Traffic().After(0)) != 0 {
		t.Error("the phone's traffic is still there")
	}
	b.get("/traffic").want(t, http.StatusOK, "Nothing was heard yet")
}

func TestPagesStandWithoutThePrograms(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	set.bank.Stop(true)
	set.mobile.Stop(true)
	set.foe.Stop(true)
	for _, path := range []string{"/stages", "/stages/tls", "/traffic", "/matrix", "/matrix/tls/wiretap", "/audit", "/reset"} {
		b.get(path).want(t, http.StatusOK)
	}
	b.get("/apps").want(t, http.StatusOK, "The resource server does not answer", "docker compose up -d resource")
	b.get("/releases").want(t, http.StatusOK, "The phone does not answer", "harbour-bank-1.pkg")
	b.get("/apps/harbour-mobile").want(t, http.StatusBadGateway, "The resource server does not answer", "docker compose logs resource")
	b.post("/keys/harbour-mobile/revoke").want(t, http.StatusBadGateway, "The resource server does not answer")
	b.post("/apps/run", "stage", "tls").want(t, http.StatusSeeOther)
	b.get("/apps").want(t, http.StatusOK, `data-run-ok="false"`, "The phone does not answer")
	b.get("/audit").want(t, http.StatusOK, `data-audit="revoke a key" data-audit-outcome="failed"`)
}

var latestFirst = access.AuditQuery{Part: manage.Part{Sort: "-at", Limit: 25}}

func TestAuditIsWrittenFirst(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	var during []access.Entry
	set.bank.HandleFunc("POST /keys/probe/revoke", func(http.ResponseWriter, *http.Request) {
		during, _, _ = set.gate.Audit(latestFirst)
	})
	b.post("/keys/probe/revoke").want(t, http.StatusSeeOther)
	if len(during) == 0 || during[0].Action != "revoke a key" || during[0].Outcome != access.Started || during[0].Subject != "probe" {
		t.Fatalf("while it was carried out: %+v", during)
	}
	after, _, err := set.gate.Audit(latestFirst)
	must(t, err)
	if after[0].ID != during[0].ID || after[0].Outcome != access.Done || after[0].EndedAt == nil || !strings.HasPrefix(after[0].Who, "admin") || after[0].Address == "" {
		t.Errorf("afterwards: %+v", after[0])
	}
}

// begin writes an action to the audit log.
func begin(t *testing.T, set *setting, action, subject string) *access.Entry {
	t.Helper()
	c := set.echo.NewContext(httptest.NewRequest(http.MethodPost, "/", nil), httptest.NewRecorder())
	entry, err := set.gate.Begin(c, action, subject)
	must(t, err)
	return entry
}

func TestAuditSurvivesARestart(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	begin(t, set, "revoke a key", "harbour-mobile")
	must(t, set.Close())
	set.open(t)
	newBrowser(t, set).signIn().get("/audit").want(t, http.StatusOK, `data-audit-outcome="interrupted"`, "may have been carried out")
}

func TestErrorsKnowWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, newSetting(t))
	b.get("/nowhere").want(t, http.StatusNotFound, `href="/sign-in?next=%2Fstages"`)
	b.signIn()
	b.post("/stages/tls/phone").want(t, http.StatusSeeOther)
	for path, status := range map[string]int{"/jobs/none": http.StatusNotFound, "/nowhere": http.StatusNotFound, "/stages/tls/run": http.StatusMethodNotAllowed} {
		r := b.get(path)
		r.want(t, status, `data-test="sign-out"`, "To the stages")
		if strings.Contains(r.Body, `href="/sign-in`) {
			t.Errorf("%s asks the admin to sign in", path)
		}
	}
	// What the script asks for may fail, too, and nobody sees that page.
	b.get("/stages").want(t, http.StatusOK, `data-notice="done"`)
}

func TestBodiesOfFormsAreLimited(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.post("/reset", "confirm", strings.Repeat("x", 64<<10)).want(t, http.StatusRequestEntityTooLarge, "64 KiB")
}

func TestAssets(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set)
	address := regexp.MustCompile(`/assets/style\.css\?v=[0-9a-f]{12}`).FindString(b.get("/sign-in").Body)
	r := b.get(address)
	r.want(t, http.StatusOK, "--brass")
	if r.Header.Get("Content-Type") != "text/css; charset=utf-8" || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("headers: %v", r.Header)
	}
	if r := b.get("/assets/style.css"); r.Header.Get("Cache-Control") != "no-store" {
		t.Error("an asset of no version is kept")
	}
	b.get("/assets/live.js").want(t, http.StatusOK)
	b.get("/assets/..%2fserver.go").want(t, http.StatusNotFound)
}
