package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release/releasetest"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
)

func payment() device.Payment {
	return device.Payment{From: "HB-1001", To: "HB-2001", Amount: 1234, Reference: "rent"}
}

// TestAnswersAreChecked has somebody between TLS and the bank change its answers. None
// of that makes the app pay twice.
func TestAnswersAreChecked(t *testing.T) {
	t.Parallel()
	problem := func(kind string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { problemOf(w, http.StatusForbidden, kind) }
	}
	const mayBeBooked = "before you pay again"
	wait := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "0")
		problemOf(w, http.StatusTooManyRequests, "rate-limited")
	}
	told := func(ahead time.Duration) func(*http.Response, []byte) []byte {
		return func(r *http.Response, _ []byte) []byte {
			r.StatusCode = http.StatusUnauthorized
			r.Header = http.Header{"Www-Authenticate": {toldTime(t, time.Now().Add(ahead))}}
			return nil
		}
	}
	for _, test := range []struct {
		name, stage string
		respond     http.HandlerFunc
		meddle      func(*http.Response, []byte) []byte
		check       catalog.Check // of the app's own, that refuses
		shown       string        // in the message
		served      int           // calls that the bank gets
	}{
		{"a changed body", "hmac", nil, func(_ *http.Response, body []byte) []byte {
			return bytes.ReplaceAll(body, []byte("path"), []byte("loot"))
		}, "server-mac", "does not prove", 1},
		{"a changed media type", "hmac", nil, func(r *http.Response, body []byte) []byte {
			r.Header.Set("Content-Type", "application/problem+json")
			return body
		}, "server-mac", mayBeBooked, 1},
		{"no proof", "hmac", nil, func(r *http.Response, body []byte) []byte {
			r.Header.Del(hawk.ServerAuthorization)
			return body
		}, "server-mac", mayBeBooked, 1},
		{"two proofs", "hmac", nil, func(r *http.Response, body []byte) []byte {
			r.Header.Add(hawk.ServerAuthorization, r.Header.Get(hawk.ServerAuthorization))
			return body
		}, "server-mac", mayBeBooked, 1},
		{"no body, and no proof", "hmac", nil, func(r *http.Response, _ []byte) []byte {
			r.StatusCode, r.Header = http.StatusNoContent, http.Header{}
			return nil
		}, "server-mac", mayBeBooked, 1},
		{"a refusal as a success", "hmac", problem("not-allowed"), func(r *http.Response, body []byte) []byte {
			r.StatusCode = http.StatusOK
			return body
		}, "", "Refused. This is not-allowed.", 1},
		{"an honest refusal", "hmac", problem("not-allowed"), nil, "", "Refused. This is not-allowed.", 1},
		{"a refusal without proof", "hmac", problem("not-allowed"), func(r *http.Response, body []byte) []byte {
			r.Header.Del(hawk.ServerAuthorization)
			return body
		}, "", "Refused. This is not-allowed.", 1},
		{"a refusal with a wrong proof", "hmac", problem("not-allowed"), func(_ *http.Response, body []byte) []byte {
			return bytes.ReplaceAll(body, []byte("not-allowed"), []byte("pay-mallory"))
		}, "server-mac", mayBeBooked, 1},
		{"a sealed refusal", "hidden-secrets", problem("not-allowed"), nil, "", "Refused. This is not-allowed.", 1},
		{"a sealed refusal as a success", "hidden-secrets", problem("not-allowed"), func(r *http.Response, body []byte) []byte {
			r.StatusCode = http.StatusOK
			return body
		}, "", "Refused. This is not-allowed.", 1},
		{"a changed sealed body", "hidden-secrets", nil, func(_ *http.Response, body []byte) []byte {
			return append(body, 'A')
		}, "server-mac", mayBeBooked, 1},
		{"an honest request to wait", "hidden-secrets", wait, nil, "", mayBeBooked, 2},
		{"a request to wait without proof", "hidden-secrets", nil, func(r *http.Response, _ []byte) []byte {
			answer := httptest.NewRecorder()
			wait(answer, nil)
			r.StatusCode, r.Header = answer.Code, answer.Header()
			return answer.Body.Bytes()
		}, "", mayBeBooked, 1},
		{"a success as a request to wait", "hidden-secrets", nil, func(r *http.Response, body []byte) []byte {
			r.StatusCode = http.StatusTooManyRequests
			r.Header.Set("Retry-After", "0")
			return body
		}, "", mayBeBooked, 1},
		{"another refusal as a request to wait", "hidden-secrets", problem("not-allowed"), func(r *http.Response, body []byte) []byte {
			r.StatusCode = http.StatusTooManyRequests
			r.Header.Set("Retry-After", "0")
			return body
		}, "", "Refused. This is not-allowed.", 1},
		{"a second copy's refusal", "hidden-secrets", problem("client-not-accepted"), nil, "", mayBeBooked, 1},
		{"what another copy of the app was told about its clock", "hidden-secrets", nil, told(0), "", mayBeBooked, 1},
		{"the same, kept for some time", "hidden-secrets", nil, told(-5 * time.Minute), "", mayBeBooked, 1},
		{"the same, for a phone that is slow", "hidden-secrets", nil, told(5 * time.Minute), "", mayBeBooked, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			app := b.launch(t, test.stage)
			if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK {
				t.Fatalf("before: %+v", screen)
			}
			b.bank.set(func(bank *fakeBank) { bank.respond, bank.meddle = test.respond, test.meddle })
			before := b.bank.count()
			screen := shown(t)(app.Transfer(t.Context(), payment()))
			if screen.OK || screen.Check != test.check || !strings.Contains(screen.Error, test.shown) {
				t.Errorf("%+v", screen)
			}
			if calls := b.bank.asked()[before:]; len(calls) != test.served {
				t.Errorf("the bank served %v", calls)
			}
			b.bank.set(func(bank *fakeBank) { // of copies the real one serves one
				for _, r := range bank.requests[before:] {
					if got, want := r.Header.Get("Authorization"), bank.requests[before].Header.Get("Authorization"); got != want {
						t.Errorf("repeated with another signature: %s and %s", want, got)
					}
				}
			})
			if test.check != "" {
				var verdict *traffic.Verdict
				for _, m := range b.log.After(0) {
					if m.Verdict != nil {
						verdict = m.Verdict
					}
				}
				if verdict == nil || verdict.Allowed || verdict.Check != test.check || verdict.Reason == "" {
					t.Errorf("recorded: %+v", verdict)
				}
			}
		})
	}
}

