package phone_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"html"
	"io"
	"math"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/problem"
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
		Folder: h.folder, Stages: catalog.All(), Log: traffic.New("phone", 1000), Stage: stage,
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

// unbuilt is a stage that can't be used yet.
func unbuilt() string {
	for _, stage := range catalog.All() {
		if !stage.Built {
			return stage.Slug
		}
	}
	panic("all stages are built: these tests can go")
}

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

func TestScreenAtEveryStage(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	for _, stage := range catalog.All().Built() {
		_, page := h.submit(t, "/stage", url.Values{"stage": {stage.Slug}})
		others := "HB-2001 · bob" // that the app is shown
		if stage.Call.UserProof != catalog.NoUser {
			page = h.signIn(t, "alice")
			others = "HB-1002 · alice"
		}
		wants(t, stage.Slug, page, `href="http://localhost:8000/stages/`+stage.Slug+`"`, `value="`+stage.Slug+`" selected`, html.EscapeString(stage.Adds), "HB-1001", others, "/"+stage.Slug+"/v1/accounts")
		_, page = h.see(t, "/rates")
		wants(t, "rates", page, "CHF", "/"+stage.Slug+"/v1/rates")
		reference := "from the screen at " + stage.Slug + " " + rand.Text()
		_, page = h.submit(t, "/pay", url.Values{"from": {"HB-1001"}, "to": {"HB-2001"}, "amount": {"12,34"}, "reference": {reference}})
		wants(t, "pay", page, "Transfer booked", "12.34 EUR went from HB-1001 to HB-2001", reference, "\u221212.34")
		if stage.API.Authorization != catalog.AppScopes {
			_, page = h.see(t, "/accounts/HB-2001")
			wants(t, "bob's transfers", page, "The bank refused")
		} else {
			_, page = h.see(t, "/accounts/HB-2001")
			wants(t, "transfers", page, reference, "+12.34")
		}
		if strings.Contains(page, "Transfer booked") {
			t.Error("a notice is shown twice")
		}
	}
	if _, page := h.submit(t, "/stage", url.Values{"stage": {unbuilt()}}); !strings.Contains(page, "not built yet: those that are") {
		t.Error("a stage that is not built was accepted")
	}
	if _, page := h.see(t, "/"); !strings.Contains(page, `value="`+unbuilt()+`" disabled`) {
		t.Error("a stage that is not built can be chosen")
	}
}

func TestPayRefusals(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	for _, test := range []struct {
		name, to, amount string
		status           int
		want             []string
	}{
		{"not an amount", "HB-2001", "1,000.00", http.StatusUnprocessableEntity, []string{`aria-invalid="true"`, "like 12.34", `value="1,000.00"`}},
		{"above what the app does", "HB-2001", "1000.01", http.StatusOK, []string{"The app refused", "transfer-cap", "at most 1,000.00 EUR"}},
		{"unknown payee", "HB-0000", "1", http.StatusOK, []string{"The bank refused", `value="HB-0000"`}},
		{"nothing", "HB-2001", "0", http.StatusOK, []string{"The bank refused"}},
		{"markup", `"><script>alert(1)</script>`, "1", http.StatusOK, []string{"The bank refused", "&#34;&gt;&lt;script&gt;"}},
	} {
		status, page := h.submit(t, "/pay", url.Values{"from": {"HB-1001"}, "to": {test.to}, "amount": {test.amount}})
		if status != test.status {
			t.Errorf("%s: status %d", test.name, status)
		}
		wants(t, test.name, page, test.want...)
		if strings.Contains(page, "<script>") {
			t.Errorf("%s: a script on the page", test.name)
		}
	}
	if _, page := h.see(t, "/accounts/HB-0000"); !strings.Contains(page, "The bank refused") {
		t.Error("an unknown account is shown")
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.submit(t, "/stage", url.Values{"stage": {"tls"}})

	status, page := h.submit(t, "/settings/network", url.Values{"use": {"yes"}, "proxy": {"localhost:8081"}})
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong proxy: %d", status)
	}
	wants(t, "a wrong proxy", page, "That was not changed", "http://host:port", ` checked> Apps use a proxy`, `value="localhost:8081"`, `aria-invalid="true"`)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	proxy := "http://" + closed.Addr().String()
	_, page = h.submit(t, "/settings/network", url.Values{"use": {"yes"}, "proxy": {proxy}})
	wants(t, "a proxy", page, "Apps now use the proxy", "through the proxy "+closed.Addr().String())
	_, page = h.see(t, "/")
	wants(t, "a proxy that is not there", page, "can&#39;t be reached", "Check the phone&#39;s network settings")

	status, page = h.submit(t, "/settings/trust", url.Values{"pem": {"hello </textarea>"}})
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong certificate: %d", status)
	}
	wants(t, "a wrong certificate", page, "This is not a PEM certificate: one starts with -----BEGIN CERTIFICATE-----.",
		`aria-invalid="true"`, ">hello &lt;/textarea&gt;</textarea>")
	if _, page = h.see(t, "/settings?pem=hello"); strings.Contains(page, "hello") {
		t.Error("a link fills in a certificate")
	}
	ca, err := pki.NewCA("Mallory's CA")
	if err != nil {
		t.Fatal(err)
	}
	_, page = h.submit(t, "/settings/trust", url.Values{"pem": {string(ca.Certificate)}})
	wants(t, "trust", page, "trusts this CA", "Mallory&#39;s CA")
	h.submit(t, "/settings/sideloading", url.Values{"allowed": {"yes"}})

	// All that survives that the phone is switched off.
	h.off(t)
	h.on(t, "")
	_, page = h.see(t, "/settings")
	wants(t, "after a restart", page, `value="tls" selected`, "through the proxy", "Mallory&#39;s CA", `name="allowed" value="yes" checked`)

	_, fingerprint, _ := strings.Cut(page, `name="fingerprint" value="`)
	fingerprint, _, _ = strings.Cut(fingerprint, `"`)
	if _, page = h.submit(t, "/settings/distrust", url.Values{"fingerprint": {fingerprint}}); strings.Contains(page, "Mallory") {
		t.Error("it is still trusted")
	}
	_, page = h.submit(t, "/settings/network", url.Values{"proxy": {proxy}})
	wants(t, "no proxy", page, "The proxy is off", "direct connection")
}

