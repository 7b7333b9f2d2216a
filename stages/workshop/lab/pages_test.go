package lab_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	screen "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"keyladder/internal/deployment"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
)

// noPages are what the UIs answer to GET that nobody looks at: health, files, what a page's
// script asks for, and what leads on to a page.
var noPages = []string{
	"admin /", "admin /healthz", "admin /workshop-ca.pem", "admin /assets/:file", "admin /packages/:file",
	"admin /traffic/rows", "admin /jobs/:id", "admin /compare", "admin /phone", "admin /auth", "admin /lite", "admin /mediator", "admin /mediator/sessions/rows", "admin /attestations/rows",
	"phone /healthz", "phone /style.css", "phone /icon.svg",
}

// Every page of both UIs, with something on it and without, is one that axe finds no fault
// with and that is not wider than the window: in light and wide, in dark and narrow. The pages
// are those that the UIs answer, so a new one that is not looked at here makes the test fail.
func TestPages(t *testing.T) {
	if testing.Short() {
		t.Skip("looks at all pages, which takes a minute")
	}
	t.Parallel()
	axe := testenv.Axe(t)
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword})
	v := newViewer(t, l, axe)
	v.signedOut()
	v.signIn()
	v.adminPages(false)
	v.fill()
	v.adminPages(true)
	v.phonePages(l.PhoneLink)
	for name, pages := range map[string][]string{"admin": l.AdminPages, "phone": l.PhonePages} {
		for _, pattern := range pages {
			if route := name + " " + pattern; !slices.Contains(noPages, route) && !v.looked[route] {
				t.Errorf("nobody has looked at %s: add it to this test", route)
			}
		}
	}
	t.Logf("%d pages, %v with axe", v.pages, v.spent)
}

// viewer looks at pages.
type viewer struct {
	*admin
	phone  string          // address of the phone's screen
	looked map[string]bool // patterns of pages, after "admin " and "phone "
	pages  int
	spent  time.Duration // by axe
	folder string        // for pictures; empty: none are taken
}

func newViewer(t *testing.T, l *lab.Lab, axe string) *viewer {
	t.Helper()
	v := &viewer{
		admin: &admin{t: t, tab: testenv.BrowserFor(t, 20*time.Minute), url: l.Addresses.URL(deployment.AdminUI)},
		phone: l.Addresses.URL(deployment.PhoneScreen), looked: map[string]bool{}, folder: testenv.Screens(t),
	}
	if _, err := chromedp.Call(v.tab, screen.AddScriptToEvaluateOnNewDocument, screen.AddScriptToEvaluateOnNewDocumentParams{Source: axe}); err != nil {
		t.Fatal(err)
	}
	return v
}

// open opens a page of the admin UI under the pattern that answers it, and looks at it.
func (v *viewer) open(pattern, path, state string) {
	v.t.Helper()
	v.visit(v.url + path)
	v.look("admin "+pattern, path, state)
}

// openPhone does that with the phone's screen.
func (v *viewer) openPhone(pattern, path, state string) {
	v.t.Helper()
	v.visit(v.phone + path)
	v.look("phone "+pattern, path, state)
}

// look looks at the page that is open.
func (v *viewer) look(route, path, state string) {
	v.t.Helper()
	v.settle()
	v.looked[route] = true
	v.pages++
	name := strings.Trim(strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(strings.Fields(route)[0]+path+" "+state), " -")
	name = strings.ReplaceAll(name, " ", "-")
	v.show(1280, "light")
	v.inspect(name, `{resultTypes: ["violations"], rules: {"target-size": {enabled: true}, "label-content-name-mismatch": {enabled: true}}}`)
	v.show(400, "dark")
	v.inspect(name, `{resultTypes: ["violations"], runOnly: ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]}`) // the rest is as it was
	if v.folder != "" {
		v.picture(name, 400, "dark")
		v.show(400, "light")
		v.picture(name, 400, "light")
		v.show(1280, "dark")
		v.picture(name, 1280, "dark")
		if strings.Contains(route, "/matrix") || strings.Contains(route, "/attacks") {
			v.show(1920, "light")
			v.picture(name, 1920, "light")
			v.show(1920, "dark")
			v.picture(name, 1920, "dark")
		}
	}
	v.show(1280, "light")
	if v.folder != "" {
		v.picture(name, 1280, "light")
	}
}

