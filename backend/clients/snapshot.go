package clients

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/time/rate"
	"gorm.io/gorm"

	"keyladder/internal/feed"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
)

// state is a snapshot. Maps and values are not changed once it is stored.
type state struct {
	apps     map[string]*App
	tiers    map[string]tierRow
	keys     map[string]*Key
	products []string        // of all apps' user agents
	partners map[string]*App // by the pins of their certificates
}

// change is what the feed tells: which app or key is another one now. The database says what it
// is; so secrets stand in one place alone, and a reader that is late reads what is true now.
type change struct {
	App string `json:"app,omitempty"`
	Key string `json:"key,omitempty"`
	// Tier is one of other limits; the apps in it are told of as well.
	Tier string `json:"tier,omitempty"`
}

// changesKept is how many changes another process can miss before it has to read everything.
var changesKept = feed.Limits{Entries: 1000, Bytes: 256 << 10}

// Open reads the registry from a database that has the tables of [Models] and of
// [durable.Models]. An empty one is seeded; each app's first key equals its ID, and has the secret
// of that name.
func Open(ctx context.Context, db *gorm.DB, config Config) (*Registry, error) {
	for _, app := range config.Seed {
		if app.Tier != "" {
			app.PerSecond, app.Burst = 1, 1 // the tier has them
		}
		if err := check(app); err != nil {
			return nil, fmt.Errorf("seed the registry with %q: %w", app.ID, err)
		}
	}
	r := &Registry{Book: newBook(), db: db, config: config, now: time.Now}
	r.places = config.Places
	var err error
	if r.changes, err = durable.Open[change](ctx, db, "clients", changesKept); err != nil {
		return nil, err
	}
	r.follower = feed.Follower[change]{Feed: r.changes, Wait: 20 * time.Second, Apply: r.apply, Load: r.load}
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var apps int64
		if err := tx.Model(&appRow{}).Count(&apps).Error; err != nil {
			return err
		}
		if apps == 0 {
			return r.seed(tx)
		}
		var tiers int64
		if err := tx.Model(&tierRow{}).Count(&tiers).Error; err != nil {
			return err
		}
		if tiers == 0 { // the registry is from a time before there were any
			if err := tx.Create(&seedTiers).Error; err != nil {
				return err
			}
		}
		return forget(tx, r.now().UTC().Add(-config.Overlap))
	})
	if err != nil {
		return nil, fmt.Errorf("open the registry: %w", err)
	}
	at, err := r.load(ctx)
	r.follower.From(at)
	return r, err
}

// Follow keeps the registry in step with what other processes change in its database, until
// ctx ends.
func (r *Registry) Follow(ctx context.Context) { r.follower.Run(ctx) }

// Health tells whether it is.
func (r *Registry) Health() feed.Health { return r.follower.Health() }

// load reads everything.
func (r *Registry) load(ctx context.Context) (at feed.Cursor, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err = r.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if at, err = r.changes.End(tx); err != nil {
			return err
		}
		return r.read(&state{apps: map[string]*App{}, keys: map[string]*Key{}}, tx, nil, nil)
	})
	if err != nil {
		return feed.Cursor{}, fmt.Errorf("read the registry: %w", err)
	}
	return at, nil
}

// apply reads what a page of the feed tells to have changed.
func (r *Registry) apply(ctx context.Context, page feed.Page[change]) error {
	return r.refresh(ctx, page.Entries)
}

// refresh reads what changed.
func (r *Registry) refresh(ctx context.Context, changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	var apps, keys []string
	for _, c := range changes {
		if c.App != "" {
			apps = append(apps, c.App)
		}
		if c.Key != "" {
			keys = append(keys, c.Key)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.state.Load()
	next := &state{apps: maps.Clone(old.apps), keys: maps.Clone(old.keys)}
	err := r.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return r.read(next, tx, apps, keys) })
	if err != nil {
		return fmt.Errorf("read what changed in the registry: %w", err)
	}
	return nil
}

// rows are apps and keys as the database has them.
type rows struct {
	Apps     []appRow      `json:"apps"`
	Keys     []keyRow      `json:"keys"`
	Replaced []replacedRow `json:"replaced"` // newest first
	Tiers    []tierRow     `json:"tiers"`
	Overlap  time.Duration `json:"overlap"` // for how long those that were replaced are kept; in nanoseconds
}

