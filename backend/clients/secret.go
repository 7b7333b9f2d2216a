package clients

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/manage"
	"keyladder/stages/mechanism/sealed"
)

// Secret is what an app and the server share, next to the key that names it.
//
// It is kept in clear. Anyone who checks a MAC has to compute it, and for that the secret
// itself is needed: there is no hash of it that would do, as there is for passwords and
// session keys, which are only ever compared. So the database is worth as much as all
// secrets in it. A product would keep them in a hardware security module, or under a key
// that is in one; nothing of that kind would change what a client does.
type Secret struct {
	text       string
	keys       sealed.Keys
	replacedAt time.Time // zero: it is the current one
	keptUntil  time.Time // where it was replaced: from then on nothing accepts it
}

// Text is the secret as both ends use it; empty: there is none.
func (s Secret) Text() string { return s.text }

// Requests opens the bodies of requests.
func (s Secret) Requests() sealed.Key { return s.keys.Requests }

// Answers seals the bodies of answers.
func (s Secret) Answers() sealed.Key { return s.keys.Responses }

// String is for logs, and does not show the secret.
func (Secret) String() string { return "[secret]" }

// GoString does the same.
func (s Secret) GoString() string { return s.String() }

// LogValue does the same.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// secretOf derives what is derived once, so that no call has to.
func secretOf(text string) Secret {
	if text == "" { // a partner has none, and keys that open nothing
		return Secret{}
	}
	keys, err := sealed.DeriveKeys(text)
	if err != nil {
		panic(err) // keys come out of any text
	}
	return Secret{text: text, keys: keys}
}

// newSecret makes a secret of 260 random bits.
func newSecret() string { return rand.Text() + rand.Text() }

// Secret returns the secret of a key, for whoever packs it into an app, or [ErrNoKey].
func (r *Registry) Secret(key string) (manage.Secret, error) {
	found := r.state.Load().keys[key]
	if found == nil || found.Secret().text == "" {
		return manage.Secret{}, ErrNoKey
	}
	return manage.Secret{Key: key, Secret: found.Secret().text}, nil
}

// RotateSecret gives a key a new secret. The old one is accepted for as long as a stage's
// overlap says. Where that is nothing, the old one is worth nothing with the next call, to
// nobody: apps that carry it can't call any more until they are replaced.
//
//keyladder:code rotate-secret
func (r *Registry) RotateSecret(ctx context.Context, key string) (manage.Secret, error) {
	text, at := newSecret(), r.now().UTC()
	err := r.change(ctx, "rotate a secret", func(tx *gorm.DB) ([]change, error) {
		old, err := take[keyRow](tx, key, ErrNoKey)
		if err != nil {
			return nil, err
		}
		if old.Secret == "" {
			return nil, fmt.Errorf("%w with a secret", ErrNoKey)
		}
		replaced := replacedRow{Key: key, ReplacedAt: at, Secret: old.Secret}
		return []change{{Key: key}}, errors.Join(
			tx.Omit("Of").Create(&replaced).Error,
			forget(tx, at.Add(-r.config.Overlap)),
			tx.Model(&keyRow{}).Where("id = ?", key).Update("secret", text).Error)
	})
	if err != nil {
		return manage.Secret{}, err
	}
	return manage.Secret{Key: key, Secret: text}, nil
}

// forget deletes secrets that nothing accepts any more.
func forget(tx *gorm.DB, replacedUntil time.Time) error {
	return tx.Where("replaced_at <= ?", replacedUntil).Delete(&replacedRow{}).Error
}
