package clientattestation

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

// Header fields.
const (
	Field          = "OAuth-Client-Attestation"
	PoPField       = "OAuth-Client-Attestation-PoP"
	ChallengeField = "OAuth-Client-Attestation-Challenge" // in answers
)

// Types of the tokens.
const (
	Type    = "oauth-client-attestation+jwt"
	PoPType = "oauth-client-attestation-pop+jwt"
)

// Names of the methods in metadata and registrations.
const (
	Method     = "attest_jwt_client_auth"      // with a proof of possession of its own
	MethodDPoP = "attest_jwt_client_auth_dpop" // the combined mode
)

// Ways of proving possession, in metadata.
const (
	PoPMethod     = "attestation_pop_jwt"
	PoPMethodDPoP = "dpop_combined"
)

// Error codes.
const (
	UseChallenge = "use_attestation_challenge"
	Invalid      = "invalid_client_attestation"
)

// Claims are what an attestation says.
type Claims struct {
	ClientID string    // sub
	Issued   time.Time // iat, in whole seconds
	Expires  time.Time // exp, in whole seconds: from then on it is worth nothing
	Key      jwk.Key   // cnf.jwk: of the installation
	Device   string    // device: the installation, as it named itself; may be empty
	Release  int       // release: of the app, from 1 on
}

// Sign makes an attestation. KeyID says which of the attester's keys this is.
//
//keyladder:code client-attestation-sign
func Sign(attester crypto.Signer, keyID string, c Claims) (string, error) {
	return jwk.Sign(attester, map[string]any{"typ": Type, "kid": keyID}, map[string]any{
		"sub": c.ClientID, "iat": c.Issued.Unix(), "exp": c.Expires.Unix(), "cnf": map[string]any{"jwk": c.Key}, "device": c.Device, "release": c.Release,
	})
}

// Fail makes one that looks as if the attester had signed it and is good nowhere: it is signed with a
// key that nobody knows once this has returned. It does the same work as [Sign], and makes a key.
func Fail(keyID string, c Claims) (string, error) {
	unknown, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make a client attestation: %w", err)
	}
	return Sign(unknown, keyID, c)
}

// SignPoP makes a proof that its maker has the key of an attestation, for a server's issuer, with a
// challenge of that server's; empty: it has given none.
//
//keyladder:code client-attestation-pop-sign
func SignPoP(signer crypto.Signer, audience, challenge string, at time.Time) (string, error) {
	claims := map[string]any{"aud": audience, "jti": rand.Text(), "iat": at.Unix()}
	if challenge != "" {
		claims["challenge"] = challenge
	}
	return jwk.Sign(signer, map[string]any{"typ": PoPType}, claims)
}

// Errors of this package, beside those of packages token and jwk.
var (
	ErrMissing  = errors.New("no client attestation was sent")
	ErrNoPoP    = errors.New("no proof of possession was sent with the client attestation")
	ErrTwice    = errors.New("there is more than one field of the client attestation, or of its proof")
	ErrAttester = errors.New("the client attestation is not of an attester that is trusted")
	ErrTime     = errors.New("the proof of possession was not made just now")
	// ErrChallenge means that the proof has no challenge that is good: its client has to take the one that
	// the server gives with the refusal, and try again ([UseChallenge]).
	ErrChallenge = errors.New("the proof of possession has no challenge of this server, or an old one")
)

// Set puts an attestation into its field, in place of what is there.
func Set(header http.Header, text string) { header.Set(Field, text) }

// SetPoP puts a proof into its field, in place of what is there.
func SetPoP(header http.Header, text string) { header.Set(PoPField, text) }

// From reads the attestation out of its field.
func From(header http.Header) (string, error) { return one(header, Field, ErrMissing) }

// PoPFrom reads the proof out of its field. It is [ErrNoPoP] where there is none.
func PoPFrom(header http.Header) (string, error) { return one(header, PoPField, ErrNoPoP) }

func one(header http.Header, field string, missing error) (string, error) {
	switch fields := header.Values(field); {
	case len(fields) == 0, len(fields) == 1 && fields[0] == "":
		return "", missing
	case len(fields) > 1:
		return "", ErrTwice
	default:
		return fields[0], nil
	}
}

