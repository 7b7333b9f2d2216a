package protect_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

const (
	redirectURI = "com.harbourbank.app:/callback"
	oauthStage  = "code-grant"
)

// oauthCaller is a caller at a stage where users sign in on a page.
func oauthCaller(t *testing.T, grant catalog.Grants, auth catalog.ClientAuth, server string, as protect.Identity) *protect.Caller {
	t.Helper()
	stage, _ := catalog.All().Lookup("password-grant")
	policy := stage.Call
	policy.Grant, policy.ClientAuth = grant, auth
	as.ClientID = "harbour-mobile"
	caller, err := protect.New(policy, protect.API{Stage: oauthStage, TLS: "https://localhost:8443", Auth: server}, as)
	if err != nil {
		t.Fatal(err)
	}
	return caller
}

func oauthClient(t *testing.T, grant catalog.Grants, auth catalog.ClientAuth, server string) *protect.OAuth {
	t.Helper()
	client, err := oauthCaller(t, grant, auth, server, protect.Identity{UserAgent: "HarbourBank/2.0", Secret: "a secret+"}).OAuth(protect.RedirectURI("com.harbourbank.app"))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestAsk(t *testing.T) {
	t.Parallel()
	for grant, kind := range map[catalog.Grants]string{catalog.ImplicitGrant: "token", catalog.CodeGrant: "code", catalog.CodeAndRefresh: "code"} {
		client := oauthClient(t, grant, catalog.NoClientAuth, "https://localhost:8444")
		asked, err := client.Ask(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(asked.URL)
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{"response_type": {kind}, "client_id": {"harbour-mobile"}, "redirect_uri": {redirectURI}, "state": {asked.State}}
		if u.RawQuery != want.Encode() || u.Path != "/"+oauthStage+"/authorize" || client.Issuer() != "https://localhost:8444/"+oauthStage || len(asked.State) != 43 || asked.State == protect.NewState() {
			t.Errorf("%s: %s", grant, u)
		}
	}
	other := oauthClient(t, catalog.CodeGrant, catalog.NoClientAuth, "https://localhost:8444").Draft(oauth2.SetAuthURLParam("redirect_uri", "https://mallory.test/")).URL
	if !strings.Contains(other, url.QueryEscape("https://mallory.test/")) {
		t.Errorf("a changed parameter: %s", other)
	}
}

// TestNoPage has stages at which nobody signs in on a page, and one at which nobody signs in
// with a password.
func TestNoPage(t *testing.T) {
	t.Parallel()
	if _, err := oauthCaller(t, catalog.PasswordGrant, catalog.NoClientAuth, "https://localhost:8444", protect.Identity{}).OAuth(redirectURI); !errors.Is(err, protect.ErrNoPage) {
		t.Errorf("got %v, want %v", err, protect.ErrNoPage)
	}
	if _, err := oauthCaller(t, catalog.CodeGrant, catalog.NoClientAuth, "https://localhost:8444", protect.Identity{}).SignInCall("alice", "p"); !errors.Is(err, protect.ErrNobody) {
		t.Errorf("got %v, want %v", err, protect.ErrNobody)
	}
	without := oauthCaller(t, catalog.CodeGrant, catalog.NoClientAuth, "", protect.Identity{Token: "abc"})
	if _, err := without.SignOutCall(); err == nil {
		t.Error("a token would be sent to nobody knows where")
	}
}

func TestReadResponse(t *testing.T) {
	t.Parallel()
	client := oauthClient(t, catalog.CodeGrant, catalog.ClientSecret, "https://localhost:8444")
	const iss = "&iss=https%3A%2F%2Flocalhost%3A8444%2Fcode-grant"
	response, err := client.ReadResponse(redirectURI+"?code=c1&state=s1"+iss, protect.Asked{State: "s1"})
	if err != nil || response.Code != "c1" || strings.Contains(fmt.Sprintf("%v %#v", response, response), "c1") {
		t.Errorf("%v, %v", response, err)
	}
	var refused *protect.GrantError
	if _, err := client.ReadResponse(redirectURI+"?error=access_denied&error_description=no&state=s1"+iss, protect.Asked{State: "s1"}); !errors.As(err, &refused) || refused.Code != "access_denied" || refused.Description != "no" {
		t.Errorf("an error: %v", err)
	}
	for _, test := range []struct {
		name, link, state string
		want              error
	}{
		{"no state was expected", redirectURI + "?code=c1&state=" + iss, "", protect.ErrNotAsked},
		{"another state", redirectURI + "?code=c1&state=s2" + iss, "s1", protect.ErrNotAsked},
		{"the beginning of the state", redirectURI + "?code=c1&state=s" + iss, "s1", protect.ErrNotAsked},
		{"another path", "com.harbourbank.app:/callback2?code=c1&state=s1" + iss, "s1", protect.ErrNotAsked},
		{"another spelling", "COM.harbourbank.app:/callback?code=c1&state=s1" + iss, "s1", protect.ErrNotAsked},
		{"two slashes more", "com.harbourbank.app:///callback?code=c1&state=s1" + iss, "s1", protect.ErrNotAsked},
		{"an error twice", redirectURI + "?error=a&error=b&state=s1" + iss, "s1", protect.ErrResponse},
		{"another issuer's error", redirectURI + "?error=a&state=s1&iss=https://mallory.test", "s1", protect.ErrResponse},
	} {
		if _, err := client.ReadResponse(test.link, protect.Asked{State: test.state}); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		} else if check, _ := protect.Refused(err); check != catalog.CheckResponse {
			t.Errorf("%s: refused by %q", test.name, check)
		}
	}
}

func FuzzReadResponse(f *testing.F) {
	f.Add(redirectURI + "?code=c1&state=s1&iss=https%3A%2F%2Flocalhost%3A8444%2Fcode-grant")
	f.Add(redirectURI + "#access_token=a&token_type=Bearer&expires_in=60&state=s1&iss=https%3A%2F%2Flocalhost%3A8444%2Fcode-grant")
	policies, _ := catalog.All().Lookup("password-grant")
	clients := map[catalog.Grants]*protect.OAuth{}
	for _, grant := range []catalog.Grants{catalog.ImplicitGrant, catalog.CodeGrant} {
		policy := policies.Call
		policy.Grant = grant
		caller, err := protect.New(policy, protect.API{Stage: oauthStage, TLS: "https://localhost:8443", Auth: "https://localhost:8444"}, protect.Identity{ClientID: "a"})
		if err != nil {
			f.Fatal(err)
		}
		if clients[grant], err = caller.OAuth(redirectURI); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, link string) {
		for grant, client := range clients {
			response, err := client.ReadResponse(link, protect.Asked{State: "s1"})
			if err == nil && (response.Code != "") == (response.SignedIn.Token != "") {
				t.Errorf("%s: neither a code nor a token, or both: %q", grant, link)
			}
			if err == nil && !strings.HasPrefix(link, redirectURI) {
				t.Errorf("%s: it went elsewhere: %q", grant, link)
			}
		}
	})
}

