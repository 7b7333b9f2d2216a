package authserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyladder/internal/testenv"
	"keyladder/stages/mechanism/sealed"
)

// TestKindsOfTokensAtTheAPI: nothing but an access token of the stage opens the API there, whatever
// else its owner has, or was sent.
func TestKindsOfTokensAtTheAPI(t *testing.T) {
	t.Parallel()
	w := start(t)
	server := w.api(t)
	good := w.browser(t).allow(implicit, "alice", ask(implicit, web)).answer(t).Get("access_token")
	testenv.Within(t, 10*time.Second, "the API knows clients and keys", func() bool { return server.accounts(t, web, good) == http.StatusOK })
	p := w.program(t, web)
	renewable := p.tokens(refresh, "alice")
	body := testenv.Must[[]byte](t)(testenv.Must[sealed.Keys](t)(sealed.DeriveKeys(strings.Repeat("s", 32))).Requests.Seal([]byte("{}"), "application/json"))
	for name, text := range map[string]string{
		"an access token of another stage": p.tokens(code, "alice").Token,
		"one where there is refresh":       renewable.Token,
		"a refresh token":                  renewable.Refresh,
		"a code":                           w.code(t, code, "alice", web),
		"a sealed body":                    string(body),
	} {
		if status := server.accounts(t, web, text); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status := server.accounts(t, web, good); status != http.StatusOK {
		t.Errorf("the access token after that: %d", status)
	}
}

// TestProofKeysAreUnknown: a stage without PKCE does not say in its metadata that it has any, and
// what a client sends of it counts as parameters that nobody knows (RFC 6749, sections 3.1 and 3.2),
// each of which may come once. So nobody who reads the metadata takes a code for bound that is not.
func TestProofKeysAreUnknown(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.program(t, web)
	for _, stage := range []string{code, refresh} {
		if page := w.browser(t).get("/.well-known/oauth-authorization-server/" + stage); strings.Contains(page.body, "code_challenge") {
			t.Errorf("%s: %s", stage, page.body)
		}
		query := ask(stage, web)
		query.Set("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
		query.Set("code_challenge_method", "S256")
		text := w.browser(t).allow(stage, "alice", query).answer(t).Get("code")
		form := redemption(text, webURI)
		form["code_verifier"] = []string{"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "another"}
		p.post(stage, "token", form).refused(t, "two verifiers at "+stage, 400, "invalid_request")
		form["code_verifier"] = form["code_verifier"][1:]
		if answer := p.post(stage, "token", form); answer.Status != http.StatusOK {
			t.Errorf("at %s: %s", stage, answer.Body)
		}
		query["code_challenge"] = []string{"a", "b"}
		if answer := w.browser(t).authorize(stage, query).answer(t); answer.Get("error") != "invalid_request" {
			t.Errorf("two challenges at %s: %v", stage, url.Values(answer))
		}
	}
}