// show sets the width of the window and the theme, and waits for the page to have noticed: it hears of a
// new width when the next frame is drawn, and scripts make boxes that scroll now stops of the Tab key.
func (v *viewer) show(width int64, theme string) {
	v.t.Helper()
	height := map[int64]int64{400: 800, 1280: 800, 1920: 1080}[width]
	order(v.admin, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500})
	order(v.admin, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
	const drawn = `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`
	if _, err := chromedp.Run(v.tab, chromedp.Evaluate[bool](drawn, chromedp.EvalAwaitPromise)); err != nil {
		v.t.Fatal(err)
	}
}

func order[P any](a *admin, command cdp.Command[P, cdp.Empty], params P) {
	a.t.Helper()
	if _, err := chromedp.Call(a.tab, command, params); err != nil {
		a.t.Fatal(err)
	}
}

// inspect has axe look at what is shown, with those options of its.
func (v *viewer) inspect(name, options string) {
	v.t.Helper()
	script := `axe.run(document, ` + options + `).then((found) => ({
		faults: found.violations.map((v) => v.id + ": " + v.help + "\n" +
			v.nodes.slice(0, 4).map((n) => "    " + n.target.join(" ") + ": " + (n.any[0] ?? n.all[0] ?? n.none[0])?.message).join("\n")),
		checked: found.passes.length, wide: document.documentElement.scrollWidth, room: innerWidth,
	}))`
	begin := time.Now()
	found, err := chromedp.Run(v.tab, chromedp.Evaluate[struct {
		Faults              []string
		Checked, Wide, Room int
	}](script, chromedp.EvalAwaitPromise))
	v.spent += time.Since(begin)
	if err != nil {
		v.t.Fatalf("%s: %v", name, err)
	}
	if found.Checked == 0 {
		v.t.Fatalf("%s: axe has looked at nothing", name)
	}
	for _, fault := range found.Faults {
		v.t.Errorf("%s, %d wide: %s", name, found.Room, fault)
	}
	if found.Wide > found.Room {
		v.t.Errorf("%s is %d wide in a window of %d", name, found.Wide, found.Room)
	}
}

// picture keeps a picture of the whole page.
func (v *viewer) picture(name string, width int64, theme string) {
	v.t.Helper()
	all := true
	height, err := chromedp.Run(v.tab, chromedp.Evaluate[float64]("document.documentElement.scrollHeight"))
	if err != nil {
		v.t.Fatal(err)
	}
	picture, err := chromedp.Call(v.tab, screen.CaptureScreenshot, screen.CaptureScreenshotParams{
		Format: screen.CaptureScreenshotFormatPng, CaptureBeyondViewport: &all,
		Clip: &screen.Viewport{Width: float64(width), Height: min(height, 12000), Scale: 1},
	})
	if err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(v.folder, fmt.Sprintf("%s-%d-%s.png", name, width, theme)), picture.Data, 0o644); err != nil {
		v.t.Fatal(err)
	}
}

// signedOut looks at what the admin UI shows to anybody.
func (v *viewer) signedOut() {
	v.t.Helper()
	v.open("/sign-in", "/sign-in", "")
	v.do("type a wrong password", chromedp.SendKeys("#password", "wrong\r"), seen(".notice.failed"))
	v.look("admin /sign-in", "/sign-in", "refused")
}

