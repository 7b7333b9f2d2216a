package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/admin/programs/programtest"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

// signer issues tokens as the bank does, and the bank examines them with its key.
type signer struct {
	key      token.Key
	verifier token.Verifier
	set      *setting
	sent     []manage.BearerCall
}

func newSigner(set *setting) *signer {
	s := &signer{key: token.NewKey(), set: set}
	s.verifier = token.Verifier{Issuer: "https://localhost:8443/password-grant", Audience: "https://localhost:8443/password-grant/v1", Keys: func(id string) (token.Secret, bool) {
		return s.key.Secret, id == s.key.ID
	}}
	set.bank.HandleFunc("POST /tokens/examine", func(w http.ResponseWriter, r *http.Request) {
		var asked manage.TokenToExamine
		_ = json.NewDecoder(r.Body).Decode(&asked)
		found := s.verifier.Examine(asked.Token, set.clock.now())
		out := manage.TokenExamination{Header: found.Header, Claims: found.Claims, Subject: "alice"}
		for _, f := range found.Findings {
			finding := manage.TokenFinding{Check: catalog.CheckToken, Part: f.Check, Moot: f.Moot, Passed: f.Err == nil && !f.Moot}
			if f.Err != nil {
				finding.Reason = f.Err.Error()
			}
			out.Findings = append(out.Findings, finding)
		}
		programtest.Answer(w, out)
	})
	set.foe.HandleFunc("POST /calls", func(w http.ResponseWriter, r *http.Request) {
		var call manage.BearerCall
		_ = json.NewDecoder(r.Body).Decode(&call)
		s.sent = append(s.sent, call)
		verdict, status := traffic.Verdict{Allowed: true, Reason: "all checks let it through"}, http.StatusOK
		if _, err := s.verifier.Verify(call.Token, set.clock.now()); err != nil {
			verdict, status = traffic.Verdict{Check: catalog.CheckToken, Reason: err.Error()}, http.StatusUnauthorized
		}
		set.bank.Traffic().Add(traffic.Message{
			At: set.clock.now(), Lane: traffic.Server, Stage: call.Stage, Exchange: "mine", Kind: traffic.Request, From: "app", To: "resource",
			Summary: "GET /password-grant/v1/accounts", Head: "GET / HTTP/1.1\r\nAuthorization: Bearer " + call.Token + "\r\n\r\n", Verdict: &verdict,
		})
		programtest.Answer(w, manage.BearerAnswer{Status: status, Challenge: `Bearer error="invalid_token"`, Body: `{"title":"The access token is not good"}`, Exchange: "mine"})
	})
	return s
}

// issue is a token of alice.
func (s *signer) issue(t *testing.T) string {
	t.Helper()
	now := s.set.clock.now()
	text, err := s.key.Sign(token.Claims{
		Issuer: s.verifier.Issuer, Subject: "alice", Audience: []string{s.verifier.Audience}, ClientID: "harbour-mobile",
		Issued: now, Expires: now.Add(time.Hour), ID: token.NewID(), Scope: "accounts:read",
	})
	must(t, err)
	return text
}

// TestTokenIsTakenApart: pasted, in every way that people paste, and what is none.
func TestTokenIsTakenApart(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	s := newSigner(set)
	b := newBrowser(t, set).signIn()
	text := s.issue(t)
	for name, pasted := range map[string]string{
		"alone": text, "with its field": "Authorization: Bearer " + text + "\r\n", "with its scheme": "bearer " + text, "in two lines": text[:40] + "\r\n" + text[40:],
	} {
		r := b.post("/take-apart", "token", pasted, "stage", "password-grant", "do", "examine")
		r.want(t, http.StatusOK, `data-refused-by=""`, "accepted", "made for alice", "&#34;sub&#34;: &#34;alice&#34;", "exp, worth nothing from then on: 2026-11-21 10:30:00 UTC (in 1 h 0 min)", `data-finding="signature" data-passed="true"`)
		if !strings.Contains(r.Body, ">"+text+"</textarea>") {
			t.Errorf("%s: the token is not there as it is", name)
		}
	}
	b.post("/take-apart", "token", "nonsense <b>", "stage", "nowhere", "do", "examine").want(t, http.StatusOK, `data-refused-by="form"`, "can’t be made", "nonsense &lt;b&gt;")
	b.post("/take-apart", "token", "", "do", "examine").want(t, http.StatusOK, "Take a token apart")
	b.get("/take-apart?document=1").want(t, http.StatusOK, `data-refused-by="header"`, "the token of the document", "&#34;admin&#34;: true", "2345-01-01")
	b.get("/take-apart?message=1").want(t, http.StatusNotFound, "no such token in the traffic")
	set.bank.Stop(true)
	b.post("/take-apart", "token", text, "do", "examine").want(t, http.StatusOK, "does not answer", text)
}