// toldTime is what the bank answers at a time to any copy of the app whose clock is an hour
// slow.
func toldTime(t *testing.T, at time.Time) string {
	t.Helper()
	client := hawk.Client{Credentials: hawk.Credentials{ID: "harbour-mobile", Key: testSecret}, Host: "bank", Port: 443}
	r := httptest.NewRequest(http.MethodGet, "/hmac/v1/accounts", nil)
	if _, err := client.Sign(r, nil, "", at.Add(-time.Hour)); err != nil {
		t.Error(err)
	}
	bank := hawk.Verifier{
		Host: "bank", Port: 443,
		Lookup: func(string) (string, error) { return testSecret, nil },
	}
	_, err := bank.Verify(r, nil, at)
	_, told := hawk.Refusal(err)
	return told
}

// TestAnswerToAnotherCall has somebody give the app an answer that the bank made, but
// for an earlier call.
func TestAnswerToAnotherCall(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "hmac")
	var earlier *http.Response
	var body []byte
	b.bank.set(func(bank *fakeBank) {
		bank.meddle = func(r *http.Response, answer []byte) []byte {
			earlier, body = r, bytes.Clone(answer)
			return answer
		}
	})
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	b.bank.set(func(bank *fakeBank) {
		bank.meddle = func(r *http.Response, _ []byte) []byte {
			r.Header = earlier.Header
			return body
		}
	})
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.Check != "server-mac" {
		t.Errorf("%+v", screen)
	}
}

