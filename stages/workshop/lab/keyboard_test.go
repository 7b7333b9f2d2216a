package lab_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"keyladder/internal/deployment"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
)

// mostStops is how often Tab may have to be pressed to get through a page: of a matrix, a
// diagram or a list of messages it reaches one place, and arrow keys go on from there. The most
// are in narratives: some thirty links, and a button for each command that can be copied.
const mostStops = 80

// From the sign-in to the refusal of the app whose key was revoked, without a mouse: with the
// page's script, and in a browser that runs none.
func TestWithTheKeyboardAlone(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword})
	for _, script := range []bool{true, false} {
		t.Run(map[bool]string{true: "with JavaScript", false: "without JavaScript"}[script], func(t *testing.T) {
			k := &keyboard{admin: &admin{t: t, tab: testenv.Browser(t), url: l.Addresses.URL(deployment.AdminUI)}, script: script}
			order(k.admin, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
			order(k.admin, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script})
			k.journey()
		})
	}
}

// keyboard is somebody without a mouse.
type keyboard struct {
	*admin
	script bool // the browser runs pages' scripts
}

func (k *keyboard) journey() {
	k.t.Helper()
	const revoke, restore = `button[data-revoke=harbour-mobile]`, `button[data-restore=harbour-mobile]`
	stage := catalog.All().Built()[0].Slug
	k.visit(k.url + "/sign-in")
	k.do("sign in", seen("#password:focus"), chromedp.KeyEvent(adminPassword+"\r"), seen(".ladder"))
	k.press(`.rung a[href="/stages/`+stage+`"]`, "#the-narrative")
	k.press(`.tabs a[href="/stages/`+stage+`/try"]`, "#the-attacks")
	k.press(`[data-test=run-app]`, `[data-run-ok=true]`)
	k.press(`button[data-attack=wiretap]`, `.outcome-card [data-outcome=succeeds]`)
	k.walk()
	k.key("\r")
	k.do("see the message", seen("h1.mono"))
	k.press(`.nav a[href="/matrix"]`, ".matrix")
	k.press(`.nav a[href="/apps"]`, revoke)
	k.press(revoke, restore)
	k.press(`[data-test=run-app]`, `[data-run-ok=false]`)
	k.press(restore, revoke)
	k.press(`[data-test=run-app]`, `[data-run-ok=true]`)
	k.forge()
	k.press(`[data-test=sign-out]`, "#sign-in")
}

// forge takes the document's token apart, makes one of it that is not signed, and sends that.
func (k *keyboard) forge() {
	k.t.Helper()
	k.visit(k.url + "/take-apart")
	k.press("[data-test=document]", `[data-test=examined][data-refused-by=header]`)
	k.reach("[name=signature]")
	k.key(kb.ArrowDown)
	k.press("[data-test=make]", "[name=signature][value=none][checked]")
	k.press("[data-test=send]", "[data-test=sent] [data-check=access-token]")
}

// walk goes to a message in the middle of the diagram: with arrow keys, where the script has
// made one stop of it.
func (k *keyboard) walk() {
	k.t.Helper()
	k.reach(".diagram a")
	for range 4 {
		if k.script {
			k.key(kb.ArrowDown)
		} else {
			k.key("\t")
		}
	}
	place, err := chromedp.Run(k.tab, chromedp.Evaluate[int](`[...document.querySelectorAll(".diagram a.message, .diagram a.step-mark")].indexOf(document.activeElement)`))
	if err != nil || place < 4 {
		k.t.Fatalf("four keys further it is message %d, %v", place, err)
	}
	if !k.has("a.message:focus") {
		k.key(map[bool]string{true: kb.ArrowDown, false: "\t"}[k.script])
	}
}

func (k *keyboard) key(keys string) {
	k.t.Helper()
	k.do("press a key", chromedp.KeyEvent(keys))
}

// press goes to something, presses Enter on it, and waits for what comes of it. On the way it
// opens what asks first.
func (k *keyboard) press(selector, then string) {
	k.t.Helper()
	k.settle()
	if question := `details:not([open]):has(` + selector + `) > summary`; k.has(question) {
		k.reach(question)
		k.key("\r")
	}
	k.reach(selector)
	k.key("\r")
	k.do("see "+then, seen(then))
	k.settle()
}

