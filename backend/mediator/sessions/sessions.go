// Package sessions keeps what the mediator has of sign-ins at providers: who signed in where, on
// which installation of which app, and the provider's tokens. These are encrypted, bound to session
// and provider, and never go to an app.
//
// A session has the ID of the authorization code that the app gets for it, which is the origin of
// the family and of all access tokens that come of it.
//
// # Renewing
//
// A provider that rotates refresh tokens ends everything when one comes twice. So one at a time
// renews a session ([Store.Claim]), also of several mediators on one database, and what is sent is
// the same again where the answer got lost: the idempotency key of the request is written down
// before the request is sent, and forgotten with the answer.
//
// # What can get lost
//
// A mediator that is killed after a provider has rotated, and before the answer is written down, has
// lost the provider's new refresh token: those are the milliseconds that the answer is under way, and
// one write. So is one whose provider is killed before it has answered. The next request gets the same
// answer from a provider that knows the key, or that takes the old token for a while. A mediator that
// starts again sends it by itself ([Store.Abandoned]), soon enough for that. Any other provider takes it
// for a copy, and refuses it. That says nothing about the user. So the session goes on without the
// provider's tokens ([Store.Alone]), for a limited time: what it costs is that until then the user is
// not asked about at the provider, and afterwards signs in once more.
package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/backend/mediator/secrets"
	"keyladder/internal/manage"
	"keyladder/internal/store"
)

// Errors of the store.
var (
	ErrNone = errors.New("there is no such session, or not any more")
	ErrBusy = errors.New("the session is being renewed")
)

// Tokens are what a provider has given.
type Tokens struct {
	Access  string `json:"access"`
	Refresh string `json:"refresh,omitempty"` // empty: none
}

// Session is a sign-in at a provider.
type Session struct {
	ID         string // that of the authorization code
	Stage      string
	User       string // the bank's customer
	Subject    string // the provider's name for the user
	Client     string
	Device     string
	Provider   string
	Tokens     Tokens
	Expires    time.Time // of the provider's access token
	RenewalKey string    // of the request that renews it, while one is under way
	Lost       bool      // the provider may have answered such a request, and nobody got the answer
}

// row is a session in the database.
type row struct {
	ID         string    `gorm:"primaryKey"`
	Stage      string    `gorm:"not null"`
	User       string    `gorm:"not null;index"`
	Subject    string    `gorm:"not null"`
	Client     string    `gorm:"not null"`
	Device     string    `gorm:"not null"`
	Provider   string    `gorm:"not null;index"`
	Sealed     []byte    // the provider's tokens; nil: given back
	BegunAt    time.Time `gorm:"not null;index"`
	RenewedAt  *time.Time
	Renewals   int        `gorm:"not null;default:0"`
	ExpiresAt  time.Time  `gorm:"not null"`
	RenewalKey string     `gorm:"not null;default:''"`
	ClaimedAt  *time.Time `gorm:"index:mediator_sessions_claimed,where:claimed_at IS NOT NULL"`
	Lost       bool       `gorm:"not null;default:false"` // see [Session]
	EndedAt    *time.Time `gorm:"index:mediator_sessions_ended,where:ended_at IS NOT NULL AND sealed IS NOT NULL"`
	Reason     string     `gorm:"not null;default:''"`
}

func (row) TableName() string { return "mediator_sessions" }

// Models are the table of sessions.
func Models() []any { return []any{&row{}} }

// Config is what a store needs.
type Config struct {
	Key  *secrets.Key
	Hold time.Duration // after which somebody who renews a session is taken for dead
}

// Store is safe for concurrent use.
type Store struct {
	db      *gorm.DB
	writers *store.Group
	config  Config
}

// Open opens the sessions of a database that has the table of [Models].
func Open(db *gorm.DB, config Config) *Store {
	return &Store{db: db, writers: store.NewGroup(db), config: config}
}

func (s *Store) seal(id, provider string, t Tokens) ([]byte, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	return s.config.Key.Seal(text, "session", id, provider), nil
}

