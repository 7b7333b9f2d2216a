package evidence

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
)

const (
	// Type is the typ of evidence: the media type of an EAT in a JWT (RFC 9782, section 5) without
	// "application/".
	Type = "eat+jwt"
	// Profile says which claims there are (RFC 9711, section 4.3.2).
	Profile = "urn:keyladder:eat:device-evidence"
	// ExamplePEN is the maker's number in evidence: one that nobody has (RFC 5612).
	ExamplePEN = 32473
)

// Claims are what a device says.
type Claims struct {
	Issued time.Time // iat, in whole seconds
	Nonce  []byte    // the first of eat_nonce: the verifier's, 8 bytes or more
	Bound  []byte    // the second: as [Bound] makes it

	Device  Device
	System  System
	Debug   Debug   // dbgstat
	Package Package // measurements
	Key     jwk.Key // cnf.jwk: the app's

	Chain []*x509.Certificate // the device's certificate first, the maker's root last: Verify says it, and Sign does not look at it
}

// Device is what the maker has decided about a device.
type Device struct {
	UEID  []byte `json:"ueid"`  // a byte that says how it was made, and the identifier (RFC 9711, section 4.2.1)
	OEMID int    `json:"oemid"` // the maker's Private Enterprise Number
	Model string `json:"model"` // 1 to 32 bytes
}

// System is what the boot loader has started.
type System struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	OEM     bool    `json:"oem"`    // oemboot: it is the maker's, and the boot loader is locked
	Locked  bool    `json:"locked"` // the boot loader starts no system but one that is signed with Key
	Key     pin.Pin `json:"key"`    // with which the system is signed
}

// Package is what an app was started from.
type Package struct {
	Name        string                  `json:"name"` // com.harbourbank.app
	Measurement attestation.Measurement `json:"sha256"`
	Signer      pin.Pin                 `json:"signer"` // its key
}

// Debug is a value of dbgstat (RFC 9711, section 4.2.9).
type Debug string

// The values.
const (
	DebugEnabled             Debug = "enabled"
	DebugDisabled            Debug = "disabled" // now
	DebugDisabledSinceBoot   Debug = "disabled-since-boot"
	DebugDisabledPermanently Debug = "disabled-permanently"
	DebugDisabledFully       Debug = "disabled-fully-and-permanently"
)

// Bound is what an app's findings become in evidence: their SHA-256, so that nobody can send others
// along with it. It is over the text "keyladder findings 1", a line feed, and the byte of
// [attestation.Findings.Code].
//
//keyladder:code evidence-bound
func Bound(found attestation.Findings) []byte {
	hash := sha256.Sum256(append([]byte("keyladder findings 1\n"), found.Code()))
	return hash[:]
}

// measuredAs is the media type of a measurement: application/json, as CoAP numbers it (RFC 7252,
// section 12.3).
const measuredAs = 50

var encoding = base64.RawURLEncoding.Strict()

// Sign makes evidence. The key is the device's, and the chain its certificate, then those that lead to
// the maker's root, without that. It does not look whether they fit.
//
//keyladder:code evidence-sign
func Sign(key crypto.Signer, chain []*x509.Certificate, c Claims) (string, error) {
	var certificates []string
	for _, certificate := range chain {
		certificates = append(certificates, base64.StdEncoding.EncodeToString(certificate.Raw)) // not base64url: RFC 7515, section 4.1.6
	}
	measured, err := json.Marshal(c.Package)
	if err != nil {
		return "", fmt.Errorf("sign evidence: %w", err)
	}
	text, err := jwk.Sign(key, map[string]any{"typ": Type, "x5c": certificates}, map[string]any{
		"eat_profile": Profile,
		"iat":         c.Issued.Unix(),
		"eat_nonce":   []string{encoding.EncodeToString(c.Nonce), encoding.EncodeToString(c.Bound)},
		"ueid":        encoding.EncodeToString(c.Device.UEID), "oemid": c.Device.OEMID, "hwmodel": encoding.EncodeToString([]byte(c.Device.Model)),
		"swname": c.System.Name, "swversion": []string{c.System.Version},
		"oemboot": c.System.OEM, "boot": map[string]any{"locked": c.System.Locked, "key": c.System.Key},
		"dbgstat":      c.Debug,
		"measurements": []any{[]any{measuredAs, encoding.EncodeToString(measured)}},
		"cnf":          map[string]any{"jwk": c.Key},
	})
	if err != nil {
		return "", fmt.Errorf("sign evidence: %w", err)
	}
	return text, nil
}

// Serial is the serial number of a certificate as people and revocations write it: hexadecimal digits,
// small letters.
//
// A serial number is one of its issuer's (RFC 5280, section 4.1.2.2), and revocations go by it alone, as
// Google's list for key attestation does. So where two makers have given the same one, revoking one
// certificate revokes both: no device is believed for it, and some may be refused. Makers whose numbers are
// random, of 64 bits or more, don't come into each other's way. A verifier of makers who count should have
// revocations go by issuer and serial number, as CRLs do.
func Serial(certificate *x509.Certificate) string { return certificate.SerialNumber.Text(16) }

// Errors of [Verifier.Verify], beside those of packages token and jwk about its form, kind and signature.
var (
	ErrChain   = errors.New("its certificates do not lead to the maker's root")
	ErrDevice  = errors.New("the certificate is not that of the device which it is about")
	ErrRevoked = errors.New("a certificate is revoked")
	ErrProfile = errors.New("it follows other rules than ours")
	ErrNonce   = errors.New("it was made for something else than this session")
	ErrBound   = errors.New("it was made for other findings than those that came with it")
	ErrTime    = errors.New("the device's clock is wrong, or it was made at another time")
)

// text64 decodes the only spelling of base64url.
func text64(text string) ([]byte, error) {
	data, err := encoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the decoder skips
		return nil, errors.New("it is not base64url in its only spelling")
	}
	return data, nil
}
