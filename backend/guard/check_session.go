package guard

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
)

// session finds the session whose key came along, and with it the user.
// [catalog.NoUser] switches it off: any accepted app may act on any account. Routes that
// are about nobody, and the one on which a session begins, do without.
//
//keyladder:code guard-session
func (g *Guard) session(c *call) *Refusal {
	switch c.policy.Call.UserProof {
	case catalog.NoUser:
		return nil
	case catalog.UserSession:
	default:
		return undecided("user_proof", c.policy.Call.UserProof)
	}
	if c.withoutSession() {
		return nil
	}
	key, err := session.KeyFrom(c.request.Header)
	if err != nil {
		return sessionNotAccepted("%v", err)
	}
	found, err := g.Sessions.Find(key, c.at)
	if err != nil {
		return sessionNotAccepted("%v", err)
	}
	if found.Stage != c.stage.Slug { // each stage is a world of its own
		return sessionNotAccepted("the session is one of the stage %s", found.Stage)
	}
	user := g.Users.Lookup(found.User)
	if user == nil {
		return sessionNotAccepted("the session's user %q is no longer there", found.User)
	}
	c.session, c.user = found, user
	return nil
}

// withoutSession says whether the route does without one. What is no route does not.
func (c *call) withoutSession() bool { return c.route.handler != nil && c.route.User != Proven }

// sessionNotAccepted is the same whatever is wrong: who tries keys does not learn which of
// them were good once.
func sessionNotAccepted(reason string, values ...any) *Refusal {
	return refuse(problem.New(http.StatusUnauthorized, "session-not-accepted", "Nobody is signed in", "Sign in with POST /v1/session.").
		With("WWW-Authenticate", session.Challenge(realm)), reason, values...)
}
