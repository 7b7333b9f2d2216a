package pages_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"keyladder/backend/authserver/pages"
	"keyladder/backend/clients"
	"keyladder/backend/users"
)

// values are what pages show that comes from elsewhere.
type values struct{ text, user, scope, uri string }

var (
	friendly = values{text: "Harbour Bank for phones", user: "alice", scope: "ships:berth", uri: "com.harbourbank.mobile:/signed-in"}
	hostile  = values{text: markup, user: markup, scope: markup, uri: `https://mallory.test"><script>alert(3)</script>/`}

	markup = `"><script>alert(1)</script><img src=x onerror='alert(2)'>` + "`${1}`</title></form>" + strings.Repeat("W", 200)
)

// all are the pages in all their states, by name.
func all(v values) map[string]templ.Component {
	site := pages.Site{Assets: "/assets/", Stage: "Code grant", Origin: "https://localhost:8444"}
	form := func(action string) pages.Form {
		return pages.Form{Action: action, Hidden: []pages.Hidden{{Name: "interaction", Value: v.user}}}
	}
	client := pages.Client{Name: v.text, ID: "harbour-mobile", RedirectURI: v.uri}
	scopes := []string{"transfers:write", "rates:read", "accounts:read"}
	now := time.Date(2026, 11, 27, 9, 30, 0, 0, time.UTC)
	refused := pages.RedirectMismatch(site, client)
	refused.Reference = v.user
	return map[string]templ.Component{
		"sign-in":          pages.SignInPage(pages.SignIn{Site: site, Form: form("/sign-in"), Client: &client}),
		"sign-in-refused":  pages.SignInPage(pages.SignIn{Site: site, Form: form("/sign-in"), Client: &client, Name: v.user, Failed: pages.WrongCredentials}),
		"sign-in-throttle": pages.SignInPage(pages.SignIn{Site: site, Form: form("/sign-in"), Client: &client, Name: "alice", Failed: pages.Throttled(29500 * time.Millisecond)}),
		"sign-in-consents": pages.SignInPage(pages.SignIn{Site: site, Form: form("/sign-in"), Failed: pages.TooOld}),
		"consent": pages.ConsentPage(pages.Consent{
			Site: site, Form: form("/consent"), Client: client, User: v.user, Scopes: append(scopes, "accounts:freeze", v.scope),
			Lifetime: 10 * time.Minute, Renewal: 30 * 24 * time.Hour, Consents: "/consents",
		}),
		"consent-short": pages.ConsentPage(pages.Consent{Site: site, Form: form("/consent"), Client: client, User: "alice", Scopes: scopes, Lifetime: time.Hour}),
		"consents": pages.ConsentsPage(pages.Consents{
			Site: site, User: v.user, Withdraw: form("/consents/withdraw"), SignOut: form("/sign-out"), Withdrawn: v.text,
			Given: []pages.Given{
				{ID: "C1", Client: client, Scopes: scopes, Since: now},
				{ID: "C2", Client: pages.Client{Name: "Kiosk in the branch", ID: "harbour-kiosk"}, Scopes: scopes[1:], Since: now.Add(-40 * 24 * time.Hour)},
			},
		}),
		"consents-none":    pages.ConsentsPage(pages.Consents{Site: site, User: v.user, SignOut: form("/sign-out")}),
		"problem-redirect": pages.ProblemPage(refused),
		"problem-client":   pages.ProblemPage(pages.UnknownClient(site, v.text)),
		"problem-outdated": pages.ProblemPage(pages.Outdated(site)),
		"done":             pages.DonePage(pages.Done{Site: site, Text: v.text}),
		"choice": pages.ChoicePage(pages.Choice{Site: site, Form: form("/provider"), Client: client, Providers: []pages.ChoiceOfProvider{
			{Name: "bank", Title: "Harbour Bank", Host: "localhost:8444"}, {Name: v.user, Title: v.text, Host: v.user},
		}}),
	}
}