// TestTokenIsForged and refused by the check that it must be refused by.
func TestTokenIsForged(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	s := newSigner(set)
	b := newBrowser(t, set).signIn()
	text := s.issue(t)
	header := `{"alg": "HS256", "kid": "` + s.key.ID + `", "typ": "at+jwt"}`
	for name, test := range map[string]struct {
		change []string
		want   string
	}{
		"another user, old signature": {[]string{"header", header, "claims", `{"sub":"bob"}`, "signature", "keep"}, "signature"},
		"none":                        {[]string{"header", header, "claims", `{"sub":"bob"}`, "signature", "none"}, "algorithm"},
		"a secret of one's own":       {[]string{"header", header, "claims", `{"sub":"bob"}`, "signature", "own", "secret", "mine"}, "signature"},
		"the right secret, guessed":   {[]string{"header", header, "claims", `{"sub":"bob"}`, "signature", "own", "secret", string(s.key.Secret)}, "claims"},
		"another kind of token":       {[]string{"header", `{"alg":"HS256","kid":"k","typ":"JWT"}`, "claims", `{}`, "signature", "keep"}, "type"},
	} {
		form := append([]string{"token", text, "stage", "password-grant", "do", "change"}, test.change...)
		if r := b.post("/take-apart", form...); r.StatusCode != http.StatusOK || !strings.Contains(r.Body, `data-refused-by="`+test.want+`"`) {
			t.Errorf("%s: %d, not refused by %q", name, r.StatusCode, test.want)
		}
	}
	for field, change := range map[string][]string{
		"header": {"header", "{", "claims", "{}", "signature", "keep"}, "claims": {"header", "{}", "claims", "", "signature", "none"}, "signature": {"header", "{}", "claims", "{}"},
	} {
		form := append([]string{"token", text, "stage", "password-grant", "do", "change"}, change...)
		b.post("/take-apart", form...).want(t, http.StatusUnprocessableEntity, `data-fault="`+field+`"`, text)
	}
}

// TestTokenIsSent, and the page says which check refuses it. Nothing of the token is in the
// audit log.
func TestTokenIsSent(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	s := newSigner(set)
	b := newBrowser(t, set).signIn()
	hear(t, b, set)
	text := s.issue(t)
	b.post("/take-apart", "token", text, "stage", "password-grant", "do", "send").want(t, http.StatusOK, `data-status="200"`, "✓ served", `href="/traffic/1"`)
	b.get("/traffic/1").want(t, http.StatusOK, `href="/take-apart?message=1&amp;n=0"`)
	b.get("/take-apart?message=1&n=0").want(t, http.StatusOK, text, `data-refused-by=""`)
	b.get("/take-apart?message=1&n=7").want(t, http.StatusNotFound)
	b.post("/traffic/clear").want(t, http.StatusSeeOther)
	b.post("/take-apart", "token", text+"x", "stage", "password-grant", "do", "send").want(t, http.StatusOK,
		`data-status="401"`, `data-check="access-token"`, "The access token is not good", "invalid_token", `data-refused-by="signature"`)
	if want := []manage.BearerCall{{Stage: "password-grant", Token: text}, {Stage: "password-grant", Token: text + "x"}}; !slices.Equal(s.sent, want) {
		t.Errorf("sent: %+v", s.sent)
	}
	audit := b.get("/audit")
	audit.want(t, http.StatusOK, "call with a token made by hand", "password-grant")
	if strings.Contains(audit.Body, text[:20]) {
		t.Error("the token is in the audit log")
	}
	set.foe.Stop(true)
	b.post("/take-apart", "token", text, "stage", "password-grant", "do", "send").want(t, http.StatusOK, "does not answer", text)
}
