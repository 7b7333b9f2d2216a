package guard_test

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/tokens"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/httpsig"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
)

const signedStage = "signed-calls"

// signingHolder is a holder whose app signs its calls.
type signingHolder struct {
	*holder
	sent *httpsig.Sent // the call that was signed last
}

func newSigningHolder(t testing.TB) *signingHolder {
	t.Helper()
	h := &signingHolder{holder: newHolder(t, catalog.All())}
	h.access, h.integrity = h.tokenOf(h.key), h.attestedOf(h.key)
	return h
}

func (h *signingHolder) tokenOf(key *ecdsa.PrivateKey) string {
	h.Helper()
	grant := tokens.Grant{Stage: signedStage, User: "alice", Client: mobile, Scope: "rates:read accounts:read transfers:write", Device: "phone"}
	if key != nil {
		grant.Thumbprint = public(h, key).Thumbprint()
	}
	issued, err := h.tokens.Issue(h.Context(), h.clock.Now(), grant)
	if err != nil {
		h.Fatal(err)
	}
	return issued.Text
}

func (h *signingHolder) attestedOf(key *ecdsa.PrivateKey) string {
	h.Helper()
	return h.attestedAt(signedStage, mobile, func(_ *token.Key, c *integrity.Claims) {
		if c.Device = "phone"; key != nil {
			c.Key = public(h, key)
		}
	})
}

// call is a good one, as alice; with a body where there is one.
func (h *signingHolder) call(method, path, body string) *http.Request {
	h.Helper()
	r := httptest.NewRequest(method, "/"+signedStage+path, strings.NewReader(body))
	r.Header.Set("User-Agent", "HarbourBank/1.0")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.RemoteAddr = "203.0.113.7:4711"
	over(guard.TLS, nil)(r)
	integrity.Set(r.Header, h.integrity)
	token.SetBound(r.Header, h.access)
	h.sign(r, body, h.key, h.clock.Now())
	return r
}

func message(r *http.Request) httpsig.Message {
	return httpsig.Message{Method: r.Method, Target: httpsig.TargetURI("https://"+host+":8443", r.RequestURI), Header: r.Header}
}

func (h *signingHolder) sign(r *http.Request, body string, key *ecdsa.PrivateKey, at time.Time) {
	h.Helper()
	h.signAs(message(r), body, key, at)
}

func (h *signingHolder) signAs(m httpsig.Message, body string, key *ecdsa.PrivateKey, at time.Time) {
	h.Helper()
	sent, err := httpsig.SignRequest(m, []byte(body), key, at)
	if err != nil {
		h.Fatal(err)
	}
	h.sent = sent
}

// check checks the answer's signature.
func (h *signingHolder) check(answer *httptest.ResponseRecorder) (time.Time, error) {
	body := answer.Body.Bytes()
	if bytes.HasPrefix(h.sent.Base, []byte("\"@method\": HEAD\n")) {
		body = nil // which the recorder keeps
	}
	return h.sent.CheckResponse(answer.Code, answer.Header(), body, public(h, h.config.Proofs.Responses.(*ecdsa.PrivateKey)))
}

const paid = `{"to":"GB33BUKB20201555555555","amount":2500}`

// withBody has a request carry another body than the one that it was made with.
func withBody(r *http.Request, body string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}

