package phone_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/phone"
	"keyladder/mobileclient/release"
)

// pageApp is an app that has its user sign in on a page.
type pageApp struct {
	system *sdk.System
	page   string
	user   string
}

func newPageApp(system *sdk.System) (sdk.Handler, error) {
	self, err := sdk.Package()
	if err != nil {
		return nil, err
	}
	_, assets, err := release.Assets(self)
	return &pageApp{system: system, page: string(assets["page"])}, err
}

func (a *pageApp) Open(context.Context, string) error { return nil }

func (a *pageApp) Tap(_ context.Context, tap sdk.Tap) (sdk.Screen, error) {
	shown := sdk.Screen{OK: true, SignIn: sdk.InPage, User: a.user, SignedIn: a.user != "", Body: []byte(`{"accounts":[]}`)}
	switch {
	case tap.Password != "" || tap.User != "":
		return sdk.Screen{Error: "this app was told a password: " + tap.Password}, nil
	case tap.What == sdk.SignIn:
		return shown, a.system.OpenURL(a.page)
	}
	return shown, nil
}

func (a *pageApp) OpenURL(_ context.Context, rawURL string) error {
	u, err := url.Parse(rawURL)
	if err == nil {
		a.user = u.Query().Get("for")
	}
	return err
}

// hostile is a page that tries to be more than a page.
const hostile = `<!doctype html><title>Bank</title><base href="https://mallory.test/">
	<script>alert(1)</script><p onclick="alert(2)">Hello <b>you</b></p><p>&lt;img src=x onerror=alert(3)&gt;</p>
	<img src="https://mallory.test/pixel" onerror="alert(4)"><iframe src="/frame"></iframe>
	<style>body{display:none}</style><link rel=stylesheet href="https://mallory.test/s.css">
	<meta http-equiv=refresh content="0;url=https://mallory.test/">
	<form method=post action="/sign-in?step=1" id=screen>
	<input type=hidden name=page value="99"><input type=hidden name=csrf value='c"1'>
	<label for=u>Name"><script>alert(5)</script></label><input id=u name=user onfocus=alert(6) autofocus>
	<label>Password <input type=password name=password value=preset></label>
	<input type=radio name=size value=s><input type=radio name=size value=l checked aria-label=Large>
	<input type=checkbox name=stay value=yes checked aria-label=Stay>
	<select name=lang aria-label=Language><option value=de>Deutsch<option value=en selected>English</select>
	<button name=answer value=yes>Allow</button><button name=answer value=no formaction="https://mallory.test/">Deny</button></form>
	<a href="javascript:alert(7)">Go on</a><a href="/help">Help</a>`

// pages serves the hostile page, and takes what is filled in on it.
func pages(t *testing.T, sent *url.Values) *httptest.Server {
	t.Helper()
	var mux http.ServeMux
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, hostile)
	})
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		*sent = r.PostForm
		w.Header().Set("Location", "com.example.page:/done?for="+r.PostForm.Get("user"))
		w.WriteHeader(http.StatusSeeOther)
	})
	mux.HandleFunc("GET /help", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "There is no help.") })
	server := httptest.NewServer(&mux)
	t.Cleanup(server.Close)
	return server
}

// newPageHand is a phone on which the app at the bank's place has its user sign in on a page.
func newPageHand(t *testing.T, page string) *hand {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.pkg")
	manifest := release.Manifest{Name: phone.AppName, Label: "Page", Release: 1, Schemes: []string{"com.example.page"}}
	if err := release.Pack(path, self, manifest, map[string][]byte{"page": []byte(page)}, stranger(t)); err != nil {
		t.Fatal(err)
	}
	pkg, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h := newHand(t)
	h.submit(t, "/settings/sideloading", url.Values{"allowed": {"yes"}})
	h.submit(t, "/settings/uninstall", url.Values{"name": {phone.AppName}})
	_, shown := h.upload(t, pkg)
	wants(t, "install", shown, "Page is installed")
	return h
}

