package protect

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
)

// sessions say which user is calling: with a password once, with a session key from then on.
// Wherever the app keeps the key, calls are the same.
var sessions = mechanism{
	serves: []any{catalog.UserSession, catalog.UserKeyInMemory, catalog.UserKeyInStorage, catalog.SessionOfApp},
	prepare: func(c *Caller) (part, error) {
		if c.policy.UserProof != catalog.UserSession {
			return nothing()
		}
		return part{say: func(r *Request, call Call) error {
			switch {
			case call.SignIn != nil:
				return session.SetBasic(r.Header, call.SignIn.User, call.SignIn.Password)
			case c.identity.Session != "" && !call.Public:
				session.SetKey(r.Header, c.identity.Session)
			}
			return nil
		}}, nil
	},
}

const sessionPath = "/v1/session"

// basicSignIn trades a password for a session.
func basicSignIn(user, password string) (Call, error) {
	if err := session.SetBasic(http.Header{}, user, password); err != nil {
		return Call{}, err
	}
	return Call{Method: http.MethodPost, Path: sessionPath, SignIn: &SignIn{user, password}}, nil
}

// readSession reads the answer to that.
func readSession(body []byte) (SignedIn, error) {
	var opened struct {
		Key         session.Key `json:"session_key"`
		User        string      `json:"user"`
		IdleSeconds int         `json:"idle_seconds"`
		ExpiresAt   time.Time   `json:"expires_at"`
	}
	if err := json.Unmarshal(body, &opened); err != nil {
		return SignedIn{}, fmt.Errorf("read the answer to a sign-in: %w", err)
	}
	if _, err := session.ParseKey(string(opened.Key)); err != nil {
		return SignedIn{}, fmt.Errorf("read the answer to a sign-in: %w", err)
	}
	if opened.User == "" {
		return SignedIn{}, errors.New("read the answer to a sign-in: it names no user")
	}
	return SignedIn{User: opened.User, Session: opened.Key, IdleSeconds: opened.IdleSeconds, ExpiresAt: opened.ExpiresAt}, nil
}

// endSession ends the session that goes with it.
func endSession() Call { return Call{Method: http.MethodDelete, Path: sessionPath} }
