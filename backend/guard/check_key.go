package guard

import (
	"errors"
	"net/http"

	"keyladder/backend/clients"
	"keyladder/internal/problem"
	"keyladder/stages/mechanism/appkey"
)

// keyInURL refuses keys in the URL, good ones, too: a client that gets through with one
// goes on sending it to where it is logged.
//
//keyladder:code guard-key-in-url
func keyInURL(c *call) *Refusal {
	if _, inURL, _ := appkey.FromRequest(c.request, c.policies.Call.AppProofField()); inURL {
		return refuse(problem.New(http.StatusBadRequest, "key-in-url", "The key must not be in the URL",
			"Send it in the Authorization field: URLs end up in logs. A key that was in one should be replaced."),
			"the URL carries a key")
	}
	return nil
}

// appKey finds the app whose key was sent.
//
//keyladder:code guard-app-key
func appKey(find lookup) func(*call) *Refusal {
	return func(c *call) *Refusal {
		field := c.policies.Call.AppProofField()
		key, _, err := appkey.FromRequest(c.request, field)
		switch {
		case errors.Is(err, appkey.ErrMissing):
			return refuse(notAccepted("Send the app's key in the field `"+field+": key …`.", appkey.Challenge), "%v", err)
		case err != nil:
			return refuse(problem.New(http.StatusBadRequest, "bad-request", "The key can't be read",
				"Send exactly one, in one field: `"+field+": key …`."), "%v", err)
		}
		c.claimed, c.key, err = find(c.stage, key)
		if errors.Is(err, clients.ErrUnknown) || errors.Is(err, clients.ErrRevoked) {
			return refuse(notAccepted("The key is not good.", appkey.Challenge), "%v", err) // one text for both
		}
		if err != nil {
			return refuse(closed(), "look the key up: %v", err)
		}
		return nil
	}
}

func notAccepted(detail, challenge string) *problem.Problem {
	return problem.New(http.StatusUnauthorized, "client-not-accepted", "This is for registered apps only", detail).
		With("WWW-Authenticate", challenge)
}
