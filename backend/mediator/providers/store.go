package providers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
)

// Errors of the store, beside [ErrInvalid].
var (
	ErrNone    = errors.New("there is no such provider")
	ErrTaken   = errors.New("there is a provider of that name already")
	ErrVersion = errors.New("the provider was changed meanwhile")
)

// Config is what a store needs.
type Config struct {
	Seed      []manage.Provider // of a database that has none; URLs as in [manage.Provider]
	Addresses deployment.Addresses
	Now       func() time.Time // nil: the clock
}

// Store is the providers of one database. It is safe for concurrent use.
type Store struct {
	config   Config
	db       *gorm.DB
	changes  *durable.Feed[change]
	follower feed.Follower[change]
	changing sync.Mutex // held while the database is written, and memory after it
	all      atomic.Pointer[map[string]manage.Provider]
}

// change is what the feed tells: which provider is another one now.
type change struct {
	Name string `json:"name"`
}

var changesKept = feed.Limits{Entries: 1000, Bytes: 1 << 16}

// Open opens the providers in a database that has the tables of [Models] and of [durable.Models].
// One that never had any gets the seed.
func Open(ctx context.Context, db *gorm.DB, config Config) (*Store, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	s := &Store{config: config, db: db}
	var err error
	if s.changes, err = durable.Open[change](ctx, db, "providers", changesKept); err != nil {
		return nil, err
	}
	s.follower = feed.Follower[change]{Feed: s.changes, Wait: 20 * time.Second, Apply: s.apply, Load: s.load}
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var count int64
		if err := tx.Model(&versionRow{}).Count(&count).Error; err != nil || count > 0 {
			return err
		}
		return s.seed(tx)
	})
	if err != nil {
		return nil, fmt.Errorf("open the providers: %w", err)
	}
	at, err := s.load(ctx)
	s.follower.From(at)
	return s, err
}

func (s *Store) seed(tx *gorm.DB) error {
	for _, p := range s.config.Seed {
		p.Version = 1
		if err := s.write(tx, p, false); err != nil {
			return err
		}
	}
	return nil
}

// write writes a version down, which becomes the newest.
func (s *Store) write(tx *gorm.DB, p manage.Provider, secretChanged bool) error {
	p.ChangedAt = s.config.Now().UTC()
	if err := check(p); err != nil {
		return err
	}
	r := rowOf(p)
	version := versionRow{Name: p.Name, Version: p.Version, Data: r.Data, SecretChanged: secretChanged, At: p.ChangedAt}
	if err := errors.Join(tx.Save(&r).Error, tx.Create(&version).Error); err != nil {
		return err
	}
	_, err := s.changes.Append(tx, change{p.Name})
	return err
}

// Follow keeps the providers in step with what other processes change in the database, until ctx
// ends.
func (s *Store) Follow(ctx context.Context) { s.follower.Run(ctx) }

// Health tells whether they are.
func (s *Store) Health() feed.Health { return s.follower.Health() }

func (s *Store) apply(ctx context.Context, page feed.Page[change]) error {
	if len(page.Entries) == 0 {
		return nil
	}
	_, err := s.load(ctx)
	return err
}

// load reads all: they are few.
func (s *Store) load(ctx context.Context) (feed.Cursor, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.read(ctx)
}

// read is load with s.changing held.
func (s *Store) read(ctx context.Context) (at feed.Cursor, err error) {
	var rows []row
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if at, err = s.changes.End(tx); err != nil {
			return err
		}
		return tx.Find(&rows).Error
	})
	if err != nil {
		return feed.Cursor{}, fmt.Errorf("read the providers: %w", err)
	}
	all := make(map[string]manage.Provider, len(rows))
	for _, r := range rows {
		all[r.Name] = r.provider()
	}
	s.all.Store(&all)
	return at, nil
}

// Add adds a provider: [ErrTaken], [ErrInvalid], or an error of the database.
func (s *Store) Add(ctx context.Context, p manage.Provider) error {
	return s.change(ctx, "add a provider", func(tx *gorm.DB) error {
		var count int64
		if err := tx.Model(&row{}).Where("name = ?", p.Name).Count(&count).Error; err != nil {
			return err
		}
		if count > 0 {
			return ErrTaken
		}
		p.Version = 1
		return s.write(tx, p, false)
	})
}

