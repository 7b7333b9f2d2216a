package consents

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/manage"
	"keyladder/internal/store"
)

// ErrNoConsent means that there is no consent with that ID, or no longer.
var ErrNoConsent = errors.New("there is no such consent")

// row is a consent in the database.
type row struct {
	ID        string    `gorm:"primaryKey"`
	Stage     string    `gorm:"not null;uniqueIndex:consent"`
	User      string    `gorm:"not null;uniqueIndex:consent"`
	Client    string    `gorm:"not null;uniqueIndex:consent;index"`
	Scope     string    `gorm:"not null"` // sorted, with spaces between
	GivenAt   time.Time `gorm:"not null;index"`
	WidenedAt time.Time `gorm:"not null"`
}

func (row) TableName() string { return "consents" }

// Models are the table of consents.
func Models() []any { return []any{&row{}} }

func (r row) manage() manage.Consent {
	return manage.Consent{ID: r.ID, Stage: r.Stage, User: r.User, Client: r.Client, Scope: r.Scope, GivenAt: r.GivenAt, WidenedAt: r.WidenedAt}
}

// Party is who allows whom, and where.
type Party struct{ Stage, User, Client string }

// Store is the consents of one server. It is safe for concurrent use.
type Store struct{ db *gorm.DB }

// Open opens the consents in a database that has [Models]' table.
func Open(_ context.Context, db *gorm.DB) (*Store, error) { return &Store{db}, nil }

// Give remembers that a user allows a client these scopes, beside those that it has already.
//
//keyladder:code consent-give
func (s *Store) Give(ctx context.Context, at time.Time, p Party, scopes []string) (manage.Consent, error) {
	at = at.UTC()
	var r row
	err := s.db.WithContext(context.WithoutCancel(ctx)).Transaction(func(tx *gorm.DB) error {
		switch err := take(tx, p, &r); {
		case errors.Is(err, gorm.ErrRecordNotFound):
			r = row{ID: rand.Text(), Stage: p.Stage, User: p.User, Client: p.Client, Scope: union(scopes), GivenAt: at, WidenedAt: at}
			return tx.Create(&r).Error
		case err != nil:
			return err
		}
		scope := union(strings.Fields(r.Scope), scopes)
		if scope == r.Scope {
			return nil
		}
		r.Scope, r.WidenedAt = scope, at
		return tx.Save(&r).Error
	})
	if err != nil {
		return manage.Consent{}, fmt.Errorf("remember a consent: %w", err)
	}
	return r.manage(), nil
}

func take(tx *gorm.DB, p Party, r *row) error {
	return tx.Take(r, "stage = ? AND user = ? AND client = ?", p.Stage, p.User, p.Client).Error
}

// union are the scopes of all, each once, sorted, with spaces between.
func union(all ...[]string) string {
	scopes := slices.Concat(all...)
	slices.Sort(scopes)
	return strings.Join(slices.Compact(scopes), " ")
}

// Granted are the scopes that a user allows a client; nil: none.
func (s *Store) Granted(ctx context.Context, p Party) ([]string, error) {
	return s.GrantedIn(s.db.WithContext(ctx), p)
}

// GrantedIn is [Store.Granted] in a transaction on the store's database.
func (s *Store) GrantedIn(tx *gorm.DB, p Party) ([]string, error) {
	var r row
	err := take(tx, p, &r)
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a consent: %w", err)
	}
	return strings.Fields(r.Scope), nil
}

// Withdraw ends a consent by its ID, and returns what it was: [ErrNoConsent] where there is none.
// The caller ends the codes and tokens that came of it, afterwards.
func (s *Store) Withdraw(ctx context.Context, id string) (manage.Consent, error) {
	withdrawn, err := s.WithdrawSelected(ctx, manage.ConsentSelection{IDs: []string{id}})
	if err == nil && len(withdrawn) == 0 {
		err = ErrNoConsent
	}
	if err != nil {
		return manage.Consent{}, err
	}
	return withdrawn[0], nil
}

// WithdrawSelected ends the consents that are selected, and returns what they were. The caller ends the codes and
// tokens that came of them, afterwards.
//
//keyladder:code consent-withdraw
func (s *Store) WithdrawSelected(ctx context.Context, selection manage.ConsentSelection) ([]manage.Consent, error) {
	var withdrawn []manage.Consent
	err := s.db.WithContext(context.WithoutCancel(ctx)).Transaction(func(tx *gorm.DB) error {
		if len(selection.IDs) == 0 {
			return withdraw(tx, fit(tx, selection.ConsentFilter), &withdrawn)
		}
		for batch := range slices.Chunk(selection.IDs, 500) {
			if err := withdraw(tx, tx.Model(&row{}).Where("id IN ?", batch), &withdrawn); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("withdraw consents: %w", err)
	}
	return withdrawn, nil
}

func withdraw(tx, query *gorm.DB, withdrawn *[]manage.Consent) error {
	var rows []row
	if err := query.Find(&rows).Error; err != nil {
		return err
	}
	for batch := range slices.Chunk(rows, 500) {
		if err := tx.Delete(&batch).Error; err != nil { // by their IDs
			return err
		}
	}
	for _, r := range rows {
		*withdrawn = append(*withdrawn, r.manage())
	}
	return nil
}

// Reset removes all consents.
func (s *Store) Reset(ctx context.Context) error {
	err := s.db.WithContext(context.WithoutCancel(ctx)).Session(&gorm.Session{AllowGlobalUpdate: true}).Delete(&row{}).Error
	if err != nil {
		return fmt.Errorf("remove the consents: %w", err)
	}
	return nil
}

var sorts = store.Sorts{"user": "user", "client": "client", "stage": "stage", "given": "given_at", "widened": "widened_at"}

// fit are the rows that a filter means.
func fit(db *gorm.DB, f manage.ConsentFilter) *gorm.DB {
	query := db.Model(&row{})
	for column, value := range map[string]string{"user": f.User, "client": f.Client, "stage": f.Stage} {
		if value != "" {
			query = query.Where(column+" = ?", value)
		}
	}
	if f.Search != "" {
		has := store.Contains(f.Search)
		query = query.Where(`(user LIKE ? ESCAPE '\' OR client LIKE ? ESCAPE '\' OR scope LIKE ? ESCAPE '\' OR id = ?)`, has, has, has, f.Search)
	}
	return query
}

// Query lists consents. An error is [store.ErrSort], or one of the database.
func (s *Store) Query(ctx context.Context, q manage.ConsentQuery) (manage.ConsentList, error) {
	rows, total, err := store.List[row](fit(s.db.WithContext(ctx), q.ConsentFilter), sorts, store.Part{
		Sort: cmp.Or(q.Sort, "-given"), From: q.From, Limit: cmp.Or(q.Limit, manage.MostListed),
	})
	if err != nil {
		return manage.ConsentList{}, fmt.Errorf("list the consents: %w", err)
	}
	list := manage.ConsentList{Consents: make([]manage.Consent, len(rows)), Total: total}
	for i, r := range rows {
		list.Consents[i] = r.manage()
	}
	return list, nil
}

// Count is how many consents each user has.
func (s *Store) Count(ctx context.Context) (map[string]int, error) {
	byUser, err := store.CountByUser(fit(s.db.WithContext(ctx), manage.ConsentFilter{}))
	if err != nil {
		return nil, fmt.Errorf("count the consents: %w", err)
	}
	return byUser, nil
}
