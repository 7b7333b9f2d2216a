package guard

import (
	"errors"
	"net/http"

	"keyladder/backend/clients"
	"keyladder/internal/problem"
	"keyladder/stages/mechanism/pin"
)

// partner finds the partner by its certificate, which was found good before: the handshake
// has proven that the caller holds its key, and the registry says whose it is.
//
//keyladder:code guard-partner
func (g *Guard) partner(c *call) *Refusal {
	partner, key, err := g.Apps.Partner(string(pin.Of(c.certificate)))
	c.key = key
	if errors.Is(err, clients.ErrUnknown) || errors.Is(err, clients.ErrRevoked) {
		return refuse(problem.New(http.StatusForbidden, "client-certificate-required", "This is for registered partners only",
			"Show the certificate that is registered for the partner in the TLS handshake."), // one text for both
			"partner: %v (certificate of %q)", err, c.certificate.Subject.CommonName)
	}
	if err != nil {
		return refuse(closed(), "look the partner up: %v", err)
	}
	c.app = partner
	return nil
}
