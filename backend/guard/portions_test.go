package guard_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

const portionsPath = "/v1/portions"

// portions is a guard whose stage seals portions of bodies, with a route that answers with
// what its handler reads.
func portions(t *testing.T, change func(*catalog.Policies)) *world {
	t.Helper()
	w := newWorld(t, catalog.All().With("hidden-secrets", func(p *catalog.Policies) {
		p.Call.Bodies = catalog.SealedPortions
		change(p)
	}))
	w.guard.Handle(w.echo, guard.Route{Method: http.MethodPost, Path: portionsPath, Scope: "transfers:write"}, func(c echo.Context, caller guard.Caller) error {
		return c.Blob(http.StatusOK, "application/json", caller.Body())
	})
	return w
}

// TestPortions sends a transfer of which a portion is sealed: the handler reads all of it, and
// whoever carries it, or the answer, what is not confidential.
func TestPortions(t *testing.T) {
	t.Parallel()
	const transfer = `{"from":"HB-1001","to":"HB-2001","amount":1990,"currency":"EUR","reference":"a book"}`
	w := portions(t, func(*catalog.Policies) {})
	r := w.request("hidden-secrets", http.MethodPost, portionsPath, "{}")
	w.prove(r, catalog.Call{Bodies: catalog.SealedPortions, UserProof: catalog.NoUser}, mobile, transfer)
	answer, verdict := w.do(r)
	if answer.Code != http.StatusOK || !verdict.Allowed {
		t.Fatalf("%d, %+v: %s", answer.Code, verdict, answer.Body)
	}
	opened, some, err := w.sealing(mobile).Responses.OpenMembers(answer.Body.Bytes(), catalog.Confidential())
	if want := `{"currency":"EUR","reference":"a book","from":"HB-1001","to":"HB-2001","amount":1990}`; string(opened) != want || !some || err != nil {
		t.Errorf("the handler read %s, %v, %v", opened, some, err)
	}
	for _, record := range w.log.After(w.log.Last() - 2) {
		if body := string(record.Body); strings.Contains(body, "HB-") || strings.Contains(body, "1990") || !strings.Contains(body, `"reference":"a book"`) {
			t.Errorf("the %s carries %s", record.Kind, body)
		}
		if record.Kind == traffic.Request && !strings.Contains(record.Head, "Content-Type: application/json") {
			t.Errorf("the request:\n%s", record.Head)
		}
	}
}

func TestPortionsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body  func(*world) []byte
		media string
	}{
		"a member in the clear": {body: func(*world) []byte { return []byte(`{"amount":1990,"currency":"EUR"}`) }},
		"one more in the clear": {body: func(w *world) []byte {
			body, _, _ := w.sealing(mobile).Requests.SealMembers([]byte(`{"amount":1}`), catalog.Confidential())
			return bytes.Replace(body, []byte("{"), []byte(`{"amount":1990,`), 1)
		}},
		"under another app's secret": {body: func(w *world) []byte {
			body, _, _ := w.sealing(kiosk).Requests.SealMembers([]byte(`{"amount":1}`), catalog.Confidential())
			return body
		}},
		"for the other direction": {body: func(w *world) []byte {
			body, _, _ := w.sealing(mobile).Responses.SealMembers([]byte(`{"amount":1}`), catalog.Confidential())
			return body
		}},
		"as something else": {media: "text/plain", body: func(*world) []byte { return []byte(`{"amount":1990}`) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			send := func(w *world) (*http.Request, []byte) {
				r := w.request("hidden-secrets", http.MethodPost, portionsPath, "{}")
				r.Header.Set("Content-Type", "application/json")
				if test.media != "" {
					r.Header.Set("Content-Type", test.media)
				}
				return r, test.body(w)
			}
			w := portions(t, func(*catalog.Policies) {})
			r, body := send(w)
			w.sign(w.client(catalog.Call{UserProof: catalog.NoUser}, mobile), r, body)
			answer, verdict := w.do(r)
			if answer.Code != http.StatusBadRequest || verdict.Check != catalog.CheckSealedBody || !strings.Contains(answer.Body.String(), "confidential") {
				t.Errorf("%d, %+v: %s", answer.Code, verdict, answer.Body)
			}
			off := portions(t, func(p *catalog.Policies) { p.Call.Bodies = catalog.PlainBodies })
			r, body = send(off)
			off.sign(off.client(catalog.Call{UserProof: catalog.NoUser}, mobile), r, body)
			if answer, verdict := off.do(r); answer.Code != http.StatusOK {
				t.Errorf("with nothing sealed: %d, %+v", answer.Code, verdict)
			}
		})
	}
}
