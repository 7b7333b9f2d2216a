package guard_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyladder/backend/guard"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
)

// TestRefusalsAreAuthenticated looks at refusals by every check after the signature's,
// and at other answers that are no 200s. Receiving an answer checks it.
func TestRefusalsAreAuthenticated(t *testing.T) {
	testenv.InSequence(t)
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

// A refusal says that the key may be revoked, and does not say which of the reasons it is: else
// anybody could find out which keys there are.
func TestRefusedKeysLookAlike(t *testing.T) {
	t.Parallel()
	body := func(spoil func(w *world, r *http.Request)) string {
		w := newWorld(t, catalog.All())
		r := w.request("hmac", http.MethodGet, "/v1/accounts", "")
		spoil(w, r)
		answer, verdict := w.do(r)
		if answer.Code != http.StatusUnauthorized || verdict.Check != catalog.CheckHawk {
			t.Fatalf("%d by %s", answer.Code, verdict.Check)
		}
		return answer.Body.String()
	}
	revoked := body(func(w *world, _ *http.Request) {
		if _, err := w.apps.Revoke(t.Context(), mobile); err != nil {
			t.Fatal(err)
		}
	})
	if !strings.Contains(revoked, "unknown or revoked") {
		t.Errorf("a revoked key: %s", revoked)
	}
	for name, spoil := range map[string]func(w *world, r *http.Request){
		"an invented key": func(w *world, r *http.Request) { again(w, r, func(c *hawk.Client) { c.Credentials.ID = "invented" }) },
		"a wrong secret":  func(w *world, r *http.Request) { again(w, r, func(c *hawk.Client) { c.Credentials.Key = "a guess" }) },
	} {
		if other := body(spoil); other != revoked {
			t.Errorf("%s: %s", name, other)
		}
	}
}
