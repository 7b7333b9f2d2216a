package refresh

import (
	"context"
	"fmt"
	"time"
)

// State is what a refresh token that is good stands for.
type State struct {
	Family   Family
	IssuedAt time.Time // the token
	EndsAt   time.Time // the family, where nobody uses the token before
}

// Introspect is what a refresh token of a client stands for (RFC 7662, section 2.2). good is
// false where the client could not rotate it now: it is unknown or another's, it was used, or
// its family has ended. To ask is no use of it: nothing is written, and a used token ends no
// family here. An error is one of the database.
//
//keyladder:code refresh-introspect
func (s *Store) Introspect(ctx context.Context, at time.Time, stage, text, client string) (found State, good bool, err error) {
	at = at.UTC()
	var rows []struct {
		Of       familyRow `gorm:"embedded"`
		IssuedAt time.Time
	}
	err = s.db.WithContext(ctx).Raw(`SELECT f.*, t.issued_at FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family
		WHERE t.hash = ? AND t.used_at IS NULL AND f.id IN
		(SELECT id FROM refresh_families WHERE stage = ? AND client = ? AND `+live+`)`,
		append([]any{digest(text), stage, client}, s.alive(at)...)...).Scan(&rows).Error
	if err != nil {
		return State{}, false, fmt.Errorf("look at a refresh token: %w", err)
	}
	if len(rows) == 0 {
		return State{}, false, nil
	}
	return State{Family: rows[0].Of.family(), IssuedAt: rows[0].IssuedAt, EndsAt: s.ends(rows[0].Of)}, true, nil
}
