package clients

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/feed"
	"keyladder/internal/feed/durable"
	"keyladder/internal/manage"
)

// Errors of [Book.Lookup], which must look the same to a client.
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

// Config is what a registry needs.
type Config struct {
	Seed    []manage.App      // an empty database is seeded with them
	Secrets map[string]string // of the seed's keys
	// Overlap is for how long a secret that was replaced is kept, and so the longest time for
	// which a stage can accept one. 0: not at all.
	Overlap time.Duration
	// Places are what redirect URIs can begin with, in braces, in place of the address of a server of
	// this deployment, which they follow. By name: the URL, without a path.
	Places map[string]string
}

// Registry is the apps and keys of one server. It is safe for concurrent use.
type Registry struct {
	*Book
	db       *gorm.DB
	config   Config
	now      func() time.Time
	changes  *durable.Feed[change]
	follower feed.Follower[change]
	mu       sync.Mutex // one snapshot is made at a time, from what is in the database then
}

// Book is what a server knows about clients, in memory. A [Registry] keeps it in step with its
// own database, a [Mirror] with the feed of the server that owns the clients.
type Book struct {
	state  atomic.Pointer[state]
	places map[string]string // see [Config]
}

func newBook() *Book {
	b := &Book{}
	b.state.Store(&state{})
	return b
}

// Lookup finds a key and its app: [ErrUnknown] where there is none. With [ErrRevoked]
// the key comes along, so that its refusal can be noted. Partners do not prove themselves
// with keys, so theirs are unknown here; see [Book.Partner]. Nor do apps with those that
// servers share; see [Book.LookupServers].
func (b *Book) Lookup(key string) (*App, *Key, error) { return b.lookup(key, false) }

// LookupServers is Lookup for a key whose secret servers share. An app whose own key is revoked is
// refused with this one, too.
func (b *Book) LookupServers(key string) (*App, *Key, error) { return b.lookup(key, true) }

// ServersKey is the key of an app whose secret servers share; nil: it has none, or it is revoked.
func (b *Book) ServersKey(app string) *Key {
	for _, key := range b.state.Load().keys {
		if key.Servers && key.App == app && key.revokedAt == nil {
			return key
		}
	}
	return nil
}

// HasServersKey says whether an app has a key whose secret servers share, be it revoked or not.
func (b *Book) HasServersKey(app string) bool {
	for _, key := range b.state.Load().keys {
		if key.Servers && key.App == app {
			return true
		}
	}
	return false
}

// App is a registered app; nil: there is none under that ID.
func (b *Book) App(id string) *App { return b.state.Load().apps[id] }

func (b *Book) lookup(key string, servers bool) (*App, *Key, error) {
	s := b.state.Load()
	found, ok := s.keys[key]
	if !ok || found.Servers != servers || s.apps[found.App].Kind == manage.Partner {
		return nil, nil, ErrUnknown
	}
	if own := s.keys[found.App]; found.revokedAt != nil || servers && own != nil && own.revokedAt != nil {
		return nil, found, ErrRevoked
	}
	return s.apps[found.App], found, nil
}

// Partner finds the partner that a certificate is registered for, by the certificate's pin,
// and the key that stands for the registration: a partner is in as long as one of its keys
// is not revoked. Errors are as for [Book.Lookup].
func (b *Book) Partner(pin string) (*App, *Key, error) {
	s := b.state.Load()
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
func (b *Book) KnowsUserAgent(field string) bool {
	return slices.ContainsFunc(b.state.Load().products, func(product string) bool {
		return strings.HasPrefix(field, product)
	})
}

// Apps are all apps with their keys, oldest first.
func (b *Book) Apps() []manage.App {
	s := b.state.Load()
	apps := make([]manage.App, 0, len(s.apps))
	for _, app := range s.apps {
		apps = append(apps, s.manage(app))
	}
	slices.SortFunc(apps, func(a, b manage.App) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return apps
}

func (a *App) manage() manage.App {
	return manage.App{
		ID: a.ID, Kind: a.Kind, Name: a.name, UserAgent: a.userAgent, Scopes: a.Scopes, Certificates: a.Certificates,
		RedirectURIs: a.RedirectURIs, Public: a.Public,
		Tier: a.Tier, PerSecond: a.PerSecond, Burst: a.Burst, CreatedAt: a.createdAt, Keys: []manage.Key{},
	}
}

func (s *state) manage(app *App) manage.App {
	out := app.manage()
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

// app is an app as it is now; a zero one where it was there and is gone.
func (r *Registry) app(id string) manage.App {
	s := r.state.Load()
	if s.apps[id] == nil {
		return manage.App{}
	}
	return s.manage(s.apps[id])
}

func (r *Registry) key(id string) manage.Key {
	key := r.state.Load().keys[id]
	if key == nil {
		return manage.Key{}
	}
	return key.manage()
}
