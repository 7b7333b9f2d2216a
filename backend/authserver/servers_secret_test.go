package authserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/internal/testenv"
)

// as sends a form as whoever Basic authentication says, or the body where there is no secret.
func (p *program) as(stage, endpoint, id, secret string, form url.Values) said {
	p.t.Helper()
	if secret == "" {
		form.Set("client_id", id)
	}
	r := testenv.Must[*http.Request](p.t)(http.NewRequest(http.MethodPost, p.w.issuer(stage)+"/"+endpoint, strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}
	return testenv.Must[said](p.t)(p.try(r))
}

// TestServersSecret: where servers have the secret of a client, they alone authenticate for it. Its
// app's own secret is worth nothing there, nor is theirs anywhere else. Clients without such a key
// authenticate as everywhere.
func TestServersSecret(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.program(t, web)
	for _, test := range []struct {
		name, stage, id, secret string
		accepted                bool
	}{
		{"servers", mediated, mobileServers, secrets[mobileServers], true},
		{"a client without such a key", mediated, web, secrets[web], true},
		{"a public client", mediated, native, "", true},

		{"the app's own secret", mediated, mobile, secrets[mobile], false},
		{"the app without a secret", mediated, mobile, "", false},
		{"servers without a secret", mediated, mobileServers, "", false},
		{"the app with the servers' secret", mediated, mobile, secrets[mobileServers], false},
		{"servers with the app's secret", mediated, mobileServers, secrets[mobile], false},
		{"servers with another client's secret", mediated, mobileServers, secrets[web], false},
		{"another client with the servers' secret", mediated, web, secrets[mobileServers], false},
		{"the app, where apps authenticate", refresh, mobile, secrets[mobile], true},
		{"servers, where apps authenticate", refresh, mobileServers, secrets[mobileServers], false},
	} {
		for _, endpoint := range []string{"token", "revoke", "introspect"} {
			answer := p.as(test.stage, endpoint, test.id, test.secret, url.Values{"token": {"x"}, "grant_type": {"authorization_code"}, "code": {"x"}})
			accepted := test.accepted && (endpoint != "introspect" || test.id != native)
			if refused := answer.Status == http.StatusUnauthorized && answer.Error == "invalid_client"; refused == accepted {
				t.Errorf("%s at %s: %d %s", test.name, endpoint, answer.Status, answer.Body)
			}
		}
	}
}

// TestServersSecretStandsForTheClient: what servers fetch with it is the app's.
func TestServersSecretStandsForTheClient(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.program(t, mobile)
	servers := func(endpoint string, form url.Values) said {
		return p.as(mediated, endpoint, mobileServers, secrets[mobileServers], form)
	}
	text := w.code(t, mediated, "alice", mobile)
	p.as(mediated, "token", mobile, secrets[mobile], redemption(text, mobileURI)).refused(t, "the app itself", 401, "invalid_client")
	first := servers("token", redemption(text, mobileURI)) // the code is as good as before
	if first.Status != http.StatusOK || first.Refresh == "" {
		t.Fatalf("%d %s", first.Status, first.Body)
	}
	if found, err := w.server.Tokens().Verify(mediated, first.Token, w.now()); err != nil || found.ClientID != mobile {
		t.Errorf("the token is %+v, %v", found, err)
	}
	if asked := servers("introspect", url.Values{"token": {first.Token}}); !asked.Active {
		t.Errorf("introspection: %s", asked.Body)
	}
	next := servers("token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}})
	if next.Status != http.StatusOK || next.Refresh == "" {
		t.Fatalf("%d %s", next.Status, next.Body)
	}
	p.as(mediated, "revoke", mobile, secrets[mobile], url.Values{"token": {next.Refresh}}).refused(t, "the app revokes", 401, "invalid_client")
	if answer := servers("revoke", url.Values{"token": {next.Refresh}}); answer.Status != http.StatusOK || w.good(mediated, next.Token) {
		t.Errorf("revoked: %d, still good: %v", answer.Status, w.good(mediated, next.Token))
	}
}

// TestServersSecretRotation: for the stage's overlap both are good. A client that is refused is refused
// with this key, too. A key that is revoked does not
// bring the app's own secret back.
func TestServersSecretRotation(t *testing.T) {
	t.Parallel()
	w := start(t)
	p := w.program(t, web)
	try := func(id, secret string) int {
		return p.as(mediated, "introspect", id, secret, url.Values{"token": {"x"}}).Status
	}
	made, err := w.server.Clients().RotateSecret(t.Context(), mobileServers)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := try(mobileServers, secrets[mobileServers]), try(mobileServers, made.Secret); a != 200 || b != 200 {
		t.Errorf("in the overlap: %d and %d", a, b)
	}
	w.advance(31 * time.Second)
	if a, b := try(mobileServers, secrets[mobileServers]), try(mobileServers, made.Secret); a != 401 || b != 200 {
		t.Errorf("after it: %d and %d", a, b)
	}
	for _, step := range []struct {
		do   func(context.Context, string) (manage.Key, error)
		want int
	}{{w.server.Clients().Revoke, 401}, {w.server.Clients().Restore, 200}} { // the client as a whole
		if _, err := step.do(t.Context(), mobile); err != nil {
			t.Fatal(err)
		}
		if got := try(mobileServers, made.Secret); got != step.want {
			t.Errorf("the client's own key was changed: %d, want %d", got, step.want)
		}
	}
	if _, err := w.server.Clients().Revoke(t.Context(), mobileServers); err != nil {
		t.Fatal(err)
	}
	if a, b := try(mobileServers, made.Secret), try(mobile, secrets[mobile]); a != 401 || b != 401 {
		t.Errorf("revoked: %d, and the app's own: %d", a, b)
	}
}

// TestMetadataWithServersSecret names the ways in which clients authenticate, whoever has the secret.
func TestMetadataWithServersSecret(t *testing.T) {
	t.Parallel()
	w := start(t)
	answer := w.browser(t).get("/.well-known/oauth-authorization-server/" + mediated)
	var got struct {
		Token         []string `json:"token_endpoint_auth_methods_supported"`
		Revocation    []string `json:"revocation_endpoint_auth_methods_supported"`
		Introspection []string `json:"introspection_endpoint_auth_methods_supported"`
	}
	if err := json.Unmarshal([]byte(answer.body), &got); err != nil {
		t.Fatal(err)
	}
	want := []string{"client_secret_basic", "client_secret_post", "none"}
	if !slices.Equal(got.Token, want) || !slices.Equal(got.Revocation, want) || !slices.Equal(got.Introspection, want[:2]) {
		t.Errorf("%+v", got)
	}
}