// TestSignedCalls: what proves that the sender has signed this very call with the key that both tokens are
// bound to, and what does not. What a check refuses gets past it where that is switched off.
func TestSignedCalls(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, path, body string
		spoil              func(*signingHolder, *http.Request)
		status             int
		check              catalog.Check
		kind               string
		unsigned           bool // the answer is
	}{
		"a good one":     {"POST", "/v1/transfers", paid, func(*signingHolder, *http.Request) {}, 200, "", "", false},
		"without a body": {"GET", "/v1/accounts?limit=1", "", func(*signingHolder, *http.Request) {}, 200, "", "", false},
		"the head alone": {"HEAD", "/v1/accounts", "", func(*signingHolder, *http.Request) {}, 200, "", "", false},
		"public data": {"GET", "/v1/rates", "", func(h *signingHolder, r *http.Request) {
			r.Header.Del("Authorization")
			h.sign(r, "", h.key, h.clock.Now())
		}, 200, "", "", false},

		"no signature": {"GET", "/v1/accounts", "", func(_ *signingHolder, r *http.Request) {
			r.Header.Del("Signature")
			r.Header.Del("Signature-Input")
		}, 401, catalog.CheckSignature, "invalid-signature", true},
		"a signature that can't be read": {"GET", "/v1/accounts", "", func(_ *signingHolder, r *http.Request) {
			r.Header.Set("Signature", "device=1")
		}, 400, catalog.CheckSignature, "invalid-signature", true},
		"another payee": {"POST", "/v1/transfers", paid, func(_ *signingHolder, r *http.Request) {
			withBody(r, strings.Replace(paid, "GB33BUKB20201555555555", "GB29NWBK60161331926819", 1))
		}, 401, catalog.CheckSignature, "invalid-signature", true},
		"a body, added":  {"POST", "/v1/transfers", "", func(_ *signingHolder, r *http.Request) { withBody(r, paid) }, 401, catalog.CheckSignature, "invalid-signature", true},
		"another method": {"GET", "/v1/accounts", "", func(_ *signingHolder, r *http.Request) { r.Method = "HEAD" }, 401, catalog.CheckSignature, "", true},
		"another query": {"GET", "/v1/accounts?limit=1", "", func(_ *signingHolder, r *http.Request) {
			r.RequestURI = strings.Replace(r.RequestURI, "1", "2", 1)
		}, 401, catalog.CheckSignature, "invalid-signature", true},
		"for another host, which the Host field names": {"GET", "/v1/accounts", "", func(h *signingHolder, r *http.Request) {
			m := message(r)
			r.Host, m.Target = "elsewhere.test", httpsig.TargetURI("https://elsewhere.test", r.RequestURI)
			h.signAs(m, "", h.key, h.clock.Now())
		}, 401, catalog.CheckSignature, "invalid-signature", true},
		"another access token": {"GET", "/v1/accounts", "", func(h *signingHolder, r *http.Request) {
			token.SetBound(r.Header, h.tokenOf(h.key))
		}, 401, catalog.CheckSignature, "invalid-signature", true},
		"another client integrity token": {"GET", "/v1/accounts", "", func(h *signingHolder, r *http.Request) {
			integrity.Set(r.Header, h.attestedOf(h.key))
		}, 401, catalog.CheckSignature, "invalid-signature", true},
		"both tokens lifted, and a key of one's own": {"GET", "/v1/accounts", "", func(h *signingHolder, r *http.Request) {
			h.sign(r, "", newKey(h), h.clock.Now())
		}, 401, catalog.CheckSignature, "invalid-signature", true},
		"a client integrity token of no key": {"GET", "/v1/accounts", "", func(h *signingHolder, r *http.Request) {
			integrity.Set(r.Header, h.attestedOf(nil))
			h.sign(r, "", h.key, h.clock.Now())
		}, 401, catalog.CheckSignature, "integrity-not-accepted", true},
		"an access token lifted, with one's own client integrity token": {"GET", "/v1/accounts", "", func(h *signingHolder, r *http.Request) {
			own := newKey(h)
			integrity.Set(r.Header, h.attestedOf(own))
			h.sign(r, "", own, h.clock.Now())
		}, 401, catalog.CheckBinding, "token-not-accepted", false},
		"a bound token as Bearer": {"GET", "/v1/accounts", "", func(h *signingHolder, r *http.Request) {
			token.Set(r.Header, h.access)
			h.sign(r, "", h.key, h.clock.Now())
		}, 401, catalog.CheckToken, "token-not-accepted", false},
		"for the past": {"GET", "/v1/accounts", "", func(h *signingHolder, r *http.Request) {
			h.sign(r, "", h.key, h.clock.Now().Add(-16*time.Second))
		}, 401, catalog.CheckSignature, "invalid-signature", false},
		"for later": {"GET", "/v1/accounts", "", func(h *signingHolder, r *http.Request) {
			h.sign(r, "", h.key, h.clock.Now().Add(time.Minute))
		}, 401, catalog.CheckSignature, "invalid-signature", false},
		"a DPoP proof in its place": {"GET", "/v1/accounts", "", func(h *signingHolder, r *http.Request) {
			r.Header.Del("Signature")
			r.Header.Del("Signature-Input")
			h.prove(r, h.key, h.clock.Now())
		}, 401, catalog.CheckSignature, "invalid-signature", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newSigningHolder(t)
			r := h.call(test.method, test.path, test.body)
			test.spoil(h, r)
			again := r.Clone(r.Context())
			if r.GetBody == nil && r.Body != nil {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Fatal(err)
				}
				withBody(r, string(body))
				withBody(again, string(body))
			}
			answer, verdict := h.do(r)
			if answer.Code != test.status || test.check != "" && verdict.Check != test.check || test.kind != "" && kindOf(answer) != test.kind {
				t.Fatalf("%d %s; %+v", answer.Code, answer.Body, verdict)
			}
			told, err := h.check(answer)
			switch {
			case test.unsigned && !errors.Is(err, httpsig.ErrMissing):
				t.Errorf("the answer is signed, and nobody has signed the call well: %v", err)
			case !test.unsigned && (err != nil || told.Sub(h.clock.Now()).Abs() > time.Second):
				t.Errorf("the answer: %v, of %s", err, told)
			}
			if test.check == "" {
				return
			}
			if accept := answer.Header().Get("Accept-Signature"); test.kind == "invalid-signature" && !strings.HasPrefix(accept, `device=("@method" "@target-uri"`) {
				t.Errorf("what is to be signed: %q", accept)
			}
			h.config.Stages = catalog.All().WithoutCheck(signedStage, test.check)
			h.begin()
			if _, now := h.do(again); now.Check == test.check && !now.Allowed {
				t.Errorf("without the check: %+v", now)
			}
		})
	}
}

