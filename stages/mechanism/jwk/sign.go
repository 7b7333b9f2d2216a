package jwk

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"keyladder/stages/mechanism/token"
)

const (
	// Algorithm is ECDSA on P-256 with SHA-256 (RFC 7518, section 3.4).
	Algorithm = "ES256"
	// MaxLength is how long a token may be, in bytes. One with certificates in its header is longer
	// than others.
	MaxLength = 8192
)

// OfSigner is the public half of what signs. Its errors are those of [Of].
func OfSigner(signer crypto.Signer) (Key, error) {
	if signer == nil {
		return Key{}, ErrKey
	}
	public, _ := signer.Public().(*ecdsa.PublicKey)
	return Of(public)
}

// signs says whether its signatures are those of [Algorithm].
func signs(signer crypto.Signer) bool {
	if signer == nil {
		return false
	}
	public, ok := signer.Public().(*ecdsa.PublicKey)
	return ok && public != nil && public.Curve == elliptic.P256()
}

// SignBytes signs the SHA-256 of data: r and s, 32 bytes each.
func SignBytes(signer crypto.Signer, data []byte) ([]byte, error) {
	if !signs(signer) {
		return nil, fmt.Errorf("sign: %w", ErrKey)
	}
	hash := sha256.Sum256(data)
	signature, err := signer.Sign(rand.Reader, hash[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return raw(signature)
}

// raw is r and s of a signature in ASN.1.
func raw(signature []byte) ([]byte, error) {
	var sequence cryptobyte.String
	var r, s []byte // without zeros in front, and none of a negative number
	rest := cryptobyte.String(signature)
	if !rest.ReadASN1(&sequence, asn1.SEQUENCE) || !rest.Empty() ||
		!sequence.ReadASN1Integer(&r) || !sequence.ReadASN1Integer(&s) || !sequence.Empty() {
		return nil, errors.New("sign: what signs gave no signature in ASN.1")
	}
	if len(r) > coordinate || len(s) > coordinate {
		return nil, errors.New("sign: the signature is not one on the curve P-256")
	}
	var both [2 * coordinate]byte
	copy(both[coordinate-len(r):], r)
	copy(both[2*coordinate-len(s):], s)
	return both[:], nil
}

// Verify says whether the key has signed the SHA-256 of data. The signature is r and s, 32 bytes each.
func (k Key) Verify(data, signature []byte) bool {
	public := k.Public()
	if public == nil || len(signature) != 2*coordinate {
		return false
	}
	hash := sha256.Sum256(data)
	return ecdsa.VerifyASN1(public, hash[:], inASN1(signature))
}

// inASN1 is the way back from [raw]: a SEQUENCE of two INTEGERs, each without zeros in front but for one
// where it would be negative otherwise.
func inASN1(signature []byte) []byte {
	text := append(make([]byte, 0, 8+2*coordinate), 0x30, 0)
	for _, number := range [][]byte{signature[:coordinate], signature[coordinate:]} {
		number = bytes.TrimLeft(number, "\x00")
		if len(number) == 0 || number[0] >= 0x80 {
			text = append(text, 0x02, byte(1+len(number)), 0)
		} else {
			text = append(text, 0x02, byte(len(number)))
		}
		text = append(text, number...)
	}
	text[1] = byte(len(text) - 2)
	return text
}

// Sign makes a token that the signer has signed with [Algorithm], which it puts into the header. The
// header has to say the kind, "typ".
//
//keyladder:code jwk-sign
func Sign(signer crypto.Signer, header, claims map[string]any) (string, error) {
	if kind, _ := header["typ"].(string); kind == "" {
		return "", errors.New("sign a token: it does not say of which kind it is")
	}
	header = maps.Clone(header)
	header["alg"] = Algorithm
	text, err := (&jwt.Token{Method: bySigner{}, Header: header, Claims: jwt.MapClaims(claims)}).SignedString(signer)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return text, nil
}

// bySigner is [Algorithm] with a key that signs elsewhere; the library's own wants to have the private
// key.
type bySigner struct{ *jwt.SigningMethodECDSA }

func (bySigner) Alg() string { return Algorithm }

func (bySigner) Sign(text string, key any) ([]byte, error) {
	signer, _ := key.(crypto.Signer)
	return SignBytes(signer, []byte(text))
}

// Open tells what a token says that is of the kind, such as "dpop+jwt", and that the key has signed
// which find says. Find gets the header, which nobody has vouched for yet; its error is returned as
// it is. Each kind of token says for itself what its claims have to be.
//
// A header may have more than this knows, but for "crit", which says that it must be known (RFC 7515,
// section 4.1.11). The errors of package token say what is wrong otherwise.
//
//keyladder:code jwk-open
func Open(text, kind string, find func(header token.Object) (Key, error)) (token.Object, error) {
	head, body, signature, err := token.Split(text, MaxLength)
	if err != nil {
		return nil, err
	}
	header, err := token.Members(head)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", token.ErrHeader, err)
	}
	if _, critical := header["crit"]; critical {
		return nil, fmt.Errorf("%w: it has %q, which can't be there", token.ErrHeader, "crit")
	}
	if typ, err := header.Text("typ"); err != nil || !ofKind(typ, kind) {
		return nil, fmt.Errorf("%w: typ is not %q", token.ErrType, kind)
	}
	if algorithm, err := header.Text("alg"); err != nil || algorithm != Algorithm {
		return nil, fmt.Errorf("%w: alg is not %q", token.ErrAlgorithm, Algorithm)
	}
	key, err := find(header)
	if err != nil {
		return nil, err
	}
	return key.open(text, body, signature)
}

// OpenKnown is [Open] for a token whose header, as it is written, was found good before, with the key
// that was found then.
func OpenKnown(text string, key Key) (token.Object, error) {
	_, body, signature, err := token.Split(text, MaxLength)
	if err != nil {
		return nil, err
	}
	return key.open(text, body, signature)
}

// open reads the claims of a token that the key has signed.
func (k Key) open(text string, body, signature []byte) (token.Object, error) {
	if !k.Verify([]byte(text[:strings.LastIndexByte(text, '.')]), signature) {
		return nil, token.ErrSignature
	}
	claims, err := token.Members(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", token.ErrClaims, err)
	}
	return claims, nil
}

// ofKind compares media types, which know no case (RFC 7515, section 4.1.9).
func ofKind(typ, kind string) bool {
	typ = strings.ToLower(typ)
	return typ == kind || typ == "application/"+kind
}
