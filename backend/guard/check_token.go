package guard

import (
	"errors"
	"net/http"

	"keyladder/backend/introspection"
	"keyladder/backend/tokens"
	"keyladder/backend/users"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

// accessToken finds out what the access token says that came along, and with it the user.
//
//keyladder:code guard-access-token
func accessToken(verify func(c *call, text string) (*tokens.Token, error), lookup func(*catalog.Stage, *tokens.Token) *users.User) func(*call) *Refusal {
	return func(c *call) *Refusal {
		text, err := token.From(c.request.Header)
		switch {
		case errors.Is(err, token.ErrMissing):
			return refuse(noToken, "%v", err)
		case err != nil:
			return refuse(problem.New(http.StatusBadRequest, "bad-request", "The access token can't be read",
				"Send exactly one, in one field: `Authorization: Bearer …`.").
				With("WWW-Authenticate", `Bearer realm="`+realm+`", error="invalid_request"`), "%v", err)
		}
		found, err := verify(c, text)
		if errors.Is(err, introspection.ErrUnanswered) {
			return refuse(unanswered, "the access token: %v", err)
		}
		if err != nil {
			return tokenNotAccepted("the access token: %v", err)
		}
		user := lookup(c.stage, found)
		if user == nil {
			return tokenNotAccepted("the access token's user %q is not there", found.Subject)
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
			return tokenNotAccepted("there is no access token to look at")
		case isRevoked(c.stage, c.token) && (off == nil || !off(c.stage.Slug)):
			return tokenNotAccepted("the access token was revoked")
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
		return tokenNotAccepted("there is no access token, or no proven app, to look at")
	}
	if c.token.ClientID != c.app.ID {
		return tokenNotAccepted("the access token was issued to the client %q, and this is %q", c.token.ClientID, c.app.ID)
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
		return tokenNotAccepted("it is not known on which device the app is")
	case c.token.Device != c.attested.Device:
		return tokenNotAccepted("the access token was issued to the device %q, and the app is on %q", c.token.Device, c.attested.Device)
	}
	return nil
}

// tokenNotAccepted is the same whatever is wrong (RFC 6750, section 3.1): who tries tokens
// does not learn which of them were good once.
func tokenNotAccepted(reason string, values ...any) *Refusal {
	return refuse(badToken, reason, values...)
}

var (
	// Whoever brings no token is told no error code (RFC 6750, section 3.1).
	noToken = problem.New(http.StatusUnauthorized, "token-missing", "Nobody is signed in", "Get an access token, and send it in the field `Authorization: Bearer …`.").
		With("WWW-Authenticate", `Bearer realm="`+realm+`"`)
	unanswered = problem.New(http.StatusServiceUnavailable, "issuer-unavailable", "The access token can't be looked up at the moment",
		"Its issuer does not answer. It may be good: try again after the time in Retry-After, in seconds.").With("Retry-After", "1")
	badToken = problem.New(http.StatusUnauthorized, "token-not-accepted", "The access token is not good", "Sign in anew to get another one.").
			With("WWW-Authenticate", `Bearer realm="`+realm+`", error="invalid_token"`)
)
