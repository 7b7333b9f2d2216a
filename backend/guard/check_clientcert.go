package guard

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
)

// certificateShown demands, at stages with mutual TLS, a client certificate that is
// good. Transports below [catalog.MutualTLS] switch it off.
//
// Where TLS ends here, crypto/tls has verified the chain in the handshake, and only
// verified certificates get into the call. It is verified again because connections can
// outlive certificates, and because a terminator may have left that to us.
func (g *Guard) certificateShown(c *call) *Refusal {
	switch c.policy.Call.Transport {
	case catalog.PlainHTTP, catalog.TLS:
		return nil
	case catalog.MutualTLS:
	default:
		return undecided("transport", c.policy.Call.Transport)
	}
	if c.originError != nil {
		return refuse(certificateRequired(), "the terminator passed on no certificate: %v", c.originError)
	}
	if err := g.clients.Verify(c.certificate, c.at); err != nil {
		return refuse(certificateRequired(), "%v", err)
	}
	return nil
}

// certificateOfApp demands that the certificate belongs to the app whose key was sent,
// and makes that app the proven one. A partner has nothing but the certificate.
//
//keyladder:code guard-client-certificate
func (g *Guard) certificateOfApp(c *call) *Refusal {
	switch c.policy.Call.Transport {
	case catalog.PlainHTTP, catalog.TLS:
	case catalog.MutualTLS:
		if c.certificate == nil {
			return refuse(certificateRequired(), "there is no certificate to look at")
		}
		if c.policy.Call.AppProof == partnerProof {
			return g.partner(c)
		}
		if c.claimed == nil {
			break // the stage demands no app proof, so there is nobody to whom it could belong
		}
		if err := clientcert.BelongsTo(c.certificate, c.claimed.Certificates); err != nil {
			return refuse(certificateRequired(), "%v: it is that of %q, the key is that of %q",
				err, c.certificate.Subject.CommonName, c.claimed.ID)
		}
	default:
		return undecided("transport", c.policy.Call.Transport)
	}
	c.app = c.claimed
	return nil
}

// certificateRequired is the same whatever is wrong with the certificate.
func certificateRequired() *problem.Problem {
	return problem.New(http.StatusForbidden, "client-certificate-required", "This stage needs the app's client certificate",
		"Show the certificate that is registered for the app in the TLS handshake.")
}
