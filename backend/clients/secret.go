package clients

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"

	"gorm.io/gorm"

	"keyladder/internal/manage"
	"keyladder/stages/mechanism/sealed"
)

// Secret is what an app and the server share, next to the key that names it.
//
// It is kept in clear. Whoever checks a MAC has to compute it, and for that the secret
// itself is needed: there is no hash of it that would do, as there is for passwords and
// session keys, which are only ever compared. So the database is worth as much as all
// secrets in it. A product would keep them in a hardware security module, or under a key
// that is in one; nothing of that kind would change what a client does.
type Secret struct {
	text string
	keys sealed.Keys
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
	if found == nil || found.secret.text == "" {
		return manage.Secret{}, ErrNoKey
	}
	return manage.Secret{Key: key, Secret: found.secret.text}, nil
}

// RotateSecret gives a key a new secret. With the next call the old one is worth nothing,
// to nobody: apps that carry it can't call any more until they are replaced.
//
//keyladder:code rotate-secret
func (r *Registry) RotateSecret(ctx context.Context, key string) (manage.Secret, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state.Load()
	found := s.keys[key]
	if found == nil || s.apps[found.App].Kind == manage.Partner {
		return manage.Secret{}, fmt.Errorf("%w, or it is one without a secret", ErrNoKey)
	}
	text := newSecret()
	changed := *found
	changed.secret = secretOf(text)
	err := r.change(ctx, "rotate a secret", func(tx *gorm.DB) error {
		return tx.Model(&keyRow{}).Where("id = ?", key).Update("secret", text).Error
	}, func(next *state) {
		next.keys[key] = &changed
	})
	if err != nil {
		return manage.Secret{}, err
	}
	return manage.Secret{Key: key, Secret: text}, nil
}
