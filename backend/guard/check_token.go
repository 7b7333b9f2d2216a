package guard

import (
	"errors"
	"net/http"

	"keyladder/backend/introspection"
	"keyladder/backend/tokens"
	"keyladder/backend/users"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

// accessToken finds out what the access token says that came along, and with it the user.
//
// Whether a token is bound to a key the token says, and not the scheme that it is shown with: a bound
// one is no bearer token, and another one proves nothing about its sender (RFC 9449, section 7.2).
//
//keyladder:code guard-access-token
func accessToken(verify func(c *call, text string) (*tokens.Token, error), lookup func(*catalog.Stage, *tokens.Token) *users.User) func(*call) *Refusal {
	return func(c *call) *Refusal {
		scheme, text, err := token.Shown(c.request.Header)
		switch {
		case errors.Is(err, token.ErrMissing):
			return refuse(noToken(c), "%v", err)
		case err != nil:
			return refuse(problem.New(http.StatusBadRequest, "bad-request", "The access token can't be read",
				"Send exactly one, in one field: `Authorization: "+c.scheme()+" …`.").
				With("WWW-Authenticate", c.challenge("invalid_request")), "%v", err)
		}
		found, err := verify(c, text)
		if errors.Is(err, introspection.ErrUnanswered) {
			return refuse(unanswered, "the access token: %v", err)
		}
		if err != nil {
			return tokenNotAccepted(c, "the access token: %v", err)
		}
		if bound := found.Thumbprint != ""; bound != (scheme == token.BoundScheme) {
			return tokenNotAccepted(c, "the access token is shown as %s, and it is bound to a key: %v", scheme, bound)
		}
		user := lookup(c.stage, found)
		if user == nil {
			return tokenNotAccepted(c, "the access token's user %q is not there", found.Subject)
		}
		c.token, c.user = found, user
		return nil
	}
}

// notRevoked checks that the access token was not revoked, unless an admin has switched that off
// for the stage, to show that the token alone would be good until it expires.
//
//keyladder:code guard-revoked
func notRevoked(isRevoked func(*catalog.Stage, *tokens.Token) bool, off func(stage string) bool) func(*call) *Refusal {
	return func(c *call) *Refusal {
		switch {
		case c.token == nil:
			return tokenNotAccepted(c, "there is no access token to look at")
		case isRevoked(c.stage, c.token) && (off == nil || !off(c.stage.Slug)):
			return tokenNotAccepted(c, "the access token was revoked")
		}
		return nil
	}
}

// tokenOfClient checks that the access token was issued to the client that calls: one that
// leaked is worth nothing to a program that has to say that it is another one.
//
//keyladder:code guard-token-binding
func tokenOfClient(c *call) *Refusal {
	if c.token == nil || c.app == nil {
		return tokenNotAccepted(c, "there is no access token, or no proven app, to look at")
	}
	if c.token.ClientID != c.app.ID {
		return tokenNotAccepted(c, "the access token was issued to the client %q, and this is %q", c.token.ClientID, c.app.ID)
	}
	return nil
}

// tokenOfDevice checks, beside that, that the access token was issued to the device on which the
// app was attested. So who copies an app's storage to another device gets nowhere with it, and a
// stolen access token does not go with the client integrity token of one's own device.
//
//keyladder:code guard-token-device
func tokenOfDevice(c *call) *Refusal {
	if refusal := tokenOfClient(c); refusal != nil {
		return refusal
	}
	switch {
	case c.attested == nil || c.attested.Device == "":
		return tokenNotAccepted(c, "it is not known on which device the app is")
	case c.token.Device != c.attested.Device:
		return tokenNotAccepted(c, "the access token was issued to the device %q, and the app is on %q", c.token.Device, c.attested.Device)
	}
	return nil
}

// tokenOfKey checks, beside that, that the access token was issued to the holder of the key by which
// the call is proven: with lifted tokens, and without that key, nobody gets any further (RFC 9449,
// section 7.1).
//
//keyladder:code guard-token-key
func tokenOfKey(c *call) *Refusal {
	if refusal := tokenOfDevice(c); refusal != nil {
		return refusal
	}
	switch {
	case c.sender == nil:
		return tokenNotAccepted(c, "nobody has proven to have a key")
	case c.token.Thumbprint != c.sender.thumbprint:
		return tokenNotAccepted(c, "the access token is bound to another key than the one that the call is proven by")
	}
	return nil
}

// scheme is the one of the Authorization field in which access tokens are shown at the call's stage.
func (c *call) scheme() string {
	if c.policies.Call.Sender == catalog.AnySender {
		return token.Scheme
	}
	return token.BoundScheme
}

// challenge is what a call without a good access token is told (RFC 6750, section 3; RFC 9449, section
// 7.1), with an error code; empty: there is none.
func (c *call) challenge(code string) string {
	challenge := c.scheme() + ` realm="` + realm + `"`
	if code != "" {
		challenge += `, error="` + code + `"`
	}
	if c.scheme() == token.BoundScheme {
		challenge += `, algs="` + jwk.Algorithm + `"`
	}
	return challenge
}

// tokenNotAccepted is the same whatever is wrong (RFC 6750, section 3.1): who tries tokens
// does not learn which of them were good once.
func tokenNotAccepted(c *call, reason string, values ...any) *Refusal {
	return refuse(problem.New(http.StatusUnauthorized, "token-not-accepted", "The access token is not good", "Sign in anew to get another one.").
		With("WWW-Authenticate", c.challenge("invalid_token")), reason, values...)
}

// A client that brings no token is told no error code (RFC 6750, section 3.1).
func noToken(c *call) *problem.Problem {
	return problem.New(http.StatusUnauthorized, "token-missing", "Nobody is signed in", "Get an access token, and send it in the field `Authorization: "+c.scheme()+" …`.").
		With("WWW-Authenticate", c.challenge(""))
}

var unanswered = problem.New(http.StatusServiceUnavailable, "issuer-unavailable", "The access token can't be looked up at the moment",
	"Its issuer does not answer. It may be good: try again after the time in Retry-After, in seconds.").With("Retry-After", "1")
