package tokens

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"keyladder/internal/manage"
	"keyladder/internal/store"
)

var sorts = store.Sorts{
	"user": "user", "client": "client", "stage": "stage", "issued": "issued_at", "expires": "expires_at", "calls": "calls", "used": "last_used_at",
}

// good is the condition of tokens that are, at a time.
const good = "revoked_at IS NULL AND expires_at > ?"

// fit are the rows that a filter means.
func (s *Store) fit(db *gorm.DB, f manage.TokenFilter) *gorm.DB {
	query := db.Model(&tokenRow{})
	for column, value := range map[string]string{"user": f.User, "client": f.Client, "stage": f.Stage, "family": f.Family} {
		if value != "" {
			query = query.Where(column+" = ?", value)
		}
	}
	if f.Search != "" {
		has := store.Contains(f.Search)
		query = query.Where(`(user LIKE ? ESCAPE '\' OR client LIKE ? ESCAPE '\' OR id = ?)`, has, has, f.Search)
	}
	switch at := s.config.Now().UTC(); f.State {
	case "good":
		query = query.Where(good, at)
	case "revoked":
		query = query.Where("revoked_at IS NOT NULL")
	case "expired":
		query = query.Where("revoked_at IS NULL AND expires_at <= ?", at)
	}
	return query
}

// Query lists access tokens, as the database has them. An error is [store.ErrSort], or one of
// the database.
func (s *Store) Query(ctx context.Context, q manage.TokenQuery) (manage.TokenList, error) {
	_ = s.Flush(ctx) // where that fails, their use is listed as it was a second ago
	rows, total, err := store.List[tokenRow](s.fit(s.db.WithContext(ctx), q.TokenFilter), sorts, store.Part{
		Sort: cmp.Or(q.Sort, "-issued"), From: q.From, Limit: cmp.Or(q.Limit, manage.MostListed),
	})
	if err != nil {
		return manage.TokenList{}, fmt.Errorf("list the access tokens: %w", err)
	}
	list := manage.TokenList{Tokens: make([]manage.Token, len(rows)), Total: total}
	for i, row := range rows {
		list.Tokens[i] = row.manage()
		list.Tokens[i].Issuer, list.Tokens[i].Audience = s.issuers[row.Stage].URL, s.issuers[row.Stage].Audience
	}
	return list, nil
}

// Count is how many access tokens that are good each user has.
func (s *Store) Count(ctx context.Context) (map[string]int, error) {
	byUser, err := store.CountByUser(s.fit(s.db.WithContext(ctx), manage.TokenFilter{State: "good"}))
	if err != nil {
		return nil, fmt.Errorf("count the access tokens: %w", err)
	}
	return byUser, nil
}

// Keys are all signing keys, newest first.
func (b *Book) Keys() []manage.SigningKey {
	list := []manage.SigningKey{}
	for _, k := range b.keys.Load().byID {
		list = append(list, b.signingKey(k))
	}
	slices.SortFunc(list, func(a, b manage.SigningKey) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return list
}

func (b *Book) signingKey(k *key) manage.SigningKey {
	out := manage.SigningKey{ID: k.ID, Stage: k.stage, CreatedAt: k.createdAt, Signs: k.replacedAt == nil, Good: k.good(b.config.Now(), b.config.Overlap)}
	if until := k.goodUntil(b.config.Overlap); !until.IsZero() {
		until = until.UTC()
		out.GoodUntil = &until
	}
	return out
}
