package oauthclient

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pkce"
)

// AuthorizationURL is where a user agent is sent to sign in (RFC 6749, section 4.1.1). Scopes are
// ours. The verifier is left out where the provider knows no PKCE.
//
//keyladder:code provider-authorization-url
func AuthorizationURL(p manage.Provider, scopes []string, state, verifier string) string {
	values := url.Values{
		"response_type": {"code"}, "client_id": {p.ClientID}, "redirect_uri": {p.RedirectURI}, "scope": {theirs(p, scopes)}, "state": {state},
	}
	if p.PKCE != catalog.NoPKCE {
		values.Set(pkce.FieldChallenge, pkce.Challenge(string(p.PKCE), verifier))
		values.Set(pkce.FieldMethod, string(p.PKCE))
	}
	separator := "?"
	if strings.Contains(p.AuthorizationURL, "?") {
		separator = "&"
	}
	return p.AuthorizationURL + separator + values.Encode()
}

// theirs are a provider's words for our scopes, each once.
func theirs(p manage.Provider, scopes []string) string {
	var words []string
	for _, scope := range scopes {
		for _, word := range wordsFor(p, scope) {
			if !slices.Contains(words, word) {
				words = append(words, word)
			}
		}
	}
	return strings.Join(words, " ")
}

func wordsFor(p manage.Provider, scope string) []string {
	return strings.Fields(cmp.Or(p.Scopes[scope], scope))
}

// ours are those of our scopes for which a provider has given all its words.
func ours(p manage.Provider, scopes []string, given string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool {
		return slices.ContainsFunc(wordsFor(p, scope), func(word string) bool { return !slices.Contains(strings.Fields(given), word) })
	})
}

// Given is what a provider gives for a code or a refresh token.
type Given struct {
	Access  string
	Refresh string    // empty: none
	Scopes  []string  // ours, of those that were asked for
	Expires time.Time // of the access token
}

// unsaid is how long an access token is taken to be good whose provider does not say.
const unsaid = 5 * time.Minute

// longest is a year: no access token is trusted for longer.
const longest = 365 * 24 * time.Hour

// Exchange trades a code (RFC 6749, section 4.1.3) that was asked for with these scopes.
//
//keyladder:code provider-exchange
func (c *Client) Exchange(ctx context.Context, to For, p manage.Provider, code, verifier string, scopes []string) (Given, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.RedirectURI}}
	if p.PKCE != catalog.NoPKCE {
		form.Set(pkce.FieldVerifier, verifier)
	}
	at := c.now()
	answer, err := c.post(ctx, to, p, p.TokenURL, form, "")
	if err != nil {
		return Given{}, err
	}
	return given(at, p, answer, scopes)
}

// Refresh trades a refresh token (RFC 6749, section 6). The key is an Idempotency-Key: a provider
// that knows it gives the same answer again to who asks again with it.
//
//keyladder:code provider-refresh
func (c *Client) Refresh(ctx context.Context, to For, p manage.Provider, token, key string) (Given, error) {
	at := c.now()
	answer, err := c.post(ctx, to, p, p.TokenURL, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, key)
	if err != nil {
		return Given{}, err
	}
	return given(at, p, answer, nil)
}

// given reads a token answer (RFC 6749, section 5.1), in the provider's words.
func given(at time.Time, p manage.Provider, answer map[string]json.RawMessage, scopes []string) (g Given, err error) {
	name := func(field string) string { return cmp.Or(p.Fields[field], field) }
	if g.Access, err = text(answer, name("access_token")); err != nil {
		return Given{}, err
	}
	kind, err := text(answer, name("token_type"))
	if err != nil {
		return Given{}, err
	}
	if !strings.EqualFold(kind, "Bearer") {
		return Given{}, fmt.Errorf("%w: the token is used as %.40q", ErrAnswer, kind)
	}
	if _, there := answer[name("refresh_token")]; there {
		if g.Refresh, err = text(answer, name("refresh_token")); err != nil {
			return Given{}, err
		}
	}
	g.Scopes = scopes // what is not said is as it was asked for (section 5.1)
	if _, there := answer[name("scope")]; there {
		words, err := text(answer, name("scope"))
		if err != nil {
			return Given{}, err
		}
		g.Scopes = ours(p, scopes, words)
	}
	g.Expires = at.Add(unsaid)
	if raw, there := answer[name("expires_in")]; there {
		var seconds *float64
		if json.Unmarshal(raw, &seconds) != nil || seconds == nil || *seconds <= 0 {
			return Given{}, fmt.Errorf("%w: %q is no time in seconds", ErrAnswer, name("expires_in"))
		}
		g.Expires = at.Add(time.Duration(min(*seconds, longest.Seconds()) * float64(time.Second)))
	}
	return g, nil
}

// Revoke gives a token back (RFC 7009). Hint is what it is: access_token or refresh_token.
func (c *Client) Revoke(ctx context.Context, to For, p manage.Provider, token, hint string) error {
	_, err := c.post(ctx, to, p, p.RevocationURL, url.Values{"token": {token}, "token_type_hint": {hint}}, "")
	return err
}
