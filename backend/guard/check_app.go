package guard

import (
	"errors"
	"net/http"

	"keyladder/backend/clients"
	"keyladder/internal/problem"
)

// partner finds the partner by its certificate, which was found good before: the handshake
// has proven that the caller holds its key, and the registry says whose it is. A partner has
// nothing but the certificate.
//
//keyladder:code guard-partner
func partner(find func(certificate string) (*clients.App, *clients.Key, error)) func(*call) *Refusal {
	return func(c *call) *Refusal {
		if c.certificate == nil {
			return refuse(certificateRequired, "there is no certificate to look at")
		}
		found, key, err := find(string(c.pin))
		c.key = key
		if errors.Is(err, clients.ErrUnknown) || errors.Is(err, clients.ErrRevoked) {
			return refuse(notAPartner, "partner: %v (certificate of %q)", err, c.certificate.Subject.CommonName) // one text for both
		}
		if err != nil {
			return refuse(closed(), "look the partner up: %v", err)
		}
		c.claimed = found
		return nil
	}
}

var notAPartner = problem.New(http.StatusForbidden, "client-certificate-required", "This is for registered partners only",
	"Show the certificate that is registered for the partner in the TLS handshake.")

// appProven makes the app, or the partner, whose proofs were good the proven one. All that
// is asked of it was looked at before: its key or signature, and its certificate.
//
//keyladder:code guard-app
func appProven(c *call) *Refusal {
	if c.claimed == nil {
		return refuse(closed(), "no app has proven itself")
	}
	c.app = c.claimed
	return nil
}
