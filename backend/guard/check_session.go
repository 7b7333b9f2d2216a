package guard

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"keyladder/backend/sessions"
	"keyladder/backend/users"
	"keyladder/internal/problem"
	"keyladder/stages/mechanism/session"
)

const realm = "Harbour Bank"

// signIn proves the user by name and password, on the one route that takes them.
//
//keyladder:code guard-sign-in
func signIn(try func(ctx context.Context, at time.Time, from users.Origin, name, password string) (*users.User, error)) func(*call) *Refusal {
	return func(c *call) *Refusal {
		name, password, err := session.BasicFrom(c.request.Header)
		if errors.Is(err, session.ErrMissing) {
			return refuse(signInFailed("Send the user's name and password as `Authorization: Basic …`."), "%v", err)
		}
		if err != nil {
			return refuse(problem.New(http.StatusBadRequest, "bad-request", "The user's credentials can't be read",
				"Send one field `Authorization: Basic …`, as RFC 7617 has it."), "%v", err)
		}
		from := users.Origin{Address: c.address}
		if c.device != nil {
			from.Device = c.device.ID
		}
		user, err := try(c.request.Context(), c.at, from, name, password)
		var throttled *users.ThrottledError
		switch {
		case errors.As(err, &throttled):
			wait := int(math.Ceil(throttled.Until.Sub(c.at).Seconds()))
			return refuse(problem.New(http.StatusTooManyRequests, "rate-limited", "Too many failed sign-ins",
				"Try again after the time in Retry-After, in seconds.").With("Retry-After", strconv.Itoa(max(1, wait))), "%v", err)
		case errors.Is(err, users.ErrUnknown), errors.Is(err, users.ErrPassword):
			return refuse(signInFailed("Name or password is wrong."), "%v", err) // one text for both
		case err != nil:
			return refuse(problem.New(http.StatusServiceUnavailable, "try-later", "Nobody can sign in at the moment", "Try again a bit later.").
				With("Retry-After", "1"), "%v", err)
		}
		c.user = user
		return nil
	}
}

func signInFailed(detail string) *problem.Problem {
	return problem.New(http.StatusUnauthorized, "sign-in-failed", "The user is not signed in", detail).
		With("WWW-Authenticate", session.BasicChallenge(realm))
}

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