// reach presses Tab until something has the focus.
func (k *keyboard) reach(selector string) {
	k.t.Helper()
	for range 2 * mostStops {
		if k.has(":is(" + selector + "):focus") {
			return
		}
		k.key("\t")
	}
	k.saveScreen()
	k.t.Fatalf("%s is not reached with the keyboard", selector)
}

// Of a page with hundreds of links in a table or a diagram, Tab reaches few, and arrow keys
// the others.
func TestFewTabStops(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword})
	a := signIn(t, l)
	built := catalog.All().Built()
	last := built[len(built)-1].Slug
	a.visit(a.url + "/stages/" + last + "/try")
	a.do("have messages", click("[data-test=run-app]"), seen("[data-run-ok=true]"))
	a.settle()
	a.do("attack", click("[data-attack=token-lift]"), seen(".outcome-card [data-outcome]"))
	a.settle()
	paths := []string{"/matrix", "/matrix/" + last + "/token-lift", "/compare/tls/" + last, "/attacks/wiretap", "/traffic"}
	for _, stage := range built {
		paths = append(paths, "/stages/"+stage.Slug, "/stages/"+stage.Slug+"/try", "/stages/"+stage.Slug+"/code")
	}
	const stops = `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]")]
		.filter((e) => e.tabIndex >= 0 && e.checkVisibility() && !e.closest("details:not([open]) > :not(summary)")).length`
	for _, path := range paths {
		a.visit(a.url + path)
		count, err := chromedp.Run(a.tab, chromedp.Evaluate[int](stops))
		if err != nil {
			t.Fatal(err)
		}
		if count > mostStops {
			t.Errorf("%s has %d tab stops", path, count)
		}
	}
	a.visit(a.url + "/matrix")
	a.do("go to a cell", chromedp.Focus(`[data-cell="tls/unknown-client"] a`))
	for _, step := range []struct{ key, to string }{
		{kb.ArrowRight, `[data-cell="pinned-mtls/unknown-client"] a`}, // to the right
		{kb.ArrowDown, `[data-cell="pinned-mtls/flood"] a`},           // Down: past cells that have no link
		{kb.ArrowLeft, `[data-cell="tls/flood"] a`},                   // Left
		{kb.ArrowLeft, `[data-cell="app-id/flood"] a`},
		{kb.ArrowLeft, `th a[href="/attacks/flood"]`},
		{kb.ArrowUp, `th a[href="/attacks/redirect-swap"]`}, // Up
	} {
		a.do("go on", chromedp.KeyEvent(step.key))
		if !a.has(":is(" + step.to + "):focus") {
			t.Fatalf("the arrow key did not lead to %s", step.to)
		}
	}
}

// visit opens an address and waits until the page has loaded. [chromedp.Navigate] waits for ever
// at times, when one navigation follows another.
func (a *admin) visit(address string) {
	a.t.Helper()
	a.settle()
	const born = `performance.timeOrigin`
	before, err := chromedp.Run(a.tab, chromedp.Evaluate[float64](born))
	if err != nil {
		a.t.Fatal(err)
	}
	if _, err := chromedp.Run(a.tab, chromedp.Evaluate[string](fmt.Sprintf("location.assign(%q), ''", address))); err != nil {
		a.t.Fatalf("open %s: %v", address, err)
	}
	a.await("open "+address, fmt.Sprintf(`%s !== %v && document.readyState === "complete"`, born, strconv.FormatFloat(before, 'f', -1, 64)))
}

// settle waits until the page that is open has loaded.
func (a *admin) settle() {
	a.t.Helper()
	a.await("load the page", `document.readyState === "complete"`)
}

// await waits until something is so. In between two pages nothing is.
func (a *admin) await(what, condition string) {
	a.t.Helper()
	for range 1200 {
		if so, err := chromedp.Run(a.tab, chromedp.Evaluate[bool](condition)); err == nil && so {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	a.saveScreen()
	a.t.Fatalf("%s: a minute was not enough", what)
}
