package guard

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// scope checks that the app may do what the route does, and, with [catalog.AppAndUser],
// that the user may do it as well: the rights of a call are those that both have.
// [catalog.NotAuthorized] switches it off, and so does [catalog.NoAppProof]: where nobody
// has to prove who they are, there is nobody whose scopes could be looked at. No stage uses
// either.
//
// Which accounts a user may touch is not a matter of scopes; see [Caller.Sees].
//
//keyladder:code guard-scope
func (g *Guard) scope(c *call) *Refusal {
	switch c.policy.API.Authorization {
	case catalog.NotAuthorized:
		return nil
	case catalog.AppScopes, catalog.AppAndUser:
	default:
		return undecided("authorization", c.policy.API.Authorization)
	}
	if c.policy.Call.AppProof == catalog.NoAppProof || c.route.handler == nil {
		return nil // what is no route does nothing: it is 404 or 405
	}
	if c.app == nil || c.route.Scope != AnyScope && !c.app.May(c.route.Scope) {
		return refuse(problem.New(http.StatusForbidden, "not-allowed", "This app may not do that",
			"It needs the scope "+c.route.Scope+"."), "the app lacks the scope %q", c.route.Scope)
	}
	if c.policy.API.Authorization == catalog.AppScopes || c.route.User == NobodyNeeded {
		return nil
	}
	if c.user == nil {
		return contradictory("rights are those of app and user, but there is no user")
	}
	if c.route.Scope != AnyScope && !c.user.May(c.route.Scope) {
		return refuse(problem.New(http.StatusForbidden, "not-allowed", "This user may not do that",
			"The user needs the scope "+c.route.Scope+", too."), "the user %s lacks the scope %q", c.user.Name, c.route.Scope)
	}
	return nil
}