// TestSecretOfAnotherRelease rotates the secret on the server: the installed app is
// locked out, and says so without losing its head.
func TestSecretOfAnotherRelease(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "hidden-secrets")
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	b.bank.set(func(bank *fakeBank) { bank.secret = "another one, with 260 random bits" })
	screen := shown(t)(app.Accounts(t.Context()))
	if screen.OK || screen.Status != http.StatusUnauthorized || screen.Check != "" || screen.Error != "Refused. This is client-not-accepted." {
		t.Errorf("%+v", screen)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(b *bench) { b.bank.ahead = 2 * time.Hour })
	app := b.launch(t, "hmac")
	requests := func() int {
		n := 0
		for _, m := range b.log.After(0) {
			if m.Lane == traffic.App && m.Kind == traffic.Request {
				n++
			}
		}
		return n
	}
	if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK {
		t.Fatalf("the first: %+v", screen)
	}
	if n := requests(); n != 3 { // registered, once more with the right time, and the transfer
		t.Errorf("%d requests for the first call", n)
	}
	if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK || requests() != 4 {
		t.Errorf("the second: %d requests, %+v", requests(), screen)
	}
	if n := b.bank.count(); n != 3 {
		t.Errorf("the bank served %d", n)
	}
	// When the server's clock is set back, a payment is refused, and not made again: the
	// refusal might be anybody's.
	b.bank.set(func(bank *fakeBank) { bank.ahead = 0 })
	screen := shown(t)(app.Transfer(t.Context(), payment()))
	if screen.OK || requests() != 5 || !strings.Contains(screen.Error, "goes by the bank's clock") || !strings.Contains(screen.Error, "before you pay again") {
		t.Errorf("when the server's clock is set back: %d requests, %+v", requests(), screen)
	}
	if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK || requests() != 6 {
		t.Errorf("after that: %d requests, %+v", requests(), screen)
	}
	// What can be asked for twice is.
	b.bank.set(func(bank *fakeBank) { bank.ahead = -2 * time.Hour })
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || requests() != 8 {
		t.Errorf("accounts: %d requests, %+v", requests(), screen)
	}
}

// TestSomebodyElsesTime has an attacker tell the time, to collect signatures for it.
func TestSomebodyElsesTime(t *testing.T) {
	t.Parallel()
	tomorrow := time.Now().Add(24 * time.Hour).Unix()
	for _, test := range []struct {
		name, told string
		check      catalog.Check
	}{
		{"made up", fmt.Sprintf(`Hawk ts="%d", tsm="b3c=", error="Stale timestamp"`, tomorrow), "server-mac"},
		{"without a code", fmt.Sprintf(`Hawk ts="%d", error="Stale timestamp"`, tomorrow), "server-mac"},
		{"no time at all", `Hawk error="Stale timestamp"`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			app := b.launch(t, "hmac")
			if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
				t.Fatalf("%+v", screen)
			}
			calls := 0
			b.bank.set(func(bank *fakeBank) {
				bank.meddle = func(r *http.Response, _ []byte) []byte {
					calls++
					r.StatusCode = http.StatusUnauthorized
					r.Header = http.Header{"Www-Authenticate": {test.told}}
					return nil
				}
			})
			screen := shown(t)(app.Accounts(t.Context()))
			if screen.OK || screen.Check != test.check || calls != 1 {
				t.Errorf("%d calls, %+v", calls, screen)
			}
			b.bank.set(func(bank *fakeBank) { bank.meddle = nil })
			if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
				t.Errorf("the clock was set: %+v", screen)
			}
		})
	}
}

func TestSealedBodies(t *testing.T) {
	t.Parallel()
	keys, err := sealed.DeriveKeys(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		seal  func([]byte, string) ([]byte, string)
		check catalog.Check
	}{
		{"as agreed", nil, ""},
		{"not sealed", func(content []byte, media string) ([]byte, string) { return content, media }, "sealed-answer"},
		{"not sealed, but called so", func(content []byte, _ string) ([]byte, string) { return content, sealed.MediaType }, "sealed-answer"},
		{"with the key of requests", func(content []byte, media string) ([]byte, string) {
			body, _ := keys.Requests.Seal(content, media)
			return body, sealed.MediaType
		}, "sealed-answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			app := b.launch(t, "hidden-secrets")
			if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
				t.Fatalf("%+v", screen)
			}
			b.bank.set(func(bank *fakeBank) { bank.seal = test.seal })
			screen := shown(t)(app.Transfer(t.Context(), payment()))
			if screen.OK != (test.check == "") || screen.Check != test.check {
				t.Errorf("%+v", screen)
			}
			if wire := b.bank.wire[len(b.bank.wire)-1]; strings.Contains(wire, "HB-1001") || strings.Count(wire, ".") != 4 {
				t.Errorf("sent: %s", wire)
			}
			inside := 0
			for _, m := range b.log.After(0) {
				if m.Lane == traffic.App && m.Kind == traffic.Note && strings.HasPrefix(m.Summary, "inside the body that was sent") && bytes.Contains(m.Body, []byte("HB-1001")) {
					inside++
				}
			}
			if inside != 1 {
				t.Errorf("%d notes of what is inside", inside)
			}
		})
	}
}

