package server

import (
	"context"
	"html"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"keyladder/admin/jobs"
	"keyladder/internal/deployment"
	"keyladder/stages/catalog"
	"keyladder/stages/catalog/exposure"
)

// A stage that is in the catalog alone has all its pages.
func TestPagesOfAMadeUpStage(t *testing.T) {
	t.Parallel()
	stages := declared()
	before, _ := stages.Lookup("hmac")
	made := before
	made.Number, made.Slug, made.Title, made.Adds = len(stages)+1, "made-up", "A made-up stage", "Sealed bodies without certificates."
	made.Text = "# Made up\n\n## What is new\n\nNothing that anybody has seen.\n\n## The code\n\nNone.\n"
	made.Call.Transport, made.Call.Bodies = catalog.TLS, catalog.SealedBodies
	made.Outcomes = map[string]catalog.Expectation{
		"wiretap": {Outcome: catalog.Blocked, By: catalog.CheckTLS}, "memory-hook": {Outcome: catalog.Succeeds},
	}
	set := newSetting(t, func(c *Config) { c.Stages = append(stages, made) })
	b := newBrowser(t, set).signIn()
	b.get("/stages").want(t, http.StatusOK, `data-stage="made-up"`, "A made-up stage")
	b.get("/stages/made-up").want(t, http.StatusOK, "Nothing that anybody has seen", "encrypted inside TLS too", "What changed since stage")
	b.get("/stages/made-up/try").want(t, http.StatusOK, `data-attack="wiretap"`, `data-attack="memory-hook"`, `data-test="run-app"`)
	b.get("/stages/made-up/code").want(t, http.StatusOK, `id="the-code"`)
	b.get("/compare/hmac/made-up").want(t, http.StatusOK, `data-field="call.bodies" data-differs="true"`, `data-field="call.devices" data-differs="false"`)
	b.get("/matrix").want(t, http.StatusOK, `data-cell="made-up/wiretap" data-expected="blocked"`, `data-cell="made-up/memory-hook" data-expected="succeeds"`)
	b.get("/attacks/wiretap").want(t, http.StatusOK, `data-cell="made-up/wiretap"`)
	b.get("/matrix/made-up/wiretap").want(t, http.StatusOK, "<code>tls</code>")
	b.get("/devices").want(t, http.StatusOK, `<option value="made-up">`)
	b.get("/traffic").want(t, http.StatusOK, `<option value="made-up">`)
	b.post("/stages/made-up/run").want(t, http.StatusSeeOther)
	hear(t, b, set)
	b.get("/stages/made-up/try").want(t, http.StatusOK, `data-run-ok="true"`, `class="diagram"`)
}

func TestLadderCountsNewAttacksApart(t *testing.T) {
	t.Parallel()
	stages := declared()
	b := newBrowser(t, newSetting(t)).signIn()
	for _, part := range strings.Split(b.get("/stages").Body, `<li class="rung`)[1:] {
		slug := regexp.MustCompile(`data-stage="([^"]+)"`).FindStringSubmatch(part)[1]
		stage, _ := stages.Lookup(slug)
		opened := 0
		for _, attack := range catalog.Attacks() {
			if stage.Number > 1 && attack.Expected(stage) == catalog.Succeeds && attack.Expected(stages[stage.Number-2]) != catalog.Succeeds {
				opened++
			}
		}
		if said := strings.Contains(part, "that it makes possible"); said != (opened > 0) {
			t.Errorf("%s: %d attacks are new, and that is said: %v", slug, opened, said)
		}
	}
}

