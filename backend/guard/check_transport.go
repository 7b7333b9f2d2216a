package guard

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// transport refuses connections with less protection than the stage demands. The certificate
// that mutual TLS is about is the business of the app's proof.
//
//keyladder:code guard-transport
func transport(c *call) *Refusal {
	switch c.listener {
	case TLS, Terminated:
		return nil
	case Inside:
		if isForwarded(*c.policies) {
			return nil
		}
		return refuse(closed(), "the gateway has no business at this stage, or on this route")
	case Plain:
		if c.policies.Call.Transport == catalog.PlainHTTP {
			return nil
		}
		return refuse(tlsRequired, "the call came in over plain HTTP")
	default:
		return refuse(closed(), "it is not known on which listener the call came in")
	}
}

var tlsRequired = problem.New(http.StatusForbidden, "tls-required", "This stage needs TLS", "Use the https address of the API.")
