package session

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLength is how long a name and a password may be together, with the colon, in
// bytes.
const MaxLength = 512

// Errors of [BasicFrom] and [KeyFrom].
var (
	// ErrMissing means that there is no Authorization field, or one of another scheme.
	ErrMissing = errors.New("the request carries no credentials of this scheme")
	// ErrTwice means that there is more than one Authorization field.
	ErrTwice = errors.New("the request carries more than one Authorization field")

	ErrEncoding  = errors.New("the user's credentials are not padded base64, in its only spelling")
	ErrTooLong   = errors.New("the user's credentials are too long")
	ErrNotUTF8   = errors.New("the user's credentials are not UTF-8")
	ErrControl   = errors.New("the user's credentials have control characters")
	ErrNoColon   = errors.New("the user's credentials have no colon")
	ErrColon     = errors.New("a user's name can't have a colon")
	ErrMalformed = errors.New("what the request carries is not a session key")
)

// BasicChallenge is the value of WWW-Authenticate that asks for a password (RFC 7617,
// section 2).
func BasicChallenge(realm string) string {
	return fmt.Sprintf(`Basic realm=%q, charset="UTF-8"`, realm)
}

// SetBasic puts a user's name and password into the Authorization field, in place of
// what is there. Its errors are those of [BasicFrom] that are about what can be sent.
func SetBasic(header http.Header, user, password string) error {
	if strings.Contains(user, ":") {
		return ErrColon
	}
	text := user + ":" + password
	if err := check(text); err != nil {
		return err
	}
	header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(text)))
	return nil
}

// BasicFrom reads a user's name and password out of the Authorization field. Both may be
// empty. It says nothing about whether they are right.
//
//keyladder:code session-basic
func BasicFrom(header http.Header) (user, password string, err error) {
	credentials, err := credentials(header, "Basic")
	if err != nil {
		return "", "", err
	}
	if len(credentials) > base64.StdEncoding.EncodedLen(MaxLength) {
		return "", "", ErrTooLong
	}
	text, err := base64.StdEncoding.Strict().DecodeString(credentials)
	if err != nil || base64.StdEncoding.EncodedLen(len(text)) != len(credentials) { // it skips line feeds
		return "", "", ErrEncoding
	}
	if err := check(string(text)); err != nil {
		return "", "", err
	}
	user, password, found := strings.Cut(string(text), ":")
	if !found {
		return "", "", ErrNoColon
	}
	return user, password, nil
}

// check is what holds for both ends.
func check(text string) error {
	if len(text) > MaxLength {
		return ErrTooLong
	}
	if !utf8.ValidString(text) {
		return ErrNotUTF8
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return ErrControl
	}
	return nil
}

// credentials is what stands after the scheme in the one Authorization field.
func credentials(header http.Header, scheme string) (string, error) {
	fields := header.Values("Authorization")
	if len(fields) == 0 {
		return "", ErrMissing
	}
	if len(fields) > 1 {
		return "", ErrTwice
	}
	found, credentials, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(found, scheme) { // RFC 9110, section 11.1: schemes ignore case
		return "", ErrMissing
	}
	return strings.TrimLeft(credentials, " "), nil // 1*SP between them
}
