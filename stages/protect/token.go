package protect

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

// FormMedia is the media type of what token endpoints are sent (RFC 6749, section 4.3.2).
const FormMedia = "application/x-www-form-urlencoded"

const (
	tokenPath  = "/v1/token"
	revokePath = "/v1/revoke"
)

// accessTokens say for which user the app is calling.
var accessTokens = mechanism{
	serves: []any{
		catalog.AccessToken, catalog.TokenOfClient,
		catalog.PasswordGrant, catalog.ImplicitGrant, catalog.CodeGrant, catalog.CodeAndRefresh, catalog.ClientSecret,
	},
	prepare: func(c *Caller) (part, error) {
		if c.policy.UserProof != catalog.AccessToken {
			return nothing()
		}
		return part{say: func(r *Request, call Call) error {
			if c.identity.Token != "" && !call.Public {
				token.Set(r.Header, c.identity.Token)
			}
			return nil
		}}, nil
	},
}

// passwordGrant trades a password for an access token (RFC 6749, section 4.3). It is put
// together in one piece of memory, [Call.Body], which the caller can overwrite afterwards.
//
//keyladder:code app-password-grant
func (c *Caller) passwordGrant(user, password string) Call {
	const most = 3 // bytes that a byte takes in a form
	body := make([]byte, 0, 64+most*(len(user)+len(password)+len(c.identity.ClientID)))
	for _, parameter := range [][2]string{
		{"grant_type", "password"}, {"client_id", c.identity.ClientID}, {"username", user}, {"password", password},
	} {
		if len(body) > 0 {
			body = append(body, '&')
		}
		body = append(append(body, parameter[0]...), '=')
		body = append(body, url.QueryEscape(parameter[1])...)
	}
	return Call{Method: http.MethodPost, Path: tokenPath, Body: body, Media: FormMedia, Public: true, Unproven: true}
}

// revocation ends an access token (RFC 7009, section 2.1).
func (c *Caller) revocation() Call {
	form := url.Values{"token": {c.identity.Token}, "client_id": {c.identity.ClientID}}
	return Call{Method: http.MethodPost, Path: revokePath, Body: []byte(form.Encode()), Media: FormMedia, Public: true, Unproven: true}
}

// readToken reads a token endpoint's answer (RFC 6749, section 5.1). It names no user, and
// what is in a token is not for clients to read (RFC 9068, section 6).
func readToken(user string, body []byte) (SignedIn, error) {
	var issued struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
		Scope       string `json:"scope"`
	}
	if err := json.Unmarshal(body, &issued); err != nil {
		return SignedIn{}, fmt.Errorf("read the answer to a token request: %w", err)
	}
	if !strings.EqualFold(issued.TokenType, token.Scheme) {
		return SignedIn{}, fmt.Errorf("read the answer to a token request: the token is of the type %q", issued.TokenType)
	}
	header := http.Header{}
	token.Set(header, issued.AccessToken)
	if _, err := token.From(header); err != nil {
		return SignedIn{}, fmt.Errorf("read the answer to a token request: %w", err)
	}
	if issued.ExpiresIn <= 0 {
		return SignedIn{}, errors.New("read the answer to a token request: it does not say how long the token is good")
	}
	return SignedIn{
		User: user, Token: issued.AccessToken, Scope: issued.Scope,
		ExpiresAt: time.Now().Add(time.Duration(issued.ExpiresIn) * time.Second),
	}, nil
}

// GrantError is why a token endpoint refuses (RFC 6749, section 5.2).
type GrantError struct {
	Code        string `json:"error"` // invalid_grant
	Description string `json:"error_description"`
}

// GrantError is what a refusal says in the form of token endpoints; nil: it is none.
func (a Answer) GrantError() *GrantError {
	var refused GrantError
	if a.success() || a.Media != JSON || json.Unmarshal(a.Body, &refused) != nil || refused.Code == "" {
		return nil
	}
	return &refused
}

// TokenRefused says whether the access token that was sent is not accepted, or no longer, so
// that the app needs another one (RFC 6750, section 3.1).
func (a Answer) TokenRefused() bool {
	for _, challenge := range a.Header.Values("WWW-Authenticate") {
		scheme, parameters, _ := strings.Cut(challenge, " ")
		if a.Status == http.StatusUnauthorized && strings.EqualFold(scheme, token.Scheme) && strings.Contains(parameters, `error="invalid_token"`) {
			return true
		}
	}
	return false
}
