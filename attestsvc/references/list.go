package references

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"keyladder/attestsvc/history"
	"keyladder/internal/manage"
	"keyladder/stages/mechanism/pin"
)

// ErrNoReference means that no package with that hash is a reference.
var ErrNoReference = errors.New("no package with that hash is a reference")

// ErrPin means that what should name a signer does not.
var ErrPin = errors.New("that is no pin of a signer's key")

// Refused says whether an error is about what was sent, and not ours.
func Refused(err error) bool { return permanent(err) || errors.Is(err, ErrPin) }

// List is all references, the newest first.
func (s *Store) List(ctx context.Context) ([]manage.Reference, error) {
	s.mu.RLock()
	rows := s.references
	s.mu.RUnlock()
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	events, err := history.Of(s.db.WithContext(ctx), history.Reference, ids...)
	if err != nil {
		return nil, err
	}
	all := make([]manage.Reference, len(rows))
	for i, r := range rows {
		all[i] = manage.Reference{
			Client: r.Client, Package: r.Package, Release: r.Release, SHA256: r.ID, Size: r.Size, Signer: r.Signer,
			RegisteredAt: r.RegisteredAt, WithdrawnAt: r.WithdrawnAt, History: events[r.ID],
		}
	}
	return all, nil
}

// Withdraw has apps of that package fail from their next attestation on. The error is
// [ErrNoReference], or one of the database.
func (s *Store) Withdraw(ctx context.Context, id string) error {
	at := s.config.Now().UTC()
	return s.mark(ctx, id, &at, withdrawn)
}

// Restore accepts them again.
func (s *Store) Restore(ctx context.Context, id string) error { return s.mark(ctx, id, nil, again) }

func (s *Store) mark(ctx context.Context, id string, withdrawnAt *time.Time, what string) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.change(ctx, func(tx *gorm.DB) error {
		var r row
		err := tx.Take(&r, "id = ?", id).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return ErrNoReference
		}
		if err != nil || (r.WithdrawnAt == nil) == (withdrawnAt == nil) {
			return err // it is so already, and since then
		}
		return errors.Join(tx.Model(&r).Update("withdrawn_at", withdrawnAt).Error, history.Add(tx, history.Reference, id, s.config.Now().UTC(), what))
	})
}

// Signers are all signers, by client.
func (s *Store) Signers(ctx context.Context) ([]manage.Signer, error) {
	s.mu.RLock()
	rows := s.signers
	s.mu.RUnlock()
	subjects := make([]string, len(rows))
	for i, r := range rows {
		subjects[i] = r.subject()
	}
	events, err := history.Of(s.db.WithContext(ctx), history.Signer, subjects...)
	if err != nil {
		return nil, err
	}
	all := make([]manage.Signer, len(rows))
	for i, r := range rows {
		all[i] = manage.Signer{Client: r.Client, Signer: r.Signer, AcceptedAt: r.AcceptedAt, WithdrawnAt: r.WithdrawnAt, History: events[r.subject()]}
	}
	return all, nil
}

// ChangeSigner accepts a signer of a client's packages, or withdraws one: then apps of all packages
// that it has signed fail.
func (s *Store) ChangeSigner(ctx context.Context, to manage.SignerToAccept) error {
	if _, err := pin.Parse(to.Signer); err != nil {
		return fmt.Errorf("%w: %w", ErrPin, err)
	}
	if !slices.ContainsFunc(s.config.Known, func(k Known) bool { return k.Client == to.Client }) {
		return fmt.Errorf("%w: %s has none", ErrClient, to.Client)
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	at := s.config.Now().UTC()
	err := s.change(ctx, func(tx *gorm.DB) error {
		signer := signerRow{Client: to.Client, Signer: to.Signer, AcceptedAt: at}
		err := tx.Take(&signer, "client = ? AND signer = ?", to.Client, to.Signer).Error
		note := func(what string) error { return history.Add(tx, history.Signer, signer.subject(), at, what) }
		isNew := errors.Is(err, gorm.ErrRecordNotFound)
		switch {
		case err != nil && !isNew:
			return err
		case isNew && to.Withdraw, !isNew && to.Withdraw == (signer.WithdrawnAt != nil):
			return nil // it is so already
		case isNew:
			return errors.Join(tx.Create(&signer).Error, note(accepted))
		case to.Withdraw:
			return errors.Join(tx.Model(&signer).Update("withdrawn_at", at).Error, note(withdrawn))
		}
		return errors.Join(tx.Model(&signer).Update("withdrawn_at", nil).Error, note(again))
	})
	if err == nil && !to.Withdraw {
		clear(s.seen) // packages of that signer may be there that were refused
	}
	return err
}

// Reset forgets all but what is published, and what is known from the beginning.
func (s *Store) Reset(ctx context.Context) error {
	s.changing.Lock()
	err := s.change(ctx, func(tx *gorm.DB) error {
		all := tx.Session(&gorm.Session{AllowGlobalUpdate: true})
		return errors.Join(all.Delete(&row{}).Error, all.Delete(&signerRow{}).Error, history.Reset(tx, history.Reference, history.Signer), s.seed(tx))
	})
	clear(s.seen)
	s.changing.Unlock()
	if err != nil {
		return err
	}
	return s.Scan(ctx)
}