// A human signs in on the page that the app has opened: by hand, with what the phone's
// screen shows of it.
func TestSignInOnAPage(t *testing.T) {
	t.Parallel()
	var sent url.Values
	server := pages(t, &sent)
	h := newPageHand(t, server.URL+"/authorize")
	_, page := h.see(t, "/")
	wants(t, "the app's screen", page, "does not ask for your password", `action="/sign-in"`)
	if strings.Contains(page, `type="password"`) {
		t.Error("the app's screen has a field for the password")
	}
	_, page = h.submit(t, "/sign-in", nil)
	wants(t, "the page", page, `value="`+server.URL+`/authorize"`, ">Bank<", "Hello you", "Allow", "Large")
	_, page = h.see(t, "/browser?fill=alice")
	wants(t, "filled in", page, `value="alice"`, `type="password" value="alice-`)
	form := fields(t, page, "/browser/submit")
	form.Set("button", "0")
	_, page = h.submit(t, "/browser/submit", form)
	wants(t, "signed in", page, "led back to the app", "Signed in as ", "alice")
	if want := `answer=yes&csrf=c%221&lang=en&page=99&password=` + sent.Get("password") + `&size=l&stay=yes&user=alice`; sent.Encode() != want || !strings.HasPrefix(sent.Get("password"), "alice-") {
		t.Errorf("the page was sent %q; want %q", sent.Encode(), want)
	}
	if _, page = h.submit(t, "/browser/submit", form); !strings.Contains(page, "has changed meanwhile") {
		t.Error("a form of a page that is gone is sent")
	}
}

// Nothing of a page's HTML gets into the phone's screen: no element, no attribute, no name
// and no address of its own.
func TestHostilePage(t *testing.T) {
	t.Parallel()
	var sent url.Values
	server := pages(t, &sent)
	h := newHand(t)
	_, page := h.see(t, "/browser")
	wants(t, "before the first page", page, "No page is open")
	_, page = h.submit(t, "/browser/open", url.Values{"address": {server.URL + "/authorize"}})
	wants(t, "the page", page, "Hello you", "&lt;img src=x onerror=alert(3)&gt;", "Go on", "javascript:alert(7)")
	for _, bad := range []string{"<script", "<iframe", "<img", "<style", "<base", "http-equiv", `name="csrf"`, `name="user"`, `name="password"`, "preset", "c&#34;1"} {
		if strings.Contains(page, bad) {
			t.Errorf("%s got through", bad)
		}
	}
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for node := range root.Descendants() {
		for _, a := range node.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "autofocus", a.Key == "style", a.Key == "formaction":
				t.Errorf("<%s %s=%q>", node.Data, a.Key, a.Val)
			case a.Key == "href" || a.Key == "src" || a.Key == "action":
				if !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") && !strings.HasPrefix(a.Val, "http://localhost:8000") {
					t.Errorf("<%s> leads to %q", node.Data, a.Val)
				}
			case a.Key == "id" && ids[a.Val]:
				t.Errorf("the id %q stands there twice", a.Val)
			case a.Key == "id":
				ids[a.Val] = true
			}
		}
	}
	number := regexp.MustCompile(`name="page" value="(\d+)"`).FindStringSubmatch(page)
	if number == nil {
		t.Fatal("no form for links")
	}
	_, page = h.submit(t, "/browser/follow", url.Values{"page": number[1:], "link": {"0"}})
	wants(t, "a script as a link", page, "can&#39;t be shown", "no app on this phone opens such links")
	_, page = h.submit(t, "/browser/follow", url.Values{"page": number[1:], "link": {"1"}})
	wants(t, "a link", page, "There is no help.")
	for _, values := range []url.Values{{"page": number[1:], "link": {"0"}}, {"link": {"7"}}, {}} {
		_, page = h.submit(t, "/browser/follow", values)
		wants(t, "a link of another page", page, "has changed meanwhile")
	}
}

// fields are those of a form as a browser would send them.
func fields(t *testing.T, page, action string) url.Values {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	get := func(n *html.Node, name string) (string, bool) {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val, true
			}
		}
		return "", false
	}
	for form := range root.Descendants() {
		if path, _ := get(form, "action"); form.Data != "form" || path != action {
			continue
		}
		values := url.Values{}
		for n := range form.Descendants() {
			name, _ := get(n, "name")
			value, _ := get(n, "value")
			kind, _ := get(n, "type")
			_, checked := get(n, "checked")
			switch {
			case n.Data == "input" && (kind != "checkbox" && kind != "radio" || checked):
				values.Add(name, value)
			case n.Data == "option":
				if _, selected := get(n, "selected"); selected {
					name, _ = get(n.Parent, "name")
					values.Add(name, value)
				}
			}
		}
		return values
	}
	t.Fatalf("no form that goes to %s:\n%s", action, page)
	return nil
}
