package grants

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"gorm.io/gorm"

	"keyladder/backend/codes"
	"keyladder/backend/oauth"
	"keyladder/backend/refresh"
	"keyladder/backend/users"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pkce"
)

// Lookup finds a user; nil: there is none of that name.
type Lookup func(name string) *users.User

// Ending ends what came of authorization codes and of families of refresh tokens, by their IDs.
type Ending func(ctx context.Context, sources ...string) error

// Consent is what the owner of a code allows its client now, in the transaction in which the code
// is claimed: that can be less than when the code was issued.
type Consent func(tx *gorm.DB, c codes.Code) (scopes []string, err error)

// Code is the authorization code grant (RFC 6749, section 4.1.3): the client trades the code
// that a redirect has brought for a token. A code that comes a second time ends what the first
// one made, and nothing else (section 4.1.2).
//
//keyladder:code code-grant
func Code(store *codes.Store, lookup Lookup, consent Consent, end Ending) Grant {
	return Grant{
		Type: "authorization_code", Offered: catalog.CodeGrant,
		Claim: func(ctx context.Context, r Request, mint Mint) (string, error) {
			text, err := r.Form.Required("code")
			if err != nil {
				return "", err
			}
			delete(r.Form, "scope") // what the user has allowed was said before
			verifier, err := readVerifier(r)
			if err != nil {
				return "", err
			}
			presented := codes.Presented{
				Stage: r.Caller.Stage().Slug, Text: text, Client: r.Client.ID, RedirectURI: r.Form["redirect_uri"],
				Device: r.Caller.Attested().Device, Thumbprint: r.Caller.Thumbprint(), Verifier: verifier,
			}
			if r.Offer.CodesUnbound() {
				presented.Defended, presented.Address = true, r.From
			}
			_, err = store.Redeem(ctx, r.Caller.At(), presented, func(tx *gorm.DB, code codes.Code) error {
				owner := lookup(code.User)
				if owner == nil {
					return invalid(catalog.CheckCode, "its user %q is not there any more", code.User)
				}
				granted, err := consent(tx, code)
				if err != nil {
					return err
				}
				allowed := slices.DeleteFunc(strings.Fields(code.Scope), func(scope string) bool { return !slices.Contains(granted, scope) })
				if len(allowed) == 0 {
					return invalid(catalog.CheckConsent, "%s has withdrawn what was allowed to %s", code.User, code.Client)
				}
				return mint(tx, Rights{Owner: owner, Allowed: allowed, Origin: code.ID, Device: code.Device, Thumbprint: code.Thumbprint, Renewable: true})
			})
			var used *codes.UsedError
			switch {
			case errors.As(err, &used):
				if err := end(ctx, used.Code.ID); err != nil {
					return "", err
				}
				return "", invalid(catalog.CheckCode, "%v", used)
			case errors.Is(err, codes.ErrDevice), errors.Is(err, codes.ErrProof):
				return "", invalid(catalog.CheckFamilyDevice, "%v", err)
			case errors.Is(err, codes.ErrVerifier):
				return "", invalid(catalog.CheckPKCE, "%v", err)
			case errors.Is(err, codes.ErrUnknown), errors.Is(err, codes.ErrClient), errors.Is(err, codes.ErrRedirect), errors.Is(err, codes.ErrExpired), errors.Is(err, codes.ErrAddress):
				return "", invalid(catalog.CheckCode, "%v", err)
			}
			return "", err
		},
	}
}

// readVerifier is what proves that the client is the one that has asked for the code (RFC 7636,
// section 4.5). A server that knows no challenges knows no verifiers.
//
//keyladder:code grant-verifier
func readVerifier(r Request) (string, error) {
	verifier := r.Form[pkce.FieldVerifier]
	if verifier == "" || len(r.Offer.PKCE.Methods()) == 0 {
		return "", nil
	}
	if err := pkce.CheckVerifier(verifier); err != nil {
		return "", oauth.Refuse(catalog.CheckPKCE, problem.New(http.StatusBadRequest, "bad-request", "That is no code verifier",
			"A code verifier has 43 to 128 characters: letters, digits, and -._~"), "the code verifier: %v", err)
	}
	return verifier, nil
}

