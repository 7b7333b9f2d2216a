package guard

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/mechanism/clientcert"
)

// certificateShown demands a client certificate that is good.
//
// Where TLS ends here, crypto/tls has verified the chain in the handshake, and only
// verified certificates get into the call. It is verified again because connections can
// outlive certificates, and because a terminator may have left that to us.
func certificateShown(verifier *clientcert.Verifier) func(*call) *Refusal {
	return func(c *call) *Refusal {
		if c.originError != nil {
			return refuse(certificateRequired, "the terminator passed on no certificate: %v", c.originError)
		}
		pin, err := verifier.Verify(c.certificate, c.at)
		if err != nil {
			return refuse(certificateRequired, "%v", err)
		}
		c.pin = pin
		return nil
	}
}

// certificateOfApp demands that the certificate belongs to the app whose proof came along.
//
//keyladder:code guard-client-certificate
func certificateOfApp(c *call) *Refusal {
	if c.certificate == nil || c.claimed == nil {
		return refuse(certificateRequired, "there is no certificate, or no app, to look at")
	}
	if err := clientcert.BelongsTo(c.pin, c.claimed.Certificates); err != nil {
		return refuse(certificateRequired, "%v: it is that of %q, the key is that of %q",
			err, c.certificate.Subject.CommonName, c.claimed.ID)
	}
	return nil
}

// certificateRequired is the same whatever is wrong with the certificate.
var certificateRequired = problem.New(http.StatusForbidden, "client-certificate-required", "This stage needs the app's client certificate",
	"Show the certificate that is registered for the app in the TLS handshake.")
