package tokens

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"keyladder/stages/mechanism/token"
)

// Token is an access token that was verified.
type Token struct {
	token.Claims
	Scopes []string

	id         id
	key, stage string
	used       *use
}

// use is how often a token was used, and when last.
type use struct{ calls, last atomic.Int64 } // last in nanoseconds since 1970

// Touch counts a call that was served with the token.
func (t *Token) Touch(at time.Time) {
	t.used.calls.Add(1)
	t.used.last.Store(at.UnixNano())
}

// May says whether the token is good for a scope. No token is good for the empty one.
func (t *Token) May(scope string) bool { return scope != "" && slices.Contains(t.Scopes, scope) }

// Verify tells what a token says, if it is a good one of a stage's issuer at that time. It does
// not look at revocations. Errors are those of [token.Verifier.Verify].
//
//keyladder:code token-verify
func (b *Book) Verify(stage, text string, at time.Time) (*Token, error) {
	hash := sha256.Sum256([]byte(text))
	found := b.verified.get(hash)
	if found == nil {
		claims, kid, err := b.Verifier(stage, at).VerifyKey(text, at)
		if err != nil {
			return nil, err
		}
		return b.verified.add(hash, &Token{Claims: claims, Scopes: strings.Fields(claims.Scope), id: idOf(claims.ID), key: kid, stage: stage, used: &use{}}), nil
	}
	switch _, good := b.keyFor(stage, found.key, at); {
	case found.stage != stage:
		return nil, fmt.Errorf("%w: it is one of the stage %s", token.ErrIssuer, found.stage)
	case !good:
		return nil, fmt.Errorf("%w: kid is %q", token.ErrKey, found.key)
	case !at.Before(found.Expires):
		return nil, token.ErrExpired
	case found.Issued.After(at.Add(b.config.Leeway)): // the clock was set back
		return nil, token.ErrNotYet
	}
	return found, nil
}

// Verifier is what decides on a stage's tokens at a time. Where the stage has no issuer it
// refuses all.
func (b *Book) Verifier(stage string, at time.Time) token.Verifier {
	v := b.verifier[stage]
	v.Keys = func(id string) (token.Secret, bool) { return b.keyFor(stage, id, at) }
	return v
}

// keyFor is a key of a stage's issuer, if it is good at that time.
func (b *Book) keyFor(stage, id string, at time.Time) (token.Secret, bool) {
	k := b.keys.Load().byID[id]
	if k == nil || k.stage != stage || !k.good(at, b.config.Overlap) {
		return nil, false
	}
	return k.Secret, true
}

// Revoked says whether a token was revoked.
func (b *Book) Revoked(t *Token) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, revoked := b.revoked[t.id]
	return revoked
}

// id is a jti in memory: the 128 bits of one of ours, a million of which take some 50 MB.
type id [16]byte

// idOf is the same for texts that are none of ours, which nobody has signed.
func idOf(jti string) id {
	var bits id
	if n, err := base64.RawURLEncoding.Decode(bits[:], []byte(jti)[:min(len(jti), 22)]); err != nil || n != len(bits) {
		hash := sha256.Sum256([]byte(jti))
		copy(bits[:], hash[:])
	}
	return bits
}

// verified are the tokens that were verified, by their hash.
type verified struct {
	mu     sync.Mutex
	tokens *lru.Cache[[sha256.Size]byte, *Token]
	gone   map[string]*use // what was not written yet of those that are remembered no longer
}

func newVerified(most int) *verified {
	v := &verified{gone: map[string]*use{}}
	v.tokens, _ = lru.NewWithEvict(most, func(_ [sha256.Size]byte, t *Token) { v.gone[t.ID] = t.used }) // an error is for a size below 1
	return v
}

func (v *verified) get(hash [sha256.Size]byte) *Token {
	found, _ := v.tokens.Get(hash)
	return found
}

// add remembers a token. Where two calls verified it at once, both get the one that was first.
func (v *verified) add(hash [sha256.Size]byte, t *Token) *Token {
	v.mu.Lock()
	defer v.mu.Unlock()
	if found, ok := v.tokens.Peek(hash); ok {
		return found
	}
	v.tokens.Add(hash, t)
	return t
}

// uses takes what was used since it was asked last.
func (v *verified) uses() map[string]*use {
	v.mu.Lock()
	defer v.mu.Unlock()
	used := v.gone
	v.gone = map[string]*use{}
	for _, t := range v.tokens.Values() {
		if t.used.calls.Load() > 0 {
			taken := &use{}
			taken.calls.Store(t.used.calls.Swap(0))
			taken.last.Store(t.used.last.Load())
			used[t.ID] = taken
		}
	}
	return used
}

// forget drops the tokens that have expired.
func (v *verified) forget(at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, hash := range v.tokens.Keys() {
		if t, ok := v.tokens.Peek(hash); ok && !at.Before(t.Expires) {
			v.tokens.Remove(hash)
		}
	}
}
