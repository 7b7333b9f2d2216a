package network

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"

	"keyladder/stages/mechanism/pin"
)

// Authority is a certification authority of the attacker's own. Nobody trusts it but
// devices whose owner installed it. Its server certificates all hold one key, so that
// their pin is known beforehand.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serverKey   *ecdsa.PrivateKey
}

// NewAuthority makes an authority and its keys.
func NewAuthority() (*Authority, error) {
	serverKey, err := newKey()
	if err != nil {
		return nil, err
	}
	return NewAuthorityWith(serverKey)
}

// NewAuthorityWith makes an authority whose server certificates hold that key.
func NewAuthorityWith(serverKey *ecdsa.PrivateKey) (*Authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := certificateFor("Mallory's proxy CA")
	template.IsCA = true
	template.KeyUsage = x509.KeyUsageCertSign
	certificate, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &Authority{certificate, key, serverKey}, nil
}

// PEM is what a device's owner installs.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// Pin is the pin of every server certificate that the authority issues.
func (a *Authority) Pin() (pin.Pin, error) { return pin.OfKey(a.serverKey.Public()) }

// server issues a certificate for a host name or an IP address.
func (a *Authority) server(host string) (*tls.Certificate, error) {
	certificate, err := sign(serverFor(host), a.certificate, a.serverKey, a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: a.serverKey, Leaf: certificate}, nil
}

// Device makes a key and certifies it as a maker of devices does it, whose number goes with it. The chain is
// what comes with evidence (package evidence): the device's certificate, and the maker's.
func (a *Authority) Device(number string) (chain [][]byte, key *ecdsa.PrivateKey, err error) {
	if key, err = newKey(); err != nil {
		return nil, nil, err
	}
	template := certificateFor("a phone of Mallory's own make")
	template.Subject.SerialNumber = number
	certificate, err := sign(template, a.certificate, key, a.key)
	if err != nil {
		return nil, nil, err
	}
	return [][]byte{certificate.Raw, a.certificate.Raw}, key, nil
}

// selfSignedServer is a certificate for a host that nobody vouches for.
func selfSignedServer(host string) (*tls.Certificate, error) { return selfSigned(serverFor(host)) }

// SelfSignedClient is a client certificate that nobody vouches for.
func SelfSignedClient(name string) (*tls.Certificate, error) {
	template := certificateFor(name)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return selfSigned(template)
}

func selfSigned(template *x509.Certificate) (*tls.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	certificate, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key, Leaf: certificate}, nil
}

func serverFor(host string) *x509.Certificate {
	template := certificateFor(host)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	return template
}

func certificateFor(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return key, nil
}

func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}