// TestSignedCallsAreGoodOnce, and the answer to the second is signed, too: it was signed well.
func TestSignedCallsAreGoodOnce(t *testing.T) {
	t.Parallel()
	h := newSigningHolder(t)
	r := h.call(http.MethodGet, "/v1/accounts", "")
	for i, want := range []int{200, 401} {
		answer, verdict := h.do(r.Clone(r.Context()))
		if answer.Code != want || want == 401 && (verdict.Check != catalog.CheckProofNew || kindOf(answer) != "invalid-signature") {
			t.Fatalf("call %d: %d %s; %+v", i, answer.Code, answer.Body, verdict)
		}
		if _, err := h.check(answer); err != nil {
			t.Error(err)
		}
	}
	if answer, _ := h.do(h.call(http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusOK {
		t.Errorf("signed anew: %d %s", answer.Code, answer.Body)
	}
}

// TestSignedCallsAreRememberedLongEnough: until nothing would accept them any more, whatever the clock
// that they were signed by.
func TestSignedCallsAreRememberedLongEnough(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"a clock that is right": 0, "a fast one": httpsig.Leeway, "a slow one": -httpsig.Lifetime + time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newSigningHolder(t)
			h.clock.now = h.clock.now.Truncate(time.Second)
			made := h.clock.now.Add(ahead)
			r := h.call(http.MethodGet, "/v1/accounts", "")
			h.sign(r, "", h.key, made)
			if answer, verdict := h.do(r.Clone(r.Context())); answer.Code != http.StatusOK {
				t.Fatalf("%d; %+v", answer.Code, verdict)
			}
			again := func() catalog.Check {
				answer, verdict := h.do(r.Clone(r.Context()))
				if answer.Code != http.StatusUnauthorized || kindOf(answer) != "invalid-signature" {
					t.Fatalf("%s after it was signed: %d; %+v", h.clock.now.Sub(made), answer.Code, verdict)
				}
				return verdict.Check
			}
			for end := made.Add(httpsig.Lifetime); h.clock.now.Before(end); h.clock.advance(time.Second / 4) {
				if check := again(); check != catalog.CheckProofNew {
					t.Fatalf("%s after it was signed it is refused by %s", h.clock.now.Sub(made), check)
				}
			}
			if check := again(); check != catalog.CheckSignature {
				t.Errorf("after its time it is refused by %s", check)
			}
		})
	}
}

// TestSignedAnswers: a handler's fault, and what it says without saying what it is.
func TestSignedAnswers(t *testing.T) {
	t.Parallel()
	h := newSigningHolder(t)
	before := h.log.Last()
	answer, _ := h.do(h.call(http.MethodGet, "/v1/accounts", ""))
	if _, err := h.check(answer); err != nil {
		t.Fatal(err)
	}
	records := h.log.After(before)
	if !bytes.Equal(records[0].Base, h.sent.Base) || records[1].Base != nil {
		t.Errorf("the record has the base\n%s\nsigned was\n%s", records[0].Base, h.sent.Base)
	}
	// A changed call has another base: people compare the two.
	r := h.call(http.MethodPost, "/v1/transfers", paid)
	r.Header.Set("Content-Digest", "sha-256=:AAAA:")
	before = h.log.Last()
	h.do(r)
	if records = h.log.After(before); !bytes.Contains(records[0].Base, []byte("sha-256=:AAAA:")) || bytes.Equal(records[0].Base, h.sent.Base) {
		t.Errorf("the record has the base\n%s", records[0].Base)
	}
}

// TestNothingIsServedUnsigned: a guard is not made that could not sign answers, and an answer that can't
// be signed is none. Nothing of it is sent, and nothing that was made for it.
func TestNothingIsServedUnsigned(t *testing.T) {
	t.Parallel()
	h := newSigningHolder(t)
	proofs := *h.config.Proofs
	proofs.Responses = nil
	config := h.config
	config.Proofs = &proofs
	if _, err := guard.New(config); err == nil || !strings.Contains(err.Error(), signedStage) || strings.Contains(err.Error(), boundStage+":") {
		t.Errorf("without a key: %v", err)
	}
	for name, fields := range map[string]http.Header{
		"without a media type": {"Etag": {"x"}},
		// Its digest and its input can be set, and the signature can't.
		"with a signature that can't be read": {"Etag": {"x"}, "Content-Type": {"text/plain"}, "Signature": {"((("}},
	} {
		h.beginEmpty()
		h.guard.Handle(h.echo, guard.Route{Method: http.MethodGet, Path: "/v1/accounts", Scope: "accounts:read"}, func(c echo.Context, _ guard.Caller) error {
			maps.Copy(c.Response().Header(), fields)
			_, err := c.Response().Write([]byte("what is this?"))
			return err
		})
		answer, _ := h.do(h.call(http.MethodGet, "/v1/accounts", ""))
		if answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), "what is this?") {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
		sent := slices.Sorted(maps.Keys(answer.Header()))
		if !slices.Equal(sent, []string{"Cache-Control", "Content-Type", "Ratelimit", "Ratelimit-Policy"}) || answer.Header().Get("Content-Type") != problem.ContentType {
			t.Errorf("%s: the answer has the fields %v", name, sent)
		}
	}
}
