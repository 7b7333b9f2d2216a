package tokens

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// Call is one that was served with a token.
type Call struct {
	At      time.Time
	Route   string // POST /v1/transfers
	Status  int
	Address netip.Addr // from where it came
	Did     string     // what came of it, in words; empty: nothing was changed
}

// callRow is a call in the database. It says when the token expires, as tokens of other issuers
// have no row here.
type callRow struct {
	ID        uint64    `gorm:"primaryKey"`
	Token     string    `gorm:"not null;index"` // jti
	ExpiresAt time.Time `gorm:"not null;index"` // of the token
	At        time.Time `gorm:"not null"`
	Route     string    `gorm:"not null"`
	Status    int       `gorm:"not null"`
	Address   string    `gorm:"not null"`
	Did       string    `gorm:"not null"`
}

func (callRow) TableName() string { return "access_token_calls" }

const (
	// callsKept is how many calls are kept of a token: so many of those that changed something,
	// and so many of the others, which therefore can't push out the first.
	callsKept = 100
	// maxNoted is how many calls are noted between two flushes. Those above it are counted, but
	// not listed.
	maxNoted = 20_000
)

// Journal is what was done with tokens, whoever issued them. Calls are noted in bounded memory,
// so that none waits for a disk, and written by [Journal.Flush]. They stay after a token was
// revoked: that undoes nothing. It is safe for concurrent use.
type Journal struct {
	db  *gorm.DB
	now func() time.Time

	mu     sync.Mutex
	calls  map[noteKey]*latest // since the last flush
	count  int
	forgot time.Time // when those of tokens that have expired were removed last
}

// NewJournal makes a journal on a database that has the tables of [Models]. Nil is the clock.
func NewJournal(db *gorm.DB, now func() time.Time) *Journal {
	if now == nil {
		now = time.Now
	}
	return &Journal{db: db, now: now, calls: map[noteKey]*latest{}}
}

// noteKey is a token, and whether its calls changed something.
type noteKey struct {
	token string
	did   bool
}

// latest are the latest calls of one kind.
type latest struct {
	expires time.Time
	calls   []Call
	next    int // where the next one goes, once there are callsKept
}

// Note notes a call. It costs a look into a map.
func (j *Journal) Note(t *Token, c Call) {
	j.mu.Lock()
	defer j.mu.Unlock()
	key := noteKey{t.ID, c.Did != ""}
	of := j.calls[key]
	switch {
	case of != nil && len(of.calls) == callsKept:
		of.calls[of.next] = c
		of.next = (of.next + 1) % callsKept
		return
	case j.count >= maxNoted:
		return
	case of == nil:
		of = &latest{expires: t.Expires}
		j.calls[key] = of
	}
	j.count++
	of.calls = append(of.calls, c)
}

// Flush writes the calls that were noted since the last time, and now and then removes those of
// tokens that expired an hour ago. A use that can't be written is lost: it is statistics.
func (j *Journal) Flush(ctx context.Context) error {
	at := j.now().UTC()
	j.mu.Lock()
	noted := j.calls
	j.calls, j.count = map[noteKey]*latest{}, 0
	forget := at.Sub(j.forgot).Abs() >= forgetEvery
	if forget {
		j.forgot = at
	}
	j.mu.Unlock()
	if len(noted) == 0 && !forget {
		return nil
	}
	err := j.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := writeCalls(tx, noted); err != nil || !forget {
			return err
		}
		return tx.Where("expires_at < ?", at.Add(-keptAfter)).Delete(&callRow{}).Error
	})
	if err != nil {
		return fmt.Errorf("write what was done with access tokens: %w", err)
	}
	return nil
}

// Reset forgets all calls.
func (j *Journal) Reset(ctx context.Context) error {
	j.mu.Lock()
	j.calls, j.count = map[noteKey]*latest{}, 0
	j.mu.Unlock()
	if err := j.db.WithContext(ctx).Session(&gorm.Session{AllowGlobalUpdate: true}).Delete(&callRow{}).Error; err != nil {
		return fmt.Errorf("reset what was done with access tokens: %w", err)
	}
	return nil
}

// writeCalls writes calls, and drops the oldest of their tokens where there are too many.
func writeCalls(tx *gorm.DB, noted map[noteKey]*latest) error {
	var rows []callRow
	var touched []string
	for key, of := range noted {
		touched = append(touched, key.token)
		for _, c := range slices.Concat(of.calls[of.next:], of.calls[:of.next]) {
			address := ""
			if c.Address.IsValid() {
				address = c.Address.String()
			}
			rows = append(rows, callRow{
				Token: key.token, ExpiresAt: of.expires.UTC(), At: c.At.UTC(), Route: c.Route, Status: c.Status, Address: address, Did: c.Did,
			})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := tx.CreateInBatches(&rows, inOneStatement).Error; err != nil {
		return err
	}
	for tokens := range slices.Chunk(touched, inOneStatement) {
		err := tx.Exec(`DELETE FROM access_token_calls WHERE id IN (SELECT id FROM (
			SELECT id, ROW_NUMBER() OVER (PARTITION BY token, did <> '' ORDER BY id DESC) AS place
			FROM access_token_calls WHERE token IN ?) WHERE place > ?)`, tokens, callsKept).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// inOneStatement is how many rows or tokens a statement is about.
const inOneStatement = 500

// Calls are what was done with a token, the latest first.
func (j *Journal) Calls(ctx context.Context, jti string) ([]manage.TokenCall, error) {
	_ = j.Flush(ctx) // where that fails, they are listed as they were a second ago
	var rows []callRow
	if err := j.db.WithContext(ctx).Where("token = ?", jti).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the calls with an access token: %w", err)
	}
	slices.SortStableFunc(rows, func(a, b callRow) int { return b.At.Compare(a.At) })
	calls := make([]manage.TokenCall, len(rows))
	for i, row := range rows {
		calls[i] = manage.TokenCall{At: row.At, Route: row.Route, Status: row.Status, Address: row.Address, Did: row.Did}
	}
	return calls, nil
}
