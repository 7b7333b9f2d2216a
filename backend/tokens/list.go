package tokens

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// found narrows to what a query finds.
func found(tx *gorm.DB, q manage.TokenQuery) *gorm.DB {
	tx = tx.Model(&tokenRow{})
	for column, value := range map[string]string{"id": q.ID, "stage": q.Stage, "user": q.User, "client": q.Client} {
		if value != "" {
			tx = tx.Where(column+" = ?", value)
		}
	}
	if q.Search != "" {
		like := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(q.Search) + "%"
		tx = tx.Where(`(id LIKE ? ESCAPE '\' OR user LIKE ? ESCAPE '\' OR client LIKE ? ESCAPE '\')`, like, like, like)
	}
	if q.Good {
		tx = tx.Where("revoked_at IS NULL AND expires_at > ?", q.At.UTC())
	}
	return tx
}

// List is a page of the tokens that a query finds, latest first, and how many it finds.
func (s *Store) List(ctx context.Context, q manage.TokenQuery) (manage.Tokens, error) {
	q.At = s.config.Now()
	list := manage.Tokens{Tokens: []manage.Token{}}
	var total int64
	db := s.db.WithContext(ctx)
	if err := found(db, q).Count(&total).Error; err != nil {
		return list, fmt.Errorf("count the access tokens: %w", err)
	}
	list.Total = int(total)
	order := "issued_at DESC, id"
	switch q.Sort {
	case "calls":
		order = "calls DESC, id"
	case "expires":
		order = "expires_at, id"
	case "user":
		order = "user, issued_at DESC, id"
	}
	var rows []tokenRow
	if err := found(db, q).Order(order).Offset(q.From).Limit(q.Limit).Find(&rows).Error; err != nil {
		return list, fmt.Errorf("list the access tokens: %w", err)
	}
	for _, row := range rows {
		list.Tokens = append(list.Tokens, row.manage())
	}
	return list, nil
}

// Keys are all signing keys, newest first.
func (s *Store) Keys() []manage.SigningKey {
	list := []manage.SigningKey{}
	for _, k := range s.keys.Load().byID {
		list = append(list, s.signingKey(k))
	}
	slices.SortFunc(list, func(a, b manage.SigningKey) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return list
}

func (s *Store) signingKey(k *key) manage.SigningKey {
	out := manage.SigningKey{ID: k.ID, Stage: k.stage, CreatedAt: k.createdAt, Signs: k.replacedAt == nil, Good: k.good(s.config.Now(), s.config.Overlap)}
	if until := k.goodUntil(s.config.Overlap); !until.IsZero() {
		until = until.UTC()
		out.GoodUntil = &until
	}
	return out
}
