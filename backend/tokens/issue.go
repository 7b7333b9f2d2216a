package tokens

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/stages/mechanism/token"
)

// Grant is what a token is issued for.
type Grant struct {
	Stage  string
	User   string // the resource owner
	Client string
	Scope  string // with spaces between
	Family string // of refresh tokens that it is renewed with; empty: none
	// Generation is the number of the refresh token that is issued beside it; 0: there is none.
	Generation int
	Origin     string // the authorization code that it came of, by its ID; empty: none
	Device     string // the installation that it is bound to; empty: none
	Thumbprint string // of the key that it is bound to; empty: none
}

// Issued is a new access token.
type Issued struct {
	Text      string // the token; it is kept nowhere
	ID        string
	ExpiresIn time.Duration
}

// Issue issues an access token: [ErrNoIssuer] where the stage has none.
//
//keyladder:code token-issue
func (s *Store) Issue(ctx context.Context, at time.Time, g Grant) (Issued, error) {
	var issued Issued
	err := s.writers.Write(ctx, func(tx *gorm.DB) (err error) {
		issued, err = s.IssueIn(tx, at, g)
		return err
	})
	return issued, err
}

// IssueIn is [Store.Issue] in a transaction on the store's database: what the token is given
// for is used up with it, or nothing of both happens.
func (s *Store) IssueIn(tx *gorm.DB, at time.Time, g Grant) (Issued, error) {
	issuer, ok := s.issuers[g.Stage]
	signing := s.keys.Load().newest[g.Stage]
	if !ok || signing == nil && !issuer.Opaque {
		return Issued{}, ErrNoIssuer
	}
	at = at.UTC().Truncate(time.Second) // as the token has it
	claims := token.Claims{
		Issuer: issuer.URL, Subject: g.User, Audience: []string{issuer.Audience}, ClientID: g.Client,
		Issued: at, Expires: at.Add(issuer.Lifetime), ID: token.NewID(), Scope: g.Scope, Device: g.Device, Thumbprint: g.Thumbprint,
	}
	row := tokenRow{
		ID: claims.ID, Stage: g.Stage, User: g.User, Client: g.Client, Scope: g.Scope,
		Family: g.Family, Generation: g.Generation, Origin: g.Origin, IssuedAt: claims.Issued, ExpiresAt: claims.Expires,
	}
	var text string
	if issuer.Opaque {
		text, row.Hash = opaque()
	} else {
		var err error
		if text, err = signing.Sign(claims); err != nil {
			return Issued{}, err
		}
		row.Key = signing.ID
	}
	// Written before anybody has it: a token that is in no list could not be revoked.
	if err := tx.Create(&row).Error; err != nil {
		return Issued{}, fmt.Errorf("issue an access token: %w", err)
	}
	return Issued{Text: text, ID: claims.ID, ExpiresIn: issuer.Lifetime}, nil
}
