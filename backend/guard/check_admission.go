package guard

import (
	"net/http"
	"slices"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// findStage refuses calls that name no stage, one that is not built, or, on a partner's route,
// one at which there is nothing for partners.
func findStage(stages catalog.Set) func(*call) *Refusal {
	forPartners := slices.DeleteFunc(stages.Built(), func(s catalog.Stage) bool { return s.API.Partners == catalog.NoPartners })
	unknown := problem.New(http.StatusNotFound, "no-such-stage", "There is no such stage",
		"The first part of the path names the stage: "+stages.Slugs()+".")
	notBuilt := problem.New(http.StatusNotImplemented, "stage-not-built", "This stage is not built yet",
		"These are: "+stages.Built().Slugs()+".")
	withoutPartners := problem.New(http.StatusNotFound, "no-such-resource", "There is nothing for partners at this stage",
		"These stages serve them: "+forPartners.Slugs()+".")
	return func(c *call) *Refusal {
		switch {
		case c.stage == nil:
			return refuse(unknown, "the path names no stage")
		case !c.stage.Built:
			return refuse(notBuilt, "the stage is declared, but not built")
		case c.plan.route.Partner && c.stage.API.Partners == catalog.NoPartners:
			return refuse(withoutPartners, "a partner's route at a stage without partners")
		}
		return nil
	}
}

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

// userAgent lets in what says that it is an app. That keeps out crawlers and browsers
// that wandered in; it proves nothing, as everybody can write the field.
//
//keyladder:code guard-user-agent
func userAgent(known func(string) bool) func(*call) *Refusal {
	return func(c *call) *Refusal {
		if field := c.request.UserAgent(); !known(field) {
			return refuse(noApp, "the User-Agent %q begins with no registered app's product", field)
		}
		return nil
	}
}

var noApp = problem.New(http.StatusForbidden, "user-agent-not-accepted", "This API is for the bank's apps only",
	"The User-Agent field names none of them; an app's begins like HarbourBank/1.0.")