func TestDevices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "hmac")
	var together sync.WaitGroup
	for range 4 {
		together.Go(func() {
			if screen, err := app.Accounts(t.Context()); err != nil || !screen.OK {
				t.Errorf("%+v, %v", screen, err)
			}
		})
	}
	together.Wait()
	if n := count(b.bank.asked(), "POST /v1/devices"); n != 1 {
		t.Errorf("registered %d times", n)
	}
	first, _ := b.bank.last(t)

	restarted := b.launch(t, "hmac")
	if screen := shown(t)(restarted.Accounts(t.Context())); !screen.OK {
		t.Fatalf("after a restart: %+v", screen)
	}
	second, _ := b.bank.last(t)
	for _, field := range []string{"Device-Id", "Device-Guid"} {
		if first.Header.Get(field) == "" || first.Header.Get(field) != second.Header.Get(field) {
			t.Errorf("%s: %q, then %q", field, first.Header.Get(field), second.Header.Get(field))
		}
	}

	other := b.launch(t, "hidden-secrets")
	if screen := shown(t)(other.Accounts(t.Context())); !screen.OK {
		t.Fatalf("at another stage: %+v", screen)
	}
	third, _ := b.bank.last(t)
	if third.Header.Get("Device-Guid") == first.Header.Get("Device-Guid") || third.Header.Get("Device-Id") != first.Header.Get("Device-Id") {
		t.Errorf("at another stage: %v", third.Header)
	}

	if err := b.device.Uninstall(appName); err != nil {
		t.Fatal(err)
	}
	anew := b.launch(t, "hmac")
	if screen := shown(t)(anew.Accounts(t.Context())); !screen.OK {
		t.Fatalf("installed anew: %+v", screen)
	}
	if last, _ := b.bank.last(t); last.Header.Get("Device-Id") == first.Header.Get("Device-Id") {
		t.Error("installed anew, it is the same device")
	}
}