func (s *Store) session(r row) (Session, error) {
	found := Session{
		ID: r.ID, Stage: r.Stage, User: r.User, Subject: r.Subject, Client: r.Client, Device: r.Device, Provider: r.Provider, Expires: r.ExpiresAt, RenewalKey: r.RenewalKey, Lost: r.Lost,
	}
	if r.Sealed == nil {
		return found, nil
	}
	text, err := s.config.Key.Open(r.Sealed, "session", r.ID, r.Provider)
	if err == nil {
		err = json.Unmarshal(text, &found.Tokens)
	}
	if err != nil {
		return Session{}, fmt.Errorf("open the tokens of a session: %w", err)
	}
	return found, nil
}

// BeginIn writes a session down in a transaction on the store's database, in which its
// authorization code is issued.
func (s *Store) BeginIn(tx *gorm.DB, at time.Time, begun Session) error {
	sealed, err := s.seal(begun.ID, begun.Provider, begun.Tokens)
	if err != nil {
		return fmt.Errorf("seal the tokens of a session: %w", err)
	}
	r := row{
		ID: begun.ID, Stage: begun.Stage, User: begun.User, Subject: begun.Subject, Client: begun.Client, Device: begun.Device, Provider: begun.Provider,
		Sealed: sealed, BegunAt: at.UTC(), ExpiresAt: begun.Expires.UTC(),
	}
	if err := tx.Create(&r).Error; err != nil {
		return fmt.Errorf("begin a session: %w", err)
	}
	return nil
}

