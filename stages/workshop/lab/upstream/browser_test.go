package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/pkce"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/workshop/deploy"
)

const app = "harbour-mobile"

// pushed is the address that the app opens after it has pushed a request.
func (w *world) pushed() string {
	w.Helper()
	var keys map[string]string
	if err := w.folder(deployment.Auth).JSON("secrets.json", &keys); err != nil {
		w.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	r := testenv.Must[*http.Request](w)(http.NewRequest(http.MethodPost, w.at("/par"), strings.NewReader(url.Values{
		"response_type": {"code"}, "client_id": {app}, "redirect_uri": {deploy.RedirectURI()}, "scope": {"accounts:read"}, "state": {"s1"},
		pkce.FieldChallenge: {pkce.Challenge(pkce.S256, pkce.NewVerifier())}, pkce.FieldMethod: {pkce.S256},
	}.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	integrity.Set(r.Header, testenv.Must[string](w)(integrity.Sign(token.Key{ID: app + "-servers", Secret: token.Secret(keys[app+"-servers"])}, integrity.Claims{
		Issuer: w.Addresses.Stage(deployment.AttestationService, w.stage.Slug), ClientID: app, Audience: []string{w.at("")},
		Issued: now, Expires: now.Add(time.Minute), ID: token.NewID(), Release: w.stage.Package.Release, Device: "a phone", Level: string(w.stage.Attestation.Level),
	})))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: testenv.Must[*x509.CertPool](w)(pki.Pool(w.Roots))}}
	defer transport.CloseIdleConnections()
	response := testenv.Must[*http.Response](w)((&http.Client{Transport: transport}).Do(r))
	defer response.Body.Close()
	body := testenv.Must[[]byte](w)(io.ReadAll(response.Body))
	var answer struct {
		RequestURI string `json:"request_uri"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.RequestURI == "" {
		w.Fatalf("pushing: %s %s", response.Status, body)
	}
	return w.at("/authorize?") + url.Values{"client_id": {app}, "request_uri": {answer.RequestURI}}.Encode()
}

// TestInChromium: a browser that holds all redirects that follow a form against the page's policy comes
// from the page on which users choose to the provider's pages, and from there to the app: with the
// keyboard alone, on a small screen, without scripts.
func TestInChromium(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	testenv.Program(t, "chromium", "chromium-browser", "google-chrome") // before a lab is started for nothing
	w := start(t, nil)
	for i, provider := range []string{catalog.Bank, catalog.Lite} { // in the order of their titles
		t.Run(provider, func(t *testing.T) {
			browser := testenv.BrowserAlways(t)
			order(t, browser, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
			order(t, browser, network.Enable, network.EnableParams{})
			order(t, browser, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
			order(t, browser, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
			order(t, browser, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 400, Height: 800, DeviceScaleFactor: 1, Mobile: true})
			w.throughChromium(t, browser, provider, i+1)
		})
	}
}

func (w *world) throughChromium(t *testing.T, browser context.Context, provider string, tabs int) {
	t.Helper()
	ctx, cancel := context.WithCancel(browser) // for those who listen
	defer cancel()
	do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := chromedp.Do(limited, steps...); err != nil {
			text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
			t.Fatalf("%s, %s: %v\n%s", provider, what, err, text)
		}
	}
	came, refused := make(chan string, 100), make(chan string, 100)
	err := chromedp.Listen(ctx, func(event any) {
		address := ""
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			address = event.Request.URL
		case *page.EventFrameRequestedNavigation:
			address = event.URL
		case *cdplog.EventEntryAdded:
			if event.Entry.Source == cdplog.EntrySourceSecurity {
				refused <- event.Entry.Text
			}
		}
		if strings.HasPrefix(address, deploy.RedirectURI()+"?") {
			came <- address
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	do("choose", chromedp.Navigate(w.pushed()), chromedp.WaitVisible("[data-form=provider-"+provider+"]"), chromedp.KeyEvent(strings.Repeat("\t", tabs)+"\r"))
	do("sign in", chromedp.WaitVisible("[data-form=sign-in]"), chromedp.SendKeys("#name", "alice"), chromedp.SendKeys("#password", w.passwords["alice"]+"\r"))
	do("allow it", chromedp.WaitVisible("[data-form=consent]"), chromedp.KeyEvent("\t\r"))
	select {
	case address := <-came:
		if query := testenv.Must[*url.URL](t)(url.Parse(address)).Query(); query.Get("code") == "" || query.Get("state") != "s1" || query.Get("iss") != w.at("") {
			t.Errorf("%s: the app gets %s", provider, address)
		}
		do("see what to press where the app does not open by itself", chromedp.WaitVisible("a[data-lead]"))
	case why := <-refused:
		t.Errorf("%s: Chromium refuses: %s", provider, why)
	case <-time.After(30 * time.Second):
		t.Errorf("%s: nothing comes to the app", provider)
	}
}

func order[P any](t testing.TB, tab context.Context, command cdp.Command[P, cdp.Empty], params P) {
	t.Helper()
	if _, err := chromedp.Call(tab, command, params); err != nil {
		t.Fatal(err)
	}
}