func TestPackages(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	genuine, err := os.ReadFile(h.folder.Path(first))
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(genuine)
	changed[len(changed)/2] ^= 1
	status, page := h.upload(t, changed)
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a changed package: %d", status)
	}
	wants(t, "a changed package", page, "signature does not fit")

	repackaged := repackage(t, h.folder.Path(first), stranger(t))
	_, page = h.upload(t, repackaged)
	wants(t, "a stranger's package", page, "allow sideloading")
	h.submit(t, "/settings/sideloading", url.Values{"allowed": {"yes"}})
	_, page = h.upload(t, repackaged)
	wants(t, "a stranger's update", page, "uninstall it first")
	_, page = h.see(t, "/settings")
	wants(t, "before it is uninstalled", page, "<summary>Uninstall", `action="/settings/uninstall"`)
	_, page = h.submit(t, "/settings/uninstall", url.Values{"name": {phone.AppName}})
	wants(t, "uninstalled", page, "are gone", "own app is not on this phone")
	_, page = h.see(t, "/")
	wants(t, "without the app", page, "not on this phone")
	_, page = h.upload(t, repackaged)
	wants(t, "sideloaded", page, "is installed", "sideloaded", "own app is not on this phone")
	_, page = h.see(t, "/")
	wants(t, "the stranger's app", page, "HB-1001")

	h.off(t)
	h.on(t, "")
	_, page = h.see(t, "/settings")
	wants(t, "after a restart", page, "sideloaded")
	_, page = h.submit(t, "/settings/store", nil)
	wants(t, "back to the store's", page, "from the store")
	if strings.Contains(page, `class="tag bad"`) {
		t.Error("the stranger's app is still there")
	}
}

func (h *hand) upload(t *testing.T, pkg []byte) (int, string) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("package", "app.pkg")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(pkg); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return h.send(t, http.MethodPost, "/settings/install", form.FormDataContentType(), &body)
}

// first is the package of the first release of the customers' app.
const first = "harbour-bank-1.pkg"

