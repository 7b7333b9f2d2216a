package tokens

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"keyladder/internal/feed"
	"keyladder/internal/manage"
)

// Where the management API of the server that issues tokens has what a [Mirror] reads.
const (
	feedPath    = "/tokens/feed"
	keysPath    = "/tokens/keys"
	revokedPath = "/tokens/revoked"
)

// Mirror is what a server knows about tokens that another one issues. It follows the other's
// feed, and goes on with what it has while that can't be read.
type Mirror struct {
	*Book
	issuer   feed.Doer
	follower feed.Follower[change]
	untold   map[string]served // by the token's ID
}

// snapshot is all keys, and up to where in the feed that holds. The keys are symmetric, so whoever checks tokens could issue them as well: with HS256 the resource server
// is trusted like the issuer. A product signs with RS256 or ES256 (RFC 9068, section 2.1).
type snapshot struct {
	At      feed.Cursor  `json:"at"`
	Keys    []keyRow     `json:"keys"`
	Revoked []revocation `json:"-"` // page by page: see [revokedPage]
}

// revokedPage is how many revocations are in one answer.
const revokedPage = 50_000

// NewMirror makes one that knows nothing yet; [Mirror.Follow] fills it. Of the configuration
// the issuers, leeway and overlap have to be the issuing server's.
func NewMirror(issuer feed.Doer, config Config) (*Mirror, error) {
	book, err := newBook(config)
	if err != nil {
		return nil, err
	}
	m := &Mirror{Book: book, issuer: issuer, untold: map[string]served{}}
	m.follower = feed.Follower[change]{Feed: feed.Remote[change](issuer, feedPath), Wait: 20 * time.Second, Apply: m.apply, Load: m.load}
	return m, nil
}

// Follow keeps keys and revocations in step with the issuing server until ctx ends.
func (m *Mirror) Follow(ctx context.Context) { m.follower.Run(ctx) }

// Health tells whether they are.
func (m *Mirror) Health() feed.Health { return m.follower.Health() }

func (m *Mirror) load(ctx context.Context) (feed.Cursor, error) {
	var state snapshot
	if err := m.issuer.Do(ctx, http.MethodGet, keysPath, nil, &state); err != nil {
		return feed.Cursor{}, fmt.Errorf("ask for the signing keys: %w", err)
	}
	// A token that is revoked while the pages are read is in the feed after the cursor.
	for after := ""; ; after = state.Revoked[len(state.Revoked)-1].Token {
		var page []revocation
		if err := m.issuer.Do(ctx, http.MethodGet, revokedPath+"?after="+url.QueryEscape(after), nil, &page); err != nil {
			return feed.Cursor{}, fmt.Errorf("ask for the revoked access tokens: %w", err)
		}
		state.Revoked = append(state.Revoked, page...)
		if len(page) < revokedPage {
			break
		}
	}
	m.publish(state.Keys)
	m.revokeOnly(state.Revoked)
	return state.At, nil
}

// apply takes what a page of the feed tells. A key that changed is read with all others.
func (m *Mirror) apply(ctx context.Context, page feed.Page[change]) error {
	for _, c := range page.Entries {
		if c.Key != "" {
			_, err := m.load(ctx)
			return err
		}
	}
	m.revoke(page.Entries)
	m.forgetExpired(m.config.Now())
	return nil
}

// Serve serves the feed to the servers that check tokens, and to nobody else, and lets them
// tell how often tokens were used.
func (s *Store) Serve(routes manage.Routes) {
	routes.POST(UsesPath, s.takeUses)
	routes.GET(feedPath, manage.Feed[change](s.changes))
	routes.GET(keysPath, func(c echo.Context) error {
		var state snapshot
		err := s.db.WithContext(c.Request().Context()).Transaction(func(tx *gorm.DB) (err error) {
			if state.At, err = s.changes.End(tx); err != nil {
				return err
			}
			return tx.Find(&state.Keys).Error
		})
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, state)
	})
	routes.GET(revokedPath, func(c echo.Context) error {
		var rows []tokenRow
		err := s.db.WithContext(c.Request().Context()).Select("id", "expires_at").
			Where("id > ? AND revoked_at IS NOT NULL AND expires_at > ?", c.QueryParam("after"), s.config.Now().UTC()).
			Order("id").Limit(revokedPage).Find(&rows).Error
		if err != nil {
			return err
		}
		page := make([]revocation, len(rows))
		for i, row := range rows {
			page[i] = revocation{row.ID, row.ExpiresAt.Unix()}
		}
		return c.JSON(http.StatusOK, page)
	})
}