// adminPages looks at all pages of the admin UI: of a deployment that nobody has used, and of
// one in use. What looks the same in both is looked at once.
func (v *viewer) adminPages(filled bool) {
	v.t.Helper()
	state, built := map[bool]string{false: "empty", true: "filled"}[filled], catalog.All().Built()
	first, last := built[0], built[len(built)-1]
	for _, p := range []struct{ pattern, path string }{
		{"/stages/:stage/try", "/stages/" + last.Slug + "/try"},
		{"/compare/:from/:to", "/compare/" + first.Slug + "/" + last.Slug},
		{"/attacks/:attack", "/attacks/wiretap"},
		{"/matrix", "/matrix"},
		{"/matrix/:stage/:attack", "/matrix/" + first.Slug + "/wiretap"},
		{"/traffic", "/traffic"},
		{"/apps/:app", "/apps/harbour-mobile"},
		{"/callers", "/callers"},
		{"/users", "/users"},
		{"/sessions", "/sessions"},
		{"/devices", "/devices"},
		{"/tokens", "/tokens"},
		{"/auth/clients", "/auth/clients"},
		{"/auth/users", "/auth/users"},
		{"/auth/consents", "/auth/consents"},
		{"/auth/families", "/auth/families"},
		{"/auth/tokens", "/auth/tokens"},
		{"/lite/clients", "/lite/clients"},
		{"/lite/users", "/lite/users"},
		{"/lite/consents", "/lite/consents"},
		{"/lite/families", "/lite/families"},
		{"/lite/tokens", "/lite/tokens"},
		{"/mediator/providers", "/mediator/providers"},
		{"/mediator/sessions", "/mediator/sessions"},
		{"/mediator/tokens", "/mediator/tokens"},
		{"/mediator/gateway", "/mediator/gateway"},
		{"/stolen-codes", "/stolen-codes"},
		{"/take-apart", "/take-apart"},
		{"/attestations", "/attestations"},
		{"/attestations/sessions", "/attestations/sessions"},
		{"/attestations/enforcement", "/attestations/enforcement"},
		{"/attestations/devices", "/attestations/devices"},
		{"/attestations/makers", "/attestations/makers"},
		{"/attestations/answers", "/attestations/answers"},
		{"/attestations/clock", "/attestations/clock"},
		{"/audit", "/audit"},
	} {
		v.open(p.pattern, p.path, state)
	}
	if !filled {
		v.open("/stages", "/stages", "")
		v.open("/identifiers", "/identifiers", "")
		v.open("/ladder", "/ladder", "")
		v.open("/exposure", "/exposure", "")
		v.open("/no-rung", "/no-rung", "")
		for _, stage := range built {
			v.open("/stages/:stage", "/stages/"+stage.Slug, "")
		}
		v.open("/stages/:stage/code", "/stages/"+last.Slug+"/code", "")
		v.open("/apps", "/apps", "")
		v.open("/keys/:key/secret", "/keys/harbour-mobile/secret", "")
		v.open("/releases", "/releases", "")
		v.open("/reset", "/reset", "")
		v.visit(v.url + "/nowhere")
		v.look("admin", "/nowhere", "error")
		return
	}
	v.open("/stages/:stage/try", "/stages/"+first.Slug+"/try", state)
	v.open("/users/:user/sessions/end", "/users/alice/sessions/end", "")
	v.open("/sessions/end", "/sessions/end?all=1", "")
	v.open("/devices/ban", "/devices/ban?all=1", "")
	v.open("/tokens/revoke", "/tokens/revoke?all=1", "")
	v.tokenPages()
	v.keyPages("")
	v.authorizationPages()
	v.litePages()
	v.mediatorPages()
	v.attestationPages()
	v.open("/devices/remove", "/devices/remove?all=1", "")
	v.open("/matrix/:stage/:attack", "/matrix/"+last.Slug+"/token-lift", state)
	v.open("/matrix/:stage/:attack", "/matrix/"+last.Slug+"/wiretap", state)
	for _, lane := range []string{"app", "network", "server"} {
		v.visit(v.url + "/traffic?stage=" + last.Slug)
		v.do("open a message", click(".heard."+lane+" a"), seen("h1.mono"))
		v.look("admin /traffic/:id", "/traffic/message", lane)
	}
	v.visit(v.url + "/matrix")
	v.do("run the matrix", chromedp.Click("[data-test=run-matrix]"), seen("[data-job] progress"))
	v.look("admin /matrix", "/matrix", "running")
	v.do("cancel it", click("[data-cancel]"), chromedp.WaitNotPresent("[data-job]"))
}

