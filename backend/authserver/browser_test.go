package authserver_test

import (
	"crypto/tls"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"keyladder/internal/testenv"
)

// browser is somebody's: it keeps cookies, sends forms as browsers do, and follows redirects that
// stay at the server.
type browser struct {
	t    testing.TB
	w    *world
	http *http.Client
}

// shown is an answer.
type shown struct {
	*http.Response
	body string
}

func (w *world) browser(t testing.TB) *browser {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots}, MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, w, &http.Client{
		Transport: transport, Jar: testenv.Must[*cookiejar.Jar](t)(cookiejar.New(nil)),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (b *browser) do(r *http.Request) shown {
	b.t.Helper()
	response := testenv.Must[*http.Response](b.t)(b.http.Do(r))
	defer response.Body.Close()
	return shown{response, string(testenv.Must[[]byte](b.t)(io.ReadAll(response.Body)))}
}

func (b *browser) get(path string) shown {
	b.t.Helper()
	return b.do(testenv.Must[*http.Request](b.t)(http.NewRequest(http.MethodGet, b.w.base+path, nil)))
}

// authorize sends a browser to the authorization endpoint.
func (b *browser) authorize(stage string, query url.Values) shown {
	b.t.Helper()
	return b.get("/" + stage + "/authorize?" + query.Encode())
}

// ask is what a client asks for.
func ask(stage, client string) url.Values {
	kind := "code"
	if stage == implicit {
		kind = "token"
	}
	return url.Values{"response_type": {kind}, "client_id": {client}, "redirect_uri": {uriOf[client]}, "state": {"xyz"}, "scope": {strings.Join(all, " ")}}
}

var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	hiddenID   = regexp.MustCompile(`name="interaction" value="([^"]*)"`)
	consentID  = regexp.MustCompile(`name="consent" value="([^"]*)"`)
)

// form is the first form of a page: where it goes, and what is in it.
func (s shown) form(t testing.TB) (path string, values url.Values) {
	t.Helper()
	action, id := formAction.FindStringSubmatch(s.body), hiddenID.FindStringSubmatch(s.body)
	if s.StatusCode != http.StatusOK || action == nil || id == nil {
		t.Fatalf("%s shows no form: %s\n%s", s.Request.URL, s.Status, s.body)
	}
	return html.UnescapeString(action[1]), url.Values{"interaction": {html.UnescapeString(id[1])}}
}

// post sends a form as a browser does that was shown it by the server.
func (b *browser) post(path string, values url.Values) shown {
	b.t.Helper()
	return b.do(b.posted(path, values))
}

func (b *browser) posted(path string, values url.Values) *http.Request {
	r := testenv.Must[*http.Request](b.t)(http.NewRequest(http.MethodPost, b.w.base+path, strings.NewReader(values.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// press sends the first form of a page with more fields, name after value.
func (b *browser) press(page shown, fields ...string) shown {
	b.t.Helper()
	path, values := page.form(b.t)
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return b.post(path, values)
}

// follow opens where a redirect within the server leads.
func (b *browser) follow(page shown) shown {
	b.t.Helper()
	to := page.Header.Get("Location")
	if page.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/") {
		b.t.Fatalf("%s leads to %q: %s\n%s", page.Request.URL, to, page.Status, page.body)
	}
	return b.get(to)
}

// signIn signs a user in on the page that asks for that.
func (b *browser) signIn(page shown, user string) shown {
	b.t.Helper()
	return b.press(page, "username", user, "password", password)
}

// allow goes all the way: the user signs in, and allows what is asked for where that is asked.
func (b *browser) allow(stage, user string, query url.Values) shown {
	b.t.Helper()
	page := b.signIn(b.authorize(stage, query), user)
	if strings.HasPrefix(page.Header.Get("Location"), "/"+stage+"/consent?") {
		page = b.press(b.follow(page), "decision", "allow")
	}
	return page
}

// answer is what a redirect to a client says.
func (s shown) answer(t testing.TB) url.Values {
	t.Helper()
	to := testenv.Must[*url.URL](t)(url.Parse(s.Header.Get("Location")))
	if s.StatusCode != http.StatusSeeOther || to.Scheme == "" {
		t.Fatalf("%s leads to no client: %s\n%s", s.Request.URL, s.Status, s.body)
	}
	query := to.RawQuery
	if to.Fragment != "" {
		query = to.EscapedFragment()
	}
	return testenv.Must[url.Values](t)(url.ParseQuery(query))
}

// code has a user allow a client everything, and is the code that comes of it.
func (w *world) code(t testing.TB, stage, user, client string) string {
	t.Helper()
	answer := w.browser(t).allow(stage, user, ask(stage, client)).answer(t)
	if answer.Get("code") == "" {
		t.Fatalf("no code: %v", answer)
	}
	return answer.Get("code")
}
