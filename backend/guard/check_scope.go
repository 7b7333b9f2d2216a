package guard

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// scope checks that the app may do what the route does. [catalog.NotAuthorized]
// switches it off, and so does [catalog.NoAppProof]: where nobody has to prove who they
// are, there is nobody whose scopes could be looked at. No stage uses either.
//
//keyladder:code guard-scope
func (g *Guard) scope(c *call) *Refusal {
	switch c.stage.Policy.Authorization {
	case catalog.NotAuthorized:
		return nil
	case catalog.AppScopes:
	default:
		return undecided("authorization", c.stage.Policy.Authorization)
	}
	if c.stage.Policy.AppProof == catalog.NoAppProof || c.route.handler == nil {
		return nil // what is no route does nothing: it is 404 or 405
	}
	if c.app == nil || !c.app.May(c.route.scope) {
		return refuse(problem.New(http.StatusForbidden, "not-allowed", "This app may not do that",
			"It needs the scope "+c.route.scope+"."), "the app lacks the scope %q", c.route.scope)
	}
	return nil
}
