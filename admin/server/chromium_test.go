package server

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// tab drives a Chromium at the admin UI.
type tab struct {
	context.Context
	t    *testing.T
	base string
}

// openTab serves the UI and opens a browser that complains about what the page does
// against its policy.
func openTab(t *testing.T, set *setting) *tab {
	t.Helper()
	ctx := testenv.Browser(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	serving, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := set.Serve(serving, listener); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
	must(t, chromedp.Listen(ctx, func(event any) {
		// 404 and the like are logged, too: those are asked for.
		if entry, ok := event.(*cdplog.EventEntryAdded); ok && entry.Entry.Level == cdplog.EntryLevelError && entry.Entry.Source != cdplog.EntrySourceNetwork {
			t.Errorf("the browser complains: %s", entry.Entry.Text)
		}
	}))
	b := &tab{Context: ctx, t: t, base: "http://" + listener.Addr().String()}
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	return b
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b, time.Minute) // before the browser itself ends: it is asked where it is
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v, at %s", what, err, evaluate[string](b, `location.href + "\n" + document.body?.innerText`))
	}
}

func (b *tab) open(path string) chromedp.Action[chromedp.Void] {
	return chromedp.Navigate(b.base + path)
}

func evaluate[T any](b *tab, script string) T {
	b.t.Helper()
	value, err := chromedp.Run(b, chromedp.Evaluate[T](script))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return value
}

func call[P any](b *tab, command cdp.Command[P, cdp.Empty], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b, command, params); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) signIn() {
	b.t.Helper()
	// The password field has the focus, so this is typing and pressing Enter.
	b.do("sign in", b.open("/sign-in"), chromedp.WaitVisible("#password:focus"),
		chromedp.KeyEvent(testPassword+"\r"), chromedp.WaitVisible(".ladder"))
}

func TestChromiumWithKeyboard(t *testing.T) {
	t.Parallel()
	b := openTab(t, newSetting(t))
	b.signIn()
	b.do("the first stop is the way past the navigation", chromedp.KeyEvent("\t"), chromedp.WaitVisible(".skip:focus"))
	reached := map[string]bool{}
	for range 60 {
		b.do("go on", chromedp.KeyEvent("\t"))
		reached[evaluate[string](b, `document.activeElement.getAttribute("href") ?? document.activeElement.dataset.test ?? ""`)] = true
		if !evaluate[bool](b, `(() => { const s = getComputedStyle(document.activeElement.closest(".rung") ?? document.activeElement); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 || document.activeElement === document.body })()`) {
			t.Errorf("the focus is not seen on %s", evaluate[string](b, `document.activeElement.outerHTML`))
		}
	}
	for _, item := range navigation {
		if !reached[item.Path] {
			t.Errorf("%s is not reached with the keyboard", item.Path)
		}
	}
	for _, want := range []string{"/stages/app-id", "/stages/signed-calls", "sign-out"} {
		if !reached[want] {
			t.Errorf("%s is not reached with the keyboard", want)
		}
	}
	b.do("open a stage and run an attack", b.open("/stages/app-id/try"),
		chromedp.Focus(`[data-attack=wiretap]`), chromedp.KeyEvent("\r"), chromedp.WaitVisible(`[data-outcome=succeeds]`))
	for _, item := range navigation {
		b.do("open "+item.Path, chromedp.Click(fmt.Sprintf(`.nav a[href="%s"]`, item.Path)),
			chromedp.WaitVisible(fmt.Sprintf(`.nav a[href="%s"][aria-current=page]`, item.Path)), chromedp.WaitVisible("h1"))
	}
	b.do("sign out", chromedp.Click("[data-test=sign-out]"), chromedp.WaitVisible("#sign-in"))
}

func TestChromiumOnAPhone(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := openTab(t, set)
	b.signIn()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 400, Height: 800, DeviceScaleFactor: 1, Mobile: true})
	b.do("have something to show", b.open("/stages/tls/try"), chromedp.Click("[data-test=run-app]"), chromedp.WaitVisible("[data-run-ok=true]"))
	for _, path := range allPages {
		b.do("open "+path, b.open(path), chromedp.WaitVisible("h1"))
		if width := evaluate[int](b, "document.documentElement.scrollWidth"); width > 400 {
			t.Errorf("%s is %d wide", path, width)
		}
	}
	b.do("open a stage", b.open("/stages/tls"), chromedp.WaitVisible(".strip"))
	if side := evaluate[float64](b, `Math.min(...[...document.querySelectorAll(".strip a")].flatMap((a) => [a.clientWidth, a.clientHeight]))`); side < 32 {
		t.Errorf("the stages are targets of %v pixels", side)
	}
}