// TestSecretsStayInMemory uses the app where its package hides the secrets, restarts it,
// and searches every file that it can have written for them. It does not run beside other
// tests, whose files it would have to search, too.
func TestSecretsStayInMemory(t *testing.T) {
	for _, stage := range catalog.All().Built() {
		if stage.Package.Secrets != catalog.HiddenSecrets {
			continue
		}
		t.Run(stage.Slug, func(t *testing.T) {
			start := time.Now()
			b := newBench(t, func(b *bench) { // with a secret that no other test writes down
				b.settings.SharedSecret = rand.Text() + rand.Text()
				b.bank.secret = b.settings.SharedSecret
			})
			for range 2 {
				app := b.launch(t, stage.Slug)
				signIn(t, app, stage.Call)
				if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK {
					t.Fatalf("%+v", screen)
				}
				if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
					t.Fatalf("%+v", screen)
				}
				if err := app.Close(); err != nil {
					t.Fatal(err)
				}
			}
			values := releasetest.Values(t, b.settings)
			secrets := maps.Clone(values)
			maps.Copy(secrets, releasetest.Names())

			phone := filepath.Dir(filepath.Dir(b.device.Storage(appName)))
			files := written(t, phone, time.Time{})
			if len(files) < 2 { // its registration, and what the device knows
				t.Errorf("only %v were found", files)
			}
			for _, found := range searched(files, secrets) {
				t.Error("on the phone: ", found)
			}
			// A process without environment has these for temporary files, and begins in the root.
			for _, folder := range []string{"/", "/tmp", "/var/tmp", "/dev/shm"} {
				for _, found := range searched(written(t, folder, start), values) {
					t.Errorf("in %s: %s", folder, found)
				}
			}

			// The search finds what is there.
			folder, err := os.MkdirTemp("/tmp", "keyladder-written-")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(folder)
			for _, folder := range []string{folder, filepath.Join(phone, "storage")} {
				text := base64.StdEncoding.EncodeToString([]byte("a:" + b.settings.SharedSecret))
				if err := os.WriteFile(filepath.Join(folder, "written"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if len(searched(written(t, phone, time.Time{}), secrets)) != 1 || len(searched(written(t, "/tmp", start), values)) < 1 {
				t.Error("a secret that was written down was not found")
			}
		})
	}
}

// written are the files below a folder, but for packages, which are searched elsewhere.
// With a time, these are the files that were written since in folders that were changed
// since: others write there, too.
func written(t *testing.T, folder string, since time.Time) []string {
	t.Helper()
	since = since.Add(-time.Second) // file systems do not all count in nanoseconds
	var files []string
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		var info os.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		switch {
		case errors.Is(err, os.ErrNotExist) && path != folder:
			return nil // gone meanwhile
		case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
			return fs.SkipDir // no file of the app's
		case err != nil:
			return err
		case entry.IsDir() && path != folder && (info.ModTime().Before(since) || folder == "/"):
			return fs.SkipDir
		case entry.Type().IsRegular() && !info.ModTime().Before(since) && filepath.Ext(path) != ".pkg" && info.Size() < 8<<20:
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// searched is where the needles are.
func searched(files []string, needles releasetest.Needles) []string {
	var places []string
	for _, path := range files {
		data, _ := os.ReadFile(path) // it may be gone
		for what, how := range needles.Find(data) {
			places = append(places, fmt.Sprintf("%s is in %s as %s", what, path, how))
		}
	}
	return places
}

func count(list []string, what string) int {
	n := 0
	for _, item := range list {
		if item == what {
			n++
		}
	}
	return n
}

// TestFirstStart registers the phone before anybody asks for anything, where there is a bank.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 2 {
		b.launch(t, "hmac")
	}
	if calls := b.bank.asked(); len(calls) != 1 || calls[0] != "POST /v1/devices" {
		t.Errorf("two starts: %v", calls)
	}

	b = newBench(t)
	if err := b.device.SetNetwork(device.Network{Proxy: "http://127.0.0.1:1"}); err != nil { // where nobody listens
		t.Fatal(err)
	}
	app := b.launch(t, "hmac")
	if screen := shown(t)(app.Home(t.Context())); !screen.OK || b.bank.count() != 0 {
		t.Errorf("offline: %+v", screen)
	}
	if err := b.device.SetNetwork(device.Network{}); err != nil {
		t.Fatal(err)
	}
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || b.bank.count() != 2 {
		t.Errorf("on line: %+v, %v", screen, b.bank.asked())
	}
}

func TestDeviceIsTaken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "hmac")
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	// The app loses what it stored, and with it the proof that it is this device.
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.device.Erase(appName); err != nil {
		t.Fatal(err)
	}
	before := b.bank.count()
	screen := shown(t)(b.launch(t, "hmac").Accounts(t.Context()))
	if screen.OK || screen.Status != http.StatusConflict || screen.Error != "Refused. This is device-taken." {
		t.Errorf("%+v", screen)
	}
	if calls := b.bank.asked()[before:]; len(calls) != 2 || calls[0] != "POST /v1/devices" || calls[1] != calls[0] {
		t.Errorf("when it was opened and when it was used, it tried %v", calls)
	}
}

// A bank that was set back knows no devices; one that has banned this one goes on
// refusing it.
func TestDeviceIsForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "hmac")
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	b.bank.forgetDevices()
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Errorf("forgotten: %+v", screen)
	}
	b.bank.banDevices()
	before := b.bank.count()
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.Status != http.StatusForbidden {
		t.Errorf("banned: %+v", screen)
	}
	if calls := b.bank.asked()[before:]; len(calls) != 2 || calls[1] != "POST /v1/devices" {
		t.Errorf("banned, it tried %v", calls)
	}
}

