package token

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// Type is the typ of access tokens (RFC 9068, section 2.1).
	Type = "at+jwt"
	// Algorithm is the one that they are signed with (RFC 7518, section 3.2).
	Algorithm = "HS256"
	// MaxLength is how long a token may be, in bytes.
	MaxLength = 4096
)

// secretBytes is the least that RFC 7518, section 3.2, has keys of HS256 be.
const secretBytes = 32

// Key signs tokens.
type Key struct {
	ID     string // what kid says, so that there can be several
	Secret Secret
}

// Secret is what a key signs with: at least 32 random bytes. Printing it doesn't show it.
type Secret []byte

// String is for logs, and does not show the secret.
func (Secret) String() string { return "[signing secret]" }

// GoString does the same.
func (s Secret) GoString() string { return s.String() }

// NewKey makes a random key of 256 bits with a random ID.
func NewKey() Key {
	secret := make(Secret, secretBytes)
	rand.Read(secret) // never fails
	return Key{ID: NewID(), Secret: secret}
}

// NewID makes up what nothing else has, for keys and tokens: 128 random bits in base64url.
func NewID() string {
	var bits [16]byte
	rand.Read(bits[:])
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// Claims are what a token says (RFC 9068, section 2.2).
type Claims struct {
	Issuer   string    // iss: the URL of who issued it
	Subject  string    // sub: the resource owner
	Audience []string  // aud: for whom it is; one is written as a string, several as an array
	ClientID string    // client_id: the client that it was issued to
	Issued   time.Time // iat, in whole seconds
	Expires  time.Time // exp, in whole seconds: from then on it is worth nothing
	ID       string    // jti: no other token has it
	Scope    string    // scope: what it is good for, with spaces between (RFC 6749, section 3.3)
	Device   string    // device: the installation that it was issued to, as the app names it; empty: it is not bound to one, and the claim is absent
	// Thumbprint is cnf.jkt: that of the key that it is bound to (RFC 9449, section 6.1). Empty: it is
	// bound to none, and the claim is absent.
	Thumbprint string
}

// Sign makes a token of claims. It refuses a secret that is too short.
//
//keyladder:code token-sign
func (k Key) Sign(c Claims) (string, error) {
	var audience any = c.Audience
	if len(c.Audience) == 1 {
		audience = c.Audience[0]
	}
	claims := map[string]any{
		"iss": c.Issuer, "sub": c.Subject, "aud": audience, "client_id": c.ClientID,
		"iat": c.Issued.Unix(), "exp": c.Expires.Unix(), "jti": c.ID, "scope": c.Scope,
	}
	if c.Device != "" {
		claims["device"] = c.Device
	}
	if c.Thumbprint != "" {
		claims["cnf"] = map[string]any{"jkt": c.Thumbprint}
	}
	return k.SignAs(Type, claims)
}

// SignAs makes a token of another kind, with a typ of its own, so that none opens what another
// opens. It refuses a secret that is too short, and claims that are no JSON.
func (k Key) SignAs(kind string, claims map[string]any) (string, error) {
	if len(k.Secret) < secretBytes {
		return "", fmt.Errorf("sign a token: the secret has %d bytes, and needs %d", len(k.Secret), secretBytes)
	}
	unsigned := jwt.Token{
		Method: jwt.SigningMethodHS256,
		Header: map[string]any{"alg": Algorithm, "kid": k.ID, "typ": kind},
		Claims: jwt.MapClaims(claims),
	}
	text, err := unsigned.SignedString([]byte(k.Secret))
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return text, nil
}

// Errors of [Verifier.Verify]. Each check has its own.
var (
	ErrForm      = errors.New("it is not a signed token: three parts in base64url with points between them")
	ErrHeader    = errors.New("its header is not that of a token of ours")
	ErrType      = errors.New("it is another kind of token")
	ErrAlgorithm = errors.New("it wants to be verified with another algorithm than ours")
	ErrKey       = errors.New("it names a key that the issuer does not have")
	ErrSignature = errors.New("the signature is not that of the key that it names")
	ErrClaims    = errors.New("a claim is missing, there twice, or not of its type")
	ErrIssuer    = errors.New("somebody else issued it")
	ErrAudience  = errors.New("it is for somebody else")
	ErrNotYet    = errors.New("it is from the future")
	ErrExpired   = errors.New("it has expired")
)
