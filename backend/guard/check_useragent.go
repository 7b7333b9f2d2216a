package guard

import (
	"net/http"

	"keyladder/internal/problem"
)

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
