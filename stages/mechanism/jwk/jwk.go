package jwk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"keyladder/stages/mechanism/token"
)

// Key is a public key on P-256. Equal keys are equal values. The zero value is no key, and verifies
// nothing.
type Key struct {
	x, y [coordinate]byte // of a point on the curve, big-endian
}

// coordinate is the length of a coordinate, and of each half of a signature, in bytes.
const coordinate = 32

// Errors of [Parse] and [Of].
var (
	// ErrKey means that it is no public key on P-256 in a form of RFC 7518, section 6.2.1.
	ErrKey = errors.New("it is no public key on the curve P-256")
	// ErrPrivate means that somebody shows their private key.
	ErrPrivate = errors.New("there is a private key in it")
)

// Of is the public half of a key. Its error wraps [ErrKey]: it is on another curve, or on none.
func Of(public *ecdsa.PublicKey) (Key, error) {
	if public == nil || public.Curve != elliptic.P256() {
		return Key{}, ErrKey
	}
	point, err := public.Bytes() // of a point on the curve, else it is an error
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return fromPoint(point), nil
}

// fromPoint takes a point apart that is not compressed (SEC 1, section 2.3.3): 4, x, y.
func fromPoint(point []byte) (key Key) {
	copy(key.x[:], point[1:])
	copy(key.y[:], point[1+coordinate:])
	return key
}

// private are the members in which keys of any kind have what is secret (RFC 7518, section 6).
var private = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// Parse reads the JSON of a public key. It refuses one with private members, of another kind or
// curve, with coordinates of another length than 32 bytes or not in the only spelling of base64url,
// and one that is not on the curve. Other members, such as "kid", say nothing here.
//
//keyladder:code jwk-parse
func Parse(data []byte) (Key, error) {
	members, err := token.Members(data)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	for _, name := range private {
		if _, there := members[name]; there {
			return Key{}, ErrPrivate
		}
	}
	for _, member := range [][2]string{{"kty", "EC"}, {"crv", "P-256"}} {
		if value, err := members.Text(member[0]); err != nil || value != member[1] {
			return Key{}, fmt.Errorf("%w: %s is not %q", ErrKey, member[0], member[1])
		}
	}
	point := append(make([]byte, 0, 1+2*coordinate), 4)
	for _, name := range []string{"x", "y"} {
		text, err := members.Text(name)
		if err != nil {
			return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
		}
		value, err := onlySpelling.DecodeString(text)
		if err != nil || len(value) != coordinate || strings.ContainsAny(text, "\r\n") {
			return Key{}, fmt.Errorf("%w: %s is not 32 bytes in base64url", ErrKey, name)
		}
		point = append(point, value...)
	}
	if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return fromPoint(point), nil
}

// onlySpelling is base64url without padding and without spare bits.
var onlySpelling = base64.RawURLEncoding.Strict()

// Confirmed is the key that a token is bound to, with its whole public half: cnf.jwk (RFC 7800, section
// 3.2). One that is bound in another way as well is refused: nobody here could tell whether that holds.
func Confirmed(claims token.Object) (Key, error) {
	members, err := token.Members(claims["cnf"])
	if err != nil || len(members) != 1 {
		return Key{}, errors.New("cnf is no object with one member")
	}
	return Parse(members["jwk"])
}

// Equal says whether it is the same key.
func (k Key) Equal(other Key) bool { return k == other }

// MarshalJSON writes the key as RFC 7518, section 6.2.1, has it.
func (k Key) MarshalJSON() ([]byte, error) {
	if k == (Key{}) {
		return nil, ErrKey
	}
	x, y := base64.RawURLEncoding.EncodeToString(k.x[:]), base64.RawURLEncoding.EncodeToString(k.y[:])
	return []byte(`{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + y + `"}`), nil
}

// UnmarshalJSON is [Parse].
func (k *Key) UnmarshalJSON(data []byte) (err error) {
	*k, err = Parse(data)
	return err
}

var _ json.Unmarshaler = (*Key)(nil)

// Thumbprint is the key's SHA-256 thumbprint in base64url (RFC 7638), 43 characters: the members that
// a key must have, in the order of their names, without spaces.
func (k Key) Thumbprint() string { return k.derived().thumbprint }

// Public is the key for package ecdsa, which must not be changed; nil: it is the zero value.
func (k Key) Public() *ecdsa.PublicKey { return k.derived().public }

// derived is what follows from a key.
type derived struct {
	public     *ecdsa.PublicKey // nil: of the zero value
	thumbprint string
}

// known remembers it for keys that come again, as a device's does with each of its calls. One takes some
// 500 bytes.
var known, _ = lru.New[Key, derived](10_000) // an error is for a size below 1

func (k Key) derived() derived {
	if d, ok := known.Get(k); ok {
		return d
	}
	d := derived{thumbprint: k.thumbprint()}
	point := append(append(append(make([]byte, 0, 1+2*coordinate), 4), k.x[:]...), k.y[:]...)
	if public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err == nil {
		d.public = public
	}
	known.Add(k, d)
	return d
}

//keyladder:code jwk-thumbprint
func (k Key) thumbprint() string {
	var room [160]byte
	text := append(room[:0], `{"crv":"P-256","kty":"EC","x":"`...)
	text = base64.RawURLEncoding.AppendEncode(text, k.x[:])
	text = append(text, `","y":"`...)
	text = base64.RawURLEncoding.AppendEncode(text, k.y[:])
	hash := sha256.Sum256(append(text, `"}`...))
	return base64.RawURLEncoding.EncodeToString(hash[:])
}
