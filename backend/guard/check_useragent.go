package guard

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// userAgent lets in what says that it is an app. That keeps out crawlers and browsers
// that wandered in; it proves nothing, as everybody can write the field.
// [catalog.AnyUserAgent] switches it off.
//
//keyladder:code guard-user-agent
func (g *Guard) userAgent(c *call) *Refusal {
	switch c.policy.API.UserAgents {
	case catalog.AnyUserAgent:
		return nil
	case catalog.RegisteredUserAgents:
		field := c.request.UserAgent()
		if g.Apps.KnowsUserAgent(field) {
			return nil
		}
		return refuse(problem.New(http.StatusForbidden, "user-agent-not-accepted", "This API is for the bank's apps only",
			"The User-Agent field names none of them; an app's begins like HarbourBank/1.0."),
			"the User-Agent %q begins with no registered app's product", field)
	default:
		return undecided("user_agents", c.policy.API.UserAgents)
	}
}
