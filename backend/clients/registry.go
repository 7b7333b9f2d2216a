package clients

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// Errors of [Registry.Lookup], which must look the same to a client.
var (
	ErrUnknown = errors.New("the key is not registered")
	ErrRevoked = errors.New("the key was revoked")
)

// Errors of changes.
var (
	ErrNoApp = errors.New("there is no app under that ID")
	ErrNoKey = errors.New("there is no such key")
	ErrTaken = errors.New("that ID is taken")
	ErrPin   = errors.New("that certificate is registered for somebody else")
)

// Registry is the apps and keys of one server. It is safe for concurrent use.
type Registry struct {
	db      *gorm.DB
	seed    []manage.App
	secrets map[string]string // of the seed's keys
	now     func() time.Time
	mu      sync.Mutex // one change at a time
	state   atomic.Pointer[state]
}

// state is a snapshot. Maps and values are not changed once it is stored.
type state struct {
	apps     map[string]*App
	keys     map[string]*Key
	products []string        // of all apps' user agents
	partners map[string]*App // by the pins of their certificates
}

func (s *state) clone() *state {
	return &state{apps: maps.Clone(s.apps), keys: maps.Clone(s.keys)}
}

// Open reads the registry from a database that has [Models]' tables. An empty one is
// seeded; each app's first key equals its ID, and has the secret of that name.
func Open(ctx context.Context, db *gorm.DB, seed []manage.App, secrets map[string]string) (*Registry, error) {
	for _, app := range seed {
		if err := check(app); err != nil {
			return nil, fmt.Errorf("seed the registry with %q: %w", app.ID, err)
		}
	}
	r := &Registry{db: db, seed: seed, secrets: secrets, now: time.Now}
	var apps []appRow
	var keys []keyRow
	if err := errors.Join(db.WithContext(ctx).Find(&apps).Error, db.WithContext(ctx).Find(&keys).Error); err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	if len(apps) == 0 {
		return r, r.Reset(ctx)
	}
	r.publish(snapshot(apps, keys))
	return r, nil
}

func snapshot(apps []appRow, keys []keyRow) *state {
	next := &state{apps: map[string]*App{}, keys: map[string]*Key{}}
	for _, row := range apps {
		next.apps[row.ID] = row.app()
	}
	for _, row := range keys {
		next.keys[row.ID] = row.key()
	}
	return next
}

func (row appRow) app() *App {
	return &App{
		ID: row.ID, Kind: manage.Kind(row.Kind), Scopes: row.Scopes, Certificates: row.Certificates, PerSecond: row.PerSecond, Burst: row.Burst,
		Limiter: rate.NewLimiter(rate.Limit(row.PerSecond), row.Burst),
		name:    row.Name, userAgent: row.UserAgent, createdAt: row.CreatedAt,
	}
}

func (row keyRow) key() *Key {
	return &Key{ID: row.ID, App: row.App, secret: secretOf(row.Secret), createdAt: row.CreatedAt, revokedAt: row.RevokedAt, use: &use{}}
}

func (r *Registry) publish(next *state) {
	next.products, next.partners = nil, map[string]*App{}
	for _, app := range next.apps {
		next.products = append(next.products, app.userAgent)
		if app.Kind == manage.Partner {
			for _, pin := range app.Certificates {
				next.partners[pin] = app
			}
		}
	}
	slices.Sort(next.products)
	next.products = slices.Compact(next.products)
	r.state.Store(next)
}

// change writes to the database, and, when that is committed, replaces the snapshot.
// Apply can't fail: whatever is in the database is in force.
func (r *Registry) change(ctx context.Context, what string, write func(tx *gorm.DB) error, apply func(next *state)) error {
	// A caller that goes away must not leave us guessing whether it was written.
	ctx = context.WithoutCancel(ctx)
	if err := r.db.WithContext(ctx).Transaction(write); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	next := r.state.Load().clone()
	apply(next)
	r.publish(next)
	return nil
}

