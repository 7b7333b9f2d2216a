package guard

import (
	"strings"

	"keyladder/backend/clients"
	"keyladder/backend/tokens"
	"keyladder/backend/users"
	"keyladder/stages/catalog"
)

// Whose clients, tokens and users count at a stage: this server's, or those of the
// authorization server, where the stage has one.

func withAuthServer(stage *catalog.Stage) bool { return stage.Auth.Issuer.Separate() }

func (c Config) lookUp(stage *catalog.Stage, id string) (*clients.App, *clients.Key, error) {
	switch {
	case !withAuthServer(stage):
		return c.Apps.Lookup(id)
	case c.Issued.Clients == nil:
		return nil, nil, clients.ErrUnknown
	}
	return c.Issued.Clients.Lookup(id)
}

// knowsUserAgent does not ask for the stage: the field proves nothing anyway.
func (c Config) knowsUserAgent(field string) bool {
	return c.Apps != nil && c.Apps.KnowsUserAgent(field) || c.Issued.Clients != nil && c.Issued.Clients.KnowsUserAgent(field)
}

// verify tells what an access token stands for. The issuer has to be asked about a token that is no
// JWT, where a provider of the stage issues such.
func (c Config) verify(of *call, text string) (*tokens.Token, error) {
	stage, at := of.stage, of.at
	switch {
	case c.Introspect != nil && stage.Call.Providers == catalog.ChosenInApp && !strings.Contains(text, "."):
		return c.Introspect(of.request, stage.Slug, text)
	case !withAuthServer(stage):
		return c.Tokens.Verify(stage.Slug, text, at)
	case c.Issued.Tokens == nil:
		return nil, tokens.ErrNoIssuer
	}
	return c.Issued.Tokens.Verify(stage.Slug, text, at)
}

func (c Config) revoked(stage *catalog.Stage, t *tokens.Token) bool {
	if withAuthServer(stage) {
		return c.Issued.Tokens == nil || c.Issued.Tokens.Revoked(t)
	}
	return c.Tokens.Revoked(t)
}

// owner is the user whom a token names; nil: there is none. Users of an authorization server are
// not known here. It has given the token no right that its user does not have, and it revokes
// the token when the user loses one.
func (c Config) owner(stage *catalog.Stage, t *tokens.Token) *users.User {
	if !withAuthServer(stage) {
		return c.Users.Lookup(t.Subject)
	}
	return users.Elsewhere(t.Subject, t.Scopes)
}