// TestSession signs in, restarts the app, and signs out.
func TestSession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "user-session")
	home := shown(t)(app.Home(t.Context()))
	if !home.OK || home.SignIn != device.InApp || home.User != "" {
		t.Errorf("at first: %+v", home)
	}
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.Check != "signed-in" || count(b.bank.asked(), "GET /v1/accounts") != 0 {
		t.Errorf("not signed in: %+v", screen)
	}
	if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
		t.Errorf("rates need nobody: %+v", screen)
	}
	if screen := shown(t)(app.SignIn(t.Context(), "alice", "wrong")); screen.OK || screen.Status != http.StatusUnauthorized || screen.User != "" {
		t.Errorf("a wrong password: %+v", screen)
	}
	signedIn := shown(t)(app.SignIn(t.Context(), "alice", testPassword))
	var on map[string]any
	if err := json.Unmarshal(signedIn.Body, &on); err != nil || !signedIn.OK || signedIn.User != "alice" || on["idle_seconds"] != 900.0 || on["session_key"] != nil {
		t.Errorf("signed in: %+v, %v", signedIn, err)
	}
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || screen.User != "alice" {
		t.Errorf("%+v", screen)
	}
	first, _ := b.bank.last(t)

	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	app = b.launch(t, "user-session")
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || screen.User != "alice" {
		t.Errorf("after a restart: %+v", screen)
	}
	if again, _ := b.bank.last(t); again.Header.Get("Authorization") != first.Header.Get("Authorization") {
		t.Error("after a restart it is another session")
	}
	stored, err := b.device.Backup(appName)
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.KeyFrom(first.Header)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(stored["session.user-session"], []byte(string(key))) {
		t.Errorf("the session is not in the storage: %s", stored)
	}
	for where, value := range stored {
		if bytes.Contains(value, []byte(testPassword)) || bytes.Contains(value, []byte(testSecret)) {
			t.Errorf("a secret is in the storage: %s", where)
		}
	}

	if screen := shown(t)(app.SignIn(t.Context(), "bob", testPassword)); !screen.OK || screen.User != "bob" {
		t.Errorf("somebody else: %+v", screen)
	}
	if len(b.bank.sessions) != 1 {
		t.Errorf("%d sessions are left", len(b.bank.sessions))
	}
	if screen := shown(t)(app.SignOut(t.Context())); !screen.OK || screen.User != "" {
		t.Errorf("sign out: %+v", screen)
	}
	if last, _ := b.bank.last(t); last.Method != http.MethodDelete || len(b.bank.sessions) != 0 {
		t.Errorf("%s, %d sessions are left", last.Method, len(b.bank.sessions))
	}
	before := b.bank.count()
	if screen := shown(t)(app.SignOut(t.Context())); !screen.OK || b.bank.count() != before {
		t.Errorf("once more: %+v", screen)
	}
	if stored, err := b.device.Backup(appName); err != nil || stored["session.user-session"] != nil {
		t.Errorf("still stored: %s, %v", stored["session.user-session"], err)
	}
}

// TestSessionEnds has the bank end the session, and somebody else say so.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "user-session")
	signIn(t, app, catalog.Call{UserProof: catalog.UserSession})

	b.bank.set(func(bank *fakeBank) {
		bank.meddle = func(r *http.Response, _ []byte) []byte {
			r.StatusCode, r.Header = http.StatusUnauthorized, http.Header{"Content-Type": {errorMedia}}
			return []byte(`{"type":"urn:keyladder:problem:session-not-accepted","title":"Sign in","status":401}`)
		}
	})
	if screen := shown(t)(app.Accounts(t.Context())); screen.OK || screen.User != "alice" {
		t.Errorf("anybody could have said that: %+v", screen)
	}
	b.bank.set(func(bank *fakeBank) { bank.meddle = nil })
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Errorf("the session is still good: %+v", screen)
	}

	b.bank.set(func(bank *fakeBank) { clear(bank.sessions) })
	screen := shown(t)(app.Transfer(t.Context(), payment()))
	if screen.OK || screen.User != "" || screen.Check != "" || !strings.Contains(screen.Error, "Sign in again") {
		t.Errorf("the bank ended it: %+v", screen)
	}
	before := b.bank.count()
	if screen := shown(t)(app.Accounts(t.Context())); screen.Check != "signed-in" || b.bank.count() != before {
		t.Errorf("afterwards: %+v", screen)
	}
	signIn(t, app, catalog.Call{UserProof: catalog.UserSession})
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Errorf("signed in again: %+v", screen)
	}
}