// Lookup finds a key and its app: [ErrUnknown] where there is none. With [ErrRevoked]
// the key comes along, so that its refusal can be noted. Partners do not prove themselves
// with keys, so theirs are unknown here; see [Registry.Partner].
func (r *Registry) Lookup(key string) (*App, *Key, error) {
	s := r.state.Load()
	found, ok := s.keys[key]
	if !ok || s.apps[found.App].Kind == manage.Partner {
		return nil, nil, ErrUnknown
	}
	if found.revokedAt != nil {
		return nil, found, ErrRevoked
	}
	return s.apps[found.App], found, nil
}

// Partner finds the partner that a certificate is registered for, by the certificate's pin,
// and the key that stands for the registration: a partner is in as long as one of its keys
// is not revoked. Errors are as for [Registry.Lookup].
func (r *Registry) Partner(pin string) (*App, *Key, error) {
	s := r.state.Load()
	partner := s.partners[pin]
	if partner == nil {
		return nil, nil, ErrUnknown
	}
	var revoked *Key
	for _, key := range s.keys {
		switch {
		case key.App != partner.ID:
		case key.revokedAt == nil:
			return partner, key, nil
		default:
			revoked = key
		}
	}
	return nil, revoked, ErrRevoked
}

// KnowsUserAgent says whether a User-Agent field begins with the product of any app.
func (r *Registry) KnowsUserAgent(field string) bool {
	return slices.ContainsFunc(r.state.Load().products, func(product string) bool {
		return strings.HasPrefix(field, product)
	})
}