// Refresh is the refresh token grant (RFC 6749, section 6): each refresh token is good once and
// brings its successor. One that comes a second time ends its family (RFC 9700, section 4.14.2),
// because one of the two who had it has stolen it.
// Where the server does not rotate, they are good until they expire.
//
// The request may narrow the scope of the access token. The family keeps its own.
//
//keyladder:code refresh-grant
func Refresh(store *refresh.Store, lookup Lookup, end Ending) Grant {
	return Grant{
		Type: "refresh_token", Offered: catalog.CodeAndRefresh,
		Claim: func(ctx context.Context, r Request, mint Mint) (string, error) {
			text, err := r.Form.Required("refresh_token")
			if err != nil {
				return "", err
			}
			presented := refresh.Presented{
				Stage: r.Caller.Stage().Slug, Text: text, Client: r.Client.ID,
				Device: r.Caller.Attested().Device, Thumbprint: r.Caller.Thumbprint(),
				Key: strings.Trim(r.HTTP.Header.Get("Idempotency-Key"), `"`), // a string of RFC 9651, in the draft
			}
			give := func(tx *gorm.DB, family refresh.Family) error {
				if err := within(r.Form, family.Scope); err != nil {
					return err
				}
				owner := lookup(family.User)
				if owner == nil {
					return invalid(catalog.CheckRefresh, "its user %q is not there any more", family.User)
				}
				return mint(tx, Rights{Owner: owner, Allowed: strings.Fields(family.Scope), Family: family.ID, Generation: family.Number, Origin: family.Origin, Device: family.Device, Thumbprint: family.Thumbprint})
			}
			var rotated refresh.Rotated
			if r.Offer.Rotation == catalog.Reusable {
				err = store.Use(ctx, r.Caller.At(), presented, give)
			} else {
				rotated, err = store.Rotate(ctx, r.Caller.At(), presented, give)
			}
			var reused *refresh.ReusedError
			switch {
			case errors.As(err, &reused):
				if err := end(ctx, reused.Family.ID, reused.Family.Origin); err != nil {
					return "", err
				}
				return "", invalid(catalog.CheckRefresh, "%v", reused)
			case errors.Is(err, refresh.ErrDevice), errors.Is(err, refresh.ErrProof):
				return "", invalid(catalog.CheckFamilyDevice, "%v", err)
			case errors.Is(err, refresh.ErrKey):
				return "", oauth.Refuse(catalog.CheckForm, problem.New(http.StatusBadRequest, "bad-request", "The Idempotency-Key can't be used",
					"Send one of 22 to 255 random characters, or none."), "%v", err)
			case errors.Is(err, refresh.ErrUnknown), errors.Is(err, refresh.ErrClient), errors.Is(err, refresh.ErrRevoked),
				errors.Is(err, refresh.ErrExpired), errors.Is(err, refresh.ErrIdle):
				return "", invalid(catalog.CheckRefresh, "%v", err)
			}
			return rotated.Text, err
		},
	}
}

// within refuses a scope beyond what the user has allowed (RFC 6749, section 6).
func within(form oauth.Form, allowed string) error {
	wanted, err := form.Scope()
	if err != nil {
		return err
	}
	for _, scope := range wanted {
		if !slices.Contains(strings.Fields(allowed), scope) {
			return oauth.Refuse(catalog.CheckWanted, oauth.InvalidScope("The user has not allowed that much."), "the scope %.80q is beyond %q", scope, allowed)
		}
	}
	return nil
}

// invalid refuses what was presented. The client is told the same whatever is wrong: who tries
// does not learn what was good once.
func invalid(check catalog.Check, reason string, values ...any) error {
	return oauth.Refuse(check, problem.New(http.StatusBadRequest, "invalid-grant", "That is not good, or not any more", ""), reason, values...)
}