// tokenPages are those about one token.
func (v *viewer) tokenPages() {
	v.t.Helper()
	v.open("/take-apart", "/take-apart?document=1", "document")
	v.do("send it", click("[data-test=send]"), seen("[data-test=sent]"))
	v.look("admin /take-apart", "/take-apart", "sent")
	v.visit(v.url + "/tokens?sort=-calls") // one that something was done with
	v.do("open one", click(`[data-token] th a`), seen("[data-test=done]"))
	v.look("admin /tokens/:token", "/tokens/one", "")
	v.visit(v.url + "/tokens")
	v.do("ask to serve revoked ones", click("[data-switch-off]"), seen("[data-question]"))
	v.look("admin /revocation-checks/:stage/off", "/revocation-checks/stage/off", "")
	v.do("be sure", click("[data-sure]"), seen("[data-revoked-served]"))
	v.look("admin /tokens", "/tokens", "revoked ones are served")
	v.do("switch it on again", click("[data-switch-on]"), seen("[data-switch-off]"))
}

// keyPages are those that ask before a signing key is replaced, or withdrawn.
func (v *viewer) keyPages(prefix string) {
	v.t.Helper()
	v.visit(v.url + prefix + "/tokens")
	v.do("replace a signing key", click("[data-rotate]"), seen("[data-question]"))
	v.look("admin "+prefix+"/signing-keys/:stage/rotate", prefix+"/signing-keys/stage/rotate", "")
	v.do("be sure", click("[data-sure]"), seen("[data-withdraw]"), click("[data-withdraw]"), seen("[data-question]"))
	v.look("admin "+prefix+"/signing-keys/:key/withdraw", prefix+"/signing-keys/key/withdraw", "")
}

// authorizationPages are those about what the authorization server knows.
func (v *viewer) authorizationPages() {
	v.t.Helper()
	v.open("/auth/clients/:app", "/auth/clients/workshop-native", "public")
	v.open("/auth/clients/:app", "/auth/clients/workshop-web", "confidential")
	v.do("show the secret", click("[data-show-secret]"), seen("[data-secret]"))
	v.look("admin /auth/clients/:app", "/auth/clients/workshop-web", "secret")
	v.open("/auth/clients/:app/secret/rotate", "/auth/clients/workshop-web/secret/rotate", "")
	v.open("/auth/clients/:app/servers/rotate", "/auth/clients/harbour-mobile/servers/rotate", "")
	v.open("/auth/users/:user/end", "/auth/users/alice/end", "")
	v.open("/auth/consents/withdraw", "/auth/consents/withdraw?all=1", "")
	v.open("/auth/families/revoke", "/auth/families/revoke?all=1", "")
	v.open("/auth/tokens/revoke", "/auth/tokens/revoke?all=1", "")
	v.visit(v.url + "/auth/families?state=reused")
	v.do("open a family", click(`[data-family] th a`), seen("[data-reused-generation]"))
	v.look("admin /auth/families/:family", "/auth/families/one", "reused")
	v.visit(v.url + "/auth/tokens?state=any&sort=-calls")
	v.do("open one", click(`[data-token] th a`), seen("#the-calls"))
	v.look("admin /auth/tokens/:token", "/auth/tokens/one", "")
	v.keyPages("/auth")
}

// first is the ID of the first entry of a list; where that is empty, of what there is not.
func (v *viewer) first(page, name string) string {
	v.t.Helper()
	v.visit(v.url + page)
	return url.PathEscape(read[string](v.admin, fmt.Sprintf(`document.querySelector("[data-%[1]s]")?.getAttribute("data-%[1]s") ?? "none"`, name)))
}

