package integrity

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

// Field is the header field in which the app shows the token.
const Field = "Client-Integrity-Token"

// Type is the typ of client integrity tokens.
const Type = "client-integrity+jwt"

// Claims are what a token says.
type Claims struct {
	Issuer   string    // iss: the URL of the attestation service
	ClientID string    // sub: the client that was looked at
	Audience []string  // aud: for whom it is; one is written as a string, several as an array
	Issued   time.Time // iat, in whole seconds
	Expires  time.Time // exp, in whole seconds: from then on it is worth nothing
	ID       string    // jti: no other token has it
	Release  int       // release: of the app, from 1 on
	Device   string    // device: the installation, as it named itself; may be empty
	Level    string    // level: at which the app was looked at
	Key      jwk.Key   // cnf.jwk: of the device, that the token is bound to; the zero value: to none, and the claim is absent
}

// Sign makes a token that is good, with a key of the client's. It refuses a secret of less than 32
// bytes.
//
//keyladder:code integrity-sign
func Sign(key token.Key, c Claims) (string, error) {
	var audience any = c.Audience
	if len(c.Audience) == 1 {
		audience = c.Audience[0]
	}
	claims := map[string]any{
		"iss": c.Issuer, "sub": c.ClientID, "aud": audience, "iat": c.Issued.Unix(), "exp": c.Expires.Unix(),
		"jti": c.ID, "release": c.Release, "device": c.Device, "level": c.Level,
	}
	if c.Key != (jwk.Key{}) {
		claims["cnf"] = map[string]any{"jwk": c.Key}
	}
	return key.SignAs(Type, claims)
}

// Fail makes a token that looks as if the key had signed it and is good nowhere: it is signed with a
// secret that nobody knows once this has returned. It does the same work as [Sign].
//
//keyladder:code integrity-fail
func Fail(keyID string, c Claims) (string, error) {
	secret := make(token.Secret, 32)
	rand.Read(secret) // never fails
	return Sign(token.Key{ID: keyID, Secret: secret}, c)
}

// Errors of [From].
var (
	// ErrMissing means that no token was sent.
	ErrMissing = errors.New("no client integrity token was sent")
	// ErrTwice means that there is more than one field.
	ErrTwice = errors.New("there is more than one " + Field + " field")
)

// Set puts a token into its field, in place of what is there.
func Set(header http.Header, text string) { header.Set(Field, text) }

// From reads the token out of its field.
func From(header http.Header) (string, error) {
	switch fields := header.Values(Field); {
	case len(fields) == 0, len(fields) == 1 && fields[0] == "":
		return "", ErrMissing
	case len(fields) > 1:
		return "", ErrTwice
	default:
		return fields[0], nil
	}
}

// Verifier decides which tokens are good. Its zero value refuses all.
type Verifier struct {
	Issuer   string        // what iss has to be, byte for byte
	Audience string        // what has to be in aud, byte for byte
	Leeway   time.Duration // how far the issuer's clock may be ahead; exp gets none

	// Key is whose a key is, and its secrets that are good now: several, while one takes the place
	// of another. None: there is no such key.
	Key func(id string) (clientID string, secrets []token.Secret)
}

// ErrSubject means that a token was signed with a key of another client than the one that it names.
var ErrSubject = errors.New("it is about another client than the one whose key it is signed with")

// Verify tells what a token says, if it is good at a time. Its errors wrap those of package token
// and [ErrSubject]: they are for records and not for whoever sent the token.
//
//keyladder:code integrity-verify
func (v Verifier) Verify(text string, now time.Time) (Claims, error) {
	claims, _, err := v.VerifyKey(text, now)
	return claims, err
}

// VerifyKey is Verify, and says by which key the token was good.
func (v Verifier) VerifyKey(text string, now time.Time) (Claims, token.Key, error) {
	claims, client, key, err := v.open(text)
	if err != nil {
		return Claims{}, token.Key{}, err
	}
	c, err := read(claims)
	if err == nil {
		err = v.check(c, client, now)
	} else {
		err = fmt.Errorf("%w: %w", token.ErrClaims, err)
	}
	if err != nil {
		return Claims{}, token.Key{}, err
	}
	return c, key, nil
}

// check is about what a token says that a client's key has signed.
func (v Verifier) check(c Claims, client string, now time.Time) error {
	latest := now.Add(v.Leeway)
	switch {
	case c.ClientID != client:
		return ErrSubject
	case v.Issuer == "" || c.Issuer != v.Issuer:
		return fmt.Errorf("%w: iss is %q", token.ErrIssuer, c.Issuer)
	case v.Audience == "" || !slices.Contains(c.Audience, v.Audience):
		return fmt.Errorf("%w: aud is %q", token.ErrAudience, c.Audience)
	case c.Issued.After(latest):
		return fmt.Errorf("%w: issued %s from now", token.ErrNotYet, c.Issued.Sub(now).Round(time.Second))
	case !now.Before(c.Expires): // RFC 7519, section 4.1.4: "on or after which"
		return fmt.Errorf("%w, %s ago", token.ErrExpired, now.Sub(c.Expires).Round(time.Second))
	}
	return nil
}

// open reads the claims of a token that one of its key's secrets has signed, and whose key it is.
func (v Verifier) open(text string) (claims token.Object, client string, key token.Key, err error) {
	if v.Key == nil {
		return nil, "", key, token.ErrKey
	}
	var secrets []token.Secret
	err = token.ErrSignature
	for next := 0; errors.Is(err, token.ErrSignature) && (next == 0 || next < len(secrets)); next++ {
		claims, key.ID, err = token.Open(text, Type, func(id string) (token.Secret, bool) {
			if next == 0 {
				client, secrets = v.Key(id)
			}
			if next >= len(secrets) {
				return nil, false
			}
			key.Secret = secrets[next]
			return key.Secret, true
		})
	}
	return claims, client, key, err
}

// read reads the claims, each once and with its type.
func read(claims token.Object) (c Claims, err error) {
	var faults [8]error
	c.Issuer, faults[0] = claims.Text("iss")
	c.ClientID, faults[1] = claims.Text("sub")
	c.Audience, faults[2] = claims.Audience()
	c.Issued, faults[3] = claims.Instant("iat")
	c.Expires, faults[4] = claims.Instant("exp")
	c.ID, faults[5] = claims.Text("jti")
	c.Level, faults[6] = claims.Text("level")
	c.Release, faults[7] = release(claims)
	if err := errors.Join(faults[:]...); err != nil {
		return Claims{}, err
	}
	var device *string
	if json.Unmarshal(claims["device"], &device) != nil || device == nil {
		return Claims{}, errors.New("device is no string")
	}
	c.Device = *device
	if _, there := claims["cnf"]; there {
		var err error
		if c.Key, err = jwk.Confirmed(claims); err != nil {
			return Claims{}, err
		}
	}
	return c, nil
}

func release(claims token.Object) (int, error) {
	var number *int
	if json.Unmarshal(claims["release"], &number) != nil || number == nil || *number < 1 || *number > math.MaxInt32 {
		return 0, errors.New("release is no number from 1 on")
	}
	return *number, nil
}
