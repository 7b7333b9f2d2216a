package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Verifier decides which tokens are good. Its zero value refuses all.
type Verifier struct {
	Issuer   string                         // what iss has to be, byte for byte
	Audience string                         // what has to be in aud, byte for byte
	Keys     func(id string) (Secret, bool) // the issuer's keys that are good now
	Leeway   time.Duration                  // how far the issuer's clock may be ahead; exp gets none
}

// Verify tells what a token says, if it is good at a time. Its errors wrap those of this
// package and say what was wrong: they are for records and not for whoever sent the token.
func (v Verifier) Verify(text string, now time.Time) (Claims, error) {
	claims, _, err := v.VerifyKey(text, now)
	return claims, err
}

// VerifyKey is Verify, and says by which key the token was good.
func (v Verifier) VerifyKey(text string, now time.Time) (claims Claims, id string, err error) {
	t := reading{kind: Type, text: text, now: now}
	for _, check := range checks {
		if err := check.run(v, &t); err != nil {
			return Claims{}, "", err
		}
	}
	return t.claims, t.kid, nil
}

// Open makes the checks on a token of any kind that come before its claims: its form, its header,
// that it is of the kind, such as "at+jwt", and that the key which it names has signed it. What
// the claims have to be, each kind says for itself. Errors are as those of [Verifier.Verify].
func Open(text, kind string, keys func(id string) (Secret, bool)) (claims Object, id string, err error) {
	t := reading{kind: kind, text: text}
	for _, check := range checks[:beforeClaims] {
		if err := check.run(Verifier{Keys: keys}, &t); err != nil {
			return nil, "", err
		}
	}
	if claims, err = Members(t.body); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrClaims, err)
	}
	return claims, t.kid, nil
}

// A check is one thing that a token has to fulfil.
type check struct {
	name string
	run  func(Verifier, *reading) error
}

// checks are in the order in which a token is verified: nothing of the claims is looked at
// before the signature was.
//
//keyladder:code token-checks
var checks = []check{
	{"form", form},
	{"header", headerMembers},
	{"type", tokenType},
	{"algorithm", algorithm},
	{"key", knownKey},
	{"signature", signature},
	{"claims", everyClaim},
	{"issuer", issuer},
	{"audience", audience},
	{"issued", notFromTheFuture},
	{"expiry", notExpired},
}

// beforeClaims is how many of them come before the claims are looked at.
const beforeClaims = 6

// reading is a token on its way through the checks.
type reading struct {
	kind  string // that it has to be of: a media type without "application/"
	text  string
	now   time.Time
	parts []string // header, claims, signature, as they are written

	header, body  []byte // the JSON of the first two
	mac           []byte
	alg, kid, typ string
	secret        Secret
	claims        Claims
	notBefore     time.Time // zero: there is no nbf
}

func form(_ Verifier, t *reading) (err error) {
	t.parts = strings.Split(t.text, ".")
	t.header, t.body, t.mac, err = Split(t.text, MaxLength)
	return err
}

// Split takes a signed token of any kind apart: the JSON of its header and of its claims, and what
// its signature consists of. Nothing of that is to be believed before the signature was verified,
// which is over the first two parts as they are written. The longest text is in bytes. Its errors
// wrap [ErrForm].
func Split(text string, longest int) (header, claims, signature []byte, err error) {
	if len(text) > longest {
		return nil, nil, nil, fmt.Errorf("%w: it has %d bytes, and %d are the most", ErrForm, len(text), longest)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, nil, nil, fmt.Errorf("%w: it has %d", ErrForm, len(parts))
	}
	var decoded [3][]byte
	for i, part := range parts {
		data, err := onlySpelling.DecodeString(part)
		if err != nil || strings.ContainsAny(part, "\r\n") { // the decoder skips these two
			return nil, nil, nil, fmt.Errorf("%w: part %d is not base64url in its only spelling", ErrForm, i+1)
		}
		decoded[i] = data
	}
	return decoded[0], decoded[1], decoded[2], nil
}

// onlySpelling is base64url without padding and without spare bits.
var onlySpelling = base64.RawURLEncoding.Strict()

func headerMembers(_ Verifier, t *reading) error {
	header, err := Members(t.header)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHeader, err)
	}
	for name := range header {
		if !slices.Contains([]string{"alg", "kid", "typ"}, name) {
			return fmt.Errorf("%w: it has %q, which can't be there", ErrHeader, name)
		}
	}
	t.alg, err = header.Text("alg")
	kid, err2 := header.Text("kid")
	typ, err3 := header.Text("typ")
	if err := errors.Join(err, err2, err3); err != nil {
		return fmt.Errorf("%w: %w", ErrHeader, err)
	}
	t.kid, t.typ = kid, typ
	return nil
}

func tokenType(_ Verifier, t *reading) error {
	// RFC 9068, section 4: with and without "application/". Media types know no case.
	if kind := strings.ToLower(t.typ); kind != t.kind && kind != "application/"+t.kind {
		return fmt.Errorf("%w: typ is %q", ErrType, t.typ)
	}
	return nil
}

func algorithm(_ Verifier, t *reading) error {
	if t.alg != Algorithm {
		return fmt.Errorf("%w: alg is %q", ErrAlgorithm, t.alg)
	}
	return nil
}

func knownKey(v Verifier, t *reading) error {
	if v.Keys == nil {
		return fmt.Errorf("%w: there are none", ErrKey)
	}
	secret, found := v.Keys(t.kid)
	if !found || len(secret) < secretBytes {
		return fmt.Errorf("%w: kid is %q", ErrKey, t.kid)
	}
	t.secret = secret
	return nil
}

func signature(_ Verifier, t *reading) error {
	signed := t.text[:len(t.text)-len(t.parts[2])-1]
	if err := jwt.SigningMethodHS256.Verify(signed, t.mac, []byte(t.secret)); err != nil {
		return ErrSignature
	}
	return nil
}

func issuer(v Verifier, t *reading) error {
	if v.Issuer == "" || t.claims.Issuer != v.Issuer {
		return fmt.Errorf("%w: iss is %q", ErrIssuer, t.claims.Issuer)
	}
	return nil
}

func audience(v Verifier, t *reading) error {
	if v.Audience == "" || !slices.Contains(t.claims.Audience, v.Audience) {
		return fmt.Errorf("%w: aud is %q", ErrAudience, t.claims.Audience)
	}
	return nil
}

func notFromTheFuture(v Verifier, t *reading) error {
	latest := t.now.Add(v.Leeway)
	switch {
	case t.claims.Issued.After(latest):
		return fmt.Errorf("%w: issued %s from now", ErrNotYet, t.claims.Issued.Sub(t.now).Round(time.Second))
	case t.notBefore.After(latest):
		return fmt.Errorf("%w: good in %s only", ErrNotYet, t.notBefore.Sub(t.now).Round(time.Second))
	}
	return nil
}

func notExpired(_ Verifier, t *reading) error {
	// RFC 7519, section 4.1.4: "on or after which".
	if !t.now.Before(t.claims.Expires) {
		return fmt.Errorf("%w, %s ago", ErrExpired, t.now.Sub(t.claims.Expires).Round(time.Second))
	}
	return nil
}
