package phone_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/phone"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

// bank is one running bank for all tests; each test has a phone of its own.
var bank *lab.Lab

// TestMain is two programs: the tests, and, packed into a package, an app.
func TestMain(m *testing.M) {
	self, err := sdk.Package()
	if err != nil {
		panic(err)
	}
	if _, _, err := release.Assets(self); err == nil {
		if err := sdk.Run(newPageApp); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	time.Local = time.FixedZone("elsewhere", 11*60*60) // times are shown in UTC wherever this runs
	var err error
	if bank, err = lab.Start(context.Background(), lab.Options{Phones: true, Settings: testbank.ManyCalls()}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := bank.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := lab.Cleanup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// hand is somebody with a phone in their hand.
type hand struct {
	*phone.Phone
	folder *deployment.Folder
	screen *httptest.Server
	client *http.Client

	management string // address of the management API; empty: nobody serves it yet
}

func newHand(t *testing.T) *hand {
	t.Helper()
	return newHandAt(t, bank)
}

// newHandAt is somebody with a phone whose apps call another bank.
func newHandAt(t *testing.T, bank *lab.Lab) *hand {
	t.Helper()
	// A copy of the phone's folder, so that tests do not share a phone.
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "phone"), os.DirFS(filepath.Join(bank.Dir, "phone"))); err != nil {
		t.Fatal(err)
	}
	folder, err := deployment.Open(dir, deployment.Phone)
	if err != nil {
		t.Fatal(err)
	}
	h := &hand{folder: folder}
	h.on(t, "")
	t.Cleanup(func() { h.off(t) })
	return h
}

func (h *hand) on(t *testing.T, stage string) {
	t.Helper()
	var err error
	h.Phone, err = phone.New(phone.Config{
		Folder: h.folder, Stages: catalog.All().Unbuilt(unbuilt), Log: traffic.New("phone", 1000), Stage: stage,
		AdminURL: "http://localhost:8000",
	})
	if err != nil {
		t.Fatal(err)
	}
	h.screen = httptest.NewServer(h.Handler())
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	h.client = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	h.see(t, h.link())
	h.client.CheckRedirect = nil
}

func (h *hand) off(t *testing.T) {
	t.Helper()
	h.screen.Close()
	if err := h.Off(); err != nil {
		t.Error(err)
	}
}

// see loads a page, and submit a form; both follow redirects.
func (h *hand) see(t *testing.T, path string) (int, string) {
	t.Helper()
	return h.send(t, http.MethodGet, path, "", nil)
}

func (h *hand) submit(t *testing.T, path string, fields url.Values) (int, string) {
	t.Helper()
	return h.send(t, http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(fields.Encode()))
}

func (h *hand) send(t *testing.T, method, path, media string, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.screen.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := h.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(page)
}

// unbuilt is a stage that can't be used yet at the phones of these tests.
const unbuilt = "pkce-plain"

// signIn fills in what a person knows, and sends it.
func (h *hand) signIn(t *testing.T, user string) string {
	t.Helper()
	_, page := h.see(t, "/?fill="+user)
	if strings.Contains(page, "does not ask for your password") {
		return h.signInOnPages(t, user)
	}
	wants(t, "fill in "+user, page, `name="user" value="`+user+`"`)
	_, password, _ := strings.Cut(page, `type="password" value="`)
	password, _, _ = strings.Cut(password, `"`)
	if password == "" {
		t.Fatal("no password was filled in")
	}
	_, page = h.submit(t, "/sign-in", url.Values{"user": {user}, "password": {password}, "stay": {"yes"}})
	wants(t, "sign in", page, "Signed in as "+user, "in the app&#39;s ")
	return page
}

// signInOnPages signs in on the pages that the app has opened in the phone's browser, and allows
// what they ask for.
func (h *hand) signInOnPages(t *testing.T, user string) string {
	t.Helper()
	_, page := h.submit(t, "/sign-in", nil)
	for range 5 {
		if strings.Contains(page, "The page led back to the app") {
			wants(t, "signed in", page, "Signed in as </span>"+user)
			return page
		}
		_, page = h.see(t, "/browser?fill="+user)
		form := fields(t, page, "/browser/submit")
		form.Set("button", "0")
		_, page = h.submit(t, "/browser/submit", form)
	}
	t.Fatalf("the pages lead nowhere: %s", page)
	return ""
}

func wants(t *testing.T, what, page string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(page, part) {
			t.Errorf("%s: no %q on the page:\n%s", what, part, page)
		}
	}
}

// managed is the phone's management API as a role sees it. The phone begins to serve it
// with the first call.
func (h *hand) managed(t *testing.T, role deployment.Role) *manage.Client {
	t.Helper()
	if h.management == "" {
		listeners := phone.Listeners{Screen: listen(t), Manage: listen(t)}
		h.management = "https://" + listeners.Manage.Addr().String()
		ctx, stop := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- h.Serve(ctx, listeners) }()
		t.Cleanup(func() {
			stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
	folder, err := deployment.Open(bank.Dir, role)
	if err != nil {
		t.Fatal(err)
	}
	folder.Addresses.Public = map[deployment.ServiceName]string{deployment.Manage(deployment.Phone): h.management}
	client, err := manage.NewClient(folder, deployment.Phone)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