// read reads apps and keys into a state (nil: all) and puts it in force. r.mu is held.
func (r *Registry) read(next *state, tx *gorm.DB, appIDs, keyIDs []string) error {
	found, err := readRows(tx, appIDs, keyIDs)
	if err != nil {
		return err
	}
	found.Overlap = r.config.Overlap
	r.publish(next, found)
	return nil
}

// readRows reads those with the IDs; where there are neither: all.
func readRows(tx *gorm.DB, appIDs, keyIDs []string) (found rows, err error) {
	some := func(column string, ids []string) *gorm.DB {
		if appIDs == nil && keyIDs == nil {
			return tx
		}
		return tx.Where(column+" IN ?", ids)
	}
	if err := some("id", appIDs).Find(&found.Apps).Error; err != nil {
		return found, err
	}
	if err := some("id", keyIDs).Find(&found.Keys).Error; err != nil {
		return found, err
	}
	if err := some("key", keyIDs).Order("replaced_at DESC").Find(&found.Replaced).Error; err != nil {
		return found, err
	}
	return found, tx.Find(&found.Tiers).Error
}

// publish puts rows into a state, and that in force.
func (b *Book) publish(next *state, found rows) {
	old := b.state.Load()
	next.tiers = map[string]tierRow{}
	for _, tier := range found.Tiers {
		next.tiers[tier.Name] = tier
	}
	for _, row := range found.Apps {
		app := row.app(old.apps[row.ID], next.tiers)
		app.RedirectURIs = placed(row.RedirectURIs, b.places)
		next.apps[row.ID] = app
	}
	for _, row := range found.Keys {
		next.keys[row.ID] = row.key(old.keys[row.ID])
	}
	for _, row := range found.Replaced {
		key := next.keys[row.Key]
		secret := secretOf(row.Secret)
		secret.replacedAt, secret.keptUntil = row.ReplacedAt, row.ReplacedAt.Add(found.Overlap)
		key.secrets = append(key.secrets, secret)
	}
	next.index()
	b.state.Store(next)
}

// app is the app as it is now. Its rate limit goes on from the one before: another name is
// no reason for a full bucket.
func (row appRow) app(before *App, tiers map[string]tierRow) *App {
	app := &App{
		ID: row.ID, Kind: manage.Kind(row.Kind), Scopes: row.Scopes, Certificates: row.Certificates,
		RedirectURIs: row.RedirectURIs, Public: row.Public,
		Tier: row.Tier, PerSecond: row.PerSecond, Burst: row.Burst,
		name: row.Name, userAgent: row.UserAgent, createdAt: row.CreatedAt,
	}
	if tier, ok := tiers[row.Tier]; ok {
		app.PerSecond, app.Burst = tier.PerSecond, tier.Burst
	}
	if before != nil && before.createdAt.Equal(row.CreatedAt) && before.PerSecond == app.PerSecond && before.Burst == app.Burst {
		app.Limiter = before.Limiter
	} else {
		app.Limiter = rate.NewLimiter(rate.Limit(app.PerSecond), app.Burst)
	}
	return app
}

func (row keyRow) key(before *Key) *Key {
	key := &Key{ID: row.ID, App: row.App, Servers: row.Servers, createdAt: row.CreatedAt, revokedAt: row.RevokedAt, use: &use{}}
	if before != nil && before.createdAt.Equal(row.CreatedAt) {
		key.use = before.use
	}
	if before != nil && before.Secret().text == row.Secret {
		key.secrets = []Secret{before.Secret()} // what was derived from it stays, too
	} else {
		key.secrets = []Secret{secretOf(row.Secret)}
	}
	return key
}

// index makes what is looked up beside the IDs.
func (s *state) index() {
	s.products, s.partners = nil, map[string]*App{}
	for _, app := range s.apps {
		s.products = append(s.products, app.userAgent)
		if app.Kind == manage.Partner {
			for _, pin := range app.Certificates {
				s.partners[pin] = app
			}
		}
	}
	slices.Sort(s.products)
	s.products = slices.Compact(s.products)
}
