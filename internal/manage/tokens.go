package manage

import (
	"encoding/json"
	"time"
)

// Token is an access token as its issuer knows it. The token itself is kept nowhere.
type Token struct {
	ID         string     `json:"id"` // jti
	Key        string     `json:"key"`
	Stage      string     `json:"stage"`
	User       string     `json:"user"`
	Client     string     `json:"client"`
	Scope      string     `json:"scope"`
	IssuedAt   time.Time  `json:"issued_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
	Calls      int64      `json:"calls"` // that were served with it
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
}

// TokenQuery says which tokens. What is left empty does not matter.
type TokenQuery struct {
	ID     string    `json:"id,omitempty"`
	Stage  string    `json:"stage,omitempty"`
	User   string    `json:"user,omitempty"`
	Client string    `json:"client,omitempty"`
	Search string    `json:"search,omitempty"` // a part of ID, user or client
	Good   bool      `json:"good,omitempty"`   // neither revoked nor expired
	At     time.Time `json:"-"`                // of Good

	Sort        string `json:"-"` // calls, expires, user; empty: latest first
	From, Limit int    `json:"-"`
}

// Tokens is a page of tokens.
type Tokens struct {
	Tokens []Token `json:"tokens"`
	Total  int     `json:"total"` // that the query finds
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

// TokenFinding is what one check says.
type TokenFinding struct {
	Check  string `json:"check"`
	Passed bool   `json:"passed"`
	Moot   bool   `json:"moot,omitempty"` // it can't be made, because of what another one found
	Reason string `json:"reason,omitempty"`
}