// Claim is a session for whoever renews it, if the provider's access token has expired: nil: it has
// not. Until [Store.Renewed] or [Store.Release] nobody else gets it ([ErrBusy]). It has the
// RenewalKey of a request that was under way when its mediator died, or key, which is written down.
// The error is [ErrNone], too, where the session has ended.
//
//keyladder:code mediator-renew-claim
func (s *Store) Claim(ctx context.Context, at time.Time, id, key string) (claimed *Session, err error) {
	at = at.UTC()
	err = s.writers.Write(ctx, func(tx *gorm.DB) error {
		var r row
		err := tx.Take(&r, "id = ? AND ended_at IS NULL", id).Error
		switch {
		case errors.Is(err, gorm.ErrRecordNotFound):
			return ErrNone
		case err != nil:
			return err
		case at.Before(r.ExpiresAt) && r.RenewalKey == "":
			return nil
		case r.ClaimedAt != nil && at.Sub(*r.ClaimedAt).Abs() < s.config.Hold:
			return ErrBusy
		}
		if r.RenewalKey == "" {
			r.RenewalKey = key
		}
		r.Lost = r.Lost || r.ClaimedAt != nil // whoever had claimed it has died
		r.ClaimedAt = &at
		if err := tx.Model(&row{}).Where("id = ?", id).Updates(map[string]any{"claimed_at": at, "renewal_key": r.RenewalKey, "lost": r.Lost}).Error; err != nil {
			return err
		}
		found, err := s.session(r)
		claimed = &found
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim a session: %w", err)
	}
	return claimed, nil
}

// Outcome is what became of a request that renews a session and did not.
type Outcome int

// The outcomes.
const (
	NotTaken   Outcome = iota // the provider has refused it, or it was not sent: the next request is another one
	Answered                  // the provider can't answer now: the next request is the same again
	Unanswered                // there is no answer, though there may have been one: the same, and see [Session.Lost]
)

// Release lets others renew a session that was claimed.
func (s *Store) Release(ctx context.Context, id string, o Outcome) error {
	changes := map[string]any{"claimed_at": nil}
	switch o {
	case NotTaken:
		changes["renewal_key"] = ""
	case Unanswered:
		changes["lost"] = true
	}
	return s.update(ctx, id, changes)
}

// Abandoned are the IDs of sessions whose mediator has died while it renewed them, at most so many.
func (s *Store) Abandoned(ctx context.Context, at time.Time, most int) (ids []string, err error) {
	err = s.db.WithContext(ctx).Model(&row{}).Where("claimed_at <= ? AND ended_at IS NULL", at.UTC().Add(-s.config.Hold)).Order("claimed_at").Limit(most).Pluck("id", &ids).Error
	if err != nil {
		return nil, fmt.Errorf("look for sessions whose mediator has died: %w", err)
	}
	return ids, nil
}

// Alone has a session go on without its provider, until a time.
func (s *Store) Alone(ctx context.Context, of Session, until time.Time) error {
	sealed, err := s.seal(of.ID, of.Provider, Tokens{Access: of.Tokens.Access})
	if err != nil {
		return fmt.Errorf("seal the tokens of a session: %w", err)
	}
	return s.update(ctx, of.ID, map[string]any{"sealed": sealed, "expires_at": until.UTC(), "renewal_key": "", "claimed_at": nil, "lost": false})
}

// Renewed replaces what a session has: before anybody is answered. A provider that sends no refresh
// token has left the old one good (RFC 6749, section 6).
func (s *Store) Renewed(ctx context.Context, at time.Time, was Session, now Tokens, expires time.Time) error {
	if now.Refresh == "" {
		now.Refresh = was.Tokens.Refresh
	}
	sealed, err := s.seal(was.ID, was.Provider, now)
	if err != nil {
		return fmt.Errorf("seal the tokens of a session: %w", err)
	}
	return s.update(ctx, was.ID, map[string]any{
		"sealed": sealed, "expires_at": expires.UTC(), "renewed_at": at.UTC(), "renewals": gorm.Expr("renewals + 1"), "renewal_key": "", "claimed_at": nil, "lost": false,
	})
}

func (s *Store) update(ctx context.Context, id string, changes map[string]any) error {
	err := s.writers.Write(ctx, func(tx *gorm.DB) error { return tx.Model(&row{}).Where("id = ?", id).Updates(changes).Error })
	if err != nil {
		return fmt.Errorf("change a session: %w", err)
	}
	return nil
}

// End ends the sessions with these IDs, as far as they have not, and returns those that ended now.
// The provider's tokens have to be given back afterwards: see [Store.Ended]. With
// the reason [ProviderEnded] there is nothing left to give back.
func (s *Store) End(ctx context.Context, at time.Time, reason string, ids ...string) (ended []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	err = s.writers.Write(ctx, func(tx *gorm.DB) error {
		if err := tx.Model(&row{}).Where("id IN ? AND ended_at IS NULL", ids).Pluck("id", &ended).Error; err != nil || len(ended) == 0 {
			return err
		}
		changes := map[string]any{"ended_at": at.UTC(), "reason": reason}
		if reason == ProviderEnded {
			changes["sealed"] = nil
		}
		return tx.Model(&row{}).Where("id IN ?", ended).Updates(changes).Error
	})
	if err != nil {
		return nil, fmt.Errorf("end sessions: %w", err)
	}
	return ended, nil
}

// Why sessions end.
const (
	GivenBack     = "given back by the app"
	CopyCame      = "a used token came again"
	AdminEnded    = "ended by an admin"
	ProviderEnded = "ended by the provider"
)

// Ended are sessions that have ended and whose tokens the provider does not know to be over, the
// oldest first, at most so many.
func (s *Store) Ended(ctx context.Context, most int) ([]Session, error) {
	var rows []row
	if err := s.db.WithContext(ctx).Where("ended_at IS NOT NULL AND sealed IS NOT NULL").Order("ended_at").Limit(most).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("look for sessions that have ended: %w", err)
	}
	var all []Session
	for _, r := range rows {
		found, err := s.session(r)
		if err != nil {
			return nil, err
		}
		all = append(all, found)
	}
	return all, nil
}

// Returned forgets the tokens of a session, which the provider has taken back.
func (s *Store) Returned(ctx context.Context, id string) error {
	return s.update(ctx, id, map[string]any{"sealed": nil})
}

