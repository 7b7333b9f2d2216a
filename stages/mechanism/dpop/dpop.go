package dpop

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

const (
	// Field is the header field of proofs.
	Field = "DPoP"
	// NonceField is the one in which a server gives out nonces (RFC 9449, section 8).
	NonceField = "DPoP-Nonce"
	// Type is the typ of proofs.
	Type = "dpop+jwt"
)

// Error codes (RFC 9449, sections 5, 7.1 and 8).
const (
	InvalidProof = "invalid_dpop_proof"
	UseNonce     = "use_dpop_nonce"
)

// Request is what a proof is about.
type Request struct {
	Method string
	URL    string // absolute; query and fragment do not count
	Token  string // the access token that goes along; empty: none does
}

// TokenHash is ath: the SHA-256 of an access token in base64url, 43 characters (RFC 9449, section 4.2).
func TokenHash(text string) string {
	hash := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(hash[:])
}

// Sign makes a proof for a request, with a nonce of the server's; empty: it has given none.
//
//keyladder:code dpop-sign
func Sign(signer crypto.Signer, r Request, nonce string, at time.Time) (string, error) {
	key, err := jwk.OfSigner(signer)
	if err != nil {
		return "", fmt.Errorf("make a DPoP proof: %w", err)
	}
	target, err := normal(r.URL)
	if err != nil {
		return "", fmt.Errorf("make a DPoP proof: %w", err)
	}
	claims := map[string]any{"jti": rand.Text(), "htm": r.Method, "htu": target, "iat": at.Unix()}
	if r.Token != "" {
		claims["ath"] = TokenHash(r.Token)
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	return jwk.Sign(signer, map[string]any{"typ": Type, "jwk": key}, claims)
}

// NonceOf is the nonce in a proof, which nobody has verified; empty: there is none.
func NonceOf(text string) string {
	_, body, _, err := token.Split(text, jwk.MaxLength)
	if err != nil {
		return ""
	}
	claims, err := token.Members(body)
	if err != nil {
		return ""
	}
	nonce, _ := claims.Text("nonce")
	return nonce
}

// Errors of [From] and [Verifier.Verify], beside those of packages token and jwk.
var (
	ErrMissing = errors.New("no DPoP proof was sent")
	ErrTwice   = errors.New("there is more than one " + Field + " field")
	ErrTarget  = errors.New("the proof is for another request")
	ErrTime    = errors.New("the proof was not made just now")
	ErrToken   = errors.New("the proof is not for the access token that comes along")
	// ErrNonce means that the proof has no nonce that is good: its client has to take the one that the
	// server gives with the refusal, and try again ([UseNonce]).
	ErrNonce = errors.New("the proof has no nonce of this server, or an old one")
)

// Set puts a proof into its field, in place of what is there.
func Set(header http.Header, text string) { header.Set(Field, text) }

// From reads the proof out of its field: one, in one field (RFC 9449, section 4.3).
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

// Proof is one that is good for its request.
type Proof struct {
	Key    jwk.Key   // whose private half has signed it
	ID     string    // jti
	Issued time.Time // iat, in whole seconds
}

// Verifier decides which proofs are good.
type Verifier struct {
	// Skew is how far clocks may be apart: a proof is good for so long before and after its iat.
	Skew time.Duration
	// Nonce says whether a nonce is one that was given out. Nil: none are, and proofs need none.
	Nonce func(text string) error
	// Known remembers the headers of proofs that were good. Nil: each is read anew.
	Known *Known
}

// Known are headers of proofs as they are written, and the key that is in each. A client makes all its
// proofs with one header, and reading that takes longer than all else in a proof but its signature.
type Known struct{ headers *lru.Cache[string, jwk.Key] }

// longestKnown is the length of a header, in bytes, up to which it is remembered. One with a public key
// and nothing else has some 220.
const longestKnown = 512

// Remember makes a memory of so many headers, from 1 on; one takes some 400 bytes.
func Remember(number int) *Known {
	headers, _ := lru.New[string, jwk.Key](number) // an error is for a size below 1
	return &Known{headers}
}

// Verify says whether a proof is good for a request at a time. Whether it is here for the first time,
// and whether its key is the one that it has to be, it does not. Errors are those above, those of
// [jwk.Open] and [jwk.Parse]; they are for records. All but [ErrNonce] are [InvalidProof] to the client.
//
//keyladder:code dpop-verify
func (v Verifier) Verify(text string, r Request, at time.Time) (Proof, error) {
	var proof Proof
	claims, err := v.open(text, &proof)
	if err != nil {
		return Proof{}, err
	}
	if err := v.check(claims, &proof, r, at); err != nil {
		return Proof{}, err
	}
	return proof, nil
}

// open reads what a proof says that the key in its header has signed.
//
//keyladder:code dpop-open
func (v Verifier) open(text string, proof *Proof) (claims token.Object, err error) {
	header, _, _ := strings.Cut(text, ".")
	if v.Known != nil {
		if key, known := v.Known.headers.Get(header); known {
			proof.Key = key
			return jwk.OpenKnown(text, key)
		}
	}
	claims, err = jwk.Open(text, Type, func(header token.Object) (key jwk.Key, err error) {
		proof.Key, err = jwk.Parse(header["jwk"])
		return proof.Key, err
	})
	if err == nil && v.Known != nil && len(header) <= longestKnown {
		v.Known.headers.Add(strings.Clone(header), proof.Key)
	}
	return claims, err
}

// check looks at what a proof says that its key has signed (RFC 9449, section 4.3).
//
//keyladder:code dpop-claims
func (v Verifier) check(claims token.Object, proof *Proof, r Request, at time.Time) error {
	id, err1 := claims.Text("jti")
	method, err2 := claims.Text("htm")
	target, err3 := claims.Text("htu")
	issued, err4 := claims.Instant("iat")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fmt.Errorf("%w: %w", token.ErrClaims, err)
	}
	proof.ID, proof.Issued = id, issued.Truncate(time.Second)
	if method != r.Method || !sameURL(target, r.URL) {
		return fmt.Errorf("%w: %.40q %.200q", ErrTarget, method, target)
	}
	if apart := at.Sub(proof.Issued); apart.Abs() > v.Skew {
		return fmt.Errorf("%w: %s ago", ErrTime, apart.Round(time.Second))
	}
	if r.Token != "" {
		hash, err := claims.Text("ath")
		if err != nil {
			return fmt.Errorf("%w: %w", token.ErrClaims, err)
		}
		if subtle.ConstantTimeCompare([]byte(hash), []byte(TokenHash(r.Token))) != 1 {
			return ErrToken
		}
	}
	if v.Nonce == nil {
		return nil
	}
	nonce, err := claims.Text("nonce")
	if err == nil {
		err = v.Nonce(nonce)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNonce, err)
	}
	return nil
}