// Apps are all apps with their keys, oldest first.
func (r *Registry) Apps() []manage.App {
	s := r.state.Load()
	apps := make([]manage.App, 0, len(s.apps))
	for _, app := range s.apps {
		apps = append(apps, s.manage(app))
	}
	slices.SortFunc(apps, func(a, b manage.App) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return apps
}

func (s *state) manage(app *App) manage.App {
	out := manage.App{
		ID: app.ID, Kind: app.Kind, Name: app.name, UserAgent: app.userAgent, Scopes: app.Scopes, Certificates: app.Certificates,
		PerSecond: app.PerSecond, Burst: app.Burst, CreatedAt: app.createdAt, Keys: []manage.Key{},
	}
	for _, key := range s.keys {
		if key.App == app.ID {
			out.Keys = append(out.Keys, key.manage())
		}
	}
	slices.SortFunc(out.Keys, func(a, b manage.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Register adds an app; its first key equals its ID.
func (r *Registry) Register(ctx context.Context, app manage.App) (manage.App, error) {
	if err := check(app); err != nil {
		return manage.App{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state.Load()
	if s.apps[app.ID] != nil || s.keys[app.ID] != nil {
		return manage.App{}, ErrTaken
	}
	for _, pin := range app.Certificates {
		// One that is a partner's must not be anybody else's, or it would not say whose it is.
		if s.partners[pin] != nil || app.Kind == manage.Partner && s.hasPin(pin) {
			return manage.App{}, ErrPin
		}
	}
	at := r.now().UTC()
	row, key := rowOf(app, at), keyRow{ID: app.ID, App: app.ID, Secret: secretFor(app.Kind), CreatedAt: at}
	err := r.change(ctx, "register an app", func(tx *gorm.DB) error {
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return tx.Omit("Of").Create(&key).Error
	}, func(next *state) {
		next.apps[row.ID] = row.app()
		next.keys[key.ID] = key.key()
	})
	if err != nil {
		return manage.App{}, err
	}
	return r.app(app.ID), nil
}

func (s *state) hasPin(pin string) bool {
	for _, app := range s.apps {
		if slices.Contains(app.Certificates, pin) {
			return true
		}
	}
	return false
}

// secretFor makes the secret of a new key. Partners need none.
func secretFor(kind manage.Kind) string {
	if kind == manage.Partner {
		return ""
	}
	return newSecret()
}

func (r *Registry) app(id string) manage.App {
	s := r.state.Load()
	return s.manage(s.apps[id])
}

// Change changes an app.
func (r *Registry) Change(ctx context.Context, id string, change manage.AppChange) (manage.App, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state.Load()
	old := s.apps[id]
	if old == nil {
		return manage.App{}, ErrNoApp
	}
	changed := s.manage(old)
	set(&changed.Name, change.Name)
	set(&changed.UserAgent, change.UserAgent)
	set(&changed.Scopes, change.Scopes)
	set(&changed.PerSecond, change.PerSecond)
	set(&changed.Burst, change.Burst)
	if err := check(changed); err != nil {
		return manage.App{}, err
	}
	row := rowOf(changed, old.createdAt)
	err := r.change(ctx, "change an app", func(tx *gorm.DB) error {
		return tx.Save(&row).Error
	}, func(next *state) {
		app := row.app()
		if app.PerSecond == old.PerSecond && app.Burst == old.Burst {
			app.Limiter = old.Limiter // another name is no reason for a full bucket
		}
		next.apps[id] = app
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
	r.mu.Lock()
	defer r.mu.Unlock()
	owner := r.state.Load().apps[app]
	if owner == nil {
		return manage.Key{}, ErrNoApp
	}
	at := r.now().UTC()
	// Unlike an ID it can't be guessed. The dot is in no ID, so it can't be taken either.
	row := keyRow{ID: app + "." + strings.ToLower(rand.Text()), App: app, Secret: secretFor(owner.Kind), CreatedAt: at}
	err := r.change(ctx, "issue a key", func(tx *gorm.DB) error {
		if revokeOthers {
			others := tx.Model(&keyRow{}).Where("app = ? AND revoked_at IS NULL", app)
			if err := others.Update("revoked_at", at).Error; err != nil {
				return err
			}
		}
		return tx.Omit("Of").Create(&row).Error
	}, func(next *state) {
		for id, key := range next.keys {
			if revokeOthers && key.App == app && key.revokedAt == nil {
				next.keys[id] = key.revoked(&at)
			}
		}
		next.keys[row.ID] = row.key()
	})
	if err != nil {
		return manage.Key{}, err
	}
	return row.key().manage(), nil
}

func (k *Key) revoked(at *time.Time) *Key {
	changed := *k
	changed.revokedAt = at
	return &changed
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
	r.mu.Lock()
	defer r.mu.Unlock()
	key := r.state.Load().keys[id]
	if key == nil {
		return manage.Key{}, ErrNoKey
	}
	if (key.revokedAt == nil) == (revokedAt == nil) {
		return key.manage(), nil // it is so already, and since then
	}
	changed := key.revoked(revokedAt)
	err := r.change(ctx, "revoke or restore a key", func(tx *gorm.DB) error {
		return tx.Model(&keyRow{}).Where("id = ?", id).Update("revoked_at", revokedAt).Error
	}, func(next *state) {
		next.keys[id] = changed
	})
	if err != nil {
		return manage.Key{}, err
	}
	return changed.manage(), nil
}

// Reset brings the registry back to its seed.
func (r *Registry) Reset(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.now().UTC()
	apps, keys := make([]appRow, len(r.seed)), make([]keyRow, len(r.seed))
	for i, app := range r.seed {
		apps[i], keys[i] = rowOf(app, at), keyRow{ID: app.ID, App: app.ID, Secret: r.secrets[app.ID], CreatedAt: at}
	}
	err := r.db.WithContext(context.WithoutCancel(ctx)).Transaction(func(tx *gorm.DB) error {
		all := tx.Session(&gorm.Session{AllowGlobalUpdate: true})
		if err := all.Delete(&keyRow{}).Error; err != nil {
			return err
		}
		if err := all.Delete(&appRow{}).Error; err != nil {
			return err
		}
		if len(apps) == 0 {
			return nil
		}
		if err := tx.Create(&apps).Error; err != nil {
			return err
		}
		return tx.Omit("Of").Create(&keys).Error
	})
	if err != nil {
		return fmt.Errorf("seed the registry: %w", err)
	}
	r.publish(snapshot(apps, keys))
	return nil
}
