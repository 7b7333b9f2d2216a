package device

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// ErrNoCertificate means that a text holds no certificate in PEM.
var ErrNoCertificate = errors.New("this is not a PEM certificate: one starts with -----BEGIN CERTIFICATE-----")

// Trust adds the certificates of a PEM text to the trust store, as the person who
// holds the phone can. Anyone who holds such an authority's key can from then on be any
// server to the apps that do no more than ask the trust store.
func (d *Device) Trust(text []byte) error {
	var added []string
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("this certificate can't be read: %w", err)
		}
		added = append(added, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes})))
	}
	if len(added) == 0 {
		return ErrNoCertificate
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, certificate := range added {
		if !slices.Contains(d.state.Trusted, certificate) {
			d.state.Trusted = append(d.state.Trusted, certificate)
		}
	}
	d.changed()
	return d.save()
}

// Trusted are the certificates that were added to the trust store.
func (d *Device) Trusted() []*x509.Certificate {
	d.mu.Lock()
	defer d.mu.Unlock()
	var certificates []*x509.Certificate
	for _, text := range d.state.Trusted {
		if block, _ := pem.Decode([]byte(text)); block != nil {
			if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
				certificates = append(certificates, certificate)
			}
		}
	}
	return certificates
}

// Distrust removes an added certificate from the trust store.
func (d *Device) Distrust(certificate *x509.Certificate) error {
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.Trusted = slices.DeleteFunc(d.state.Trusted, func(trusted string) bool { return trusted == text })
	d.changed()
	return d.save()
}

// bundle is the trust store in PEM; the caller holds d.mu.
//
//keyladder:code device-trust
func (d *Device) bundle() []byte {
	parts := [][]byte{bytes.TrimSpace(d.config.Roots)}
	for _, text := range d.state.Trusted {
		parts = append(parts, []byte(text))
	}
	return bytes.Join(parts, []byte("\n"))
}

// changed notes that apps must be told something new; the caller holds d.mu.
func (d *Device) changed() {
	d.version++
	d.refreshRoots()
}

func (d *Device) refreshRoots() {
	d.roots = x509.NewCertPool()
	d.roots.AppendCertsFromPEM(d.bundle())
}