// litePages are those about what another company's server knows.
func (v *viewer) litePages() {
	v.t.Helper()
	client := v.first("/lite/clients", "client")
	v.open("/lite/clients/:app", "/lite/clients/"+client, "")
	v.open("/lite/clients/:app/secret/rotate", "/lite/clients/"+client+"/secret/rotate", "")
	v.open("/lite/clients/:app/servers/rotate", "/lite/clients/"+client+"/servers/rotate", "")
	v.open("/lite/users/:user/end", "/lite/users/"+v.first("/lite/users", "user")+"/end", "")
	v.open("/lite/consents/withdraw", "/lite/consents/withdraw?all=1", "")
	v.open("/lite/families/revoke", "/lite/families/revoke?all=1", "")
	v.open("/lite/families/:family", "/lite/families/"+v.first("/lite/families?state=any", "family"), "")
	v.open("/lite/tokens/revoke", "/lite/tokens/revoke?all=1", "")
	v.open("/lite/tokens/:token", "/lite/tokens/"+v.first("/lite/tokens?state=any", "token"), "")
}

// mediatorPages are those about one provider, one sign-in and one token.
func (v *viewer) mediatorPages() {
	v.t.Helper()
	v.visit(v.url + "/mediator/providers")
	v.do("describe half a provider", click("#add summary"), chromedp.WaitVisible("#name"), chromedp.SetValue("#name", "lite"), chromedp.SetValue("#scopes", "nothing"),
		chromedp.SetAttributeValue("#add form", "novalidate", ""), click("#add button[type=submit]"), seen("#form-failure"))
	v.look("admin /mediator/providers", "/mediator/providers", "refused")
	v.open("/mediator/providers/:name", "/mediator/providers/lite", "")
	v.open("/mediator/providers/:name/disable", "/mediator/providers/lite/disable", "")
	v.open("/mediator/sessions/:session", "/mediator/sessions/"+v.first("/mediator/sessions?state=any", "sign-in"), "")
	v.open("/mediator/sessions/end", "/mediator/sessions/end?all=1", "")
	v.open("/mediator/tokens/:token", "/mediator/tokens/"+v.first("/mediator/tokens?state=any", "token"), "")
	v.open("/mediator/tokens/revoke", "/mediator/tokens/revoke?all=1", "")
	v.keyPages("/mediator")
}

// attestationPages are those about one result, one device, and those that ask about what is compared
// with. Where apps attest at no stage that is built, they are those of what there is not.
func (v *viewer) attestationPages() {
	v.t.Helper()
	v.open("/attestations/:reference", "/attestations/"+v.first("/attestations?outcome=good", "attestation"), "good")
	v.open("/attestations/:reference", "/attestations/"+v.first("/attestations?outcome=failing", "attestation"), "failing")
	v.open("/attestations/devices/:device", "/attestations/devices/"+v.first("/attestations/devices", "device"), "")
	v.open("/attestations/enforcement/change", "/attestations/enforcement/change?stage="+v.first("/attestations/enforcement", "enforcement")+"&claim=runtime&policy=enforced", "")
	v.open("/attestations/releases", "/attestations/releases", "")
	v.open("/attestations/releases/:sha256/withdraw", "/attestations/releases/"+v.first("/attestations/releases", "release")+"/withdraw", "")
	v.open("/attestations/signers/withdraw", "/attestations/signers/withdraw?client=harbour-mobile&signer=sha256/abc=", "")
	v.open("/attestations/makers/certificates/revoke", "/attestations/makers/certificates/revoke?serial="+v.first("/attestations/makers", "certificate"), "")
	v.open("/attestations/makers/systems/withdraw", "/attestations/makers/systems/withdraw?key="+url.QueryEscape(v.first("/attestations/makers", "system")), "")
}

