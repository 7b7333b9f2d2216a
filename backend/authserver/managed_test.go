package authserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	"keyladder/backend/authserver"
	"keyladder/backend/authserver/pages"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
)

// managed is a world with its admin.
type managed struct {
	*world
	url   string // of the stage's issuer
	admin *manage.Client
	lines *lines // of the server's log
}

// lines collects what is logged.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

// startManaged starts an authorization server that an admin manages.
func startManaged(t *testing.T) *managed {
	t.Helper()
	w := &managed{world: deploy(t, nil), lines: &lines{}}
	w.url = w.issuer(refresh)
	config := w.config(t)
	config.Logger = slog.New(slog.NewTextHandler(w.lines, nil))
	server := testenv.Must[*authserver.Server](t)(authserver.New(config))
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, w.listen) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-served, server.Close()); err != nil {
			t.Error(err)
		}
	})
	w.admin = testenv.Must[*manage.Client](t)(manage.NewClient(w.folder(t, deployment.Admin), deployment.Auth))
	return w
}

// userAgent is a user's, and follows no redirects.
func (w *managed) userAgent(t *testing.T) *http.Client {
	t.Helper()
	jar := testenv.Must[http.CookieJar](t)(cookiejar.New(nil))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

var interactionField = regexp.MustCompile(`name="interaction" value="([^"]+)"`)

// beginSignIn has a user sign in for the app; allow says yes and returns the code.
func (w *managed) beginSignIn(t *testing.T, user string) (allow func() (code string)) {
	t.Helper()
	b := w.userAgent(t)
	read := func(resp *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return string(testenv.Must[[]byte](t)(io.ReadAll(resp.Body)))
	}
	field := func(page string) string {
		t.Helper()
		found := interactionField.FindStringSubmatch(page)
		if found == nil {
			t.Fatalf("no form: %s", page)
		}
		return found[1]
	}
	page := read(b.Get(w.url + "/authorize?" + url.Values{"response_type": {"code"}, "client_id": {web}, "redirect_uri": {webURI}, "state": {"s"}}.Encode()))
	resp := testenv.Must[*http.Response](t)(b.PostForm(w.url+"/sign-in", url.Values{"interaction": {field(page)}, pages.FieldName: {user}, pages.FieldPassword: {password}}))
	read(resp, nil)
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign in: %s", resp.Status)
	}
	next := testenv.Must[*url.URL](t)(resp.Location())
	if next.Host == "web.example" { // it was allowed before
		return func() string { return next.Query().Get("code") }
	}
	id := field(read(b.Get(next.String())))
	return func() string {
		t.Helper()
		resp := testenv.Must[*http.Response](t)(b.PostForm(w.url+"/consent", url.Values{"interaction": {id}, pages.FieldDecision: {pages.Allow}}))
		read(resp, nil)
		if resp.StatusCode != http.StatusSeeOther {
			return ""
		}
		return testenv.Must[*url.URL](t)(resp.Location()).Query().Get("code")
	}
}

// grantedTo is an answer of the token endpoint.
type grantedTo struct {
	Status  int    `json:"-"`
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
	Active  bool   `json:"active"`
}

// post sends a form to an endpoint, with the client's secret.
func (w *managed) post(t *testing.T, endpoint, secret string, form url.Values) (got grantedTo) {
	t.Helper()
	req := testenv.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+endpoint, bytes.NewBufferString(form.Encode())))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(web, url.QueryEscape(secret))
	resp := testenv.Must[*http.Response](t)(w.userAgent(t).Do(req))
	defer resp.Body.Close()
	got.Status = resp.StatusCode
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return got
}

func (w *managed) redeem(t *testing.T, code string) grantedTo {
	t.Helper()
	return w.post(t, "/token", secrets[web], url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {webURI}})
}

func (w *managed) refresh(t *testing.T, token string) grantedTo {
	t.Helper()
	return w.post(t, "/token", secrets[web], url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// active says whether the introspection endpoint calls a token active.
func (w *managed) active(t *testing.T, token string) bool {
	t.Helper()
	return w.post(t, "/introspect", secrets[web], url.Values{"token": {token}}).Active
}

// signedIn are the tokens of a user who has signed in and allowed it.
func (w *managed) signedIn(t *testing.T, user string) grantedTo {
	t.Helper()
	got := w.redeem(t, w.beginSignIn(t, user)())
	if got.Status != http.StatusOK || got.Access == "" || got.Refresh == "" {
		t.Fatalf("%+v", got)
	}
	return got
}