// tokenEndpoint answers with what it is told, and keeps what it was asked.
func tokenEndpoint(t *testing.T, status int, answer any) (*httptest.Server, *http.Request, *url.Values) {
	t.Helper()
	var asked http.Request
	form := new(url.Values)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if *form, err = url.ParseQuery(string(body)); err != nil {
			t.Error(err)
		}
		asked.URL, asked.Method, asked.Header = r.URL, r.Method, r.Header
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server, &asked, form
}

func TestTokenRequests(t *testing.T) {
	t.Parallel()
	answer := map[string]any{"access_token": "abc", "token_type": "bearer", "expires_in": 60, "scope": "accounts:read", "refresh_token": "r2"}
	for _, test := range []struct {
		name    string
		grant   catalog.Grants
		auth    catalog.ClientAuth
		ask     func(*protect.OAuth, *http.Client) (protect.SignedIn, error)
		form    url.Values
		key     string
		refresh string // that is kept
	}{
		{
			"code of a client without a secret", catalog.CodeGrant, catalog.NoClientAuth,
			func(o *protect.OAuth, c *http.Client) (protect.SignedIn, error) {
				return o.Exchange(t.Context(), c, protect.Response{Code: "c1"})
			},
			url.Values{"grant_type": {"authorization_code"}, "code": {"c1"}, "redirect_uri": {redirectURI}, "client_id": {"harbour-mobile"}},
			"", "",
		},
		{
			"code of a client with a secret", catalog.CodeAndRefresh, catalog.ClientSecret,
			func(o *protect.OAuth, c *http.Client) (protect.SignedIn, error) {
				return o.Exchange(t.Context(), c, protect.Response{Code: "c1"})
			},
			url.Values{"grant_type": {"authorization_code"}, "code": {"c1"}, "redirect_uri": {redirectURI}},
			"", "r2",
		},
		{
			"refresh", catalog.CodeAndRefresh, catalog.ClientSecret,
			func(o *protect.OAuth, c *http.Client) (protect.SignedIn, error) {
				return o.Refresh(t.Context(), c, "r1", "k1")
			},
			url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r1"}},
			`"k1"`, "r2",
		},
	} {
		server, asked, form := tokenEndpoint(t, http.StatusOK, answer)
		got, err := test.ask(oauthClient(t, test.grant, test.auth, server.URL), server.Client())
		if err != nil || got.Token != "abc" || got.Scope != "accounts:read" || got.Refresh != test.refresh {
			t.Fatalf("%s: %v", test.name, err)
		}
		if left, ahead := time.Until(got.ExpiresAt), got.ExpiresAt.Sub(got.RenewAt); left < 50*time.Second || left > time.Minute || ahead != 6*time.Second {
			t.Errorf("%s: it is good for %s, and renewed %s ahead", test.name, left, ahead)
		}
		if text := fmt.Sprintf("%v %#v", got, got); strings.Contains(text, "abc") || strings.Contains(text, "r2") {
			t.Errorf("%s: secrets are printed: %s", test.name, text)
		}
		id, secret, _ := (&http.Request{Header: asked.Header}).BasicAuth()
		if basic := test.auth == catalog.ClientSecret; basic != (id != "") || basic && (id != "harbour-mobile" || secret != "a+secret%2B") {
			t.Errorf("%s: authenticated with %q, %q", test.name, id, secret)
		}
		if form.Encode() != test.form.Encode() || asked.Header.Get("Idempotency-Key") != test.key || asked.URL.Path != "/"+oauthStage+"/token" || asked.Header.Get("User-Agent") != "HarbourBank/2.0" {
			t.Errorf("%s: asked %s %v, %v", test.name, asked.URL, asked.Header, form)
		}
	}
}