// Forget removes sessions that began before a time, and those that ended before another.
func (s *Store) Forget(ctx context.Context, begun, ended time.Time) error {
	err := s.writers.Write(ctx, func(tx *gorm.DB) error {
		return tx.Where("begun_at < ? OR ended_at < ?", begun.UTC(), ended.UTC()).Delete(&row{}).Error
	})
	if err != nil {
		return fmt.Errorf("forget sessions: %w", err)
	}
	return nil
}

// Reset removes all sessions.
func (s *Store) Reset(ctx context.Context) error {
	err := s.writers.Write(ctx, func(tx *gorm.DB) error {
		return tx.Session(&gorm.Session{AllowGlobalUpdate: true}).Delete(&row{}).Error
	})
	if err != nil {
		return fmt.Errorf("remove the sessions: %w", err)
	}
	return nil
}

// Query is a part of the sessions.
func (s *Store) Query(ctx context.Context, q manage.MediatorSessionQuery) (manage.MediatorSessionList, error) {
	query := s.fit(s.db.WithContext(ctx), q.MediatorSessionFilter)
	part := store.Part{Sort: q.Sort, From: q.From, Limit: q.Limit}
	if part.Sort == "" {
		part.Sort = "-begun"
	}
	if part.Limit == 0 {
		part.Limit = manage.MostListed
	}
	rows, total, err := store.List[row](query, sorts, part)
	if err != nil {
		return manage.MediatorSessionList{}, fmt.Errorf("list the sessions: %w", err)
	}
	list := manage.MediatorSessionList{Sessions: make([]manage.MediatorSession, len(rows)), Total: total}
	for i, r := range rows {
		list.Sessions[i] = r.manage()
	}
	return list, nil
}

var sorts = store.Sorts{
	"user": "user", "client": "client", "stage": "stage", "provider": "provider", "begun": "begun_at", "renewed": "renewed_at", "expires": "expires_at",
}

func (s *Store) fit(db *gorm.DB, f manage.MediatorSessionFilter) *gorm.DB {
	query := db.Model(&row{})
	for column, value := range map[string]string{"user": f.User, "client": f.Client, "stage": f.Stage, "provider": f.Provider, "device": f.Device} {
		if value != "" {
			query = query.Where(column+" = ?", value)
		}
	}
	switch f.State {
	case "good":
		query = query.Where("ended_at IS NULL")
	case "ended":
		query = query.Where("ended_at IS NOT NULL")
	}
	if f.Search != "" {
		like := store.Contains(f.Search)
		query = query.Where(`(user LIKE ? ESCAPE '\' OR subject LIKE ? ESCAPE '\' OR device LIKE ? ESCAPE '\' OR id = ?)`, like, like, like, f.Search)
	}
	return query
}

// Selected are the IDs of the sessions that a selection means and that have not ended.
func (s *Store) Selected(ctx context.Context, selection manage.MediatorSessionSelection) (ids []string, err error) {
	query := s.fit(s.db.WithContext(ctx), selection.MediatorSessionFilter)
	if len(selection.IDs) > 0 {
		query = s.db.WithContext(ctx).Model(&row{}).Where("id IN ?", selection.IDs)
	}
	if err := query.Where("ended_at IS NULL").Pluck("id", &ids).Error; err != nil {
		return nil, fmt.Errorf("select sessions: %w", err)
	}
	return ids, nil
}

func (r row) manage() manage.MediatorSession {
	return manage.MediatorSession{
		ID: r.ID, Stage: r.Stage, User: r.User, Subject: r.Subject, Client: r.Client, Device: r.Device, Provider: r.Provider,
		BegunAt: r.BegunAt, RenewedAt: r.RenewedAt, Renewals: r.Renewals, ProviderExpiresAt: r.ExpiresAt, EndedAt: r.EndedAt, Reason: r.Reason,
		KeepsTokens: r.Sealed != nil,
	}
}
