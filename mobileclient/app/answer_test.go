package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/protect"
)

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
	other := newBench(t) // whose bank has the same secret
	told := func(ahead time.Duration) func(*http.Response, []byte) []byte {
		return func(r *http.Response, _ []byte) []byte {
			r.StatusCode = http.StatusUnauthorized
			r.Header = http.Header{"Www-Authenticate": {other.toldTime(t, time.Now().Add(ahead))}}
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
			return bytes.ReplaceAll(body, []byte("HB-2001"), []byte("HB-3001"))
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
			if test.respond != nil {
				b.saying(t, test.respond, nil)
			}
			b.bank.ChangeAnswers(test.meddle)
			before := len(b.bank.Calls())
			screen := shown(t)(app.Transfer(t.Context(), payment()))
			if screen.OK || screen.Check != test.check || !strings.Contains(screen.Error, test.shown) {
				t.Errorf("%+v", screen)
			}
			if calls := b.bank.Calls()[before:]; len(calls) != test.served {
				t.Errorf("the bank served %v", calls)
			}
			arrived := b.bank.Arrived()[before:] // of copies the real one serves one
			for _, r := range arrived {
				if got, want := r.Header.Get("Authorization"), arrived[0].Header.Get("Authorization"); got != want {
					t.Errorf("repeated with another signature: %s and %s", want, got)
				}
			}
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

// TestAnswerToAnotherCall has somebody give the app an answer that the bank made, but
// for an earlier call.
func TestAnswerToAnotherCall(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	app := b.launch(t, "hmac")
	var earlier *http.Response
	var body []byte
	b.bank.ChangeAnswers(func(r *http.Response, answer []byte) []byte {
		earlier, body = r, bytes.Clone(answer)
		return answer
	})
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	b.bank.ChangeAnswers(func(r *http.Response, _ []byte) []byte {
		r.Header = earlier.Header.Clone()
		return body
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
	if err := b.bank.Manage().Do(t.Context(), http.MethodPost, "/keys/"+clientID+"/secret", nil, nil); err != nil {
		t.Fatal(err)
	}
	screen := shown(t)(app.Accounts(t.Context()))
	if screen.OK || screen.Status != http.StatusUnauthorized || screen.Check != "" || screen.Error == "" {
		t.Errorf("%+v", screen)
	}
}

func TestSealedBodies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		seal  func(sealed.Keys) sealer
		check catalog.Check
	}{
		{"as agreed", nil, ""},
		{"not sealed", func(sealed.Keys) sealer {
			return func(content []byte, media string) ([]byte, string) { return content, media }
		}, "sealed-answer"},
		{"not sealed, but called so", func(sealed.Keys) sealer {
			return func(content []byte, _ string) ([]byte, string) { return content, sealed.MediaType }
		}, "sealed-answer"},
		{"with the key of requests", func(keys sealed.Keys) sealer {
			return func(content []byte, media string) ([]byte, string) {
				body, _ := keys.Requests.Seal(content, media)
				return body, sealed.MediaType
			}
		}, "sealed-answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			app := b.launch(t, "hidden-secrets")
			if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
				t.Fatalf("%+v", screen)
			}
			if test.seal != nil {
				keys, err := sealed.DeriveKeys(b.settings.SharedSecret)
				if err != nil {
					t.Fatal(err)
				}
				b.saying(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", protect.JSON)
					fmt.Fprint(w, `{}`)
				}, test.seal(keys))
			}
			screen := shown(t)(app.Transfer(t.Context(), payment()))
			if screen.OK != (test.check == "") || screen.Check != test.check {
				t.Errorf("%+v", screen)
			}
			if wire := string(b.last(t).Content); strings.Contains(wire, "HB-1001") || strings.Count(wire, ".") != 4 {
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

func TestAnswersThatAreNotTheBanks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, media, body string
		status            int
		want              string
	}{
		{"a portal's page", "text/html", "<h1>Pay for Wi-Fi</h1>", 200, "can't be read"},
		{"a redirect", "text/html", "", 302, "302"},
		{"a plain error", "text/plain", "no", 502, "502"},
		{"broken JSON", "application/json", `{"a":`, 200, "can't be read"},
		{"a problem", "application/problem+json", `{"title":"Not allowed","detail":"Ask for the scope."}`, 403, "Not allowed. Ask for the scope."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.bank.Answer(func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
				w.Header().Set("Content-Type", test.media)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
				return true
			})
			screen := shown(t)(b.launch(t, "app-id").Accounts(t.Context()))
			if screen.OK || screen.Status != test.status || screen.Check != "" || !strings.Contains(screen.Error, test.want) {
				t.Errorf("%+v", screen)
			}
			if len(b.bank.Calls()) != 1 {
				t.Errorf("%d calls", len(b.bank.Calls()))
			}
		})
	}
}
