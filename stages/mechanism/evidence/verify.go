package evidence

import (
	"crypto/ecdsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

// Verifier decides which evidence to believe. Its zero value believes none.
type Verifier struct {
	Roots   *x509.CertPool           // the makers' roots
	Revoked func(serial string) bool // whether a certificate is, by [Serial]; nil: nothing is verified
	Nonce   []byte                   // of the session; 8 bytes or more
	Bound   []byte                   // of what came with it, as [Bound] makes it
	Within  time.Duration            // how far the device's clock may be off, either way
}

// mostCertificates is how many x5c may have.
const mostCertificates = 4

// Verify tells what evidence says, if it can be believed at a time. Its errors wrap those of this
// package and of packages token and jwk: they are for records, and not for whoever sent it. An error
// that wraps [token.ErrForm] means that it is no JWT at all.
//
//keyladder:code evidence-verify
func (v Verifier) Verify(text string, now time.Time) (Claims, error) {
	var chain []*x509.Certificate
	said, err := jwk.Open(text, Type, func(header token.Object) (key jwk.Key, err error) {
		chain, key, err = v.chain(header, now)
		return key, err
	})
	if err != nil {
		return Claims{}, err
	}
	c, err := read(said)
	if err != nil {
		return Claims{}, err
	}
	off := now.Sub(c.Issued)
	switch {
	case chain[0].Subject.SerialNumber != encoding.EncodeToString(c.Device.UEID):
		return Claims{}, fmt.Errorf("%w: that is %q", ErrDevice, chain[0].Subject.SerialNumber)
	case subtle.ConstantTimeCompare(c.Nonce, v.Nonce) != 1:
		return Claims{}, ErrNonce
	case subtle.ConstantTimeCompare(c.Bound, v.Bound) != 1:
		return Claims{}, ErrBound
	case off.Abs() > v.Within:
		return Claims{}, fmt.Errorf("%w: it is %s off", ErrTime, off.Round(time.Second))
	}
	c.Chain = chain
	return c, nil
}

// KeyOf is the app's key in evidence that nobody has verified: of whoever has sent it. It is no good but
// for an answer that must not show what became of the evidence.
func KeyOf(text string) (jwk.Key, error) {
	_, body, _, err := token.Split(text, jwk.MaxLength)
	if err != nil {
		return jwk.Key{}, err
	}
	said, err := token.Members(body)
	if err != nil {
		return jwk.Key{}, fmt.Errorf("%w: %w", token.ErrClaims, err)
	}
	r := reader{from: said}
	cnf := r.object("cnf")
	var key jwk.Key
	cnf.member("jwk", &key, func() bool { return key != jwk.Key{} })
	if len(r.faults)+len(cnf.faults) > 0 {
		return jwk.Key{}, fmt.Errorf("%w: cnf", token.ErrClaims)
	}
	return key, nil
}

// chain are the certificates that lead from the device to the maker's root, and the device's key.
//
//keyladder:code evidence-chain
func (v Verifier) chain(header token.Object, now time.Time) ([]*x509.Certificate, jwk.Key, error) {
	fail := func(kind error, format string, values ...any) ([]*x509.Certificate, jwk.Key, error) {
		return nil, jwk.Key{}, fmt.Errorf("%w: %w", kind, fmt.Errorf(format, values...))
	}
	if v.Roots == nil || v.Revoked == nil {
		return fail(ErrChain, "no root is known")
	}
	sent, err := certificates(header["x5c"])
	if err != nil {
		return fail(token.ErrHeader, "%w", err)
	}
	between := x509.NewCertPool()
	for _, certificate := range sent[1:] {
		between.AddCert(certificate)
	}
	device := sent[0]
	led, err := device.Verify(x509.VerifyOptions{Roots: v.Roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fail(ErrChain, "%w", err)
	}
	public, _ := device.PublicKey.(*ecdsa.PublicKey)
	key, err := jwk.Of(public)
	switch {
	case err != nil:
		return fail(ErrDevice, "%w", err)
	case device.IsCA, device.KeyUsage != x509.KeyUsageDigitalSignature:
		return fail(ErrDevice, "it is for something else than signing evidence")
	}
	for _, way := range led {
		for _, certificate := range way {
			if serial := Serial(certificate); v.Revoked(serial) {
				return fail(ErrRevoked, "that with the serial number %s, of %q", serial, certificate.Subject.CommonName)
			}
		}
	}
	return led[0], key, nil
}

// certificates reads x5c (RFC 7515, section 4.1.6).
func certificates(raw json.RawMessage) ([]*x509.Certificate, error) {
	var encoded []string
	if err := json.Unmarshal(raw, &encoded); err != nil || len(encoded) == 0 || len(encoded) > mostCertificates {
		return nil, fmt.Errorf("x5c is no list of 1 to %d certificates", mostCertificates)
	}
	var chain []*x509.Certificate
	for i, text := range encoded {
		der, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("certificate %d is not in base64", i+1)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i+1, err)
		}
		chain = append(chain, certificate)
	}
	return chain, nil
}
