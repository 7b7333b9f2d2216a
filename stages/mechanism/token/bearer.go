package token

import (
	"errors"
	"net/http"
	"strings"
)

// Authentication schemes of access tokens.
const (
	Scheme      = "Bearer" // whoever has it can use it (RFC 6750, section 2.1)
	BoundScheme = "DPoP"   // bound to a key, whose holder alone can (RFC 9449, section 7.1)
)

// Errors of [From].
var (
	// ErrMissing means that no token was sent.
	ErrMissing = errors.New("no access token was sent")
	// ErrTwice means that there is more than one Authorization field.
	ErrTwice = errors.New("there is more than one Authorization field")
	// ErrMalformed means that what was sent can't be a token.
	ErrMalformed = errors.New("what was sent in the Authorization field is no b64token")
)

// Set puts a token into the Authorization field, in place of what is there.
func Set(header http.Header, text string) { header.Set("Authorization", Scheme+" "+text) }

// SetBound puts a token that is bound to a key into the Authorization field, in place of what is
// there.
func SetBound(header http.Header, text string) {
	header.Set("Authorization", BoundScheme+" "+text)
}

// From reads a bearer token out of the Authorization field. The scheme's case does not matter (RFC
// 9110, section 11.1).
func From(header http.Header) (string, error) {
	scheme, text, err := Shown(header)
	if err == nil && scheme != Scheme {
		return "", ErrMissing
	}
	return text, err
}

// Shown reads the token out of the Authorization field, whatever it is shown as: [Scheme] or
// [BoundScheme]. Whether it is bound the token says, and not its scheme.
func Shown(header http.Header) (scheme, text string, err error) {
	fields := header.Values("Authorization")
	switch len(fields) {
	case 0:
		return "", "", ErrMissing
	case 1:
	default:
		return "", "", ErrTwice
	}
	shown, text, _ := strings.Cut(fields[0], " ")
	switch {
	case strings.EqualFold(shown, Scheme):
		scheme = Scheme
	case strings.EqualFold(shown, BoundScheme):
		scheme = BoundScheme
	default:
		return "", "", ErrMissing
	}
	text = strings.Trim(text, " ")
	if !isB64token(text) {
		return "", "", ErrMalformed
	}
	return scheme, text, nil
}

// isB64token says whether a text has the syntax of RFC 6750, section 2.1, and of RFC 9449, section 7.1.
func isB64token(text string) bool {
	body := strings.TrimRight(text, "=")
	return body != "" && strings.TrimLeft(body, b64) == ""
}

const b64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
