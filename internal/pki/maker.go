package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
)

// NewRoot makes a self-signed authority that certifies other authorities, and these certify devices.
func NewRoot(name string) (*CA, error) {
	template := template(name)
	template.MaxPathLen = 1
	return newCA(template)
}

// Intermediate makes an authority that this one certifies, and that certifies no others.
func (ca *CA) Intermediate(name string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of %s: %w", name, err)
	}
	template := template(name)
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	pair, certificate, err := sign(template, ca.certificate, key, ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", name, err)
	}
	return &CA{Pair: pair, certificate: certificate, key: key}, nil
}

// Load is an authority that was made before.
func Load(p Pair) (*CA, error) {
	pair, err := p.TLS()
	if err != nil {
		return nil, fmt.Errorf("load an authority: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("load an authority: that is none")
	}
	return &CA{Pair: p, certificate: pair.Leaf, key: key}, nil
}

// X509 is the authority's own certificate.
func (ca *CA) X509() *x509.Certificate { return ca.certificate }

// Device certifies a key that a device signs with, and nothing else. The number is what its maker calls
// it: the subject's serialNumber (RFC 5280, section 4.1.2.4).
func (ca *CA) Device(name, number string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the key of %s: %w", name, err)
	}
	template := template(name)
	template.Subject.SerialNumber = number
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	_, certificate, err := sign(template, ca.certificate, key, ca.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate of %s: %w", name, err)
	}
	return certificate, key, nil
}