// Verifier decides which attestations are good. Its zero value refuses all.
type Verifier struct {
	// Attester is the public key of that name of an attester that is trusted. An empty name is that of
	// an attestation that names none.
	Attester func(keyID string) (jwk.Key, bool)
	Leeway   time.Duration // how far the attester's clock may be ahead; exp gets none
}

// Verify tells what an attestation says, if it is good at a time. Errors are those above, and those of
// [jwk.Open]: they are for records.
//
//keyladder:code client-attestation-verify
func (v Verifier) Verify(text string, at time.Time) (Claims, error) {
	claims, err := jwk.Open(text, Type, func(header token.Object) (jwk.Key, error) {
		id, _ := header.Text("kid")
		if v.Attester == nil {
			return jwk.Key{}, ErrAttester
		}
		key, ok := v.Attester(id)
		if !ok {
			return jwk.Key{}, fmt.Errorf("%w: kid is %.80q", ErrAttester, id)
		}
		return key, nil
	})
	if err != nil {
		return Claims{}, err
	}
	c, err := read(claims)
	switch {
	case err != nil:
		return Claims{}, fmt.Errorf("%w: %w", token.ErrClaims, err)
	case c.Issued.After(at.Add(v.Leeway)):
		return Claims{}, fmt.Errorf("%w: issued %s from now", token.ErrNotYet, c.Issued.Sub(at).Round(time.Second))
	case !at.Before(c.Expires):
		return Claims{}, fmt.Errorf("%w, %s ago", token.ErrExpired, at.Sub(c.Expires).Round(time.Second))
	}
	return c, nil
}

func read(claims token.Object) (c Claims, err error) {
	var faults [4]error
	c.ClientID, faults[0] = claims.Text("sub")
	c.Issued, faults[1] = claims.Instant("iat")
	c.Expires, faults[2] = claims.Instant("exp")
	c.Key, faults[3] = jwk.Confirmed(claims)
	if err := errors.Join(faults[:]...); err != nil {
		return Claims{}, err
	}
	var device *string
	var release *int
	if json.Unmarshal(claims["device"], &device) != nil || device == nil {
		return Claims{}, errors.New("device is no string")
	}
	if json.Unmarshal(claims["release"], &release) != nil || release == nil || *release < 1 || *release > math.MaxInt32 {
		return Claims{}, errors.New("release is no number from 1 on")
	}
	c.Device, c.Release = *device, *release
	return c, nil
}

// PoP is a proof that is good.
type PoP struct {
	ID     string    // jti
	Issued time.Time // iat, in whole seconds
}

// PoPVerifier decides which proofs are good. Its zero value refuses all.
type PoPVerifier struct {
	Audience  string                  // what aud has to be, byte for byte: the server's issuer
	Skew      time.Duration           // how far clocks may be apart: a proof is good for so long before and after its iat
	Challenge func(text string) error // whether a challenge was given out; nil: none are, and proofs need none
}

// Verify says whether a proof is signed with a key, for this server and for a time. Whether it is here
// for the first time it does not say. Errors are those above, and those of [jwk.Open].
//
//keyladder:code client-attestation-pop-verify
func (v PoPVerifier) Verify(text string, key jwk.Key, at time.Time) (PoP, error) {
	claims, err := jwk.Open(text, PoPType, func(token.Object) (jwk.Key, error) { return key, nil })
	if err != nil {
		return PoP{}, err
	}
	audience, err1 := claims.Text("aud")
	id, err2 := claims.Text("jti")
	issued, err3 := claims.Instant("iat")
	if err := errors.Join(err1, err2, err3); err != nil {
		return PoP{}, fmt.Errorf("%w: %w", token.ErrClaims, err)
	}
	issued = issued.Truncate(time.Second)
	apart := at.Sub(issued)
	switch {
	case v.Audience == "" || audience != v.Audience:
		return PoP{}, fmt.Errorf("%w: aud is %.200q", token.ErrAudience, audience)
	case apart.Abs() > v.Skew:
		return PoP{}, fmt.Errorf("%w: %s ago", ErrTime, apart.Round(time.Second))
	case v.Challenge == nil:
		return PoP{ID: id, Issued: issued}, nil
	}
	challenge, err := claims.Text("challenge")
	if err == nil {
		err = v.Challenge(challenge)
	}
	if err != nil {
		return PoP{}, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	return PoP{ID: id, Issued: issued}, nil
}