// fill uses the deployment.
func (v *viewer) fill() {
	v.t.Helper()
	built := catalog.All().Built()
	issuing := built[slices.IndexFunc(built, func(s catalog.Stage) bool { return s.Auth.Issuer == catalog.ResourceServer })] // its tokens are in the list
	for _, stage := range []catalog.Stage{built[0], issuing, built[len(built)-1]} {
		v.visit(v.url + "/stages/" + stage.Slug + "/try")
		v.do("run the app at "+stage.Slug, click(`[data-test=run-app]`), seen(`[data-run-ok=true]`))
		v.do("attack "+stage.Slug, click(`[data-attack=wiretap]`), seen(`.outcome-card [data-outcome]`))
	}
	if attested := slices.IndexFunc(built, func(s catalog.Stage) bool { return s.Attestation.Level == catalog.PackageChallenge }); attested >= 0 {
		v.visit(v.url + "/stages/" + built[attested].Slug + "/try")
		v.do("run the app there, too", click(`[data-test=run-app]`), seen(`[data-run-ok=true]`))
		v.do("change the app", click(`[data-attack=repackaged-app]`), seen(`.outcome-card [data-outcome]`))
	}
	v.visit(v.url + "/stages/" + built[len(built)-1].Slug + "/try")
	v.do("lift a token", click(`[data-attack=token-lift]`), seen(`.outcome-card [data-outcome]`))
	listed := slices.DeleteFunc(slices.Clone(built), func(s catalog.Stage) bool { return s.Auth.Issuer != catalog.AuthServer }) // whose families are in the list
	v.visit(v.url + "/stages/" + listed[len(listed)-1].Slug + "/try")
	v.do("use a refresh token twice", click(`[data-attack=refresh-reuse]`), seen(`.outcome-card [data-outcome]`))
}

// phonePages looks at all pages of the phone's screen.
func (v *viewer) phonePages(link string) {
	v.t.Helper()
	v.openPhone("/pair", "/pair", "")
	v.do("bring a wrong code", chromedp.SendKeys("#code", "WRONG\r"), seen("#notice"))
	v.look("phone /pair", "/pair", "refused")
	v.visit(link)
	v.use(catalog.All().Built()[0].Slug)
	v.openPhone("/", "/", "first stage")
	v.openPhone("/accounts/:id", "/accounts/HB-1001", "")
	v.openPhone("/pay", "/pay?from=HB-1001", "")
	v.do("pay nonsense", chromedp.SendKeys("#to", "HB-2001"), chromedp.SendKeys("#amount", "much\r"), seen("#amount-error"))
	v.look("phone /pay", "/pay", "refused")
	v.openPhone("/rates", "/rates", "")
	v.openPhone("/settings", "/settings", "")
	v.openPhone("/browser", "/browser", "empty")
	v.do("open a page with a form", chromedp.SendKeys("#address", v.url+"/sign-in\r"), seen("#web-title"))
	v.look("phone /browser", "/browser", "page")
	v.visit(v.phone + "/nowhere")
	v.look("phone", "/nowhere", "error")
	inTheApp := slices.DeleteFunc(catalog.All().Built(), func(s catalog.Stage) bool { return s.Call.UserProof == catalog.NoUser || s.Call.Grant.InAgent() })
	v.use(inTheApp[len(inTheApp)-1].Slug) // the phone's own tests sign in on pages
	v.openPhone("/", "/", "signed out")
	v.do("sign in", click(`.people a[href*="alice"]`), seen(`#password:not([value=""])`), click(`form[action="/sign-in"] button`), seen(".who"))
	v.openPhone("/", "/", "signed in")
	v.do("show the other app", chromedp.SetValue("#app", "com.harbourbank.ops"), click(".apps button"), seen("#notice"))
	v.look("phone /", "/", "other app")
}

// use has the phone use a stage, as a person does.
func (v *viewer) use(stage string) {
	v.t.Helper()
	v.settle()
	// Only the page that the server answers says so: one with an error has a notice, too.
	v.do("choose "+stage, chromedp.SetValue("#stage", stage), chromedp.SetAttributeValue("main", "data-before", ""), click(".stage:not(.apps) button"))
	v.await("use "+stage, fmt.Sprintf(`document.readyState === "complete" && !document.querySelector("[data-before]") && document.querySelector("#stage [selected]")?.value === %q`, stage))
}
