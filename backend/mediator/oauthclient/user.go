package oauthclient

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"keyladder/internal/manage"
	"keyladder/stages/mechanism/token"
)

// ErrUser means that a provider does not say who the user is.
var ErrUser = errors.New("the provider does not say who the user is")

// ErrStranger means that a provider's user is no customer of the bank.
var ErrStranger = errors.New("the user of the provider is no customer of the bank")

// User is who has signed in: the provider's name for the user, as the provider is described to say
// it. The token must have come from the provider's token endpoint just now. The error is [ErrUser],
// or one of asking.
//
//keyladder:code provider-user
func (c *Client) User(ctx context.Context, to For, p manage.Provider, access string) (subject string, err error) {
	var said map[string]json.RawMessage
	switch p.User {
	case manage.UserInToken:
		said, err = c.claims(p, access)
	case manage.UserInUserinfo:
		said, err = c.userinfo(ctx, to, p, access)
	case manage.UserInIntrospection:
		said, err = c.introspect(ctx, to, p, access)
	default:
		err = ErrUser
	}
	if err != nil {
		return "", err
	}
	if subject, err = text(said, p.UserClaim); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUser, err)
	}
	return subject, nil
}

// Customer is which of the bank's customers a provider's user is, or [ErrStranger].
func Customer(p manage.Provider, subject string) (string, error) {
	if customer := p.Links[subject]; customer != "" {
		return customer, nil
	}
	if p.SameNames {
		return subject, nil
	}
	return "", fmt.Errorf("%w: %.80q of %s", ErrStranger, subject, p.Name)
}

// claims reads an access token that is a JWT, and was issued by the provider for the mediator. Its
// signature is not looked at: it came from the provider over TLS a moment ago (see
// [manage.UserInToken]).
func (c *Client) claims(p manage.Provider, access string) (map[string]json.RawMessage, error) {
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%w: its token is no JWT", ErrUser)
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	claims := map[string]json.RawMessage{}
	if err != nil || json.Unmarshal(data, &claims) != nil {
		return nil, fmt.Errorf("%w: its token is no JWT", ErrUser)
	}
	issuer, err := text(claims, "iss")
	if err != nil || issuer != p.Issuer {
		return nil, fmt.Errorf("%w: its token was issued by %.200q", ErrUser, issuer)
	}
	if client, err := text(claims, "client_id"); err != nil || client != p.ClientID { // RFC 9068, section 2.2
		return nil, fmt.Errorf("%w: its token was issued to %.80q", ErrUser, client)
	}
	expires, err := token.Object(claims).Instant("exp")
	if err != nil || !c.now().Before(expires) {
		return nil, fmt.Errorf("%w: its token has expired at %s", ErrUser, expires.Format(time.RFC3339))
	}
	return claims, nil
}

func (c *Client) userinfo(ctx context.Context, to For, p manage.Provider, access string) (map[string]json.RawMessage, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.UserinfoURL, nil)
	if err != nil {
		return nil, err
	}
	token.Set(r.Header, access)
	return c.do(to, r, "")
}

// introspect asks about a token (RFC 7662), which has to be active, and the mediator's.
func (c *Client) introspect(ctx context.Context, to For, p manage.Provider, access string) (map[string]json.RawMessage, error) {
	answer, err := c.post(ctx, to, p, p.IntrospectionURL, url.Values{"token": {access}, "token_type_hint": {"access_token"}}, "")
	if err != nil {
		return nil, err
	}
	var active *bool
	if json.Unmarshal(answer["active"], &active) != nil || active == nil || !*active {
		return nil, fmt.Errorf("%w: its token is not active", ErrUser)
	}
	if client, err := text(answer, "client_id"); err == nil && client != p.ClientID {
		return nil, fmt.Errorf("%w: its token was issued to %.80q", ErrUser, client)
	}
	return answer, nil
}