func TestSignOutWithoutTheBank(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "user-session")
	signIn(t, app, catalog.Call{UserProof: catalog.UserSession})
	b.tls.CloseClientConnections()
	b.tls.Close()
	screen := shown(t)(app.SignOut(t.Context()))
	if screen.OK || screen.User != "" || !strings.Contains(screen.Error, "signed out on this phone") {
		t.Errorf("%+v", screen)
	}
	if stored, err := b.device.Backup(appName); err != nil || stored["session.user-session"] != nil {
		t.Errorf("still stored: %s, %v", stored["session.user-session"], err)
	}
}

func TestNobodySignsIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "hmac")
	before := b.bank.count()
	if screen := shown(t)(app.SignIn(t.Context(), "alice", testPassword)); screen.OK || screen.SignIn != "" || b.bank.count() != before {
		t.Errorf("%+v", screen)
	}
}

func TestUnusableCredentials(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "user-session")
	for _, user := range []string{"al:ice", "alice\n", strings.Repeat("a", 600)} {
		if screen := shown(t)(app.SignIn(t.Context(), user, testPassword)); screen.OK || !strings.Contains(screen.Error, "can't be sent") {
			t.Errorf("%q: %+v", user, screen)
		}
	}
	if n := count(b.bank.asked(), "POST /v1/session"); n != 0 {
		t.Errorf("%d of them were sent", n)
	}
}

// TestOpsApp packs the same program as the app for the bank's staff.
func TestOpsApp(t *testing.T) {
	t.Parallel()
	const name = "com.harbourbank.ops"
	b := newBench(t, func(b *bench) { b.settings.ClientID = "harbour-ops" })
	stage, _ := catalog.All().Lookup("user-session")
	if _, err := b.device.Install(b.pack(t, stage, name)); err != nil {
		t.Fatal(err)
	}
	app, err := b.device.Launch(t.Context(), name, stage.Slug)
	if err != nil {
		t.Fatal(err)
	}
	if screen := shown(t)(app.SignIn(t.Context(), "carol", testPassword)); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	if screen := shown(t)(app.Freeze(t.Context(), "HB-2001", true)); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	r, _ := b.bank.last(t)
	if r.UserAgent() != "HarbourOps/2.0" || !strings.HasPrefix(r.Header.Get("App-Authorization"), `Hawk id="harbour-ops"`) {
		t.Errorf("%v", r.Header)
	}
}

// TestDamagedStorage starts the app on a storage that it did not write.
func TestDamagedStorage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.install(t, "user-session")
	if err := b.device.Restore(appName, map[string][]byte{"session.user-session": []byte("{")}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.device.Launch(t.Context(), appName, "user-session"); err == nil || !strings.Contains(err.Error(), "install it again") {
		t.Errorf("%v", err)
	}
}

// TestBackupOnAnotherPhone puts a backup on a phone that the bank does not know: it is
// another device, and the user is still signed in, which is what backups cost.
func TestBackupOnAnotherPhone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "user-session")
	signIn(t, app, catalog.Call{UserProof: catalog.UserSession})
	stored, err := b.device.Backup(appName)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := b.bank.last(t)
	b.device = b.newPhone(t)
	b.install(t, "user-session")
	if err := b.device.Restore(appName, stored); err != nil {
		t.Fatal(err)
	}
	screen := shown(t)(b.launch(t, "user-session").Accounts(t.Context()))
	last, _ := b.bank.last(t)
	if !screen.OK || screen.User != "alice" || last.Header.Get("Device-Id") == first.Header.Get("Device-Id") {
		t.Errorf("%+v, %v", screen, last.Header)
	}
}
