package protect

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
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
		catalog.AccessToken, catalog.TokenOfClient, catalog.TokenOfDevice,
		catalog.PasswordGrant, catalog.ImplicitGrant, catalog.CodeGrant, catalog.CodeAndRefresh, catalog.ClientSecret, catalog.Mediated, catalog.ByIntegrity,
		catalog.PlainPKCE, catalog.S256PKCE, catalog.ChosenInApp, catalog.ChosenAtMediator, catalog.ThroughGateway,
	},
	prepare: func(c *Caller) (part, error) {
		if c.policy.UserProof != catalog.AccessToken {
			return nothing()
		}
		lacks := ""
		if c.policy.ClientAuth == catalog.ClientSecret && c.identity.Secret == "" {
			lacks = Secret
		}
		return part{lacks: lacks, say: func(r *Request, call Call) error {
			if c.identity.Token != "" && !call.Public {
				if c.policy.Sender == catalog.AnySender {
					token.Set(r.Header, c.identity.Token)
				} else {
					token.SetBound(r.Header, c.identity.Token)
				}
			}
			return nil
		}}, nil
	},
	refusals: []refusal{{check: catalog.CheckResponse, is: oneOf(ErrResponse)}},
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

// revocation ends the identity's access token, or the family of tokens that its refresh token
// is of (RFC 7009, section 2.1).
func (c *Caller) revocation() (Call, error) {
	form := url.Values{"token": {c.identity.Token}}
	call := Call{Method: http.MethodPost, Path: revokePath, Media: FormMedia, Public: true}
	if c.identity.Refresh != "" {
		form = url.Values{"token": {c.identity.Refresh}, "token_type_hint": {"refresh_token"}}
	}
	attested := c.policy.ClientAuth.Attested()
	if c.policy.Grant.InAgent() {
		server := c.issuer
		if attested {
			server = c.mediator
		}
		base, err := server()
		if err != nil {
			return Call{}, err
		}
		if call.URL, err = url.Parse(base + authRevokePath); err != nil {
			return Call{}, err
		}
	}
	if c.policy.ClientAuth == catalog.ClientSecret {
		// Both are form-encoded first (RFC 6749, section 2.3.1).
		credentials := url.QueryEscape(c.identity.ClientID) + ":" + url.QueryEscape(c.identity.Secret)
		call.Header = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))}}
	} else {
		form.Set("client_id", c.identity.ClientID)
	}
	if c.identity.Provider != "" {
		form.Set(ProviderParameter, c.identity.Provider)
	}
	call.Client = attested
	call.Unproven = !attested // which asks for the proof of the app in place of a secret
	call.Body = []byte(form.Encode())
	return call, nil
}

// issued is what a client is given (RFC 6749, sections 4.2.2 and 5.1). It names no user, and
// what is in a token is not for clients to read (RFC 9068, section 6).
type issued struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token"`
}

// readToken reads a token endpoint's answer.
func readToken(user string, body []byte) (SignedIn, error) {
	var read issued
	if err := json.Unmarshal(body, &read); err != nil {
		return SignedIn{}, fmt.Errorf("read the answer to a token request: %w", err)
	}
	signedIn, err := read.signedIn(token.Scheme, time.Now())
	if err != nil {
		return SignedIn{}, fmt.Errorf("read the answer to a token request: %w", err)
	}
	signedIn.User = user
	return signedIn, nil
}

// mostAhead is how long before its end a token is renewed at most: enough for a request and
// its repetition.
const mostAhead = 10 * time.Second

// scheme is how access tokens are shown.
func (c *Caller) scheme() string {
	if c.policy.Sender == catalog.AnySender {
		return token.Scheme
	}
	return token.BoundScheme
}

// signedIn is what stands for the user then, if it can be used: one that is bound to a key where that
// is asked for, and no other (RFC 9449, section 5).
func (i issued) signedIn(scheme string, now time.Time) (SignedIn, error) {
	if !strings.EqualFold(i.TokenType, scheme) {
		return SignedIn{}, fmt.Errorf("the token is of the type %q", i.TokenType)
	}
	header := http.Header{}
	token.Set(header, i.AccessToken)
	if _, err := token.From(header); err != nil {
		return SignedIn{}, err
	}
	if i.ExpiresIn <= 0 || i.ExpiresIn > int64(math.MaxInt32) {
		return SignedIn{}, errors.New("it does not say how long the token is good")
	}
	life := time.Duration(i.ExpiresIn) * time.Second
	return SignedIn{
		Token: i.AccessToken, Scope: i.Scope, Refresh: i.RefreshToken,
		ExpiresAt: now.Add(life), RenewAt: now.Add(life - min(life/10, mostAhead)),
	}, nil
}

// GrantError is why an authorization server gives nothing (RFC 6749, sections 4.1.2.1 and 5.2).
type GrantError struct {
	Code        string `json:"error"` // invalid_grant
	Description string `json:"error_description"`
}

// Error says what the server said.
func (e *GrantError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the authorization server says %q. %s", e.Code, e.Description))
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
// that the app needs another one (RFC 6750, section 3.1; RFC 9449, section 7.1).
func (a Answer) TokenRefused() bool {
	for _, challenge := range a.Header.Values("WWW-Authenticate") {
		scheme, parameters, _ := strings.Cut(challenge, " ")
		if a.Status == http.StatusUnauthorized && (strings.EqualFold(scheme, token.Scheme) || strings.EqualFold(scheme, token.BoundScheme)) && strings.Contains(parameters, `error="invalid_token"`) {
			return true
		}
	}
	return false
}