func TestChromiumScrollsTheMatrixWithTheWindow(t *testing.T) {
	t.Parallel()
	b := openTab(t, newSetting(t))
	b.signIn()
	for _, width := range []int64{1220, 1280, 1920} {
		call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
		b.do("open the matrix", b.open("/matrix"), chromedp.WaitVisible(".matrix"))
		if evaluate[bool](b, `(() => { const s = document.querySelector(".scroller"), d = document.documentElement; return s.scrollHeight > s.clientHeight + 2 || d.scrollWidth > d.clientWidth })()`) {
			t.Errorf("%d wide: the matrix scrolls in a box of its own, or does not fit", width)
		}
		if top := evaluate[float64](b, `(scrollTo(0, document.querySelector(".matrix tbody").getBoundingClientRect().top + scrollY + 200), document.querySelector(".matrix thead th").getBoundingClientRect().top)`); top < -1 || top > 1 {
			t.Errorf("%d wide: the head is at %v", width, top)
		}
	}
}

// Edges of controls and the sign of a link stand out from what is behind them (WCAG 2.2,
// 1.4.11 and 1.4.3).
func TestChromiumHasContrast(t *testing.T) {
	t.Parallel()
	b := openTab(t, newSetting(t))
	b.signIn()
	for _, scheme := range []string{"light", "dark"} {
		call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		for _, tt := range []struct {
			path, element, property string
			least                   float64
		}{
			{"/apps/harbour-mobile", "#burst", "borderTopColor", 3},
			{"/traffic", "#stage", "borderTopColor", 3},
			{"/stages/tls", ".anchor", "color", 4.5},
		} {
			b.do("open "+tt.path, b.open(tt.path), chromedp.WaitReady(tt.element))
			ratio := evaluate[float64](b, fmt.Sprintf(`(() => {
				const channels = (color) => color.match(/[\d.]+/g).map(Number);
				const light = (color) => channels(color).slice(0, 3).map((c) => c / 255)
					.map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
					.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
				const element = document.querySelector(%q);
				let behind = element.parentElement;
				while (channels(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
				const [a, b] = [light(getComputedStyle(element)[%q]), light(getComputedStyle(behind).backgroundColor)];
				return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
			})()`, tt.element, tt.property))
			if ratio < tt.least {
				t.Errorf("%s on %s, %s: %.2f to 1", tt.element, tt.path, scheme, ratio)
			}
		}
	}
}

func TestChromiumShowsTrafficLive(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := openTab(t, set)
	b.signIn()
	b.do("open the traffic", b.open("/traffic?stage=tls"), chromedp.WaitVisible(".live.on"))
	at := set.clock.now()
	set.bank.Traffic().Add(traffic.Message{At: at.Add(time.Second), Lane: traffic.Server, Stage: "tls", Kind: traffic.Request, Summary: "second <b>"})
	b.do("see it", chromedp.WaitVisible(`.heard.server`))
	set.mobile.Traffic().Add(traffic.Message{At: at, Lane: traffic.App, Stage: "tls", Kind: traffic.Request, Summary: "first"})
	set.mobile.Traffic().Add(traffic.Message{At: at, Lane: traffic.App, Stage: "app-id", Kind: traffic.Request, Summary: "of another stage"})
	b.do("see what came before it", chromedp.WaitVisible(`.heard.app`))
	got := evaluate[string](b, `[...document.querySelectorAll(".heard-summary")].map((e) => e.textContent).join("|")`)
	if got != "second <b>|first" {
		t.Errorf("the list says %q", got)
	}
	b.do("open it", chromedp.Click(".heard.app a"), chromedp.WaitVisible("h1.mono"))
}

func TestChromiumFollowsAJob(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]bool{"with JavaScript": true, "without JavaScript": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := newSetting(t)
			b := openTab(t, set)
			call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script})
			b.do("sign in", b.open("/sign-in"), chromedp.WaitVisible("#password"), chromedp.SendKeys("#password", testPassword+"\r"), chromedp.WaitVisible(".ladder"))
			set.referee.hold = make(chan struct{})
			b.do("start it", b.open("/matrix"), chromedp.Click(`[name=stage][value="app-id"]`), chromedp.Click("[data-test=run-matrix]"), chromedp.WaitVisible("[data-job] progress"))
			if script {
				// A reader of the screen, and a keyboard, in the middle of the table.
				b.do("be told that it runs", chromedp.WaitReady("[data-say]:not(:empty)"), chromedp.Focus(`[data-cell="tls/flood"] a`))
				evaluate[string](b, `document.querySelector("progress").dataset.same = "yes"`)
			}
			for range slices.IndexFunc(catalog.Attacks(), func(a catalog.Attack) bool { return a.Name == "wiretap" }) + 1 {
				set.referee.hold <- struct{}{} // lets one attack go on
			}
			b.do("see it fill cells as it goes", chromedp.WaitVisible(`[data-cell="tls/wiretap"][data-outcome=blocked]`), chromedp.WaitVisible("[data-job] progress"))
			if script {
				if !evaluate[bool](b, `document.activeElement.matches('[data-cell="tls/flood"] a')`) {
					t.Error("the focus is lost when its cell is filled")
				}
				if !evaluate[bool](b, `document.querySelector("progress").dataset.same === "yes" && !document.querySelector(".running").closest("[role=status]")`) {
					t.Error("all of the progress is made anew, or spoken, again and again")
				}
				if text := evaluate[string](b, `document.querySelector(".running p").textContent`); !strings.Contains(text, " at stages 2, 3") {
					t.Errorf("it does not say where it runs: %q", text)
				}
			}
			close(set.referee.hold)
			b.do("see its end", chromedp.WaitVisible("[data-matrix-differ]"), chromedp.WaitVisible(`[data-cell="tls/wiretap"][data-outcome=blocked]`))
			if evaluate[bool](b, `document.querySelector('[name=stage][value="app-id"]').checked || !document.querySelector('[name=stage][value="tls"]').checked`) {
				t.Error("the form has forgotten which stages were chosen")
			}
			if script {
				b.do("be told of its end", chromedp.WaitReady("[data-say]:not(:empty)"))
				if text := evaluate[string](b, `document.querySelector("[data-say]").textContent`); !strings.HasPrefix(text, "All as expected.") {
					t.Errorf("of its end is said: %q", text)
				}
			}
		})
	}
}

