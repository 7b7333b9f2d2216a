package guard

import (
	"net/http"
	"time"

	"keyladder/backend/sessions"
	"keyladder/backend/users"
	"keyladder/internal/problem"
	"keyladder/stages/mechanism/session"
)

// findSession finds the session whose key came along, and with it the user.
//
//keyladder:code guard-session
func findSession(find func(session.Key, time.Time) (*sessions.Session, error), lookup func(name string) *users.User) func(*call) *Refusal {
	return func(c *call) *Refusal {
		key, err := session.KeyFrom(c.request.Header)
		if err != nil {
			return sessionNotAccepted("%v", err)
		}
		found, err := find(key, c.at)
		if err != nil {
			return sessionNotAccepted("%v", err)
		}
		if found.Stage != c.stage.Slug { // each stage is a world of its own
			return sessionNotAccepted("the session is one of the stage %s", found.Stage)
		}
		user := lookup(found.User)
		if user == nil {
			return sessionNotAccepted("the session's user %q is no longer there", found.User)
		}
		c.session, c.user = found, user
		return nil
	}
}

// sessionNotAccepted is the same whatever is wrong: who tries keys does not learn which of
// them were good once.
func sessionNotAccepted(reason string, values ...any) *Refusal {
	return refuse(nobody, reason, values...)
}

var nobody = problem.New(http.StatusUnauthorized, "session-not-accepted", "Nobody is signed in", "Sign in with POST /v1/session.").
	With("WWW-Authenticate", session.Challenge(realm))
