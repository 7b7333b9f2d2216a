package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Scheme is the authentication scheme of session keys in the Authorization field.
const Scheme = "Session"

const keyBytes = 32

// Challenge is the value of WWW-Authenticate that asks for a session.
func Challenge(realm string) string { return fmt.Sprintf(`%s realm=%q`, Scheme, realm) }

// Key stands for a user who signed in: 256 random bits in base64url, without padding.
// Converting it to a string is what sends and stores it; printing it doesn't show it.
type Key string

// NewKey makes a key for one sign-in.
func NewKey() Key {
	var bits [keyBytes]byte
	rand.Read(bits[:]) // never fails
	return Key(base64.RawURLEncoding.EncodeToString(bits[:]))
}

// ParseKey checks that a text is a key, in its only spelling.
func ParseKey(text string) (Key, error) {
	if len(text) != base64.RawURLEncoding.EncodedLen(keyBytes) {
		return "", ErrMalformed
	}
	bits, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(bits) != keyBytes {
		return "", ErrMalformed
	}
	return Key(text), nil
}

// String is for logs, and does not show the key.
func (Key) String() string { return "[session key]" }

// GoString does the same.
func (k Key) GoString() string { return k.String() }

// SetKey puts the key into the Authorization field, in place of what is there.
func SetKey(header http.Header, key Key) { header.Set("Authorization", Scheme+" "+string(key)) }

// KeyFrom reads a key out of the Authorization field. Its errors are [ErrMissing],
// [ErrTwice] and [ErrMalformed].
//
//keyladder:code session-key
func KeyFrom(header http.Header) (Key, error) {
	text, err := credentials(header, Scheme)
	if err != nil {
		return "", err
	}
	return ParseKey(text)
}

// Digest is the SHA-256 of a key: what the server stores and looks up.
type Digest [sha256.Size]byte

// Digest is what the server stores of the key.
func (k Key) Digest() Digest { return sha256.Sum256([]byte(k)) }

// String is the digest in hexadecimal. It may be logged: it can't be used as a key.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Errors of [Lifetimes.Check].
var (
	ErrIdle    = errors.New("the session was not used for too long")
	ErrExpired = errors.New("the session is too old")
)

// Lifetimes are how long a session lasts. The zero value ends every session at once.
type Lifetimes struct {
	Idle     time.Duration // since the last call
	Absolute time.Duration // since the sign-in, however busy it is
}

// Check says whether a session is still good. A session from the future is not: the
// clock was set back, and nobody knows how old it is.
func (l Lifetimes) Check(now, signedIn, lastUsed time.Time) error {
	if age := now.Sub(signedIn); age < 0 || age >= l.Absolute {
		return ErrExpired
	}
	if now.Sub(lastUsed) >= l.Idle {
		return ErrIdle
	}
	return nil
}
