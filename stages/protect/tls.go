package protect

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/pin"
)

// TLS is how connections to the API are made: the server is verified against the roots, in
// PEM, never those of the machine, and then, where the stage says so, against the pins. An
// empty store trusts nobody.
//
//keyladder:code app-tls
func (c *Caller) TLS(roots []byte) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(roots)
	for _, p := range c.parts {
		if p.connection != nil {
			p.connection(config)
		}
	}
	return config
}

// Unpinned says whether a call failed because a server showed a certificate whose key is none of
// the caller's pins. So does whoever sits between an app and its server.
func (c *Caller) Unpinned(err error) bool {
	var untrusted *tls.CertificateVerificationError
	switch {
	case c.policy.Pins != catalog.Pinned:
		return false
	case errors.Is(err, pin.ErrMismatch):
		return true
	case errors.As(err, &untrusted) && len(untrusted.UnverifiedCertificates) > 0:
		return !slices.Contains(c.identity.Pins, pin.Of(untrusted.UnverifiedCertificates[0]))
	}
	return false
}

// transport is TLS, with a certificate of the client's where the stage wants one.
var transport = mechanism{
	serves: []any{catalog.TLS, catalog.MutualTLS},
	prepare: func(c *Caller) (part, error) {
		if c.policy.Transport != catalog.MutualTLS {
			return nothing()
		}
		if c.identity.Certificate == nil {
			return part{lacks: ClientCertificate}, nil
		}
		return part{connection: func(config *tls.Config) { clientcert.Present(config, *c.identity.Certificate) }}, nil
	},
	refusals: tlsRefusals,
}

// pins let the app speak to servers with certain keys only.
var pins = mechanism{
	serves: []any{catalog.Pinned},
	prepare: func(c *Caller) (part, error) {
		if c.policy.Pins != catalog.Pinned {
			return nothing()
		}
		if len(c.identity.Pins) == 0 {
			return part{lacks: ServerPins}, nil
		}
		return part{connection: func(config *tls.Config) { config.VerifyConnection = c.identity.Pins.VerifyConnection }}, nil
	},
	refusals: []refusal{{check: catalog.CheckPins, is: oneOf(pin.ErrMismatch, pin.ErrUnverified)}},
}
