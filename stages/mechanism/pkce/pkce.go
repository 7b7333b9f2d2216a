package pkce

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
)

// Parameters of authorization requests, and of token requests (RFC 7636, sections 4.3 and 4.5).
const (
	FieldChallenge = "code_challenge"
	FieldMethod    = "code_challenge_method"
	FieldVerifier  = "code_verifier"
)

// Methods (RFC 7636, section 4.2).
const (
	Plain = "plain" // the challenge is the verifier
	S256  = "S256"  // the challenge is the SHA-256 of the verifier, in base64url without padding
)

// Bounds of a verifier, in characters (RFC 7636, section 4.1).
const (
	MinLength = 43
	MaxLength = 128
)

// Errors of [CheckVerifier] and [Read].
var (
	// ErrLength means that it has fewer than 43 characters, or more than 128.
	ErrLength = fmt.Errorf("it does not have %d to %d characters", MinLength, MaxLength)
	// ErrCharacter means that it has others than letters, digits, "-", ".", "_" and "~".
	ErrCharacter = errors.New("it has characters other than A-Z, a-z, 0-9 and -._~")
	// ErrMissing means that the request has no challenge.
	ErrMissing = errors.New("there is no code challenge")
	// ErrMethod means that the challenge was made by a method that is not accepted.
	ErrMethod = errors.New("the code challenge was made by a method that is not accepted")
)

// NewVerifier makes up a verifier: 256 random bits in base64url, 43 characters. It is good for one
// authorization request.
//
//keyladder:code pkce-verifier
func NewVerifier() string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// Challenge is what a method makes of a verifier (RFC 7636, section 4.2); empty: there is no such
// method.
//
//keyladder:code pkce-challenge
func Challenge(method, verifier string) string {
	switch method {
	case Plain:
		return verifier
	case S256:
		hash := sha256.Sum256([]byte(verifier))
		return base64.RawURLEncoding.EncodeToString(hash[:])
	}
	return ""
}

// CheckVerifier says what is wrong with the syntax of a verifier (RFC 7636, section 4.1): it is
// [ErrLength] or [ErrCharacter].
func CheckVerifier(verifier string) error {
	if len(verifier) < MinLength || len(verifier) > MaxLength {
		return ErrLength
	}
	for _, c := range []byte(verifier) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~':
		default:
			return ErrCharacter
		}
	}
	return nil
}

// Read is for the server: which method was a challenge made by? Those that it accepts are given.
// Where the request names none it is [Plain] (RFC 7636, section 4.3), and is refused where that is
// not accepted. Errors are those above.
//
//keyladder:code pkce-read
func Read(challenge, method string, accepted ...string) (string, error) {
	switch {
	case challenge == "":
		return "", ErrMissing
	case method == "":
		method = Plain
	}
	if !slices.Contains(accepted, method) {
		return "", fmt.Errorf("%w: %.20q", ErrMethod, method)
	}
	if err := CheckVerifier(challenge); err != nil { // section 4.2: it has the syntax of a verifier
		return "", fmt.Errorf("the code challenge: %w", err)
	}
	if method == S256 && len(challenge) != base64.RawURLEncoding.EncodedLen(sha256.Size) {
		return "", fmt.Errorf("the code challenge is no SHA-256: %w", ErrLength)
	}
	return method, nil
}

// Verify is for the server: is it the verifier that the challenge was made from (RFC 7636, section
// 4.6)? Where one of them is missing, or malformed, it is not.
//
//keyladder:code pkce-verify
func Verify(method, challenge, verifier string) bool {
	made := Challenge(method, verifier)
	return CheckVerifier(verifier) == nil && made != "" && subtle.ConstantTimeCompare([]byte(made), []byte(challenge)) == 1
}