// inSight says whether the element is within the window.
func (b *tab) inSight(selector string) bool {
	b.t.Helper()
	return evaluate[bool](b, fmt.Sprintf(`(() => {
		const box = document.querySelector(%q)?.getBoundingClientRect();
		return !!box && box.height > 0 && box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth;
	})()`, selector))
}

func TestChromiumShowsWhatCameOfIt(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	populate(set)
	b := openTab(t, set)
	b.signIn()
	const notice, refusal = "[data-notice]", "#register .notice.failed"
	for _, width := range []int64{390, 1280} {
		call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1, Mobile: width < 500})
		for page, button := range map[string]string{
			"/apps": `[data-app=quayside-books] [data-revoke], [data-app=quayside-books] [data-restore]`, "/apps/harbour-ops": `[data-revoke], [data-restore]`,
		} {
			b.do("act on "+page, b.open(page), chromedp.Click(button), chromedp.WaitVisible(notice))
			if !b.inSight(notice) {
				t.Errorf("%d wide: what came of it is off the screen on %s", width, page)
			}
			if got := evaluate[string](b, "location.pathname"); got != page {
				t.Errorf("%s leads to %s", page, got)
			}
		}
		b.do("register half an app", b.open("/apps"), chromedp.Click("#register summary"), chromedp.WaitVisible("#id"), chromedp.SendKeys("#id", "harbour-ops"),
			chromedp.SendKeys("#name", "Another one"), chromedp.SendKeys("#user_agent", "Other/"), chromedp.Click("#register button"), chromedp.WaitVisible(refusal))
		if !b.inSight(refusal) {
			t.Errorf("%d wide: why the app is not registered is off the screen", width)
		}
	}
}

// TestChromiumPrintsTheLadder on A4, without what is for screens alone, and in black and white whatever the
// theme is. The picture is on one page, and no step is cut.
func TestChromiumPrintsTheLadder(t *testing.T) {
	t.Parallel()
	b := openTab(t, newSetting(t))
	b.signIn()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	b.do("open the ladder", b.open("/ladder"), chromedp.WaitVisible(".overview"))
	printed, err := chromedp.Call(b, page.PrintToPDF, page.PrintToPDFParams{PreferCSSPageSize: &[]bool{true}[0]})
	must(t, err)
	if folder := testenv.Screens(t); folder != "" {
		must(t, os.WriteFile(filepath.Join(folder, "ladder.pdf"), printed.Data, 0o644))
	}
	sheets := regexp.MustCompile(`/Type /Page\b[^s]`).FindAllIndex(printed.Data, -1)
	if len(sheets) < 2 || len(sheets) > 7 || !bytes.Contains(printed.Data, []byte("/MediaBox [0 0 594.95996 841.91998]")) {
		t.Errorf("%d pages, of %s", len(sheets), regexp.MustCompile(`/MediaBox \[[^]]*]`).Find(printed.Data))
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	for script, want := range map[string]string{
		`getComputedStyle(document.querySelector(".top")).display`:                                                       "none",
		`getComputedStyle(document.body).backgroundColor`:                                                                "rgb(255, 255, 255)",
		`getComputedStyle(document.body).color`:                                                                          "rgb(0, 0, 0)",
		`[...new Set([...document.querySelectorAll(".whole-step")].map((s) => getComputedStyle(s).breakInside))].join()`: "avoid",
		`getComputedStyle(document.querySelector(".overview")).breakInside`:                                              "avoid",
	} {
		if got := evaluate[string](b, script); got != want {
			t.Errorf("printed, %s is %q, want %q", script, got, want)
		}
	}
	const across, down = 718, 1046 // CSS pixels of the sheet without its margins
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: across, Height: down, DeviceScaleFactor: 1})
	if bottom := evaluate[float64](b, `document.querySelector(".all-steps").getBoundingClientRect().top - document.querySelector(".handout").getBoundingClientRect().top`); bottom > down {
		t.Errorf("the picture needs %.0f pixels, and a sheet has %d", bottom, down)
	}
	if wide := evaluate[float64](b, `document.documentElement.scrollWidth`); wide > across+1 {
		t.Errorf("the picture is %.0f pixels wide, and a sheet has %d", wide, across)
	}
}