// An attack does not wait for the matrix, and either can be cancelled, also while it waits.
func TestJobsTakeTurnsAndCanBeCancelled(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	hold := make(chan struct{})
	set.referee.hold = hold
	b.post("/matrix/run", "stage", "app-id", "stage", "tls").want(t, http.StatusSeeOther)
	b.post("/matrix/app-id/replay/run").want(t, http.StatusSeeOther)
	b.get("/matrix/app-id/replay").want(t, http.StatusOK, "1 run is before it")
	hold <- struct{}{} // one attack of the matrix
	hold <- struct{}{} // the single one, or a second of the matrix
	single, _ := set.runner.Latest(func(j jobs.Job) bool { return j.Kind == jobs.Attack })
	set.runner.Await(context.Background(), single.ID, 10*time.Second)
	if j, _ := set.runner.Get(single.ID); j.Running() {
		t.Fatal("the attack waits for all of the matrix")
	}
	matrix, _ := set.runner.Latest(func(j jobs.Job) bool { return j.Kind == jobs.Matrix })
	if !matrix.Running() {
		t.Fatal("the matrix has ended")
	}
	b.get("/matrix").want(t, http.StatusOK, `data-cancel="`+matrix.ID+`"`)

	b.post("/matrix/app-id/flood/run").want(t, http.StatusSeeOther)
	waiting, _ := set.runner.Latest(func(j jobs.Job) bool { return j.Kind == jobs.Attack })
	b.post("/jobs/"+waiting.ID+"/cancel", "page", "/matrix/app-id/flood").want(t, http.StatusSeeOther)
	b.get("/matrix/app-id/flood").want(t, http.StatusOK, `data-notice="done"`, "The run was cancelled: flood at app-id", "it was cancelled")
	b.post("/jobs/"+matrix.ID+"/cancel", "page", "/matrix").want(t, http.StatusSeeOther)
	set.runner.Await(context.Background(), matrix.ID, 10*time.Second)
	b.get("/matrix").want(t, http.StatusOK, "it was cancelled")
	b.post("/jobs/"+matrix.ID+"/cancel", "page", "/matrix").want(t, http.StatusSeeOther)
	b.get("/matrix").want(t, http.StatusOK, `data-notice="failed"`, "had ended already")
	b.get("/audit").want(t, http.StatusOK, `data-audit="cancel a run"`)
}

// What the genuine app did says nothing any more once something was changed.
func TestRunsBeforeAChangeAreMarked(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	for name, change := range map[string]func(){
		"a revocation": func() { b.post("/keys/harbour-ops/revoke") },
		"a reset":      func() { b.post("/reset", "confirm", "RESET") },
	} {
		b.post("/stages/tls/run").want(t, http.StatusSeeOther)
		b.get("/stages/tls/try").want(t, http.StatusOK, `data-run-stale="false"`, "It works")
		change()
		page := b.get("/stages/tls/try")
		page.want(t, http.StatusOK, `data-run-stale="true"`, "It worked, before the last change")
		if strings.Contains(page.Body, "It works") {
			t.Errorf("after %s it still works", name)
		}
	}
	b.post("/keys/harbour-ops/revoke", "page", "/apps").want(t, http.StatusSeeOther)
	if page := b.get("/apps").Body; strings.Contains(page, "Run the genuine app to see that it is refused") {
		t.Error("revoking another app's key announces that the genuine app is refused")
	}
}

// TestIdentifiers: each identifier with its stages and attacks, and each of these with its identifiers.
func TestIdentifiers(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, newSetting(t)).signIn()
	page := b.get("/identifiers")
	for _, i := range catalog.Identifiers() {
		page.want(t, http.StatusOK, `data-identifier="`+i.ID+`"`)
	}
	for _, stage := range declared() {
		page.want(t, http.StatusOK, `data-stage="`+stage.Slug+`"`, `href="/stages/`+stage.Slug+`"`)
	}
	for _, attack := range catalog.Attacks() {
		page.want(t, http.StatusOK, `data-attack="`+attack.Name+`"`, `href="/attacks/`+attack.Name+`"`)
	}
	page.want(t, http.StatusOK, `href="/identifiers#API2:2023"`, "No call has the API fetch an address.")
	b.get("/attacks/wiretap").want(t, http.StatusOK, `href="/identifiers#MASVS-NETWORK-1"`)
	b.get("/matrix").want(t, http.StatusOK, `href="/identifiers"`)
}