// repackage signs a package anew.
func repackage(t *testing.T, path string, key ed25519.PrivateKey) []byte {
	t.Helper()
	code, manifest, assets, err := release.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	assets["whatsnew.txt"] = []byte("Small improvements.")
	dir := t.TempDir()
	program, pkg := filepath.Join(dir, "program"), filepath.Join(dir, "app.pkg")
	if err := os.WriteFile(program, code, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := release.Pack(pkg, program, manifest, assets, key); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(pkg)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func stranger(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// developer is the bank's own key, which is kept offline.
func developer(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(bank.Dir, "offline", "developer-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(ed25519.PrivateKey)
}

func TestSession(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	_, page := h.submit(t, "/stage", url.Values{"stage": {"user-session"}})
	wants(t, "at first", page, "<h1>Sign in</h1>", `href="/?fill=alice"`, `href="/?fill=carol"`)
	if strings.Contains(page, "Sign out") {
		t.Error("nobody can sign out")
	}
	for _, path := range []string{"/pay", "/accounts/HB-1001"} {
		_, page = h.see(t, path)
		wants(t, path, page, "<h1>Sign in</h1>", "Sign in first")
	}
	_, page = h.see(t, "/rates")
	wants(t, "rates", page, "CHF")
	_, page = h.submit(t, "/sign-in", url.Values{"user": {"alice"}, "password": {"a guess"}})
	wants(t, "a wrong password", page, "The bank refused", `value="alice"`)
	if strings.Contains(page, "a guess") {
		t.Error("the password is on the page")
	}

	page = h.signIn(t, "alice")
	wants(t, "alice", page, "HB-1001 · alice", "HB-1002", "Sign out")
	if strings.Contains(page, "HB-2001") {
		t.Error("alice sees bob's account")
	}
	_, page = h.see(t, "/pay")
	wants(t, "pay", page, `name="from" value="HB-1001"`)

	h.off(t)
	h.on(t, "")
	_, page = h.see(t, "/")
	wants(t, "after a restart of the phone", page, "HB-1001 · alice", "Sign out")

	_, page = h.submit(t, "/sign-out", nil)
	wants(t, "sign out", page, "Signed out", "<h1>Sign in</h1>")
	_, password := h.see(t, "/?fill=alice")
	_, password, _ = strings.Cut(password, `type="password" value="`)
	password, _, _ = strings.Cut(password, `"`)
	_, page = h.submit(t, "/sign-in", url.Values{"user": {"alice"}, "password": {password}})
	wants(t, "alice does not want to stay", page, "in the app&#39;s memory alone", "HB-1001 · alice")
	h.off(t)
	h.on(t, "")
	_, page = h.see(t, "/")
	wants(t, "she has to sign in after a restart of the phone", page, "<h1>Sign in</h1>")
	page = h.signIn(t, "bob")
	wants(t, "bob", page, "HB-2001 · bob")
	_, page = h.see(t, "/pay")
	wants(t, "bob pays", page, `name="from" value="HB-2001"`, `name="to" value="HB-1001"`)
}

// TestOwnPages looks at the pages that are the phone's and not the app's: around them is
// what is around the app's.
func TestOwnPages(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.submit(t, "/stage", url.Values{"stage": {"user-session"}})
	h.signIn(t, "alice")
	h.submit(t, "/settings/network", url.Values{"use": {"yes"}, "proxy": {"http://127.0.0.1:1"}})
	for _, test := range []struct {
		name, method, path string
		status             int
		want               []string
	}{
		{"settings", http.MethodGet, "/settings", 200, []string{"<h1>Phone settings</h1>"}},
		{"not an amount", http.MethodPost, "/pay", 422, []string{"<h1>Pay</h1>", "like 12.34"}},
		{"no such page", http.MethodGet, "/nosuch", 404, []string{"<h1>Not possible</h1>", "There is no such page on this phone."}},
		{"a form without a form", http.MethodGet, "/stage", 405, []string{"<h1>Not possible</h1>", "This address only takes forms."}},
	} {
		status, page := h.send(t, test.method, test.path, "application/x-www-form-urlencoded", nil)
		if status != test.status {
			t.Errorf("%s: status %d", test.name, status)
		}
		wants(t, test.name, page, test.want...)
		wants(t, test.name, page, "through the proxy 127.0.0.1:1", "</span>alice</span>", "Sign out", `action="/app"`, "/user-session/v1/session")
	}
	h.submit(t, "/settings/uninstall", url.Values{"name": {phone.AppName}})
	status, page := h.see(t, "/settings")
	if status != http.StatusOK || strings.Contains(page, "Sign out") {
		t.Errorf("without the app: %d, %s", status, page)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	_, page := h.submit(t, "/pay", url.Values{"from": {"HB-1001"}, "to": {"HB-2001"}, "amount": {"1"}})
	wants(t, "paid", page, "times are UTC")
	seen := 0
	for _, part := range strings.Split(page, ` datetime="`)[1:] {
		machine, shown, _ := strings.Cut(part, `">`)
		shown, _, _ = strings.Cut(shown, "</time>")
		at, err := time.Parse(time.RFC3339, machine)
		if err != nil {
			t.Fatal(err)
		}
		if shown != at.Format("2 Jan, 15:04 UTC") && shown != at.Format("15:04:05") {
			t.Errorf("%s is shown as %s", machine, shown)
		}
		seen++
	}
	if seen < 2 {
		t.Errorf("%d times on the page: %s", seen, page)
	}
}

// TestSessionRevoked has the bank end the session.
func TestSessionRevoked(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.submit(t, "/stage", url.Values{"stage": {"user-session"}})
	h.signIn(t, "mallory") // nobody else's in these tests
	if err := bank.Resource.Do(t.Context(), http.MethodPost, "/users/mallory/sessions/revoke", nil, nil); err != nil {
		t.Fatal(err)
	}
	_, page := h.submit(t, "/pay", url.Values{"from": {"HB-3001"}, "to": {"HB-2001"}, "amount": {"1"}})
	wants(t, "revoked", page, "<h1>Sign in</h1>", "your session has ended")
	page = h.signIn(t, "mallory")
	wants(t, "again", page, "HB-3001 · mallory")
}

func TestOpsApp(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	_, page := h.submit(t, "/app", url.Values{"app": {phone.OpsName}})
	wants(t, "at the first stage", page, "Harbour Bank operations</span>", "HB-3001", `action="/accounts/HB-3001/freeze"`)
	_, page = h.submit(t, "/app", url.Values{"app": {"com.example.app"}})
	wants(t, "another app", page, "The app was not changed")

	h.submit(t, "/stage", url.Values{"stage": {"user-session"}})
	_, page = h.submit(t, "/app", url.Values{"app": {phone.OpsName}})
	wants(t, "ops", page, "Harbour Bank operations</span>", "<h1>Sign in</h1>", `value="`+phone.OpsName+`" selected`)
	page = h.signIn(t, "carol")
	wants(t, "carol", page, "HB-3001 · mallory", "All accounts", "works for the bank", `action="/accounts/HB-3001/freeze"`)
	if strings.Contains(page, `href="/pay`) {
		t.Error("the staff's app pays")
	}
	_, page = h.submit(t, "/accounts/HB-9000/freeze", url.Values{"frozen": {"yes"}})
	wants(t, "freeze", page, "HB-9000 is frozen", "Unfreeze")
	_, page = h.submit(t, "/accounts/HB-9000/freeze", url.Values{"frozen": {"no"}})
	wants(t, "unfreeze", page, "no longer frozen")

	h.off(t)
	h.on(t, "")
	_, page = h.see(t, "/")
	wants(t, "after a restart", page, "Harbour Bank operations</span>", "HB-3001")
	_, page = h.submit(t, "/stage", url.Values{"stage": {"tls"}})
	wants(t, "at a stage without users", page, "Harbour Bank operations</span>", "HB-1001")
	_, page = h.submit(t, "/stage", url.Values{"stage": {"user-session"}})
	wants(t, "back again", page, "Harbour Bank operations</span>", "HB-3001")
	_, page = h.submit(t, "/app", url.Values{"app": {phone.AppName}})
	wants(t, "the customers' app", page, "<h1>Sign in</h1>")
	h.signIn(t, "carol")
	_, page = h.submit(t, "/accounts/HB-9000/freeze", url.Values{"frozen": {"yes"}})
	wants(t, "in the customers' app", page, "The bank refused")
}

// TestUpdate packs the app anew while the phone is in use.
func TestUpdate(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	if _, page := h.see(t, "/"); strings.Contains(page, "newer package") {
		t.Error("an update of what is new")
	}
	packed := repackage(t, h.folder.Path(first), developer(t))
	if err := h.folder.Replace(map[string][]byte{first: packed}); err != nil {
		t.Fatal(err)
	}
	_, page := h.see(t, "/")
	wants(t, "packed anew", page, "newer package", `action="/settings/update"`, "HB-1001")
	h.off(t)
	h.on(t, "")
	_, page = h.see(t, "/settings")
	wants(t, "after a restart", page, "newer package")
	_, page = h.submit(t, "/settings/update", nil)
	sum := sha256.Sum256(packed)
	wants(t, "updated", page, "is up to date", hex.EncodeToString(sum[:]))
	if strings.Contains(page, "newer package") {
		t.Error("it can be updated again")
	}
	_, page = h.see(t, "/")
	wants(t, "afterwards", page, "HB-1001")

	broken := append(bytes.Clone(packed), '!')
	if err := h.folder.Replace(map[string][]byte{first: broken}); err != nil {
		t.Fatal(err)
	}
	status, page := h.submit(t, "/settings/update", nil)
	if status != http.StatusUnprocessableEntity {
		t.Errorf("a broken store: %d", status)
	}
	wants(t, "a broken store", page, "not signed")
	_, page = h.see(t, "/")
	wants(t, "with a broken store", page, "HB-1001")
}

func TestAppThatDiedIsStartedAgain(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.see(t, "/")
	pid, err := h.PID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.PID(t.Context()); err != nil || again != pid {
		t.Errorf("the app is not kept running: %d, then %d, %v", pid, again, err)
	}
	app, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Kill(); err != nil {
		t.Fatal(err)
	}
	h.Wait(pid)
	_, page := h.see(t, "/")
	wants(t, "afterwards", page, "HB-1001")
	if again, err := h.PID(t.Context()); err != nil || again == pid {
		t.Errorf("process %d, %v", again, err)
	}
}

func TestWhoMayUseTheScreen(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	for _, test := range []struct {
		name, method, path, host string
		header                   map[string]string
		want                     int
	}{
		{"oneself", "GET", "/rates", "", nil, 200},
		{"as localhost", "GET", "/rates", "localhost:8090", nil, 200},
		{"as a neighbour", "GET", "/rates", "phone:8090", nil, 200},
		{"as a name of somebody else's", "GET", "/rates", "mallory.test:8090", nil, 421},
		{"a form of another site", "POST", "/stage", "", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"a form of another port", "POST", "/stage", "", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"a form of another site, in an old browser", "POST", "/stage", "", map[string]string{"Origin": "http://mallory.test"}, 403},
		{"no such page", "GET", "/admin", "", nil, 404},
		{"a form without a form", "GET", "/stage", "", nil, 405},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, h.screen.URL+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.host != "" {
			req.Host = test.host
			for _, cookie := range h.client.Jar.Cookies(req.URL) { // for which the jar looks under that name
				req.AddCookie(cookie)
			}
		}
		for name, value := range test.header {
			req.Header.Set(name, value)
		}
		resp, err := h.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != test.want {
			t.Errorf("%s: %s, want %d, %v", test.name, resp.Status, test.want, err)
		}
		if test.want == http.StatusMisdirectedRequest && bytes.Contains(page, []byte("/v1/rates")) {
			t.Errorf("%s: it is told what the app did: %s", test.name, page)
		}
		if test.want == http.StatusForbidden {
			continue // refused before there is a page
		}
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", test.name, policy)
		}
	}
	if status, _ := h.submit(t, "/settings/trust", url.Values{"pem": {strings.Repeat("A", 300<<10)}}); status < 400 {
		t.Errorf("a very large form: %d", status)
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

func TestManagement(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	ctx, client := t.Context(), h.managed(t, deployment.Admin)
	if err := client.Healthy(ctx); err != nil {
		t.Error(err)
	}
	state, err := manage.Get[manage.Phone](ctx, client, "/phone")
	if err != nil {
		t.Fatal(err)
	}
	if state.Stage != "app-id" || len(state.Packages) != 1 || !state.Packages[0].Genuine || !strings.HasPrefix(state.Packages[0].Signer, "sha256/") {
		t.Errorf("%+v", state)
	}
	if err := client.Do(ctx, http.MethodPost, "/phone/stage", map[string]string{"stage": "tls"}, nil); err != nil {
		t.Error(err)
	}
	for stage, calls := range map[string]int{
		"tls":            3, // the phone's own
		"pinned-mtls":    3, // another
		"hmac":           3, // and one at which it registers
		"hidden-secrets": 3, // one that uses another release
		"user-session":   4, // and one where the app's user signs in
	} {
		reference := "managed at " + stage + " " + rand.Text()
		run, err := manage.Post[manage.Run](ctx, client, "/phone/run", map[string]string{"stage": stage, "reference": reference})
		if err != nil || !run.OK || len(run.Calls) != calls {
			t.Errorf("%s: %+v, %v", stage, run, err)
		}
		booked, err := bank.Resource.Transfers(ctx, reference)
		if err != nil || len(booked) != 1 || booked[0].Amount != 100 || booked[0].Stage != stage {
			t.Errorf("%s: booked %+v, %v", stage, booked, err)
		}
	}
	if left, err := filepath.Glob(h.folder.Path("run-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if state, err = manage.Get[manage.Phone](ctx, client, "/phone"); err != nil || state.Stage != "tls" {
		t.Errorf("%+v, %v", state, err)
	}
	devices, err := manage.Devices(ctx, bank.Resource, manage.DeviceQuery{})
	if err != nil || !slices.ContainsFunc(devices.Devices, func(d manage.Device) bool {
		return d.Stage == "hmac" && d.Identifier == state.Packages[0].Identifier
	}) {
		t.Errorf("the phone's own is not among %+v, %v", devices, err)
	}
	for _, test := range []struct {
		path string
		body any
		want int
	}{
		{"/phone/stage", map[string]string{"stage": "oauth"}, http.StatusNotFound},
		{"/phone/stage", map[string]string{"stage": unbuilt()}, http.StatusNotFound},
		{"/phone/run", map[string]string{"stage": ""}, http.StatusNotFound},
		{"/phone/run", map[string]string{"stage": "tls", "who": "me"}, http.StatusBadRequest},
		{"/phone/run", []int{1}, http.StatusBadRequest},
	} {
		err := client.Do(ctx, http.MethodPost, test.path, test.body, nil)
		if p, ok := err.(*problem.Problem); !ok || p.Status != test.want {
			t.Errorf("%s %v: got %v, want %d", test.path, test.body, err, test.want)
		}
	}
	recorded, err := client.Traffic(ctx, feed.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	lanes := map[traffic.Lane]int{}
	for _, m := range recorded.Entries {
		lanes[m.Lane]++
	}
	if lanes[traffic.App] == 0 || lanes[traffic.Network] == 0 {
		t.Errorf("recorded: %v", lanes)
	}
}

func TestStageAtStart(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	chosen := func() string {
		_, page := h.see(t, "/settings")
		before, _, _ := strings.Cut(page, `" selected`)
		return before[strings.LastIndex(before, `"`)+1:]
	}
	for _, step := range []struct{ configured, choose, want string }{
		{"", "", "app-id"},
		{"tls", "", "tls"},                 // asked for
		{"tls", "pinned-mtls", "tls"},      // nothing new; then somebody chooses
		{"tls", "", "pinned-mtls"},         // a restart keeps the choice
		{"app-id", "", "app-id"},           // asked for anew
		{"", "", "app-id"},                 // nothing asked for
		{"pinned-mtls", "", "pinned-mtls"}, // asked for anew
	} {
		h.off(t)
		h.on(t, step.configured)
		if got := chosen(); got != step.want {
			t.Errorf("%+v: got %s", step, got)
		}
		if step.choose != "" {
			h.submit(t, "/stage", url.Values{"stage": {step.choose}})
		}
	}
	for _, stage := range []string{"oauth", unbuilt()} {
		_, err := phone.New(phone.Config{Folder: h.folder, Stages: catalog.All(), Stage: stage})
		if err == nil || !strings.Contains(err.Error(), "app-id, tls, pinned-mtls") {
			t.Errorf("%s: %v", stage, err)
		}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func TestAmounts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"12": 1200, "12.3": 1230, "12.34": 1234, "12,34": 1234, " 0.05 ": 5, "0": 0, "007": 700} {
		if got, err := phone.ParseAmount(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", ".", "12.", ".5", "1,000.00", "12.345", "-1", "+1", "1e3", "twelve", "99999999999999999999", "١"} {
		if got, err := phone.ParseAmount(text); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
	for minor, want := range map[int64]string{
		0: "0.00", 5: "0.05", 123450: "1,234.50", 100000000: "1,000,000.00", -1234: "\u221212.34",
		math.MaxInt64: "92,233,720,368,547,758.07", math.MinInt64: "\u221292,233,720,368,547,758.08",
	} {
		if got := phone.FormatAmount(minor); got != want {
			t.Errorf("%d: got %s, want %s", minor, got, want)
		}
	}
}

func FuzzParseAmount(f *testing.F) {
	f.Add("12.34")
	f.Add("92233720368547758.07")
	f.Fuzz(func(t *testing.T, text string) {
		amount, err := phone.ParseAmount(text)
		if err != nil {
			return
		}
		if again, err := phone.ParseAmount(strings.ReplaceAll(phone.FormatAmount(amount), ",", "")); err != nil || again != amount {
			t.Errorf("%q is %d, written and read again %d, %v", text, amount, again, err)
		}
	})
}
