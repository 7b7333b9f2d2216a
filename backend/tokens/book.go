package tokens

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"keyladder/stages/mechanism/token"
)

// Book is what a server knows about access tokens, in memory: the keys that sign them, those
// that were revoked, and those that it verified before. A [Store] keeps it in step with its
// own database, a [Mirror] with the feed of the server that issues them.
type Book struct {
	config   Config
	issuers  map[string]Issuer
	verifier map[string]token.Verifier // but for the keys, which depend on the time
	verified *verified

	keys    atomic.Pointer[keyring]
	mu      sync.RWMutex
	revoked map[id]int64 // when the token expires, in seconds since 1970
	forgot  time.Time    // when what has expired was forgotten last
}

// keyring is all keys. It is not changed once it is stored.
type keyring struct {
	byID   map[string]*key
	newest map[string]*key // by stage
}

// revocation is a token that was revoked.
type revocation struct {
	Token   string `json:"token"`   // jti
	Expires int64  `json:"expires"` // in seconds since 1970; from then on it need not be remembered
}

func newBook(config Config) (*Book, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Remembered == 0 {
		config.Remembered = DefaultRemembered
	}
	b := &Book{
		config: config, issuers: map[string]Issuer{}, verifier: map[string]token.Verifier{},
		verified: newVerified(config.Remembered), revoked: map[id]int64{},
	}
	b.keys.Store(&keyring{})
	for _, issuer := range config.Issuers {
		if issuer.Lifetime <= 0 {
			return nil, fmt.Errorf("access tokens of %s need a lifetime", issuer.Stage)
		}
		b.issuers[issuer.Stage] = issuer
		b.verifier[issuer.Stage] = token.Verifier{Issuer: issuer.URL, Audience: issuer.Audience, Leeway: config.Leeway}
	}
	return b, nil
}

// publish puts keys in force.
func (b *Book) publish(rows []keyRow) {
	ring := &keyring{byID: map[string]*key{}, newest: map[string]*key{}}
	for _, row := range rows {
		k := &key{
			Key: token.Key{ID: row.ID, Secret: row.Secret}, stage: row.Stage,
			createdAt: row.CreatedAt, replacedAt: row.ReplacedAt, withdrawnAt: row.WithdrawnAt,
		}
		ring.byID[k.ID] = k
		if k.replacedAt == nil {
			ring.newest[k.stage] = k
		}
	}
	b.keys.Store(ring)
}

// revokeOnly puts revocations in force, and no others.
func (b *Book) revokeOnly(all []revocation) {
	revoked := make(map[id]int64, len(all))
	for _, one := range all {
		revoked[idOf(one.Token)] = one.Expires
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.revoked = revoked
}

// revoke puts those of the changes in force that are revocations.
func (b *Book) revoke(changes []change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range changes {
		if c.Token != "" {
			b.revoked[idOf(c.Token)] = c.Expires
		}
	}
}

// forgetExpired forgets, out of memory, tokens that have expired and their revocations, if it
// is time for that.
func (b *Book) forgetExpired(at time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at.Sub(b.forgot).Abs() < forgetEvery {
		return false
	}
	b.forgot = at
	b.verified.forget(at)
	for one, expires := range b.revoked {
		if expires <= at.Unix() {
			delete(b.revoked, one)
		}
	}
	return true
}
