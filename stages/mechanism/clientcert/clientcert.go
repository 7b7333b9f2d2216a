package clientcert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"keyladder/stages/mechanism/pin"
)

// Errors of [Verifier.Verify] and [BelongsTo].
var (
	// ErrMissing means that no certificate was shown.
	ErrMissing = errors.New("no client certificate was shown")
	// ErrUntrusted means that the certificate was not issued by the authority for apps.
	ErrUntrusted = errors.New("the client certificate was not issued by the authority for apps")
	// ErrUsage means that the certificate is not one for client authentication.
	ErrUsage = errors.New("the certificate is not for TLS clients")
	// ErrTime means that the certificate has expired or is not yet good.
	ErrTime = errors.New("the client certificate is outside its time")
	// ErrOther means that the certificate is good, but not one of this app's.
	ErrOther = errors.New("the client certificate is not registered for this app")
)

// Load reads the certificate and the private key that an app was shipped with, in PEM.
func Load(certificate, key []byte) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("load the client certificate: %w", err)
	}
	return pair, nil
}

// Present makes connections with the config show the certificate to servers that ask
// for one.
func Present(config *tls.Config, pair tls.Certificate) {
	// Not config.Certificates: from those, crypto/tls sends nothing at all when the
	// server names authorities and ours is not among them. The app has only one
	// identity, and being refused with it is better than being refused without.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &pair, nil
	}
}

// verify returns the chain from a certificate to one of the roots.
func verify(certificate *x509.Certificate, roots *x509.CertPool, now time.Time) (chain []*x509.Certificate, err error) {
	chains, err := certificate.Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err == nil {
		return chains[0], nil
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		switch invalid.Reason {
		case x509.Expired:
			return nil, fmt.Errorf("%w: %w", ErrTime, err)
		case x509.IncompatibleUsage:
			return nil, fmt.Errorf("%w: %w", ErrUsage, err)
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
}

// BelongsTo checks that a certificate, which [Verifier.Verify] has found good, is one of those
// registered for an app. It takes their pins.
//
//keyladder:code clientcert-check
func BelongsTo(certificate pin.Pin, registered []string) error {
	if certificate == "" {
		return ErrMissing
	}
	if !slices.Contains(registered, string(certificate)) {
		return ErrOther
	}
	return nil
}