func render(t *testing.T, page templ.Component) string {
	t.Helper()
	var out strings.Builder
	if err := page.Render(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// elements are the elements of a page.
func elements(t *testing.T, source string) []*html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	var all []*html.Node
	for node := range root.Descendants() {
		if node.Type == html.ElementNode {
			all = append(all, node)
		}
	}
	return all
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// What comes from elsewhere stays text: a page with hostile values has the elements and the
// attributes of one with friendly values, and nothing that runs or loads from elsewhere.
func TestHostileValuesStayText(t *testing.T) {
	t.Parallel()
	shape := func(source string) (found []string) {
		for _, node := range elements(t, source) {
			line := node.Data
			for _, a := range node.Attr {
				line += " " + a.Key
			}
			found = append(found, line)
		}
		return found
	}
	shown := all(friendly)
	for name, page := range all(hostile) {
		source := render(t, page)
		if got, want := shape(source), shape(render(t, shown[name])); !slices.Equal(got, want) {
			t.Errorf("%s: hostile values make it\n%q\nand not\n%q", name, got, want)
		}
		for _, node := range elements(t, source) {
			if slices.Contains([]atom.Atom{atom.Script, atom.Style, atom.Img, atom.Iframe, atom.Base}, node.DataAtom) {
				t.Errorf("%s has an element %s", name, node.Data)
			}
			for _, a := range node.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("%s: <%s> has the attribute %s", name, node.Data, a.Key)
				}
				if slices.Contains([]string{"href", "src", "action", "formaction"}, a.Key) && !regexp.MustCompile(`^/[a-z]`).MatchString(a.Val) {
					t.Errorf("%s leads elsewhere, to %s", name, a.Val)
				}
			}
		}
	}
}

