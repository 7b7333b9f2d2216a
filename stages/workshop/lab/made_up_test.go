package lab_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/referee"
)

// signedOverTLS is a stage that the catalog does not have: Hawk, nonces and sealed bodies
// as at hidden-secrets, but without client certificates, without registered devices, and
// with the pins in the clear. Everything that it does is composed of what there is.
func signedOverTLS(t *testing.T) catalog.Stage {
	t.Helper()
	like, ok := catalog.All().Lookup("hidden-secrets")
	if !ok {
		t.Fatal("there is no such stage")
	}
	like.Slug, like.Title, like.Adds = "made-up", "A stage of a test", "Nothing that other stages do not have."
	like.Number = len(catalog.All()) + 1
	like.Chapter = len(catalog.Chapters())
	like.Text = "# A stage of a test\n\nSee [[code:guard-hawk]].\n"
	like.Call.Transport = catalog.TLS
	like.Call.Devices = catalog.NoDevices
	like.Package = catalog.Package{Release: catalog.SecretlessRelease + 1, Secrets: catalog.ClearSecrets} // which no stage of the catalog uses
	blocked := func(by catalog.Check) catalog.Expectation {
		return catalog.Expectation{Outcome: catalog.Blocked, By: by}
	}
	succeeds := catalog.Expectation{Outcome: catalog.Succeeds}
	like.Outcomes = map[string]catalog.Expectation{
		"unknown-client":   blocked(catalog.CheckHawk),
		"flood":            blocked("address-limit"),
		"wiretap":          blocked("tls"),
		"url-leak":         blocked("key-in-url"),
		"trusted-proxy":    blocked("pins"),
		"static-extract":   succeeds,
		"memory-hook":      succeeds,
		"repackaged-app":   succeeds,
		"instrumented-app": succeeds,
		"replay":           blocked("nonce"),
		"proxy-tamper":     blocked(catalog.CheckHawk),
	}
	return like
}

// A stage that stands in the catalog alone works: app, probes, attacks.
func TestMadeUpStage(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as a column of the matrix")
	}
	t.Parallel()
	stage := signedOverTLS(t)
	stages := append(catalog.All(), stage)
	t.Run("genuine app and probes", func(t *testing.T) {
		t.Parallel()
		genuine, err := lab.Genuine(t.Context(), stages, stage.Slug)
		if err != nil {
			t.Fatal(err)
		}
		if !genuine.OK {
			t.Error(genuine.Reason)
		}
	})
	for _, pair := range referee.Pairs(stages, []string{stage.Slug}, nil) {
		if !pair.Applies(stages) {
			continue
		}
		t.Run(pair.Attack, func(t *testing.T) {
			t.Parallel()
			cell, err := lab.Cell(t.Context(), stages, pair)
			if err != nil {
				t.Fatal(err)
			}
			if err := referee.Expected(stages, cell); err != nil {
				t.Errorf("%v\nsteps: %q\nevidence: %q", err, cell.Steps, cell.Evidence)
			}
		})
	}
	t.Run("admin UI", func(t *testing.T) {
		t.Parallel()
		l := start(t, lab.Options{Stages: stages, Screens: true, AdminPassword: adminPassword, Stage: stage.Slug})
		admin := signedIn(t, l.Addresses.URL(deployment.AdminUI))
		for path, want := range map[string][]string{
			"/stages":                           {stage.Title, stage.Adds},
			"/stages/" + stage.Slug:             {stage.Title, "a Hawk MAC over each call"},
			"/stages/" + stage.Slug + "/try":    {stage.Title, "proxy-tamper"},
			"/stages/" + stage.Slug + "/code":   {stage.Title, "check_hawk.go"},
			"/matrix":                           {stage.Slug},
			"/matrix/" + stage.Slug + "/replay": {stage.Title, "nonce"},
		} {
			page := admin(path)
			for _, part := range want {
				if !strings.Contains(page, part) {
					t.Errorf("%s lacks %q", path, part)
				}
			}
		}
	})
}

// signedIn is a browser of sorts in which an admin is signed in; it fetches pages.
func signedIn(t *testing.T, base string) func(path string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	read := page(t)
	token := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(read(browser.Get(base + "/sign-in")))
	if token == nil {
		t.Fatal("there is no form to sign in with")
	}
	read(browser.PostForm(base+"/sign-in", url.Values{"csrf": {token[1]}, "password": {adminPassword}}))
	return func(path string) string {
		t.Helper()
		return read(browser.Get(base + path))
	}
}

// page reads a page that a browser was shown.
func page(t *testing.T) func(*http.Response, error) string {
	return func(response *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		page, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", response.Request.URL, response.Status, err)
		}
		return string(page)
	}
}
