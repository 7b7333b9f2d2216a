package sdk

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"keyladder/stages/mechanism/jwk"
)

// Asked is what evidence is asked for.
type Asked struct {
	Nonce []byte `json:"nonce"` // the verifier's
	Bound []byte `json:"bound"` // of what the app reports along with it
}

// Evidence is what the phone's secure hardware says about the phone and this app: an Entity Attestation
// Token (package evidence).
func (s *System) Evidence(nonce, bound []byte) (string, error) {
	var text string
	err := s.client.Call("System.Evidence", Asked{Nonce: nonce, Bound: bound}, &text)
	return text, system(err)
}

// Key is the app's key in the phone's secure hardware, which makes it when it is first asked for. It
// signs what the app likes. Nobody gets its private half.
func (s *System) Key() (crypto.Signer, error) {
	var public jwk.Key
	if err := s.client.Call("System.Key", None{}, &public); err != nil {
		return nil, system(err)
	}
	return &key{s, public}, nil
}

// key is [System.Key].
type key struct {
	system *System
	public jwk.Key
}

// Public is its public half, an [*crypto/ecdsa.PublicKey].
func (k *key) Public() crypto.PublicKey { return k.public.Public() }

// Sign signs a SHA-256. The signature is in ASN.1. Random numbers are the hardware's.
func (k *key) Sign(_ io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	if options == nil || options.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, fmt.Errorf("sign with the phone's secure hardware: %w", errors.New("it signs SHA-256 and nothing else"))
	}
	var signature []byte
	err := k.system.client.Call("System.Sign", digest, &signature)
	return signature, system(err)
}
