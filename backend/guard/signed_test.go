package guard_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/replay"
	"keyladder/stages/mechanism/sealed"
)

// unsigned demands no app proof, nor what builds on it.
func unsigned(p *catalog.Policies) {
	p.Call.AppProof, p.Call.Devices = catalog.NoAppProof, catalog.NoDevices
}

// instead makes another request than the table's.
func instead(make func(w *world) *http.Request) func(*world) func(*http.Request) {
	return func(w *world) func(*http.Request) {
		return func(r *http.Request) {
			*r = *make(w)
		}
	}
}

// again signs a request without a body anew, for the same app.
func again(w *world, r *http.Request, change func(*hawk.Client)) {
	signed, err := hawk.Parse(signature(r))
	if err != nil {
		w.Fatal(err)
	}
	found, _ := catalog.All().Lookup(strings.Split(r.URL.Path, "/")[1])
	client := w.client(found.Call, signed.ID)
	change(client)
	w.sign(client, r, nil)
}

// asItIs changes nothing of the client that signs.
func asItIs(*hawk.Client) {}

var signedRefusals = []refusal{
	{"unsigned", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Del("Authorization") }
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"the key alone", "hmac", func(*world) func(*http.Request) {
		return setKey(mobile)
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"unreadable signature", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", `Hawk id="x"`) }
	}, "hawk", 400, "bad-request", unsigned},
	{"two signatures", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }
	}, "hawk", 400, "bad-request", unsigned},
	{"signed with another secret", "hmac", func(w *world) func(*http.Request) {
		return func(r *http.Request) { again(w, r, func(c *hawk.Client) { c.Credentials.Key = "a guess" }) }
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signed by nobody", "hmac", func(w *world) func(*http.Request) {
		return func(r *http.Request) { again(w, r, func(c *hawk.Client) { c.Credentials.ID = "invented" }) }
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signed by a partner, who has no secret", "hmac", func(w *world) func(*http.Request) {
		return func(r *http.Request) { again(w, r, func(c *hawk.Client) { c.Credentials.ID = partner }) }
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signed with a revoked key", "hmac", func(w *world) func(*http.Request) {
		if _, err := w.apps.Revoke(context.Background(), mobile); err != nil {
			w.Fatal(err)
		}
		return func(*http.Request) {}
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signed with the secret before the last", "hmac", func(w *world) func(*http.Request) {
		if _, err := w.apps.RotateSecret(context.Background(), mobile); err != nil {
			w.Fatal(err)
		}
		return func(*http.Request) {}
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signed too long ago", "hmac", func(w *world) func(*http.Request) {
		return func(*http.Request) { w.clock.advance(62 * time.Second) }
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signed for a time to come", "hmac", func(w *world) func(*http.Request) {
		return func(*http.Request) { w.clock.advance(-62 * time.Second) }
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signature in the field of another stage", "user-session", func(*world) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("App-Authorization"))
			r.Header.Del("App-Authorization")
		}
	}, "hawk", 401, "client-not-accepted", nil},
	{"with the certificate of another app", "hmac", func(w *world) func(*http.Request) {
		return over(guard.TLS, w.clients[kiosk])
	}, "certificate-of-app", 403, "client-certificate-required", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }},

	{"the same request once more", "hidden-secrets", func(w *world) func(*http.Request) {
		return func(r *http.Request) { w.do(r) }
	}, "nonce", 401, "client-not-accepted", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }},
	{"the same request once more, as late as can be", "hidden-secrets", func(w *world) func(*http.Request) {
		w.clock.now = w.clock.now.Truncate(time.Second)
		return func(r *http.Request) {
			w.clock.advance(-60 * time.Second)
			w.do(r)
			w.clock.advance(120 * time.Second)
		}
	}, "nonce", 401, "client-not-accepted", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }},

	{"body in the clear", "hidden-secrets", instead(func(w *world) *http.Request {
		r := w.request("hidden-secrets", http.MethodPost, "/v1/transfers", "{}")
		r.Header.Set("Content-Type", "application/json")
		w.sign(w.client(catalog.Call{UserProof: catalog.NoUser}, mobile), r, []byte("{}"))
		return r
	}), "sealed-body", 400, "body-not-sealed", func(p *catalog.Policies) { p.Call.Bodies = catalog.PlainBodies }},
	{"body that only says that it is sealed", "hidden-secrets", instead(func(w *world) *http.Request {
		r := w.request("hidden-secrets", http.MethodPost, "/v1/transfers", "{}")
		w.sign(w.client(catalog.Call{UserProof: catalog.NoUser}, mobile), r, []byte("{}"))
		return r
	}), "sealed-body", 400, "body-not-sealed", func(p *catalog.Policies) { p.Call.Bodies = catalog.PlainBodies }},
	{"body sealed with another app's secret", "hidden-secrets", instead(func(w *world) *http.Request {
		r := w.request("hidden-secrets", http.MethodPost, "/v1/transfers", "{}")
		w.sign(w.client(catalog.Call{UserProof: catalog.NoUser}, mobile), r, w.seal(kiosk, "{}"))
		return r
	}), "sealed-body", 400, "body-not-sealed", func(p *catalog.Policies) { p.Call.Bodies = catalog.PlainBodies }},
	{"body sealed for the other direction", "hidden-secrets", instead(func(w *world) *http.Request {
		r := w.request("hidden-secrets", http.MethodPost, "/v1/transfers", "{}")
		keys, _ := sealed.DeriveKeys(w.secrets[mobile])
		body, err := keys.Responses.Seal([]byte("{}"), "application/json")
		if err != nil {
			w.Fatal(err)
		}
		w.sign(w.client(catalog.Call{UserProof: catalog.NoUser}, mobile), r, body)
		return r
	}), "sealed-body", 400, "body-not-sealed", func(p *catalog.Policies) { p.Call.Bodies = catalog.PlainBodies }},

	{"no device", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Device-Id")
			r.Header.Del("Device-Guid")
		}
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
	{"device without its GUID", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Del("Device-Guid") }
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
	{"device with another GUID", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Device-Guid", "AAAAAAAAAAAAAAAAAAAAAA") }
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
	{"two devices", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add("Device-Id", "another") }
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
	{"device that was registered at another stage", "hmac", func(w *world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Device-Guid", w.guid("hidden-secrets", mobile)) }
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
	{"device of another app", "hmac", func(w *world) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Device-Id", "device-of-"+kiosk)
			r.Header.Set("Device-Guid", w.guid("hmac", kiosk))
		}
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
	{"banned device", "hmac", func(w *world) func(*http.Request) {
		w.guid("hmac", mobile)
		for _, device := range w.registered() {
			if _, err := w.devices.Ban(context.Background(), w.clock.Now(), device.ID); err != nil {
				w.Fatal(err)
			}
		}
		return func(*http.Request) {}
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
}

// TestForgottenNonces shows what the stage before leaves open.
func TestForgottenNonces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	r := w.request("hmac", http.MethodPost, "/v1/transfers", "{}")
	for i := range 3 {
		setBody(r, []byte("{}"))
		if answer, verdict := w.do(r); answer.Code != http.StatusOK {
			t.Errorf("time %d: %d, %+v", i, answer.Code, verdict)
		}
	}
}

// TestRefusalsAreAuthenticated looks at refusals by every check after the signature's,
// and at other answers that are no 200s. Receiving an answer checks it.
func TestRefusalsAreAuthenticated(t *testing.T) {
	t.Parallel()
	authenticated := map[catalog.Check]bool{}
	for _, check := range guard.Checks()[slices.Index(guard.Checks(), "hawk")+1:] {
		authenticated[check] = true
	}
	for _, test := range slices.Concat(signedRefusals, userRefusals) {
		if !authenticated[test.check] {
			continue
		}
		w := newWorld(t, catalog.All())
		spoil := test.spoil(w)
		r := w.request(test.stage, http.MethodGet, "/v1/accounts", "")
		spoil(r)
		if answer, verdict := w.do(r); answer.Header().Get(hawk.ServerAuthorization) == "" {
			t.Errorf("%s: a refusal by %s that is not authenticated", test.name, verdict.Check)
		}
	}
	w := newWorld(t, catalog.All())
	for _, stage := range []string{"hmac", "hidden-secrets", "user-session"} {
		for _, test := range []struct {
			method, path string
			status       int
		}{
			{http.MethodGet, "/v1/whatever", 404},
			{http.MethodDelete, "/v1/accounts", 405},
			{http.MethodOptions, "/v1/accounts", 204},
			{http.MethodGet, "/v1/empty", 204},
			{http.MethodPost, "/v1/panic", 500},
			{http.MethodHead, "/v1/accounts", 200},
			{http.MethodGet, "/v1/nothing", 403},
		} {
			answer, verdict := w.do(w.request(stage, test.method, test.path, ""))
			if answer.Code != test.status || answer.Header().Get(hawk.ServerAuthorization) == "" {
				t.Errorf("%s %s at %s: %d, %v, %+v", test.method, test.path, stage, answer.Code, answer.Header(), verdict)
			}
		}
	}
}

// TestSealedBothWays looks at what travels: nothing of a body is in it, be it that of a
// request, an answer or a refusal.
func TestSealedBothWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for _, path := range []string{"/v1/transfers", "/v1/rates"} {
		r := w.request("hidden-secrets", http.MethodPost, path, `{"payee":"HB-2001"}`)
		w.do(r)
		for _, record := range w.log.After(w.log.Last() - 2) {
			if bytes.Contains(record.Body, []byte("HB-2001")) || bytes.Contains(record.Body, []byte(mobile)) || bytes.Contains(record.Body, []byte("urn:")) {
				t.Errorf("%s %s carries %q", record.Kind, path, record.Body)
			}
			if !strings.Contains(record.Head, "Content-Type: "+sealed.MediaType) {
				t.Errorf("%s %s:\n%s", record.Kind, path, record.Head)
			}
		}
	}
}

// TestRestartDoesNotReopenTheWindow sends a call that was served to the server that comes
// next, which remembers nothing.
func TestRestartDoesNotReopenTheWindow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ahead  time.Duration // the app's clock
		later  time.Duration
		killed bool // the server, in place of ending in order
	}{
		{0, 0, false},
		{0, time.Millisecond, false},
		{0, time.Second, false},
		{0, 30 * time.Second, false},
		{0, 59 * time.Second, false},
		{50 * time.Second, 0, false},
		{50 * time.Second, 30 * time.Second, false},
		{50 * time.Second, 109 * time.Second, false},
		{-50 * time.Second, time.Second, false},
		{0, 0, true},
		{0, 12 * time.Second, true},
		{50 * time.Second, time.Millisecond, true},
		{50 * time.Second, 109 * time.Second, true},
		{-50 * time.Second, time.Second, true},
	} {
		t.Run(fmt.Sprintf("%v later, %v ahead, killed %v", test.later, test.ahead, test.killed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, catalog.All())
			w.clock.now = w.clock.now.Truncate(time.Second).Add(100 * time.Millisecond)
			var kept time.Time
			resume := func(resumed bool) {
				w.config.Mark = replay.NewMark(replay.MarkConfig{
					Resumed: resumed, Before: kept, Skew: hawk.DefaultSkew,
					Write: func(until time.Time) error { kept = until; return nil },
				})
				w.start()
			}
			resume(false)
			r := w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")
			sent, err := w.client(catalog.Call{UserProof: catalog.NoUser}, mobile).Sign(r, nil, "", w.clock.Now().Add(test.ahead))
			if err != nil {
				t.Fatal(err)
			}
			w.sent.Store(signature(r), sent)
			if answer, verdict := w.do(r); answer.Code != http.StatusOK {
				t.Fatalf("%d, %+v", answer.Code, verdict)
			}
			w.clock.advance(test.later)
			if !test.killed {
				if err := w.config.Mark.Close(w.guard.Signed()); err != nil {
					t.Fatal(err)
				}
				if at, _ := hawk.Parse(signature(r)); fmt.Sprint(kept.Unix()) != at.Timestamp {
					t.Errorf("written at the end: %v, the call was signed for %s", kept.Unix(), at.Timestamp)
				}
			}
			resume(true)
			answer, verdict := w.do(r)
			if answer.Code != http.StatusUnauthorized || verdict.Check != "hawk" || !strings.Contains(answer.Header().Get("WWW-Authenticate"), "Stale") {
				t.Fatalf("the call from before the start: %d, %+v", answer.Code, verdict)
			}
			// The app does as it does with every stale request, and is served.
			client := w.client(catalog.Call{UserProof: catalog.NoUser}, mobile)
			if err := client.Learn(answer.Code, answer.Header(), w.clock.Now()); err != nil {
				t.Fatal(err)
			}
			anew := w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")
			w.sign(client, anew, nil)
			if answer, verdict := w.do(anew); answer.Code != http.StatusOK {
				t.Errorf("signed anew: %d, %+v", answer.Code, verdict)
			}
			if answer, _ := w.do(anew); answer.Code != http.StatusUnauthorized {
				t.Errorf("and once more: %d", answer.Code)
			}
		})
	}
}

