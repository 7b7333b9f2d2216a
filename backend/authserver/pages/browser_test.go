package pages_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	screen "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"keyladder/backend/authserver/pages"
	"keyladder/internal/testenv"
)

// serve serves pages by their names, and answers forms with a redirect to the target.
func serve(t *testing.T, shown map[string]templ.Component, policy, target string) string {
	t.Helper()
	var mux http.ServeMux
	mux.Handle("GET /assets/", pages.Assets())
	mux.HandleFunc("GET /{page}", func(w http.ResponseWriter, r *http.Request) {
		page, ok := shown[r.PathValue("page")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := page.Render(r.Context(), w); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("POST /{form}", func(w http.ResponseWriter, r *http.Request) {
		sent := fmt.Sprintf("%s sends %s, %s", r.PathValue("form"), r.PostFormValue(pages.FieldName), r.PostFormValue(pages.FieldDecision))
		w.Header().Set("Location", strings.ReplaceAll(target, "SENT", url.QueryEscape(sent)))
		w.WriteHeader(http.StatusSeeOther)
	})
	server := httptest.NewServer(&mux)
	t.Cleanup(server.Close)
	return server.URL
}

// tab is a tab of Chromium.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func (b tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

func order[P any](b tab, command cdp.Command[P, cdp.Empty], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

func evaluate[T any](b tab, script string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return value
}

// complaints are what the tab reports against a page's policy.
func complaints(b tab) <-chan string {
	b.t.Helper()
	found := make(chan string, 100)
	if err := chromedp.Listen(b.ctx, func(event any) {
		if entry, ok := event.(*cdplog.EventEntryAdded); ok && entry.Entry.Level == cdplog.EntryLevelError {
			select {
			case found <- entry.Entry.Text + " " + entry.Entry.URL:
			default: // there are enough of them
			}
		}
	}); err != nil {
		b.t.Fatal(err)
	}
	return found
}

// All pages, with friendly and with hostile values, are ones that axe finds no fault with, that
// keep to their policy without scripts, and that are not wider than the window.
func TestPagesInChromium(t *testing.T) {
	if testing.Short() {
		t.Skip("looks at all pages, which takes half a minute")
	}
	t.Parallel()
	axe := testenv.Axe(t)
	b := tab{t: t, ctx: testenv.BrowserFor(t, 10*time.Minute)}
	broken := complaints(b)
	folder := testenv.Screens(t)
	if _, err := chromedp.Call(b.ctx, screen.AddScriptToEvaluateOnNewDocument, screen.AddScriptToEvaluateOnNewDocumentParams{Source: axe}); err != nil {
		t.Fatal(err)
	}
	for kind, v := range map[string]values{"friendly": friendly, "hostile": hostile} {
		shown := all(v)
		base := serve(t, shown, pages.ContentSecurityPolicy(""), "/done")
		for name := range shown {
			b.show(1280, "light")
			b.do("open "+name, chromedp.Navigate(base+"/"+name), chromedp.WaitVisible("h1"))
			for _, theme := range []string{"light", "dark"} {
				for _, width := range []int64{1280, 400} {
					b.show(width, theme)
					b.inspect(fmt.Sprintf("%s, %s, %s, %d wide", name, kind, theme, width))
					if folder != "" {
						b.picture(filepath.Join(folder, fmt.Sprintf("auth-%s-%s-%d-%s.png", name, kind, width, theme)), width)
					}
				}
			}
		}
	}
	for len(broken) > 0 {
		t.Errorf("the browser complains: %s", <-broken)
	}
}

// show sets the width of the window and the theme.
func (b tab) show(width int64, theme string) {
	b.t.Helper()
	order(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1, Mobile: width < 500})
	order(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
}

// inspect has axe look at the page.
func (b tab) inspect(what string) {
	b.t.Helper()
	found := evaluate[struct {
		Faults              []string
		Checked, Wide, Room int
	}](b, `axe.run(document, {resultTypes: ["violations"], rules: {"target-size": {enabled: true}, "label-content-name-mismatch": {enabled: true}}}).then((found) => ({
		faults: found.violations.map((v) => v.id + ": " + v.help + " " + v.nodes.map((n) => n.target.join(" ") + ": " + (n.any[0] ?? n.all[0] ?? n.none[0])?.message).join("; ")),
		checked: found.passes.length, wide: document.documentElement.scrollWidth, room: innerWidth,
	}))`)
	if found.Checked == 0 {
		b.t.Fatalf("%s: axe has looked at nothing", what)
	}
	for _, fault := range found.Faults {
		b.t.Errorf("%s: %s", what, fault)
	}
	if found.Wide > found.Room {
		b.t.Errorf("%s: it is %d wide", what, found.Wide)
	}
}

// picture keeps a picture of the whole page.
func (b tab) picture(path string, width int64) {
	b.t.Helper()
	all := true
	picture, err := chromedp.Call(b.ctx, screen.CaptureScreenshot, screen.CaptureScreenshotParams{
		Format: screen.CaptureScreenshotFormatPng, CaptureBeyondViewport: &all,
		Clip: &screen.Viewport{Width: float64(width), Height: evaluate[float64](b, "document.documentElement.scrollHeight"), Scale: 1},
	})
	if err == nil {
		err = os.WriteFile(path, picture.Data, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// A user signs in with the keyboard alone and without scripts: the name has the focus, Enter
// presses the first button, and Cancel needs nothing filled in.
func TestKeyboardWithoutScripts(t *testing.T) {
	t.Parallel()
	b := tab{t: t, ctx: testenv.Browser(t)}
	base := serve(t, all(friendly), pages.ContentSecurityPolicy(""), "/done?sent=SENT")
	order(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	order(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	for _, test := range []struct{ page, field, keys, want string }{
		{page: "sign-in", field: "#name:focus", keys: "alice\tsecret\r", want: "sign-in sends alice, "},
		{page: "sign-in-throttle", field: "#password:focus", keys: "secret\r", want: "sign-in sends alice, "},
		{page: "sign-in", field: "#name:focus", keys: "\t\t\t\r", want: "sign-in sends , deny"},
		{page: "consent", field: "h1", keys: "\t\r", want: "consent sends , allow"},
		{page: "consent", field: "h1", keys: "\t\t\r", want: "consent sends , deny"},
	} {
		b.do(test.page+" "+test.want, chromedp.Navigate(base+"/"+test.page), chromedp.WaitVisible(test.field),
			chromedp.KeyEvent(test.keys), chromedp.WaitVisible(".page > h1 + p.lede + p"))
		at, err := chromedp.Run(b.ctx, chromedp.Location())
		if err != nil {
			t.Fatal(err)
		}
		if u, err := url.Parse(at); err != nil || u.Query().Get("sent") != test.want {
			t.Errorf("%s: Chromium is at %s", test.page, at)
		}
	}
}

// Chromium follows the redirect after a form where the policy names its target, and refuses it
// where the policy does not.
func TestRedirectsAfterForms(t *testing.T) {
	t.Parallel()
	browser := testenv.Browser(t)
	targets := []string{"com.harbourbank.mobile:/signed-in?code=1"}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			testenv.Missing(t, "listen at %s: %v", address, err)
		}
		server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.NotFoundHandler()}}
		server.Start()
		t.Cleanup(server.Close)
		targets = append(targets, "http://"+listener.Addr().String()+"/callback?code=1")
	}
	for _, target := range targets {
		for policy, want := range map[string]bool{pages.ContentSecurityPolicy(""): false, pages.ContentSecurityPolicy(target): true} {
			if followed := follows(t, browser, policy, target); followed != want {
				t.Errorf("to %s under %q: followed: %v", target, policy, followed)
			}
		}
	}
}

// follows is whether a tab follows the redirect to the target after the consent was sent.
func follows(t *testing.T, browser context.Context, policy, target string) bool {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	defer cancel()
	b := tab{t: t, ctx: ctx}
	outcome := make(chan bool, 100)
	b.do("open a tab", chromedp.Navigate("about:blank"))
	order(b, network.Enable, network.EnableParams{})
	if err := chromedp.Listen(ctx, func(event any) {
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			if event.RedirectResponse != nil && event.Request.URL == target {
				outcome <- true
			}
		case *cdplog.EventEntryAdded:
			if event.Entry.Source == cdplog.EntrySourceSecurity && strings.Contains(event.Entry.Text, "form-action") {
				outcome <- false
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	base := serve(t, all(friendly), policy, target)
	b.do("allow", chromedp.Navigate(base+"/consent"), chromedp.WaitVisible("button"), chromedp.Evaluate[chromedp.Void](`document.querySelector("button").click()`))
	select {
	case followed := <-outcome:
		return followed
	case <-ctx.Done():
		t.Fatalf("to %s under %q: nothing happens", target, policy)
		return false
	}
}
