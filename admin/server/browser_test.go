package server

import (
	"flag"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What the package access decides, as it is seen from outside.
const (
	sessionCookie = "keyladder-admin"
	idleTime      = 2 * time.Hour
	absoluteTime  = 12 * time.Hour
)

var update = flag.Bool("update", false, "write the golden files anew")

// browser is a browser without JavaScript.
type browser struct {
	t      *testing.T
	server *httptest.Server
	client *http.Client
	latest string // form token
}

// reply is a page as it arrived.
type reply struct {
	*http.Response
	Body string
}

func newBrowser(t *testing.T, set *setting) *browser {
	t.Helper()
	server := httptest.NewServer(set.Handler())
	t.Cleanup(server.Close)
	return fresh(t, server)
}

// fresh is another browser at the same server.
func fresh(t *testing.T, server *httptest.Server) *browser {
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &browser{t: t, server: server, client: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (b *browser) do(req *http.Request) reply {
	b.t.Helper()
	resp, err := b.client.Do(req)
	must(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(b.t, err)
	return reply{resp, string(body)}
}

func (b *browser) get(path string) reply {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, b.server.URL+path, nil)
	must(b.t, err)
	return b.do(req)
}

func (b *browser) send(path string, form url.Values) reply {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodPost, b.server.URL+path, strings.NewReader(form.Encode()))
	must(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}

var tokenField = regexp.MustCompile(`name="csrf" value="([0-9a-f]{64})"`)

// token is the form token of a page.
func (b *browser) token(page string) string {
	b.t.Helper()
	found := tokenField.FindStringSubmatch(b.get(page).Body)
	if found == nil {
		b.t.Fatalf("there is no form token on %s", page)
	}
	b.latest = found[1]
	return found[1]
}

// post sends a form as its page would.
func (b *browser) post(path string, fields ...string) reply {
	b.t.Helper()
	form := url.Values{"csrf": {b.token("/reset")}}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return b.send(path, form)
}

var (
	question    = regexp.MustCompile(`(?s)data-question.*?<form[^>]* action="([^"]+)".*?</form>`)
	hiddenField = regexp.MustCompile(`type="hidden" name="([^"]+)" value="([^"]*)"`)
)

// sure opens a page that asks, and answers that it is to be done.
func (b *browser) sure(path string) reply {
	b.t.Helper()
	page := b.get(path)
	page.want(b.t, http.StatusOK)
	form := question.FindStringSubmatch(page.Body)
	if form == nil {
		b.t.Fatalf("%s asks nothing", path)
	}
	fields := url.Values{}
	for _, field := range hiddenField.FindAllStringSubmatch(form[0], -1) {
		fields.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	return b.send(html.UnescapeString(form[1]), fields)
}

func (b *browser) trySignIn(password string) reply {
	b.t.Helper()
	return b.send("/sign-in", url.Values{"csrf": {b.token("/sign-in")}, "password": {password}, "next": {"/stages"}})
}

func (b *browser) signIn() *browser {
	b.t.Helper()
	if r := b.trySignIn(testPassword); r.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("signing in: status %d", r.StatusCode)
	}
	return b
}

func (b *browser) cookie(name string) string {
	home, err := url.Parse(b.server.URL)
	must(b.t, err)
	for _, c := range b.client.Jar.Cookies(home) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (b *browser) keep(name, value string) {
	home, err := url.Parse(b.server.URL)
	must(b.t, err)
	b.client.Jar.SetCookies(home, []*http.Cookie{{Name: name, Value: value}})
}

func (r reply) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	if r.StatusCode != status {
		t.Errorf("%s %s: status %d, want %d", r.Request.Method, r.Request.URL.Path, r.StatusCode, status)
	}
	for _, text := range texts {
		if !strings.Contains(r.Body, text) {
			t.Errorf("%s %s does not say %q", r.Request.Method, r.Request.URL.Path, text)
		}
	}
}

// What differs from run to run.
var changing = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`name="csrf" value="[0-9a-f]{64}"`), `name="csrf" value="TOKEN"`},
	{regexp.MustCompile(`\?v=[0-9a-f]{12}`), `?v=VERSION`},
	{regexp.MustCompile(`data-message="\d+"`), `data-message="ID"`},
	{regexp.MustCompile(`"/traffic/\d+"`), `"/traffic/ID"`},
	{regexp.MustCompile(`admin · [0-9a-f]{8}`), `admin · SESSION`},
}

// golden compares a page with testdata/name.html.
func golden(t *testing.T, name, page string) {
	t.Helper()
	for _, c := range changing {
		page = c.what.ReplaceAllString(page, c.with)
	}
	page = strings.ReplaceAll(page, "><", ">\n<") + "\n" // one line an element, so that differences can be read
	file := filepath.Join("testdata", name+".html")
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(file, []byte(page), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(page, "\n")); diff != "" {
		t.Errorf("%s differs (go test ./admin/server -update accepts it):\n%s", file, diff)
	}
}
