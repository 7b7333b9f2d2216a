package token

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
)

// Scheme is the authentication scheme of access tokens (RFC 6750, section 2.1).
const Scheme = "Bearer"

// Errors of [From].
var (
	// ErrMissing means that no token was sent.
	ErrMissing = errors.New("no access token was sent")
	// ErrTwice means that there is more than one Authorization field.
	ErrTwice = errors.New("there is more than one Authorization field")
	// ErrMalformed means that what was sent can't be a token.
	ErrMalformed = errors.New("what was sent with Bearer is no b64token")
)

// Set puts a token into the Authorization field, in place of what is there.
func Set(header http.Header, text string) { header.Set("Authorization", Scheme+" "+text) }

// From reads the token out of the Authorization field. The scheme's case does not matter (RFC
// 9110, section 11.1).
func From(header http.Header) (string, error) {
	fields := header.Values("Authorization")
	switch len(fields) {
	case 0:
		return "", ErrMissing
	case 1:
	default:
		return "", ErrTwice
	}
	scheme, text, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(scheme, Scheme) {
		return "", ErrMissing
	}
	text = strings.Trim(text, " ")
	if !b64token.MatchString(text) {
		return "", ErrMalformed
	}
	return text, nil
}

// b64token is the syntax of RFC 6750, section 2.1.
var b64token = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)