// The first button of a form is the one that goes on, and Cancel needs nothing filled in.
func TestFirstButtonGoesOn(t *testing.T) {
	t.Parallel()
	shown := all(friendly)
	for name, want := range map[string][]string{
		"sign-in":          {"= formnovalidate:false", "decision=deny formnovalidate:true"},
		"sign-in-consents": {"= formnovalidate:false"},
		"consent":          {"decision=allow formnovalidate:false", "decision=deny formnovalidate:false"},
		"consents":         {"consent=C1 formnovalidate:false", "consent=C2 formnovalidate:false", "= formnovalidate:false"},
		"problem-redirect": nil,
	} {
		var got []string
		for _, node := range elements(t, render(t, shown[name])) {
			if node.DataAtom == atom.Button {
				free := slices.ContainsFunc(node.Attr, func(a html.Attribute) bool { return a.Key == "formnovalidate" })
				got = append(got, attribute(node, "name")+"="+attribute(node, "value")+map[bool]string{true: " formnovalidate:true", false: " formnovalidate:false"}[free])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has the buttons %q, not %q", name, got, want)
		}
	}
}

// A password that was typed is never shown again, and an error is joined with its fields.
func TestSignInAfterAnError(t *testing.T) {
	t.Parallel()
	for _, node := range elements(t, render(t, all(friendly)["sign-in-refused"])) {
		if node.DataAtom != atom.Input || attribute(node, "type") == "hidden" {
			continue
		}
		name := attribute(node, "name")
		if attribute(node, "aria-describedby") != "failure" || attribute(node, "aria-invalid") != "true" {
			t.Errorf("%s is not joined with the error", name)
		}
		if value := attribute(node, "value"); (name == pages.FieldPassword) != (value == "") {
			t.Errorf("%s holds %q", name, value)
		}
	}
}

// Pages say what is asked for: each scope that users can have in words, for how long, and where
// the answer goes.
func TestWords(t *testing.T) {
	t.Parallel()
	site, client := pages.Site{}, pages.Client{Name: "App", ID: "app"}
	consent := func(lifetime, renewal time.Duration, uri string, scopes ...string) string {
		client := client
		client.RedirectURI = uri
		return render(t, pages.ConsentPage(pages.Consent{Site: site, Client: client, Scopes: scopes, Lifetime: lifetime, Renewal: renewal}))
	}
	for name, test := range map[string]struct{ source, want string }{
		"a second":       {consent(time.Second, 0, ""), "1 second. The app can't renew it"},
		"minutes":        {consent(10*time.Minute, 12*time.Hour, ""), "10 minutes at a time. The app can renew it for up to 12 hours without"},
		"odd":            {consent(90*time.Minute+5*time.Second, 0, ""), "1 hour 30 minutes. "},
		"gap":            {consent(24*time.Hour+5*time.Second, 0, ""), "1 day. "},
		"nothing":        {consent(time.Millisecond, 0, ""), "less than a second. "},
		"private-use":    {consent(0, 0, "com.harbourbank.mobile:/x"), "the app on this device that opens com.harbourbank.mobile links<"},
		"loopback":       {consent(0, 0, "http://127.0.0.1:5000/callback"), "a program on this device, at 127.0.0.1:5000<"},
		"loopback, IPv6": {consent(0, 0, "http://[::1]:5000/callback"), "a program on this device, at [::1]:5000<"},
		"website":        {consent(0, 0, "https://shop.example:444/x"), "the website shop.example:444<"},
		"confusing host": {consent(0, 0, "https://localhost@shop.example/"), "the website shop.example<"},
		"no address":     {consent(0, 0, "%"), "an address that nobody can read"},
		"unknown scope":  {consent(0, 0, "", "ships:sink"), "<code>ships:sink</code>"},
		"throttled":      {render(t, pages.SignInPage(pages.SignIn{Failed: pages.Throttled(61 * time.Second)})), "Wait 1 minute 1 second and"},
		"no wait":        {render(t, pages.SignInPage(pages.SignIn{Failed: pages.Throttled(-time.Second)})), "Wait 1 second and"},
	} {
		if !strings.Contains(test.source, test.want) {
			t.Errorf("%s: the page does not say %q:\n%s", name, test.want, test.source)
		}
	}
	customer, clerk := users.User{}, users.User{Staff: true}
	for _, scope := range clients.Scopes() {
		if (customer.May(scope) || clerk.May(scope)) && strings.Contains(consent(0, 0, "", scope), "has no words") {
			t.Errorf("there are no words for %s", scope)
		}
	}
}

func TestContentSecurityPolicy(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"":                                    "'self'",
		"com.harbourbank.mobile:/signed-in":   "'self' com.harbourbank.mobile:",
		"http://127.0.0.1:5000/callback":      "'self' http://127.0.0.1:5000",
		"http://[::1]:5000/callback":          "'self' http:",
		"https://shop.example/back?x=1":       "'self' https://shop.example",
		"https://localhost@shop.example/":     "'self' https://shop.example",
		"https://a.example;script-src */":     "'self'",
		"https://a.example, b.example/":       "'self'",
		"https://*.example/":                  "'self'",
		"javascript:alert(1)":                 "'self'",
		"data:text/html,x":                    "'self'",
		"myapp:/back":                         "'self'",
		"com.example.app;:/x":                 "'self'",
		"//shop.example/":                     "'self'",
		"com.example.app:/; script-src * 'x'": "'self' com.example.app:",
	} {
		policy := pages.ContentSecurityPolicy(uri)
		if want := "default-src 'none'; style-src 'self'; img-src 'self'; form-action " + want + "; frame-ancestors 'none'; base-uri 'none'"; policy != want {
			t.Errorf("the policy for %q is\n%s\nand not\n%s", uri, policy, want)
		}
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	loaded := 0
	for _, node := range elements(t, render(t, all(friendly)["done"])) {
		if node.DataAtom != atom.Link {
			continue
		}
		loaded++
		address := attribute(node, "href")
		for path, want := range map[string]string{address: "public, max-age=31536000, immutable", strings.Split(address, "?")[0]: "no-cache"} {
			answer := httptest.NewRecorder()
			pages.Assets().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
			if answer.Code != http.StatusOK || answer.Body.Len() == 0 || answer.Header().Get("Cache-Control") != want {
				t.Errorf("%s: %d, %d bytes, %q", path, answer.Code, answer.Body.Len(), answer.Header().Get("Cache-Control"))
			}
		}
	}
	if loaded != 2 {
		t.Errorf("a page loads %d files", loaded)
	}
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/assets/", http.StatusNotFound},
		{http.MethodGet, "/assets/../site.go", http.StatusNotFound},
		{http.MethodPost, "/assets/style.css", http.StatusMethodNotAllowed},
	} {
		answer := httptest.NewRecorder()
		pages.Assets().ServeHTTP(answer, httptest.NewRequest(test.method, test.path, nil))
		if answer.Code != test.want {
			t.Errorf("%s %s: %d", test.method, test.path, answer.Code)
		}
	}
}
