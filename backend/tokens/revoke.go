package tokens

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// Revoke ends a token by its ID: [ErrNoToken] where there is none. One that was revoked
// before stays so, since then.
func (s *Store) Revoke(ctx context.Context, jti string) error {
	n, err := s.RevokeSelected(ctx, manage.TokenSelection{IDs: []string{jti}})
	if err != nil || n > 0 {
		return err
	}
	err = s.db.WithContext(ctx).Take(&tokenRow{}, "id = ?", jti).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return ErrNoToken
	}
	return err
}

// RevokeSelected ends the tokens that are selected and still good, and says how many those
// were.
//
//keyladder:code token-revoke
func (s *Store) RevokeSelected(ctx context.Context, selection manage.TokenSelection) (revoked int, err error) {
	at := s.config.Now().UTC()
	err = s.change(ctx, "revoke access tokens", func(tx *gorm.DB) ([]change, error) {
		query := s.fit(tx, selection.TokenFilter)
		if len(selection.IDs) > 0 {
			query = tx.Model(&tokenRow{}).Where("id IN ?", selection.IDs)
		}
		changes, err := revokeRows(tx, query, at)
		revoked = len(changes)
		return changes, err
	})
	return revoked, err
}

// RevokeOf ends the tokens that came of these families of refresh tokens, or of these
// authorization codes, as far as they are still good, and says how many those were.
func (s *Store) RevokeOf(ctx context.Context, sources ...string) (revoked int, err error) {
	sources = slices.DeleteFunc(slices.Clone(sources), func(source string) bool { return source == "" })
	if len(sources) == 0 {
		return 0, nil
	}
	at := s.config.Now().UTC()
	err = s.change(ctx, "revoke access tokens", func(tx *gorm.DB) ([]change, error) {
		var all []change
		for batch := range slices.Chunk(sources, 500) {
			for _, column := range []string{"family", "origin"} {
				// Without the second condition, the column's index can't be used.
				query := tx.Model(&tokenRow{}).Where(column+" IN ? AND "+column+" <> ''", batch)
				changes, err := revokeRows(tx, query, at)
				if err != nil {
					return nil, err
				}
				all = append(all, changes...)
			}
		}
		revoked = len(all)
		return all, nil
	})
	return revoked, err
}

// revokeRows ends those of the tokens that are still good.
func revokeRows(tx, query *gorm.DB, at time.Time) ([]change, error) {
	var rows []tokenRow
	if err := query.Where(good, at).Select("id", "expires_at").Find(&rows).Error; err != nil {
		return nil, err
	}
	changes := make([]change, len(rows))
	for i, row := range rows {
		changes[i] = change{Token: row.ID, Expires: row.ExpiresAt.Unix()}
	}
	for batch := range slices.Chunk(rows, 500) {
		ids := make([]string, len(batch))
		for i, row := range batch {
			ids[i] = row.ID
		}
		if err := tx.Model(&tokenRow{}).Where("id IN ?", ids).Update("revoked_at", at).Error; err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// Rotate makes a new key for a stage's issuer. The one before is good for as long as the
// overlap.
func (s *Store) Rotate(ctx context.Context, stage string) (manage.SigningKey, error) {
	if issuer, ok := s.issuers[stage]; !ok || issuer.Opaque {
		return manage.SigningKey{}, ErrNoIssuer
	}
	var made keyRow
	at := s.config.Now().UTC()
	err := s.change(ctx, "rotate a signing key", func(tx *gorm.DB) ([]change, error) {
		err := tx.Model(&keyRow{}).Where("stage = ? AND replaced_at IS NULL", stage).Update("replaced_at", at).Error
		if err != nil {
			return nil, err
		}
		made, err = s.makeKey(tx, stage)
		return []change{{Key: made.ID}}, err
	})
	if err != nil {
		return manage.SigningKey{}, err
	}
	return s.signingKey(s.keys.Load().byID[made.ID]), nil
}

// Withdraw ends a key that was replaced, and with it all that it has signed. The one that
// signs can't be withdrawn: [ErrNewest].
func (s *Store) Withdraw(ctx context.Context, id string) error {
	at := s.config.Now().UTC()
	return s.change(ctx, "withdraw a signing key", func(tx *gorm.DB) ([]change, error) {
		var row keyRow
		if err := tx.Take(&row, "id = ?", id).Error; errors.Is(err, gorm.ErrRecordNotFound) {
			return nil, ErrNoKey
		} else if err != nil {
			return nil, err
		}
		if row.ReplacedAt == nil {
			return nil, ErrNewest
		}
		if row.WithdrawnAt == nil {
			row.WithdrawnAt = &at
		}
		return []change{{Key: id}}, tx.Save(&row).Error
	})
}

// keptAfter is how long a token stays in the lists after it has expired.
const keptAfter = time.Hour

// forgetEvery is how often what has expired is forgotten.
const forgetEvery = time.Minute

// Flush writes how often tokens were used, and now and then removes what has expired. What
// can't be written is lost: it is statistics.
func (s *Store) Flush(ctx context.Context) error {
	at := s.config.Now().UTC()
	forget := s.forgetExpired(at)
	used := s.verified.uses()
	if len(used) == 0 && !forget {
		return nil
	}
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		all := make([]served, 0, len(used))
		for jti, u := range used {
			all = append(all, served{Token: jti, Calls: u.calls.Load(), Last: time.Unix(0, u.last.Load())})
		}
		if err := count(tx, all); err != nil || !forget {
			return err
		}
		return tx.Where("expires_at < ?", at.Add(-keptAfter)).Delete(&tokenRow{}).Error
	})
	if err != nil {
		return fmt.Errorf("write the use of access tokens: %w", err)
	}
	return nil
}

// Reset removes all tokens, and has all issuers begin with new keys.
func (s *Store) Reset(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	s.writing.Lock()
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		all := tx.Session(&gorm.Session{AllowGlobalUpdate: true})
		for _, row := range []any{&tokenRow{}, &keyRow{}} {
			if err := all.Delete(row).Error; err != nil {
				return err
			}
		}
		if err := s.changes.Clear(tx); err != nil {
			return err
		}
		return s.firstKeys(tx)
	})
	s.writing.Unlock()
	if err != nil {
		return fmt.Errorf("reset the access tokens: %w", err)
	}
	_, err = s.load(ctx)
	return err
}
