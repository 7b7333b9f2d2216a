package protect

import (
	"errors"
	"fmt"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
)

// ErrNobody means that nobody signs in with a password at the stage.
var ErrNobody = errors.New("nobody signs in with a password at this stage")

// SignIn is what the user types in. It goes into one request.
type SignIn struct{ User, Password string }

// String is for logs, and says nothing of the password.
func (s SignIn) String() string { return fmt.Sprintf("the sign-in of %q", s.User) }

// GoString does the same.
func (s SignIn) GoString() string { return s.String() }

// SignedIn is what a sign-in brought: a session, or a token, which stands for the user from
// then on.
type SignedIn struct {
	User    string // empty: nobody said
	Session session.Key
	Token   string
	Refresh string // brings the next token; empty: nothing does
	// Provider is who has vouched for the user, where apps choose that: see [Identity].
	Provider string

	Scope       string    // of the token: for what it is good, with spaces between
	IdleSeconds int       // the session ends after that time without calls; 0: it does not
	ExpiresAt   time.Time // session or token ends then in any case
	RenewAt     time.Time // of the token: a little earlier
}

// String is for logs, and says nothing that is secret.
func (s SignedIn) String() string { return fmt.Sprintf("what stands for %q", s.User) }

// GoString does the same.
func (s SignedIn) GoString() string { return s.String() }

// Empty says whether it stands for nobody.
func (s SignedIn) Empty() bool { return s.Session == "" && s.Token == "" && s.Refresh == "" }

// Show puts it into an identity.
func (s SignedIn) Show(as *Identity) {
	as.Session, as.Token, as.Refresh, as.Provider = s.Session, s.Token, s.Refresh, s.Provider
}

// SignInCall trades a user's name and password for what stands for the user from then on. Its
// error says why these can't be sent, or is [ErrNobody].
func (c *Caller) SignInCall(user, password string) (Call, error) {
	switch {
	case c.policy.UserProof == catalog.UserSession:
		return basicSignIn(user, password)
	case c.policy.Grant == catalog.PasswordGrant:
		return c.passwordGrant(user, password), nil
	}
	return Call{}, ErrNobody
}

// ReadSignIn reads the answer to the call by which a user has signed in.
func (c *Caller) ReadSignIn(user string, body []byte) (SignedIn, error) {
	if c.policy.UserProof == catalog.AccessToken {
		return readToken(user, body)
	}
	return readSession(body)
}

// SignOutCall ends what stands for the user of the identity. Its error says that nobody knows
// where the authorization server is.
func (c *Caller) SignOutCall() (Call, error) {
	if c.policy.UserProof == catalog.AccessToken {
		return c.revocation()
	}
	return endSession(), nil
}