// TestRestartWithAClockSetBack believes no time that clocks can't be ahead by.
func TestRestartWithAClockSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	w.config.Mark = replay.NewMark(replay.MarkConfig{
		Resumed: true, Before: w.clock.Now().AddDate(1, 0, 0), Skew: hawk.DefaultSkew, Write: func(time.Time) error { return nil },
	})
	w.start()
	w.clock.advance(62 * time.Second)
	if answer, verdict := w.do(w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusOK {
		t.Errorf("%d, %+v", answer.Code, verdict)
	}
}

// TestUnwrittenMarkServesNothing: what the next server would not know of must not be served.
func TestUnwrittenMarkServesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	full := true
	w.config.Mark = replay.NewMark(replay.MarkConfig{Write: func(time.Time) error {
		if full {
			return errors.New("the disk is full")
		}
		return nil
	}})
	w.start()
	r := w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")
	if answer, verdict := w.do(r); answer.Code != http.StatusServiceUnavailable || verdict.Check != "nonce-kept" || kindOf(answer) != "try-later" {
		t.Errorf("%d, %+v", answer.Code, verdict)
	}
	full = false
	if answer, verdict := w.do(r); answer.Code != http.StatusOK {
		t.Errorf("when there is room again: %d, %+v", answer.Code, verdict)
	}
}

