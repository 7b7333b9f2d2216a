package clients

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// change makes a change in the database, tells the feed in the same transaction, and puts it in
// force here. A change reads what it depends on in its transaction: what is in memory may be
// older than what another process wrote.
func (r *Registry) change(ctx context.Context, what string, write func(tx *gorm.DB) ([]change, error)) error {
	// A caller that goes away must not leave us guessing whether it was written.
	ctx = context.WithoutCancel(ctx)
	var changes []change
	err := r.db.WithContext(ctx).Transaction(func(tx *gorm.DB) (err error) {
		if changes, err = write(tx); err != nil {
			return err
		}
		for _, c := range changes {
			if _, err := r.changes.Append(tx, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return r.refresh(ctx, changes) // where it fails, the follower tries again
}

// take reads a row by its ID.
func take[T any](tx *gorm.DB, id string, missing error) (row T, err error) {
	err = tx.Where("id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = missing
	}
	return row, err
}

// Register adds an app; its first key equals its ID.
func (r *Registry) Register(ctx context.Context, app manage.App) (manage.App, error) {
	at := r.now().UTC()
	key := keyRow{ID: app.ID, App: app.ID, Secret: secretFor(app.Kind, app.Public), CreatedAt: at}
	err := r.change(ctx, "register an app", func(tx *gorm.DB) ([]change, error) {
		if err := limitsOf(tx, &app); err != nil {
			return nil, err
		}
		if err := check(app); err != nil {
			return nil, err
		}
		if err := pinsAreFree(tx, app); err != nil {
			return nil, err
		}
		row := rowOf(app, at)
		err := tx.Create(&row).Error
		if err == nil {
			err = tx.Omit("Of").Create(&key).Error
		}
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			err = ErrTaken
		}
		return []change{{App: app.ID, Key: key.ID}}, err
	})
	if err != nil {
		return manage.App{}, err
	}
	return r.app(app.ID), nil
}

// pinsAreFree refuses a certificate that would not say whose it is: one that is a partner's must
// not be anybody else's.
func pinsAreFree(tx *gorm.DB, app manage.App) error {
	var others []appRow
	if err := tx.Where("id <> ?", app.ID).Find(&others).Error; err != nil {
		return err
	}
	for _, other := range others {
		if app.Kind != manage.Partner && other.Kind != string(manage.Partner) {
			continue
		}
		for _, pin := range app.Certificates {
			if slices.Contains(other.Certificates, pin) {
				return ErrPin
			}
		}
	}
	return nil
}

// secretFor makes the secret of a new key. Partners need none, and public clients could not
// keep one.
func secretFor(kind manage.Kind, public bool) string {
	if kind == manage.Partner || public {
		return ""
	}
	return newSecret()
}

// Change changes an app. One that is given limits of its own leaves its tier.
func (r *Registry) Change(ctx context.Context, id string, to manage.AppChange) (manage.App, error) {
	err := r.change(ctx, "change an app", func(tx *gorm.DB) ([]change, error) {
		old, err := take[appRow](tx, id, ErrNoApp)
		if err != nil {
			return nil, err
		}
		changed := old.app(nil, nil).manage()
		set(&changed.Name, to.Name)
		set(&changed.UserAgent, to.UserAgent)
		set(&changed.Scopes, to.Scopes)
		set(&changed.RedirectURIs, to.RedirectURIs)
		if err := limitsOf(tx, &changed); err != nil { // which it keeps if it leaves the tier
			return nil, err
		}
		if to.PerSecond != nil || to.Burst != nil {
			changed.Tier = ""
		}
		set(&changed.PerSecond, to.PerSecond)
		set(&changed.Burst, to.Burst)
		set(&changed.Tier, to.Tier)
		if err := limitsOf(tx, &changed); err != nil {
			return nil, err
		}
		if err := check(changed); err != nil {
			return nil, err
		}
		row := rowOf(changed, old.CreatedAt)
		return []change{{App: id}}, tx.Save(&row).Error
	})
	if err != nil {
		return manage.App{}, err
	}
	return r.app(id), nil
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// Issue gives an app a further key.
func (r *Registry) Issue(ctx context.Context, app string) (manage.Key, error) {
	return r.issue(ctx, app, false)
}

// Rotate gives an app a new key and revokes all that it had.
func (r *Registry) Rotate(ctx context.Context, app string) (manage.Key, error) {
	return r.issue(ctx, app, true)
}

func (r *Registry) issue(ctx context.Context, app string, revokeOthers bool) (manage.Key, error) {
	at := r.now().UTC()
	// Unlike an ID it can't be guessed. The dot is in no ID, so it can't be taken either.
	id := app + "." + strings.ToLower(rand.Text())
	err := r.change(ctx, "issue a key", func(tx *gorm.DB) ([]change, error) {
		owner, err := take[appRow](tx, app, ErrNoApp)
		if err != nil {
			return nil, err
		}
		changes := []change{{Key: id}}
		if revokeOthers {
			var others []keyRow
			if err := tx.Where("app = ? AND revoked_at IS NULL", app).Find(&others).Error; err != nil {
				return nil, err
			}
			for _, other := range others {
				changes = append(changes, change{Key: other.ID})
				if err := revoke(tx, other.ID, &at); err != nil {
					return nil, err
				}
			}
		}
		row := keyRow{ID: id, App: app, Secret: secretFor(manage.Kind(owner.Kind), owner.Public), CreatedAt: at}
		return changes, tx.Omit("Of").Create(&row).Error
	})
	if err != nil {
		return manage.Key{}, err
	}
	return r.key(id), nil
}

func revoke(tx *gorm.DB, id string, at *time.Time) error {
	return tx.Model(&keyRow{}).Where("id = ?", id).Update("revoked_at", at).Error
}

// Revoke refuses a key from now on.
func (r *Registry) Revoke(ctx context.Context, key string) (manage.Key, error) {
	at := r.now().UTC()
	return r.mark(ctx, key, &at)
}

// Restore accepts a key again.
func (r *Registry) Restore(ctx context.Context, key string) (manage.Key, error) {
	return r.mark(ctx, key, nil)
}

func (r *Registry) mark(ctx context.Context, id string, revokedAt *time.Time) (manage.Key, error) {
	err := r.change(ctx, "revoke or restore a key", func(tx *gorm.DB) ([]change, error) {
		key, err := take[keyRow](tx, id, ErrNoKey)
		if err != nil {
			return nil, err
		}
		if (key.RevokedAt == nil) == (revokedAt == nil) {
			return []change{{Key: id}}, nil // it is so already, and since then; now it is so here, too
		}
		return []change{{Key: id}}, revoke(tx, id, revokedAt)
	})
	if err != nil {
		return manage.Key{}, err
	}
	return r.key(id), nil
}

// Reset brings the registry back to its seed.
func (r *Registry) Reset(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	err := r.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		all := tx.Session(&gorm.Session{AllowGlobalUpdate: true})
		for _, row := range []any{&replacedRow{}, &keyRow{}, &appRow{}, &tierRow{}} {
			if err := all.Delete(row).Error; err != nil {
				return err
			}
		}
		return r.seed(tx)
	})
	if err != nil {
		return fmt.Errorf("reset the registry: %w", err)
	}
	_, err = r.load(ctx)
	return err
}

// seed fills an empty database, and has readers start over.
func (r *Registry) seed(tx *gorm.DB) error {
	at := r.now().UTC()
	if err := tx.Create(&seedTiers).Error; err != nil {
		return err
	}
	for _, app := range r.config.Seed {
		if err := limitsOf(tx, &app); err != nil {
			return err
		}
		row, key := rowOf(app, at), keyRow{ID: app.ID, App: app.ID, Secret: r.config.Secrets[app.ID], CreatedAt: at}
		keys := []keyRow{key}
		if id := app.ServersKey; id != "" {
			keys = append(keys, keyRow{ID: id, App: app.ID, Secret: r.config.Secrets[id], Servers: true, CreatedAt: at})
		}
		if err := errors.Join(tx.Create(&row).Error, tx.Omit("Of").Create(&keys).Error); err != nil {
			return err
		}
	}
	return r.changes.Clear(tx)
}
