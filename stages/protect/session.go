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

// SignIn is what the user types in. It goes into one request.
type SignIn struct{ User, Password string }

// String is for logs, and says nothing of the password.
func (s SignIn) String() string { return fmt.Sprintf("the sign-in of %q", s.User) }

// GoString does the same.
func (s SignIn) GoString() string { return s.String() }

// Session is what the API gives for a password.
type Session struct {
	Key         session.Key `json:"session_key"`
	User        string      `json:"user"`
	IdleSeconds int         `json:"idle_seconds"` // it ends after that time without calls
	ExpiresAt   time.Time   `json:"expires_at"`   // and then in any case
}

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

// SignInCall trades a password for a session. Its error says why these can't be sent.
func SignInCall(user, password string) (Call, error) {
	if err := session.SetBasic(http.Header{}, user, password); err != nil {
		return Call{}, err
	}
	return Call{Method: http.MethodPost, Path: sessionPath, SignIn: &SignIn{user, password}}, nil
}

// ReadSession reads the answer to [SignInCall].
func ReadSession(body []byte) (Session, error) {
	var opened Session
	if err := json.Unmarshal(body, &opened); err != nil {
		return Session{}, fmt.Errorf("read the answer to a sign-in: %w", err)
	}
	if _, err := session.ParseKey(string(opened.Key)); err != nil {
		return Session{}, fmt.Errorf("read the answer to a sign-in: %w", err)
	}
	if opened.User == "" {
		return Session{}, errors.New("read the answer to a sign-in: it names no user")
	}
	return opened, nil
}

// SignOutCall ends the session that goes with it.
func SignOutCall() Call { return Call{Method: http.MethodDelete, Path: sessionPath} }