// TestOneOfManyCopies sends copies of one call together: one is served.
func TestOneOfManyCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	r := w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")
	statuses := make(chan int, 20)
	for range cap(statuses) {
		go func() {
			answer := httptest.NewRecorder()
			w.echo.ServeHTTP(answer, r.Clone(r.Context()))
			statuses <- answer.Code
		}()
	}
	served := 0
	for range cap(statuses) {
		if <-statuses == http.StatusOK {
			served++
		}
	}
	if served != 1 {
		t.Errorf("%d copies were served", served)
	}
}

// TestClockIsLearned lets an app with a wrong clock learn the server's time.
func TestClockIsLearned(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		w := newWorld(t, catalog.All())
		client := w.client(catalog.Call{UserProof: catalog.NoUser}, mobile)
		r := w.request("hmac", http.MethodGet, "/v1/accounts", "")
		wrong := w.clock.Now().Add(off)
		sent, err := client.Sign(r, nil, "", wrong)
		if err != nil {
			t.Fatal(err)
		}
		w.sent.Store(signature(r), sent)
		answer, _ := w.do(r)
		if err := client.Learn(answer.Code, answer.Header(), wrong); err != nil {
			t.Fatalf("%s: %d: %v", off, answer.Code, err)
		}
		if sent, err = client.Sign(r, nil, "", wrong); err != nil {
			t.Fatal(err)
		}
		w.sent.Store(signature(r), sent)
		if answer, verdict := w.do(r); answer.Code != http.StatusOK {
			t.Errorf("%s: %d, %+v", off, answer.Code, verdict)
		}
	}
}

