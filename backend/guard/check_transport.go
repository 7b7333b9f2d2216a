package guard

import (
	"net/http"
	"slices"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// transport refuses connections with less protection than the stage demands, and partners
// where there is nothing for them. [catalog.PlainHTTP] switches the former off. The certificate that mutual TLS is about is the
// business of the app proof.
//
//keyladder:code guard-transport
func (g *Guard) transport(c *call) *Refusal {
	switch c.listener {
	case Plain, TLS, Terminated:
	default:
		return refuse(closed(), "it is not known on which listener the call came in")
	}
	switch c.policy.API.Partners {
	case catalog.PartnersByCertificate:
	case catalog.NoPartners:
		if c.route.Partner {
			return refuse(problem.New(http.StatusNotFound, "no-such-resource", "There is nothing for partners at this stage",
				"These stages serve them: "+g.forPartners()+"."), "a partner's route at a stage without partners")
		}
	default:
		return undecided("partners", c.policy.API.Partners)
	}
	switch c.policy.Call.Transport {
	case catalog.PlainHTTP:
		return nil
	case catalog.TLS, catalog.MutualTLS:
		if c.listener == Plain {
			return refuse(problem.New(http.StatusForbidden, "tls-required", "This stage needs TLS",
				"Use the https address of the API."), "the call came in over plain HTTP")
		}
		return nil
	default:
		return undecided("transport", c.policy.Call.Transport)
	}
}

func (g *Guard) forPartners() string {
	return slices.DeleteFunc(g.Stages.Built(), func(s catalog.Stage) bool { return s.API.Partners != catalog.PartnersByCertificate }).Slugs()
}
