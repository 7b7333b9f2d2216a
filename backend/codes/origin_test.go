package codes_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/backend/codes"
	"keyladder/backend/refresh"
	"keyladder/backend/tokens"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
	"keyladder/internal/store"
)

// endpoint redeems codes as a token endpoint does.
type endpoint struct {
	codes   *codes.Store
	refresh *refresh.Store
	tokens  *tokens.Store
}

func newEndpoint(t testing.TB) *endpoint {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "auth.db"), slices.Concat(codes.Models(), refresh.Models(), tokens.Models(), durable.Models())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	e, now := &endpoint{codes: open(t, db, begin)}, func() time.Time { return begin }
	e.refresh, err = refresh.Open(t.Context(), db, refresh.Config{Idle: time.Hour, Absolute: time.Hour, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	issuer := tokens.Issuer{Stage: "one", URL: "https://localhost/one", Audience: "https://localhost/one/v1", Lifetime: time.Hour}
	e.tokens, err = tokens.Open(t.Context(), db, tokens.Config{Issuers: []tokens.Issuer{issuer}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// redeem gives an access token and a refresh token for a code. When the code was used before, it
// ends what that use was given.
func (e *endpoint) redeem(ctx context.Context, text string) (access, renewal string, err error) {
	_, err = e.codes.Redeem(ctx, begin, rightly(text), func(tx *gorm.DB, c codes.Code) error {
		first, family, err := e.refresh.BeginIn(tx, begin, refresh.Grant{Stage: c.Stage, User: c.User, Client: c.Client, Scope: c.Scope, Origin: c.ID})
		if err != nil {
			return err
		}
		issued, err := e.tokens.IssueIn(tx, begin, tokens.Grant{Stage: c.Stage, User: c.User, Client: c.Client, Scope: c.Scope, Family: family.ID, Origin: c.ID})
		access, renewal = issued.Text, first
		return err
	})
	var used *codes.UsedError
	if errors.As(err, &used) {
		families, revoked := e.refresh.RevokeOf(ctx, used.Code.ID)
		_, ended := e.tokens.RevokeOf(ctx, append(families, used.Code.ID)...)
		err = errors.Join(err, revoked, ended)
	}
	return access, renewal, err
}

// TestSecondUse: when a code is redeemed by several at once, one gets tokens, and they die with
// the next. Nothing else of that user does.
func TestSecondUse(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	access, renewal, err := e.redeem(t.Context(), issue(t, e.codes))
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		text := issue(t, e.codes)
		var succeeded atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, _, err := e.redeem(t.Context(), text); err == nil {
					succeeded.Add(1)
				} else if !errors.Is(err, codes.ErrUsed) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := succeeded.Load(); n != 1 {
			t.Errorf("%d succeeded", n)
		}
	}
	good, err := e.tokens.Query(t.Context(), manage.TokenQuery{TokenFilter: manage.TokenFilter{State: "good"}})
	if err != nil || good.Total != 1 {
		t.Errorf("%d access tokens are good, %v", good.Total, err)
	}
	families, err := e.refresh.Query(t.Context(), manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{State: "good"}})
	if err != nil || families.Total != 1 {
		t.Errorf("%d families are good, %v", families.Total, err)
	}
	if found, err := e.tokens.Verify("one", access, begin); err != nil || e.tokens.Revoked(found) {
		t.Errorf("the user's other access token: %v", err)
	}
	_, err = e.refresh.Rotate(t.Context(), begin, refresh.Presented{Stage: "one", Text: renewal, Client: "app"}, func(*gorm.DB, refresh.Family) error { return nil })
	if err != nil {
		t.Errorf("the user's other refresh token: %v", err)
	}
}
