package mediator_test

import (
	"net/http"
	"strings"
	"testing"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// A sign-in, whatever the provider is like: what the app gets is the mediator's, and says who the
// user is at the bank.
func TestSignIn(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*manage.Provider){
		"strict": nil,
		"weak": func(p *manage.Provider) {
			p.ClientAuth, p.PKCE, p.AnnouncesIss, p.Tokens, p.User, p.UserClaim = manage.SecretPost, catalog.NoPKCE, false, catalog.OpaqueTokens, manage.UserInIntrospection, "username"
			p.Fields = map[string]string{"expires_in": "expires"}
			p.SameNames, p.Links = false, map[string]string{"u-17": "alice"}
		},
		"of somebody else": func(p *manage.Provider) {
			p.Tokens, p.User, p.Scopes = catalog.OpaqueTokens, manage.UserInUserinfo, map[string]string{"accounts:read": "openid profile", "rates:read": "openid"}
			p.SameNames, p.Links = false, map[string]string{"u-17": "alice"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			of := w.provider("one", change)
			user := "alice"
			if !of.described.SameNames {
				user = "u-17"
			}
			p := w.phone("d1")
			got := p.signIn(of, user)
			said := claims(t, got["access_token"])
			for claim, want := range map[string]any{
				"iss": w.at(""), "aud": w.at("/v1"), "sub": "alice", "client_id": app, "device": "d1", "scope": "accounts:read",
			} {
				if said[claim] != want {
					t.Errorf("%s is %v, want %v", claim, said[claim], want)
				}
			}
			if got["token_type"] != "Bearer" || got["expires_in"] != 60.0 || got["scope"] != "accounts:read" {
				t.Errorf("%v", got)
			}
			again := p.refresh(got["refresh_token"].(string))
			if again.status != http.StatusOK || object(t, again.body)["refresh_token"] == got["refresh_token"] {
				t.Errorf("refreshing: %d %s", again.status, again.body)
			}
			if secret := of.described.Secret; strings.Contains(w.errors.String(), secret) {
				t.Error("the secret is in the log")
			}
		})
	}
}
