package guard

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// transport refuses connections with less protection than the stage demands.
// [catalog.PlainHTTP] switches it off. The certificate that mutual TLS is about is the
// business of the app proof.
//
//keyladder:code guard-transport
func (g *Guard) transport(c *call) *Refusal {
	switch c.listener {
	case Plain, TLS, Terminated:
	default:
		return refuse(closed(), "it is not known on which listener the call came in")
	}
	switch c.stage.Policy.Transport {
	case catalog.PlainHTTP:
		return nil
	case catalog.TLS, catalog.MutualTLS:
		if c.listener == Plain {
			return refuse(problem.New(http.StatusForbidden, "tls-required", "This stage needs TLS",
				"Use the https address of the API."), "the call came in over plain HTTP")
		}
		return nil
	default:
		return undecided("transport", c.stage.Policy.Transport)
	}
}
