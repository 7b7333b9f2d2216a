package manage

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"time"

	"keyladder/stages/catalog"
)

// Token is an access token as its issuer knows it. The token itself is kept nowhere.
type Token struct {
	ID         string     `json:"id"` // jti
	Key        string     `json:"key"`
	Stage      string     `json:"stage"`
	User       string     `json:"user"`
	Client     string     `json:"client"`
	Scope      string     `json:"scope"`
	Issuer     string     `json:"issuer"`
	Audience   string     `json:"audience"`
	Family     string     `json:"family,omitempty"`     // of refresh tokens that it is renewed with: [Family]
	Generation int        `json:"generation,omitempty"` // number of the refresh token that was issued beside it
	Origin     string     `json:"origin,omitempty"`     // the authorization code that it came of, by its ID
	IssuedAt   time.Time  `json:"issued_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
	Calls      int64      `json:"calls"` // that were served with it
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
}

// TokenQuery asks for access tokens; what is empty does not matter. They are sorted by user,
// client, stage, issued, expires, calls or used.
type TokenQuery struct {
	TokenFilter
	Part
}

// TokenFilter says which access tokens are meant; what is empty does not matter.
type TokenFilter struct {
	User   string `json:"user,omitempty"`
	Client string `json:"client,omitempty"`
	Stage  string `json:"stage,omitempty"`
	Family string `json:"family,omitempty"`
	State  string `json:"state,omitempty"`  // good, revoked or expired
	Search string `json:"search,omitempty"` // a part of the user or the client, or a whole ID
}

// TokenList is a part of the access tokens that fit a query.
type TokenList struct {
	Tokens []Token `json:"tokens"`
	Total  int     `json:"total"` // that fit
}

// Tokens returns the access tokens that fit a query.
func Tokens(ctx context.Context, d Doer, q TokenQuery) (TokenList, error) {
	return list[TokenList](ctx, d, "/tokens", q.Part, map[string]string{
		"user": q.User, "client": q.Client, "stage": q.Stage, "family": q.Family, "state": q.State, "search": q.Search,
	})
}

// TokenSelection says which access tokens are meant: those with the IDs, or, where there are
// none, all that all of the other members fit.
type TokenSelection struct {
	IDs []string `json:"ids,omitempty"`
	All bool     `json:"all,omitempty"` // has to be set where nothing else is
	TokenFilter
}

// SigningKey is a key that an issuer signs, or has signed, access tokens with.
type SigningKey struct {
	ID        string     `json:"id"` // kid
	Stage     string     `json:"stage"`
	CreatedAt time.Time  `json:"created_at"`
	Signs     bool       `json:"signs"` // new tokens
	Good      bool       `json:"good"`  // what it signed is accepted
	GoodUntil *time.Time `json:"good_until,omitempty"`
}

// TokenToExamine is a text that may be an access token of a stage.
type TokenToExamine struct {
	Stage string `json:"stage"`
	Token string `json:"token"`
}

// TokenExamination is a token taken apart, and what each check of the resource server says.
type TokenExamination struct {
	Header   json.RawMessage `json:"header,omitempty"` // as it is written; empty: it can't be read
	Claims   json.RawMessage `json:"claims,omitempty"`
	Subject  string          `json:"subject,omitempty"`
	Findings []TokenFinding  `json:"findings"` // in the order in which the checks are made
}

// TokenCall is a call that was served with an access token.
type TokenCall struct {
	At      time.Time `json:"at"`
	Route   string    `json:"route"` // POST /v1/transfers
	Status  int       `json:"status"`
	Address string    `json:"address"`       // from where it came
	Did     string    `json:"did,omitempty"` // what came of it, for people; empty: nothing was changed
}

// TokenCalls returns what was done with an access token, the latest first. Of calls that changed
// something, and of those that did not, the latest hundred each are kept.
func TokenCalls(ctx context.Context, d Doer, id string) ([]TokenCall, error) {
	return Get[[]TokenCall](ctx, d, "/tokens/"+url.PathEscape(id)+"/calls")
}

// RevocationCheck says whether access tokens that were revoked are refused at a stage.
type RevocationCheck struct {
	Stage string     `json:"stage"`
	Off   bool       `json:"off"`
	Since *time.Time `json:"since,omitempty"` // from when on it is off
}

// BearerCall is a call of GET /v1/accounts at a stage, with any text as the access token.
type BearerCall struct {
	Stage string `json:"stage"`
	Token string `json:"token"`
}

// BearerAnswer is what the API answers to it.
type BearerAnswer struct {
	Status    int    `json:"status"`
	Challenge string `json:"challenge,omitempty"` // its WWW-Authenticate field
	Body      string `json:"body,omitempty"`
	Exchange  string `json:"exchange"` // what the records know the call by
}

// TokenFinding is what one check says, or a part of one.
type TokenFinding struct {
	Check  catalog.Check `json:"check"`          // the guard's
	Part   string        `json:"part,omitempty"` // what it asks, such as "issuer"; empty: one thing alone
	Passed bool          `json:"passed"`
	Moot   bool          `json:"moot,omitempty"` // it can't be made, because of what another one found
	Reason string        `json:"reason,omitempty"`
}

// Name is short for what was asked.
func (f TokenFinding) Name() string { return cmp.Or(f.Part, string(f.Check)) }
