package httpsig

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"errors"

	"keyladder/stages/mechanism/jwk"
)

// The algorithms (RFC 9421, section 3.3).
const (
	ECDSA = "ecdsa-p256-sha256"
	HMAC  = "hmac-sha256"
)

// Signer makes signatures.
type Signer interface {
	Sign(base []byte) ([]byte, error)
}

// Verifier verifies signatures, by one algorithm.
type Verifier interface {
	Algorithm() string
	Verify(base, signature []byte) bool
}

// SignWith signs with a P-256 key, which may be in hardware: [ECDSA]. Signatures are r and s, of 32
// bytes each, one after the other (RFC 9421, section 3.3.4).
func SignWith(key crypto.Signer) Signer { return device{key} }

type device struct{ key crypto.Signer }

func (d device) Sign(base []byte) ([]byte, error) { return jwk.SignBytes(d.key, base) }

// VerifyWith verifies what [SignWith] has signed.
func VerifyWith(key jwk.Key) Verifier { return public{key} }

type public struct{ jwk.Key }

func (public) Algorithm() string { return ECDSA }

// Shared signs and verifies with a secret that both ends have: [HMAC]. Printing it doesn't show it.
type Shared []byte

// String is for logs, and does not show the secret.
func (Shared) String() string { return "[shared secret]" }

// GoString does the same.
func (s Shared) GoString() string { return s.String() }

// Algorithm implements [Verifier].
func (Shared) Algorithm() string { return HMAC }

// Sign implements [Signer]. An empty secret is none.
func (s Shared) Sign(base []byte) ([]byte, error) {
	if len(s) == 0 {
		return nil, errors.New("there is no secret")
	}
	sum := hmac.New(sha256.New, s)
	sum.Write(base)
	return sum.Sum(nil), nil
}

// Verify implements [Verifier].
func (s Shared) Verify(base, signature []byte) bool {
	own, err := s.Sign(base)
	return err == nil && hmac.Equal(own, signature)
}