// TestContradictoryPolicies are those whose parts do not go together: no guard is made.
func TestContradictoryPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for name, test := range map[string]struct {
		stage  string
		change func(*catalog.Policies)
		field  string
	}{
		"signed, but nothing about nonces": {"hmac", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoNonces }, "call.nonces"},
		"nonces without signatures":        {"tls", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesRemembered }, "call.nonces"},
		"sealed without signatures":        {"tls", func(p *catalog.Policies) { p.Call.Bodies = catalog.SealedBodies }, "call.bodies"},
		"signed fields without signatures": {"tls", func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfCall }, "call.binding"},
		"bound sessions without sessions":  {"hmac", func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfApp }, "call.binding"},
		"bound to devices without devices": {"user-session", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }, "call.binding"},
		"users' rights without users":      {"hmac", func(p *catalog.Policies) { p.API.Authorization = catalog.AppAndUser }, "api.authorization"},
		"old secrets without secrets":      {"tls", func(p *catalog.Policies) { p.API.SecretOverlap = catalog.Decide(time.Minute) }, "api.secret_overlap"},
	} {
		t.Log(name)
		w.refuses(catalog.All().With(test.stage, test.change), "stage "+test.stage+": "+test.field+": ")
	}
}

// TestAnyChangeIsRefused signs random requests, changes one byte of what is signed, and
// sends them: the server's answer is always no, by the check of the signature.
func TestAnyChangeIsRefused(t *testing.T) {
	w := newWorld(t, catalog.All().
		With("hmac", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }).
		With("hidden-secrets", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }))
	w.guid("hmac", mobile)
	w.guid("hidden-secrets", mobile)
	rapid.Check(t, func(rt *rapid.T) {
		stage := rapid.SampledFrom([]string{"hmac", "hidden-secrets"}).Draw(rt, "stage")
		method := rapid.SampledFrom([]string{http.MethodGet, http.MethodPost}).Draw(rt, "method")
		path := map[string]string{http.MethodGet: "/v1/accounts", http.MethodPost: "/v1/transfers"}[method]
		query := rapid.StringMatching(`(\?[a-z]{1,8}=[a-z0-9]{1,8})?`).Draw(rt, "query")
		ext := rapid.StringMatching(`([ !#-\[\]-~]{1,20})?`).Draw(rt, "ext")
		body := ""
		if method == http.MethodPost {
			body = rapid.StringN(1, 50, 200).Draw(rt, "body")
		}
		found, _ := catalog.All().Lookup(stage)
		good := w.request(stage, method, path+query, body)
		sent := []byte(body)
		if body != "" && found.Call.Bodies == catalog.SealedBodies {
			sent = w.seal(mobile, body)
		}
		client := w.client(found.Call, mobile)
		sign := func(c *hawk.Client, ext string) *http.Request {
			r := good.Clone(good.Context())
			setBody(r, sent)
			check, err := c.Sign(r, sent, ext, w.clock.Now())
			if err != nil {
				rt.Fatal(err)
			}
			w.sent.Store(signature(r), check)
			return r
		}
		expect := func(what string, r *http.Request, want int) {
			answer := httptest.NewRecorder()
			before := w.log.Last()
			w.echo.ServeHTTP(answer, r)
			verdict := w.log.After(before)[1].Verdict
			if want == http.StatusOK && (answer.Code != want || !verdict.Allowed) {
				rt.Fatalf("%s: %d, %+v", what, answer.Code, verdict)
			}
			if want != http.StatusOK && (answer.Code != 400 && answer.Code != 401 || verdict.Check != "hawk") {
				rt.Fatalf("%s: %d, %+v", what, answer.Code, verdict)
			}
		}
		change := func(text string) string {
			at := rapid.IntRange(0, len(text)-1).Draw(rt, "at")
			to := rapid.ByteRange('!', '~').Filter(func(b byte) bool { return b != text[at] && b != '"' && b != '\\' }).Draw(rt, "to")
			return text[:at] + string(to) + text[at+1:]
		}
		expect("unchanged", sign(client, ext), http.StatusOK)

		switch what := rapid.SampledFrom([]string{"method", "target", "host", "port", "body", "body cut off", "attribute"}).Draw(rt, "what"); what {
		case "method":
			r := sign(client, ext)
			r.Method = change(r.Method)
			expect(what, r, 401)
		case "target":
			r := sign(client, ext)
			prefix := "/" + stage + "/" // else it is another stage's, or none's
			r.RequestURI = prefix + change(strings.TrimPrefix(r.RequestURI, prefix))
			expect(what, r, 401)
		case "host":
			other := w.client(found.Call, mobile)
			if other.Host = change(host); strings.EqualFold(other.Host, host) {
				rt.Skip("host names have no case")
			}
			expect(what, sign(other, ext), 401)
		case "port":
			other := w.client(found.Call, mobile)
			other.Port ^= 1 << rapid.IntRange(0, 13).Draw(rt, "bit")
			expect(what, sign(other, ext), 401)
		case "body":
			if len(sent) == 0 {
				rt.Skip("no body")
			}
			r := sign(client, ext)
			other := bytes.Clone(sent)
			other[rapid.IntRange(0, len(other)-1).Draw(rt, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			setBody(r, other)
			expect(what, r, 401)
		case "body cut off":
			r := sign(client, ext)
			setBody(r, append(bytes.Clone(sent), 'x'))
			expect("body made longer", r, 401)
			if len(sent) > 0 {
				r := sign(client, ext)
				setBody(r, sent[:rapid.IntRange(0, len(sent)-1).Draw(rt, "length")])
				expect(what, r, 401)
			}
		case "attribute": // ts, nonce, ext, id, hash, mac
			r := sign(client, ext)
			attributes := strings.Split(strings.TrimPrefix(signature(r), "Hawk "), ", ")
			i := rapid.IntRange(0, len(attributes)-1).Draw(rt, "attribute")
			name, value, ok := strings.Cut(attributes[i], `="`)
			if !ok {
				rt.Skip("a comma in ext")
			}
			changed, err := hawk.Parse(signature(r))
			if err != nil {
				rt.Fatal(err)
			}
			into := map[string]*string{
				"id": &changed.ID, "ts": &changed.Timestamp, "nonce": &changed.Nonce, "hash": &changed.Hash, "ext": &changed.Ext, "mac": &changed.MAC,
			}[name]
			if into == nil || *into == "" {
				rt.Fatalf("attribute %q=%q", name, value)
			}
			*into = change(*into)
			r.Header.Set("Authorization", changed.String())
			expect(name, r, 401)
		}
	})
}

// TestSecretsOverlap: after a rotation the old secret is good for as long as the policy says,
// and the answers are for whoever has it.
func TestSecretsOverlap(t *testing.T) {
	t.Parallel()
	const stage = "hidden-secrets"
	for _, overlap := range []time.Duration{0, 10 * time.Minute} {
		w := newWorld(t, catalog.All().With(stage, func(p *catalog.Policies) { p.API.SecretOverlap = catalog.Decide(overlap) }))
		call := func() int {
			answer, _ := w.do(w.request(stage, http.MethodPost, "/v1/transfers", `{"amount":1}`))
			return answer.Code
		}
		before := call()
		rotated, err := w.apps.RotateSecret(context.Background(), mobile)
		if err != nil {
			t.Fatal(err)
		}
		after := call()
		w.clock.advance(overlap + time.Second)
		late := call()
		w.secrets[mobile] = rotated.Secret
		renewed := call()
		want := map[bool]string{false: "200 401 401 200", true: "200 200 401 200"}[overlap > 0]
		if got := fmt.Sprint(before, after, late, renewed); got != want {
			t.Errorf("overlap %v: %s, want %s", overlap, got, want)
		}
	}
}

// TestHostFieldIsNotBelieved: behind proxies it says many things.
func TestHostFieldIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	r := w.request("hmac", http.MethodGet, "/v1/accounts", "")
	r.Host = "elsewhere.test:1"
	if answer, verdict := w.do(r); answer.Code != http.StatusOK {
		t.Errorf("%d, %+v", answer.Code, verdict)
	}
}

// TestSecretsAreNotPrinted prints what holds them.
func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	_, key, err := w.apps.Lookup(mobile)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(format, key.Secret()); strings.Contains(text, "secret of") {
			t.Errorf("%s prints %s", format, text)
		}
	}
}