// Change changes a provider as a whole, and keeps the secrets that p does not have. The errors are
// [ErrNone], [ErrVersion] where p.Version is not that of what it changes, [ErrInvalid], or one of
// the database.
func (s *Store) Change(ctx context.Context, p manage.Provider) error {
	return s.change(ctx, "change a provider", func(tx *gorm.DB) error {
		old, err := take(tx, p.Name)
		if err != nil {
			return err
		}
		if p.Version != old.Version {
			return ErrVersion
		}
		p.Secret = cmp.Or(p.Secret, old.Secret)
		p.Apps = maps.Clone(p.Apps)
		for client, secret := range p.Apps {
			p.Apps[client] = cmp.Or(secret, old.Apps[client])
		}
		p.Version++
		return s.write(tx, p, p.Secret != old.Secret || !maps.Equal(rowOf(p).Apps, old.Apps))
	})
}

// Enable offers a provider to users, or does not. One that is so already stays as it is.
func (s *Store) Enable(ctx context.Context, name string, enabled bool) error {
	return s.change(ctx, "enable or disable a provider", func(tx *gorm.DB) error {
		old, err := take(tx, name)
		if err != nil || old.Data.Enabled == enabled {
			return err
		}
		p := old.provider()
		p.Enabled = enabled
		p.Version++
		return s.write(tx, p, false)
	})
}

func take(tx *gorm.DB, name string) (r row, err error) {
	err = tx.Take(&r, "name = ?", name).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = ErrNone
	}
	return r, err
}

// change changes the database and then what is in memory.
func (s *Store) change(ctx context.Context, what string, write func(tx *gorm.DB) error) error {
	ctx = context.WithoutCancel(ctx)
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.db.WithContext(ctx).Transaction(write); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	_, err := s.read(ctx)
	return err
}

// Reset brings the seed back.
func (s *Store) Reset(ctx context.Context) error {
	return s.change(ctx, "reset the providers", func(tx *gorm.DB) error {
		all := tx.Session(&gorm.Session{AllowGlobalUpdate: true})
		return errors.Join(all.Delete(&row{}).Error, all.Delete(&versionRow{}).Error, s.changes.Clear(tx), s.seed(tx))
	})
}

// Versions are what a provider was, the newest first. The error is [ErrNone], or one of the database.
func (s *Store) Versions(ctx context.Context, name string) ([]manage.ProviderVersion, error) {
	var rows []versionRow
	if err := s.db.WithContext(ctx).Where("name = ?", name).Order("version DESC").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read the versions of a provider: %w", err)
	}
	if len(rows) == 0 {
		return nil, ErrNone
	}
	versions := make([]manage.ProviderVersion, len(rows))
	for i, r := range rows {
		versions[i] = manage.ProviderVersion{Provider: s.shown(r.Data), SecretChanged: r.SecretChanged}
	}
	return versions, nil
}

// Named is a provider with its secrets, its URLs as they are at a stage; enabled or not. False:
// there is none, or a service of this deployment that it names is not there.
func (s *Store) Named(name, stage string) (manage.Provider, bool) {
	p, ok := (*s.all.Load())[name]
	if !ok {
		return manage.Provider{}, false
	}
	for _, text := range []*string{&p.Issuer, &p.AuthorizationURL, &p.TokenURL, &p.RevocationURL, &p.UserinfoURL, &p.IntrospectionURL} {
		if service, rest, is := cutService(*text); is {
			base := s.config.Addresses.URL(service)
			if base == "" {
				return manage.Provider{}, false
			}
			*text = base + rest
		}
		*text = strings.ReplaceAll(*text, stagePlace, stage)
	}
	p.RedirectURI = s.RedirectURI(name, stage)
	return p, true
}

// Enabled are the providers that users can choose at a stage, by title, as [Store.Named] has them.
func (s *Store) Enabled(stage string) []manage.Provider {
	var enabled []manage.Provider
	for name, p := range *s.all.Load() {
		if found, ok := s.Named(name, stage); ok && p.Enabled {
			enabled = append(enabled, found)
		}
	}
	slices.SortFunc(enabled, func(a, b manage.Provider) int {
		return cmp.Or(strings.Compare(a.Title, b.Title), strings.Compare(a.Name, b.Name))
	})
	return enabled
}

// names are those of all providers, in order.
func (s *Store) names() []string { return slices.Sorted(maps.Keys(*s.all.Load())) }

// RedirectURI is where a provider sends users back to. Each has one of its own, so that an answer
// can't be taken for that of another.
func (s *Store) RedirectURI(name, stage string) string {
	return s.config.Addresses.Stage(deployment.MediatorService, stage) + "/callback/" + name
}
