package resource

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"keyladder/backend/authserver"
	"keyladder/backend/clients"
	"keyladder/backend/guard"
	"keyladder/backend/tokens"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// issued is what the authorization server knows: its clients, and the tokens that it issues.
// This server has a copy in memory, asks nobody when a call comes, and goes on with what it has
// while the other can't be asked.
type issued struct {
	server  *manage.Client
	clients *clients.Mirror
	tokens  *tokens.Mirror
}

// followAuth gets ready to follow the authorization server. Nil: no stage has one, or the
// deployment does not say where it is.
func (c Config) followAuth() (*issued, error) {
	if !slices.ContainsFunc(c.Stages.Built(), func(s catalog.Stage) bool { return s.Auth.Issuer == catalog.AuthServer }) ||
		c.Folder.Addresses.URL(deployment.Manage(deployment.Auth)) == "" {
		return nil, nil
	}
	auth, err := manage.NewClient(c.Folder, deployment.Auth)
	if err != nil {
		return nil, err
	}
	mirror, err := tokens.NewMirror(auth, tokens.Config{
		Issuers: authserver.Issuers(catalog.AuthServer, c.Stages, c.Folder.Addresses, c.TokenLifetime, c.ShortLifetime),
		Leeway:  c.TokenLeeway, Overlap: c.KeyOverlap, Now: c.Now,
	})
	return &issued{auth, clients.NewMirror(auth), mirror}, err
}

// guarded is the same for the guard.
func (i *issued) guarded() guard.Issued {
	if i == nil {
		return guard.Issued{}
	}
	return guard.Issued{Clients: i.clients.Book, Tokens: i.tokens.Book}
}

// attested says which client integrity tokens are good: those of the stage's attestation service, for
// the stage's API.
func (c Config) attested() guard.Attested {
	service, api := c.Folder.Addresses.URL(deployment.AttestationService), c.Folder.Addresses.URL(deployment.API)
	if service == "" {
		return guard.Attested{}
	}
	return guard.Attested{
		Issuer:   func(stage string) string { return service + "/" + stage },
		Audience: func(stage string) string { return api + "/" + stage + "/v1" },
		Leeway:   c.TokenLeeway,
	}
}

// forwarded says which calls of the gateway are good. Zero: no stage has one.
func (c Config) forwarded() (guard.Forwarded, error) {
	if !slices.ContainsFunc(c.Stages.Built(), func(s catalog.Stage) bool { return s.Call.Gateway == catalog.ThroughGateway }) {
		return guard.Forwarded{}, nil
	}
	at := c.Folder.Addresses
	says := guard.Forwarded{
		Issuer:   func(stage string) string { return at.Stage(deployment.MediatorService, stage) },
		Audience: func(stage string) string { return at.Stage(deployment.InsideAPI, stage) + "/v1" },
		Leeway:   c.TokenLeeway,
	}
	return says, c.Folder.JSON(deployment.ForwardingKey, &says.Key)
}

// follow follows the other server until ctx ends.
func (i *issued) follow(ctx context.Context) {
	if i == nil {
		return
	}
	defer i.server.Close()
	var all sync.WaitGroup
	for _, run := range []func(context.Context){i.clients.Follow, i.tokens.Follow, i.tellUses} {
		all.Go(func() { run(ctx) })
	}
	all.Wait()
}

// tellUses tells the other server how often its access tokens are used here.
func (i *issued) tellUses(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = i.tokens.TellUses(ctx) // that the other does not answer is in health, and it is told later
		case <-ctx.Done():
			return
		}
	}
}

// asked is whether the authorization server was asked at all, with whatever result.
func (i *issued) asked() bool {
	ever := func(heard time.Time, err error) bool { return !heard.IsZero() || err != nil }
	return i == nil || ever(i.clients.Health().Heard, i.clients.Health().Err) && ever(i.tokens.Health().Heard, i.tokens.Health().Err)
}

// health says since when nothing was heard from the authorization server, if that is so. What
// was revoked there meanwhile is still served here.
func (i *issued) health() error {
	if i == nil {
		return nil
	}
	for _, h := range []struct {
		heard time.Time
		err   error
	}{{i.clients.Health().Heard, i.clients.Health().Err}, {i.tokens.Health().Heard, i.tokens.Health().Err}} {
		switch {
		case h.err != nil && h.heard.IsZero():
			return errors.New("the authorization server can't be asked for its clients and keys, so nobody gets in where it issues the tokens")
		case h.err != nil:
			return errors.New("the authorization server can't be asked what it has revoked since " + h.heard.UTC().Format(time.TimeOnly) + " UTC")
		}
	}
	return nil
}

// book is what is known about the access tokens of a stage.
func (s *Server) book(stage string) *tokens.Book {
	if found, ok := s.config.Stages.Lookup(stage); ok && found.Auth.Issuer == catalog.AuthServer && s.issued != nil {
		return s.issued.tokens.Book
	}
	return s.tokens.Book
}
