package guard

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// scope checks that the app may do what the route does, and, with [catalog.AppAndUser],
// that the user may do it as well: the rights of a call are those that both have. With
// [catalog.AppUserToken] the access token has to be good for it, too.
//
// Which accounts a user may touch is not a matter of scopes; see [Caller.Sees].
//
//keyladder:code guard-scope
func scope(c *call) *Refusal {
	needed := c.plan.route.Scope
	if c.app == nil || needed != AnyScope && !c.app.May(needed) {
		return refuse(problem.New(http.StatusForbidden, "not-allowed", "This app may not do that",
			"It needs the scope "+needed+"."), "the app lacks the scope %q", needed)
	}
	if c.policies.API.Authorization == catalog.AppScopes || c.plan.route.User == NobodyNeeded {
		return nil
	}
	if c.user == nil || needed != AnyScope && !c.user.May(needed) {
		return refuse(problem.New(http.StatusForbidden, "not-allowed", "This user may not do that",
			"The user needs the scope "+needed+", too."), "the user %s lacks the scope %q", Caller{c}.User(), needed)
	}
	if c.policies.API.Authorization == catalog.AppUserToken && needed != AnyScope && !slices.Contains(strings.Fields(Caller{c}.Scope()), needed) {
		return refuse(problem.New(http.StatusForbidden, "not-allowed", "The access token is not good for that", // RFC 6750, section 3.1
			"Get one with the scope "+needed+".").With("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q, error=\"insufficient_scope\", scope=%q", realm, needed)),
			"the access token lacks the scope %q", needed)
	}
	return nil
}
