package authserver_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pkce"
)

// challenged is what a client asks for whose code is to be bound to a challenge. Parameters without
// a value are left out.
func challenged(stage, client, challenge, method string) url.Values {
	query := ask(stage, client)
	for name, value := range map[string]string{pkce.FieldChallenge: challenge, pkce.FieldMethod: method} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// bound has a user allow a client everything, and is the code that comes of it.
func (w *world) bound(t testing.TB, stage, client, challenge, method string) string {
	t.Helper()
	answer := w.browser(t).allow(stage, "alice", challenged(stage, client, challenge, method)).answer(t)
	if answer.Get("code") == "" {
		t.Fatalf("no code: %v", answer)
	}
	return answer.Get("code")
}

// shownWith is a redemption with a verifier.
func shownWith(code, redirectURI, verifier string) url.Values {
	form := redemption(code, redirectURI)
	form.Set(pkce.FieldVerifier, verifier)
	return form
}

// TestChallenges: what the authorization endpoint takes is the stage's, for all clients. Refusals
// lead back to the client (RFC 7636, section 4.4.1).
func TestChallenges(t *testing.T) {
	t.Parallel()
	w, verifier := start(t), pkce.NewVerifier()
	hash := pkce.Challenge(pkce.S256, verifier)
	for name, test := range map[string]struct {
		challenge, method string
		plain, s256       bool // it is taken there
	}{
		"S256":                      {hash, "S256", true, true},
		"plain":                     {verifier, "plain", true, false},
		"no method":                 {verifier, "", true, false},
		"no challenge":              {"", "S256", false, false},
		"neither":                   {"", "", false, false},
		"plain alone":               {"", "plain", false, false},
		"an unknown method":         {hash, "S512", false, false},
		"a method in small letters": {hash, "s256", false, false},
		"too short":                 {verifier[:42], "plain", false, false},
		"too long":                  {strings.Repeat("a", 129), "plain", false, false},
		"a hash that is too long":   {hash + "A", "S256", false, false},
		"a hash with padding":       {hash + "=", "S256", false, false},
	} {
		for stage, taken := range map[string]bool{plain: test.plain, s256: test.s256} {
			for _, client := range []string{web, native, mobile} { // with a secret, without, and servers'
				page := w.browser(t).authorize(stage, challenged(stage, client, test.challenge, test.method))
				if taken {
					if page.StatusCode != http.StatusOK {
						t.Errorf("%s, %s at %s: %s", name, client, stage, page.Status)
					}
					continue
				}
				answer := page.answer(t)
				if answer.Get("error") != "invalid_request" || answer.Get("state") != "xyz" || answer.Get("iss") != w.issuer(stage) || answer.Get("code") != "" {
					t.Errorf("%s, %s at %s: %v", name, client, stage, answer)
				}
			}
		}
	}
	twice := challenged(s256, web, hash, "S256")
	twice.Add(pkce.FieldChallenge, hash)
	if answer := w.browser(t).authorize(s256, twice).answer(t); answer.Get("error") != "invalid_request" {
		t.Errorf("twice: %v", answer)
	}
	if page := w.browser(t).authorize(refresh, challenged(refresh, web, "x", "y")); page.StatusCode != http.StatusOK {
		t.Errorf("where nobody knows challenges: %s", page.Status)
	}
	if !slices.ContainsFunc(w.log.After(0), func(m traffic.Message) bool { return m.Verdict != nil && m.Verdict.Check == catalog.CheckPKCE }) {
		t.Errorf("no refusal by %s is on record", catalog.CheckPKCE)
	}
}

// TestVerifiers: a code is good with its verifier alone (RFC 7636, section 4.6). A refusal does not use it up.
func TestVerifiers(t *testing.T) {
	t.Parallel()
	w, verifier := start(t), pkce.NewVerifier()
	hash := pkce.Challenge(pkce.S256, verifier)
	for _, test := range []struct{ name, stage, challenge, method string }{
		{"S256", s256, hash, "S256"}, {"S256, where plain is taken", plain, hash, "S256"}, {"plain", plain, verifier, "plain"}, {"no method", plain, verifier, ""},
	} {
		text := w.bound(t, test.stage, web, test.challenge, test.method)
		p := w.program(t, web)
		for name, wrong := range map[string]struct{ verifier, error string }{
			"missing":     {"-", "invalid_grant"}, // the parameter is not there
			"empty":       {"", "invalid_grant"},
			"another":     {pkce.NewVerifier(), "invalid_grant"},
			"too short":   {verifier[:42], "invalid_request"},
			"too long":    {strings.Repeat("a", 129), "invalid_request"},
			"a space":     {verifier + " ", "invalid_request"},
			"in base64":   {verifier[:42] + "+", "invalid_request"},
			"a line feed": {verifier + "\n", "invalid_request"},
			"no ASCII":    {verifier[:42] + "é", "invalid_request"},
		} {
			form := shownWith(text, webURI, wrong.verifier)
			if name == "missing" {
				form.Del(pkce.FieldVerifier)
			}
			p.post(test.stage, "token", form).refused(t, test.name+": "+name, 400, wrong.error)
		}
		if test.challenge == hash {
			p.post(test.stage, "token", shownWith(text, webURI, hash)).refused(t, test.name+": the challenge", 400, "invalid_grant")
		}
		twice := shownWith(text, webURI, verifier)
		twice.Add(pkce.FieldVerifier, verifier)
		p.post(test.stage, "token", twice).refused(t, test.name+": twice", 400, "invalid_request")
		changed := shownWith(text, webURI, test.challenge)
		changed.Set(pkce.FieldMethod, "plain")
		if test.challenge == hash {
			p.post(test.stage, "token", changed).refused(t, test.name+": another method, afterwards", 400, "invalid_grant")
		}
		answer := p.post(test.stage, "token", shownWith(text, webURI, verifier))
		if answer.Status != http.StatusOK || !w.good(test.stage, answer.Token) {
			t.Fatalf("%s: %d %s", test.name, answer.Status, answer.Body)
		}
		// Who has the code alone can't end what its owner has.
		p.post(test.stage, "token", shownWith(text, webURI, pkce.NewVerifier())).refused(t, test.name+": another, afterwards", 400, "invalid_grant")
		if !w.good(test.stage, answer.Token) {
			t.Errorf("%s: somebody without the verifier has ended the tokens", test.name)
		}
		p.post(test.stage, "token", shownWith(text, webURI, verifier)).refused(t, test.name+": once more", 400, "invalid_grant")
		if w.good(test.stage, answer.Token) {
			t.Errorf("%s: the second use has ended nothing", test.name)
		}
	}
	text := w.code(t, refresh, "alice", web)
	if answer := w.program(t, web).post(refresh, "token", shownWith(text, webURI, "x")); answer.Status != http.StatusOK {
		t.Errorf("where nobody knows verifiers: %s", answer.Body)
	}
}

// TestVerifiersOfOtherCodes: a code that was caught is worth nothing with the verifier of another
// request, whoever redeems it: that is what happens when it is put into the genuine app elsewhere.
func TestVerifiersOfOtherCodes(t *testing.T) {
	t.Parallel()
	w, own, others := start(t), pkce.NewVerifier(), pkce.NewVerifier()
	theirs := w.bound(t, s256, mobile, pkce.Challenge(pkce.S256, others), "S256")
	w.bound(t, s256, mobile, pkce.Challenge(pkce.S256, own), "S256")
	p := w.program(t, mobile)
	for _, verifier := range []string{own, ""} {
		p.as(s256, "token", mobileServers, secrets[mobileServers], shownWith(theirs, mobileURI, verifier)).refused(t, "a relayed code", 400, "invalid_grant")
	}
	if answer := p.as(s256, "token", mobileServers, secrets[mobileServers], shownWith(theirs, mobileURI, others)); answer.Status != http.StatusOK {
		t.Errorf("the owner, afterwards: %s", answer.Body)
	}
}

// TestVerifierInURL: what is in a URL ends up in logs.
func TestVerifierInURL(t *testing.T) {
	t.Parallel()
	w, verifier := start(t), pkce.NewVerifier()
	text := w.bound(t, s256, web, pkce.Challenge(pkce.S256, verifier), "S256")
	p := w.program(t, web)
	r := p.request(s256, "token", shownWith(text, webURI, verifier))
	r.URL.RawQuery = url.Values{pkce.FieldVerifier: {verifier}}.Encode()
	testenv.Must[said](t)(p.try(r)).refused(t, "a verifier in the URL", 400, "invalid_request")
}

// TestMetadataWithPKCE: what is not in it is taken for unsupported (RFC 7636, section 6.2).
func TestMetadataWithPKCE(t *testing.T) {
	t.Parallel()
	w := start(t)
	for stage, want := range map[string]any{mediated: nil, plain: []any{"plain", "S256"}, s256: []any{"S256"}} {
		var got map[string]any
		if err := json.Unmarshal([]byte(w.browser(t).get("/.well-known/oauth-authorization-server/"+stage).body), &got); err != nil {
			t.Fatal(err)
		}
		if methods := got["code_challenge_methods_supported"]; !reflect.DeepEqual(methods, want) {
			t.Errorf("%s: %v", stage, methods)
		}
	}
}

// TestCodesOfTwoServers: a code that one process has issued another one redeems, on the same
// database, and none shows what is sealed into it.
func TestCodesOfTwoServers(t *testing.T) {
	t.Parallel()
	w, verifier := start(t), pkce.NewVerifier()
	text := w.bound(t, plain, web, verifier, "plain")
	if strings.Contains(text, verifier) {
		t.Error("the code shows its verifier")
	}
	base, _ := w.process(t, serverFolder)
	p := w.program(t, web)
	for _, shown := range []struct {
		verifier string
		status   int
	}{{pkce.NewVerifier(), 400}, {verifier, 200}} {
		r := p.request(plain, "token", shownWith(text, webURI, shown.verifier))
		r.URL.Host = strings.TrimPrefix(base, "https://")
		if answer := testenv.Must[said](t)(p.try(r)); answer.Status != shown.status {
			t.Errorf("%d %s", answer.Status, answer.Body)
		}
	}
}
