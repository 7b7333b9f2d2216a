// Package secrets keeps what the mediator must not have in the clear in its database: AES-256-GCM
// (NIST SP 800-38D) under keys that are derived (RFC 5869) from the one in its folder. A copy of the
// database alone opens nothing.
package secrets

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// File is what the key is called in the mediator's folder: 32 bytes in hex.
const File = "sessions.key"

// ErrOpen means that what was sealed is not what is opened, or not with that key, or not for that
// owner.
var ErrOpen = errors.New("what was sealed can't be opened")

const keyBytes = 32

// Key seals and derives. It is safe for concurrent use.
type Key struct {
	aead   cipher.AEAD
	derive []byte // the key of what is derived
}

// Read makes a key of the text of [File].
func Read(text []byte) (*Key, error) {
	root, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(root) != keyBytes {
		return nil, fmt.Errorf("%s is not a key of %d bytes in hex", File, keyBytes)
	}
	of := func(purpose string) []byte {
		key, err2 := hkdf.Key(sha256.New, root, nil, purpose, keyBytes)
		err = errors.Join(err, err2)
		return key
	}
	sealing, deriving := of("keyladder mediator seal"), of("keyladder mediator derive")
	if err != nil {
		return nil, fmt.Errorf("derive the keys of the mediator: %w", err)
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, fmt.Errorf("make a key of the mediator: %w", err)
	}
	k := &Key{derive: deriving}
	if k.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil { // good for 2^32 secrets
		return nil, fmt.Errorf("make a key of the mediator: %w", err)
	}
	return k, nil
}

// Seal encrypts a secret for its owner, whose parts are what it is bound to.
//
//keyladder:code mediator-seal
func (k *Key) Seal(secret []byte, owner ...string) []byte {
	return k.aead.Seal(nil, nil, secret, joined(owner))
}

// Open is what was sealed for the same owner, or [ErrOpen].
func (k *Key) Open(sealed []byte, owner ...string) ([]byte, error) {
	secret, err := k.aead.Open(nil, nil, sealed, joined(owner))
	if err != nil {
		return nil, ErrOpen
	}
	return secret, nil
}

// Derive is a secret of 256 bits, in base64url without padding, that is the same for the same name
// and is kept nowhere.
func (k *Key) Derive(name ...string) string {
	mac := hmac.New(sha256.New, k.derive)
	mac.Write(joined(name))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Answers is the key on P-256 that signs the answers to calls that are signed. All mediators of a deployment
// have the same, and apps are shipped with its public half. It is kept nowhere.
func (k *Key) Answers() (private *ecdsa.PrivateKey, err error) {
	for try := range 4 { // one number in 2³² is no such key
		var number []byte
		if number, err = base64.RawURLEncoding.DecodeString(k.Derive("key of answers", strconv.Itoa(try))); err != nil {
			return nil, err
		}
		if private, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), number); err == nil {
			return private, nil
		}
	}
	return nil, err
}

// Length is how many characters a secret of [New] or [Key.Derive] has.
const Length = 43

// New is a secret of 256 random bits, in base64url without padding.
func New() string {
	bits := make([]byte, keyBytes)
	rand.Read(bits) // never fails
	return base64.RawURLEncoding.EncodeToString(bits)
}

// Hash is what is kept of a random secret that somebody else shows later.
func Hash(secret string) []byte {
	hash := sha256.Sum256([]byte(secret))
	return hash[:]
}

// joined joins texts so that no others give the same: each with its length before it.
func joined(texts []string) []byte {
	var all strings.Builder
	for _, text := range texts {
		fmt.Fprintf(&all, "%d:%s", len(text), text)
	}
	return []byte(all.String())
}
