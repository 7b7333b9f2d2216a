package refresh

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Presented is what a client sends to get a new token.
type Presented struct {
	Stage  string
	Text   string // the refresh token
	Client string // that was authenticated, or at least named
	Device string // the installation, where families are bound to one
	// Thumbprint is that of the key that the client has proven to hold. Empty: it has proven none.
	Thumbprint string
	// Key is the idempotency key: a text that the client chose at random before it asked the
	// first time. Empty: there is none, and a lost answer can't be asked for again.
	Key string
}

// Limits of idempotency keys. 22 characters are 128 bits in base64url.
const leastKey, mostKey = 22, 255

// Rotated is a new refresh token.
type Rotated struct {
	Text   string // the token; it is kept nowhere
	Family Family
	Again  bool // it was given before, and the answer got lost
}

// Rotate takes a token and gives its successor, and has mint make the access token that goes
// with it, with tx, in the same transaction. An error of mint is returned as it is, and the
// token was not used then. Where mint is called for a lost answer, there are two access tokens
// of the family.
//
// Other errors are those above, or one of the database. With a [ReusedError] the caller has to
// end the access tokens of the family: they are in the database by then, all of them.
//
//keyladder:code refresh-rotate
func (s *Store) Rotate(ctx context.Context, at time.Time, p Presented, mint func(tx *gorm.DB, f Family) error) (Rotated, error) {
	if p.Key != "" && (len(p.Key) < leastKey || len(p.Key) > mostKey) {
		return Rotated{}, ErrKey
	}
	at = at.UTC()
	var rotated Rotated
	var refused error // which is written, too
	err := s.writers.Write(ctx, func(tx *gorm.DB) error {
		used, f, err := s.claim(tx, at, p)
		if err != nil {
			return err
		}
		if used == nil {
			if used, f, refused, err = s.repeat(tx, at, p); err != nil || refused != nil {
				return err
			}
			rotated = Rotated{Text: next(p.Text, used.Salt, p.Key), Family: f.family(), Again: true}
			return mint(tx, rotated.Family)
		}
		rotated = Rotated{Text: random(), Family: f.family()}
		if p.Key != "" {
			rotated.Text = next(p.Text, used.Salt, p.Key)
		}
		if err := add(tx, at, f.ID, f.Number, rotated.Text); err != nil {
			return err
		}
		return mint(tx, rotated.Family)
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return Rotated{}, err
	}
	return rotated, nil
}

// live is the condition of families that are good.
const live = "revoked_at IS NULL AND begun_at > ? AND begun_at <= ? AND used_at > ?"

func (s *Store) alive(at time.Time) []any {
	return []any{at.Add(-s.config.Absolute), at, at.Add(-s.config.Idle)}
}

// claim marks a token as used, if it is good for the one who presents it. One statement decides
// and marks: of many who come at once, one gets the row.
//
//keyladder:code refresh-claim
func (s *Store) claim(tx *gorm.DB, at time.Time, p Presented) (*tokenRow, *familyRow, error) {
	var keyHash []byte
	if p.Key != "" {
		keyHash = digest(p.Key)
	}
	var used []tokenRow
	err := tx.Raw(`UPDATE refresh_tokens SET used_at = ?, key_hash = ?
		WHERE hash = ? AND used_at IS NULL AND family IN
		(SELECT id FROM refresh_families WHERE stage = ? AND client = ? AND device = ? AND thumbprint = ? AND `+live+`) RETURNING family, number, salt`,
		append([]any{at, keyHash, digest(p.Text), p.Stage, p.Client, p.Device, p.Thumbprint}, s.alive(at)...)...).Scan(&used).Error
	if err != nil {
		return nil, nil, fmt.Errorf("claim a refresh token: %w", err)
	}
	if len(used) == 0 {
		return nil, nil, nil
	}
	var f familyRow
	err = tx.Raw("UPDATE refresh_families SET used_at = ?, number = ? WHERE id = ? RETURNING *",
		at, used[0].Number+1, used[0].Family).Scan(&f).Error
	if err != nil {
		return nil, nil, fmt.Errorf("claim a refresh token: %w", err)
	}
	return &used[0], &f, nil
}

// repeat decides on a token that could not be claimed: its lost answer may be given again
// (nothing refused), or it is refused. Reuse ends the family.
//
//keyladder:code refresh-reuse
func (s *Store) repeat(tx *gorm.DB, at time.Time, p Presented) (t *tokenRow, f *familyRow, refused, err error) {
	t, f, refused, err = s.find(tx, p.Stage, p.Text, p.Client)
	if err != nil || refused != nil {
		return nil, nil, refused, err
	}
	elsewhere := f.Device != p.Device || f.Thumbprint != p.Thumbprint
	switch age := at.Sub(f.BegunAt); {
	case f.RevokedAt != nil:
		return nil, nil, ErrRevoked, nil
	case age < 0 || age >= s.config.Absolute: // one from the future is as good: the clock was set back
		return nil, nil, ErrExpired, nil
	case at.Sub(f.UsedAt) >= s.config.Idle:
		return nil, nil, ErrIdle, nil
	case t.UsedAt == nil && f.Device != p.Device: // whoever has copied the newest can't even end the family with it
		return nil, nil, ErrDevice, nil
	case t.UsedAt == nil && elsewhere:
		return nil, nil, ErrProof, nil
	case t.UsedAt == nil:
		return nil, nil, nil, errors.New("claim a refresh token: it is good, and was not claimed")
	}
	since := at.Sub(*t.UsedAt).Abs()
	sameKey := !elsewhere && p.Key != "" && subtle.ConstantTimeCompare(digest(p.Key), t.KeyHash) == 1
	if sameKey && since < s.config.Repeat && f.Number == t.Number+1 { // its successor is the newest, and unused
		err = tx.Exec("UPDATE refresh_tokens SET repeated = repeated + 1 WHERE hash = ?", t.Hash).Error
		return t, f, nil, err
	}
	err = errors.Join(
		tx.Exec("UPDATE refresh_tokens SET reused_at = ? WHERE hash = ?", at, t.Hash).Error,
		tx.Exec("UPDATE refresh_families SET revoked_at = ?, reused = ? WHERE id = ?", at, true, f.ID).Error)
	return nil, nil, &ReusedError{f.family()}, err
}

// find is a token and its family, if they are of that stage and client.
func (s *Store) find(tx *gorm.DB, stage, text, client string) (*tokenRow, *familyRow, error, error) {
	var t tokenRow
	var f familyRow
	err := tx.Take(&t, "hash = ?", digest(text)).Error
	if err == nil {
		err = tx.Take(&f, "id = ?", t.Family).Error
	}
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return nil, nil, ErrUnknown, nil
	case err != nil:
		return nil, nil, nil, fmt.Errorf("find a refresh token: %w", err)
	case f.Stage != stage:
		return nil, nil, ErrUnknown, nil
	case f.Client != client:
		return nil, nil, ErrClient, nil
	}
	return &t, &f, nil, nil
}

// Peek is the family of a token that [Store.Rotate] would take now, which it leaves as it is; nil:
// it would not, or would give a lost answer again.
func (s *Store) Peek(ctx context.Context, at time.Time, p Presented) (*Family, error) {
	at = at.UTC()
	var found []familyRow
	err := s.db.WithContext(ctx).Where("stage = ? AND client = ? AND device = ? AND thumbprint = ? AND "+live, append([]any{p.Stage, p.Client, p.Device, p.Thumbprint}, s.alive(at)...)...).
		Where("id = (SELECT family FROM refresh_tokens WHERE hash = ? AND used_at IS NULL)", digest(p.Text)).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("look at a refresh token: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	family := found[0].family()
	return &family, nil
}