// A refresh that brings no other refresh token leaves the one that there is (RFC 6749, section 6).
func TestRefreshTokenIsKept(t *testing.T) {
	t.Parallel()
	server, _, _ := tokenEndpoint(t, http.StatusOK, map[string]any{"access_token": "abc", "token_type": "Bearer", "expires_in": 60})
	got, err := oauthClient(t, catalog.CodeAndRefresh, catalog.ClientSecret, server.URL).Refresh(t.Context(), server.Client(), "r1", "")
	if err != nil || got.Refresh != "r1" {
		t.Errorf("%v", err)
	}
}

// TestTokenAnswersThatAreRefused: nothing of them is in the error, it could be a token.
func TestTokenAnswersThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		answer map[string]any
		code   string // of a GrantError
	}{
		"an error":            {http.StatusBadRequest, map[string]any{"error": "invalid_grant"}, "invalid_grant"},
		"a redirect":          {http.StatusTemporaryRedirect, map[string]any{"access_token": "s3cret"}, ""},
		"a failure":           {http.StatusInternalServerError, map[string]any{"access_token": "s3cret"}, ""},
		"no token":            {http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": 60}, ""},
		"no type":             {http.StatusOK, map[string]any{"access_token": "s3cret", "expires_in": 60}, ""},
		"another type":        {http.StatusOK, map[string]any{"access_token": "s3cret", "token_type": "DPoP", "expires_in": 60}, ""},
		"no lifetime":         {http.StatusOK, map[string]any{"access_token": "s3cret", "token_type": "Bearer"}, ""},
		"a lifetime below 0":  {http.StatusOK, map[string]any{"access_token": "s3cret", "token_type": "Bearer", "expires_in": -1}, ""},
		"a token with spaces": {http.StatusOK, map[string]any{"access_token": "s3cret s3cret", "token_type": "Bearer", "expires_in": 60}, ""},
	} {
		server, asked, _ := tokenEndpoint(t, test.status, test.answer)
		_, err := oauthClient(t, catalog.CodeGrant, catalog.ClientSecret, server.URL).Exchange(t.Context(), server.Client(), protect.Response{Code: "c1"})
		var refused *protect.GrantError
		if err == nil || strings.Contains(err.Error(), "s3cret") || errors.As(err, &refused) != (test.code != "") || refused != nil && refused.Code != test.code {
			t.Errorf("%s: %v", name, err)
		}
		if asked.URL.Path != "/"+oauthStage+"/token" {
			t.Errorf("%s: it went on to %s", name, asked.URL)
		}
	}
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, token, refresh string
		auth                 catalog.ClientAuth
		body, authorization  string
	}{
		{"access token of a client without a secret", "abc", "", catalog.NoClientAuth, "client_id=harbour-mobile&token=abc", ""},
		{"refresh token", "abc", "r1", catalog.ClientSecret, "token=r1&token_type_hint=refresh_token", "Basic aGFyYm91ci1tb2JpbGU6YStzZWNyZXQlMkI="},
	} {
		caller := oauthCaller(t, catalog.CodeAndRefresh, test.auth, "https://localhost:8444/", protect.Identity{Secret: "a secret+", Token: test.token, Refresh: test.refresh})
		call, err := caller.SignOutCall()
		if err != nil {
			t.Fatal(err)
		}
		dressed, err := caller.Dress(call)
		if err != nil {
			t.Fatal(err)
		}
		if dressed.URL.String() != "https://localhost:8444/code-grant/revoke" || string(dressed.Body) != test.body || dressed.Header.Get("Authorization") != test.authorization {
			t.Errorf("%s: %s %v %s", test.name, dressed.URL, dressed.Header, dressed.Body)
		}
	}
}
