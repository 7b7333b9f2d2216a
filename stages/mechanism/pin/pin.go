package pin

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Pin is the pin of a public key: "sha256/" and the standard base64 of the SHA-256 of
// its SubjectPublicKeyInfo in DER (RFC 7469, section 2.4).
type Pin string

const prefix = "sha256/"

// Errors of this package.
var (
	// ErrMismatch means that the server was verified, but its key is not pinned.
	ErrMismatch = errors.New("the server's public key is not one of those that the app was shipped with")
	// ErrUnverified means that there is no verified chain to compare with pins.
	ErrUnverified = errors.New("the server's certificate was not verified, so that pins say nothing about it")
	// ErrMalformed means that a text is not a pin.
	ErrMalformed = errors.New("not a pin: want sha256/ and the base64 of 32 bytes")
)

// Of is the pin of a certificate's key.
func Of(certificate *x509.Certificate) Pin { return of(certificate.RawSubjectPublicKeyInfo) }

// OfKey is the pin of a public key for which there is no certificate, such as that of
// a package's signer.
func OfKey(key crypto.PublicKey) (Pin, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("pin a public key: %w", err)
	}
	return of(spki), nil
}

func of(spki []byte) Pin {
	sum := sha256.Sum256(spki)
	text := append(make([]byte, 0, 64), prefix...)
	return Pin(base64.StdEncoding.AppendEncode(text, sum[:]))
}

// Parse checks that a text is a pin. A mistyped pin would match nothing, which is
// safe but hard to find.
func Parse(text string) (Pin, error) {
	encoded, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return "", fmt.Errorf("%q: %w", text, ErrMalformed)
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(sum) != sha256.Size || strings.ContainsAny(encoded, "\r\n") {
		return "", fmt.Errorf("%q: %w", text, ErrMalformed)
	}
	return Pin(text), nil
}

// Set is the pins that an app was shipped with: that of the key in use, and that of
// a backup key. An empty set accepts no server.
type Set []Pin

// ParseSet parses all pins of a set and refuses an empty one.
func ParseSet(texts []string) (Set, error) {
	if len(texts) == 0 {
		return nil, fmt.Errorf("a set of pins is empty: %w", ErrMalformed)
	}
	set := make(Set, len(texts))
	for i, text := range texts {
		var err error
		if set[i], err = Parse(text); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// VerifyConnection is for the field of the same name of [tls.Config]. It is nil where
// the verified server holds a pinned key, [ErrMismatch] where it holds another, and
// [ErrUnverified] where nobody verified it.
//
//keyladder:code pin-verify
func (s Set) VerifyConnection(state tls.ConnectionState) error {
	if len(state.VerifiedChains) == 0 {
		return ErrUnverified
	}
	for _, chain := range state.VerifiedChains {
		if len(chain) > 0 && slices.Contains(s, Of(chain[0])) {
			return nil
		}
	}
	return ErrMismatch
}
