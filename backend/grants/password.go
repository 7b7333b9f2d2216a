package grants

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"keyladder/backend/oauth"
	"keyladder/backend/users"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// SignIn proves a user: [users.Directory.SignIn].
type SignIn func(ctx context.Context, at time.Time, from users.Origin, name, password string) (*users.User, error)

// Password is the resource owner password credentials grant (RFC 6749, section 4.3): the
// client passes on the user's name and password. RFC 9700, section 2.4, forbids it: the
// password goes through the client, and users get used to typing it anywhere.
//
//keyladder:code password-grant
func Password(signIn SignIn) Grant {
	return Grant{
		Type: "password", Offered: catalog.PasswordGrant,
		Claim: func(ctx context.Context, r Request, mint Mint) (string, error) {
			name, err := r.Form.Required("username")
			if err != nil {
				return "", err
			}
			password, err := r.Form.Required("password")
			if err != nil {
				return "", err
			}
			user, err := signIn(ctx, r.Caller.At(), users.Origin{Address: r.Caller.Address()}, name, password)
			if err != nil {
				return "", refusal(err, r.Caller.At())
			}
			return "", mint(nil, Rights{Owner: user})
		},
	}
}

// refusal is what the token endpoint says of a sign-in that failed.
func refusal(err error, at time.Time) error {
	var throttled *users.ThrottledError
	switch {
	case errors.As(err, &throttled):
		wait := int(math.Ceil(throttled.Until.Sub(at).Seconds()))
		return oauth.Refuse(catalog.CheckSignIn, problem.New(http.StatusTooManyRequests, "rate-limited", "Too many failed sign-ins",
			"Try again after the time in Retry-After, in seconds.").With("Retry-After", strconv.Itoa(max(1, wait))), "%v", err)
	case errors.Is(err, users.ErrUnknown), errors.Is(err, users.ErrPassword):
		return oauth.Refuse(catalog.CheckSignIn, problem.New(http.StatusBadRequest, "invalid-grant", "The user is not signed in",
			"Name or password is wrong."), "%v", err) // one text for both
	}
	return oauth.Refuse(catalog.CheckSignIn, problem.New(http.StatusServiceUnavailable, "try-later", "Nobody can sign in at the moment", "Try again a bit later.").
		With("Retry-After", "1"), "%v", err)
}
