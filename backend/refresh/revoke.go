package refresh

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// Revoke ends a family by its ID: [ErrNoFamily] where there is none. One that was revoked
// before stays so, since then. The access tokens that carry the ID are the caller's to end,
// afterwards.
func (s *Store) Revoke(ctx context.Context, id string) error {
	ended, err := s.RevokeSelected(ctx, manage.FamilySelection{IDs: []string{id}})
	if err != nil || len(ended) > 0 {
		return err
	}
	err = s.db.WithContext(ctx).Take(&familyRow{}, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return ErrNoFamily
	}
	return err
}

// RevokeSelected ends the families that are selected and still good, and returns their IDs. The
// access tokens that carry them are the caller's to end, afterwards.
//
//keyladder:code refresh-revoke
func (s *Store) RevokeSelected(ctx context.Context, selection manage.FamilySelection) (ended []string, err error) {
	err = s.writers.Write(ctx, func(tx *gorm.DB) error {
		if len(selection.IDs) == 0 {
			ended, err = s.revoke(tx, s.fit(tx, selection.FamilyFilter))
			return err
		}
		ended = nil
		for batch := range slices.Chunk(selection.IDs, 500) {
			some, err := s.revoke(tx, tx.Model(&familyRow{}).Where("id IN ?", batch))
			if err != nil {
				return err
			}
			ended = append(ended, some...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("revoke families of refresh tokens: %w", err)
	}
	return ended, nil
}

// revoke ends those of the families that are still good.
func (s *Store) revoke(tx, query *gorm.DB) (ended []string, err error) {
	at := s.config.Now().UTC()
	if err := query.Where(live, s.alive(at)...).Pluck("id", &ended).Error; err != nil {
		return nil, err
	}
	for batch := range slices.Chunk(ended, 500) {
		if err := tx.Model(&familyRow{}).Where("id IN ?", batch).Update("revoked_at", at).Error; err != nil {
			return nil, err
		}
	}
	return ended, nil
}

// RevokeOf ends the families that came of an authorization code, by its ID, and returns their
// IDs.
func (s *Store) RevokeOf(ctx context.Context, origin string) (ended []string, err error) {
	if origin == "" {
		return nil, nil
	}
	return s.RevokeSelected(ctx, manage.FamilySelection{FamilyFilter: manage.FamilyFilter{Origin: origin}})
}

// RevokeByToken ends the family of a token that its client gives back (RFC 7009, section 2.1),
// and returns it. A token that was used before will do: it is its client that wants an end. An
// error is [ErrUnknown], [ErrClient] or one of the database; a family that has ended already is
// none.
func (s *Store) RevokeByToken(ctx context.Context, stage, text, client string) (Family, error) {
	var f *familyRow
	var refused error
	err := s.writers.Write(ctx, func(tx *gorm.DB) (err error) {
		if _, f, refused, err = s.find(tx, stage, text, client); err != nil || refused != nil {
			return err
		}
		_, err = s.revoke(tx, tx.Model(&familyRow{}).Where("id = ?", f.ID))
		return err
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return Family{}, fmt.Errorf("revoke a refresh token: %w", err)
	}
	return f.family(), nil
}

// Forget removes families that ended long ago, with their tokens. While a family is good, its
// used tokens are kept, since reuse has to be recognised. Call it now and then.
func (s *Store) Forget(ctx context.Context) error {
	before := s.config.Now().UTC().Add(-s.config.Kept)
	err := s.writers.Write(ctx, func(tx *gorm.DB) error {
		gone := tx.Model(&familyRow{}).Select("id").Where("revoked_at < ? OR begun_at < ? OR used_at < ?",
			before, before.Add(-s.config.Absolute), before.Add(-s.config.Idle))
		if err := tx.Where("family IN (?)", gone).Delete(&tokenRow{}).Error; err != nil {
			return err
		}
		return tx.Where("id IN (?)", gone).Delete(&familyRow{}).Error
	})
	if err != nil {
		return fmt.Errorf("forget families of refresh tokens: %w", err)
	}
	return nil
}

// Reset removes all families.
func (s *Store) Reset(ctx context.Context) error {
	err := s.writers.Write(ctx, func(tx *gorm.DB) error {
		all := tx.Session(&gorm.Session{AllowGlobalUpdate: true})
		return errors.Join(all.Delete(&tokenRow{}).Error, all.Delete(&familyRow{}).Error)
	})
	if err != nil {
		return fmt.Errorf("remove the refresh tokens: %w", err)
	}
	return nil
}