// TestWholeLadder: all stages on one page, with their secrets, with the attacks that each of them is done
// with, and with what was measured, where that is there.
func TestWholeLadder(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/stages").want(t, http.StatusOK, `href="/ladder"`)
	page := b.get("/ladder")
	for _, stage := range declared() {
		page.want(t, http.StatusOK, `data-step="`+stage.Slug+`"`, `href="/stages/`+stage.Slug+`"`)
	}
	for _, attack := range catalog.Attacks() {
		page.want(t, http.StatusOK, `href="/attacks/`+attack.Name+`"`)
	}
	for _, secret := range catalog.AllSecrets() {
		page.want(t, http.StatusOK, `data-secret="`+html.EscapeString(secret.Name)+`"`)
	}
	step := func(slug, change string) string {
		_, after, _ := strings.Cut(page.Body, `data-step="`+slug+`"`)
		after, _, _ = strings.Cut(after, "</li>")
		_, after, _ = strings.Cut(after, "data-"+change)
		after, _, _ = strings.Cut(after, "</div>")
		return after
	}
	for _, want := range []struct{ stage, change, attack string }{
		{"tls", "falls", "wiretap"},
		{"implicit-grant", "returns", "trusted-proxy"},
		{"refresh", "returns", "backup-theft"},
		{"user-session", "opens", "token-lift"},
		{"signed-calls", "falls", "proxy-tamper"},
	} {
		if !strings.Contains(step(want.stage, want.change), "/attacks/"+want.attack+`"`) {
			t.Errorf("%s is not said to be among what %s at %s: %s", want.attack, want.change, want.stage, step(want.stage, want.change))
		}
	}
	page.want(t, http.StatusOK, "data-unmeasured", "stages bench --keep")
	if strings.Contains(page.Body, "data-cost=") || strings.Contains(page.Body, "data-measured") {
		t.Error("costs that nobody has measured")
	}
	measured := set.folder.Path(deployment.BenchFile)
	must(t, os.WriteFile(measured, []byte(`{"measured":"2026-11-27T12:00:00Z","machine":{"os":"linux/amd64","cpu":"A CPU","cores":2,"go":"go1.26"},"calls":[
		{"stage":"tls","path":"/v1/rates","ratio":0.9,"added_us":1},
		{"stage":"tls","path":"/v1/accounts/HB-1001","ratio":0.5,"added_us":100.4},
		{"stage":"pinned-mtls","path":"/v1/accounts/HB-1001","ratio":0.25,"added_us":160}]}`), 0o600))
	page = b.get("/ladder")
	page.want(t, http.StatusOK, "data-measured", "2 cores of A CPU", "100 µs longer than without protection", "160 µs longer than without protection, +60 µs to the stage before")
	must(t, os.WriteFile(measured, []byte(`{`), 0o600))
	b.get("/ladder").want(t, http.StatusOK, "read what was measured")
}

// TestExposure: each cell that was measured, in words, under its theft.
func TestExposure(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, newSetting(t)).signIn()
	page := b.get("/exposure")
	for _, cell := range exposure.Measured() {
		page.want(t, http.StatusOK, `data-exposure="`+cell.Stage+"/"+cell.Theft+`"`, cell.Words())
	}
	for _, theft := range exposure.Thefts() {
		page.want(t, http.StatusOK, html.EscapeString(theft.Loot), html.EscapeString(string(theft.Position)))
	}
	page.want(t, http.StatusOK, `href="/attacks/wiretap"`)
	if strings.Contains(page.Body, `href="/attacks/`+exposure.HeldCall) {
		t.Error("a theft that is no attack has a link to a page about it")
	}
	b.get("/matrix").want(t, http.StatusOK, `href="/exposure"`)
}
