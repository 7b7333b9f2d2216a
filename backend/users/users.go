package users

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// Seed is a user as the deployment's file has it.
type Seed struct {
	Name         string `json:"name"`
	PasswordHash string `json:"password_hash"` // Argon2id, in PHC string format
	Staff        bool   `json:"staff"`
}

// User is somebody who can sign in.
type User struct {
	Name  string
	Staff bool // works for the bank

	hash   string
	scopes []string // of a user of another server
}

// Elsewhere is a user whom another server knows, and who may do what that server says.
func Elsewhere(name string, scopes []string) *User {
	return &User{Name: name, Staff: slices.Contains(scopes, staffScope), scopes: scopes}
}

// staffScope is the one that only staff have.
const staffScope = "accounts:freeze"

// The rights of users, whatever the app may. Staff have no business with customers' money.
var (
	customerScopes = []string{"rates:read", "accounts:read", "transfers:write"}
	staffScopes    = []string{"rates:read", "accounts:read", "accounts:freeze"}
)

// May says whether the user has a scope.
func (u *User) May(scope string) bool {
	if u.scopes != nil {
		return slices.Contains(u.scopes, scope)
	}
	if u.Staff {
		return slices.Contains(staffScopes, scope)
	}
	return slices.Contains(customerScopes, scope)
}

// Errors of [Directory.SignIn]; the other one is [*ThrottledError].
var (
	// ErrUnknown and ErrPassword must look the same to a client.
	ErrUnknown  = errors.New("there is no such user")
	ErrPassword = errors.New("the password is wrong")
	// ErrBusy means that too many passwords wait to be checked. Nothing was tried.
	ErrBusy = errors.New("too many sign-ins at once")
)

const (
	maxHashMemory = 64 << 10 // KiB; of one hash
	maxWaiting    = 64       // sign-ins that wait for a turn
)

// Directory is the users of one server. It is safe for concurrent use.
type Directory struct {
	db       *gorm.DB
	users    map[string]*User
	dummy    string // a hash that costs what all others cost, of a password that nobody has
	turns    chan struct{}
	waiting  atomic.Int64
	throttle *throttle
	writing  sync.Mutex // held while the database is written, and memory after it
	verify   func(password, hash string) (bool, error)
}

// New makes a directory, whose database has [Models]' tables. All hashes must have the
// same cost: else the time that a sign-in takes would tell who is who.
func New(ctx context.Context, db *gorm.DB, seed []Seed) (*Directory, error) {
	d := &Directory{
		db: db, users: map[string]*User{}, throttle: newThrottle(),
		// Each takes its memory for as long as it runs, and no more can run at a time anyway.
		turns:  make(chan struct{}, max(1, runtime.GOMAXPROCS(0))),
		verify: argon2id.ComparePasswordAndHash,
	}
	if len(seed) == 0 {
		return nil, errors.New("there are no users")
	}
	var cost argon2id.Params
	for i, user := range seed {
		params, _, _, err := argon2id.DecodeHash(user.PasswordHash)
		switch {
		case user.Name == "" || strings.ContainsAny(user.Name, ":/ ") || d.users[user.Name] != nil:
			return nil, fmt.Errorf("the user name %q can't be used, or is there twice", user.Name)
		case err != nil:
			return nil, fmt.Errorf("read the password hash of %q: %w", user.Name, err)
		case params.Memory > maxHashMemory:
			return nil, fmt.Errorf("the password hash of %q takes %d KiB, above %d", user.Name, params.Memory, maxHashMemory)
		case i > 0 && *params != cost:
			return nil, fmt.Errorf("the password hash of %q costs something else than that of %q", user.Name, seed[0].Name)
		}
		cost = *params
		d.users[user.Name] = &User{Name: user.Name, Staff: user.Staff, hash: user.PasswordHash}
	}
	d.dummy = dummy(seed[0].PasswordHash, cost.KeyLength)
	if err := d.load(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// dummy is a hash with the parameters of another one, and a key that no password is known to give.
// So nothing has to be computed for it.
func dummy(like string, keyLength uint32) string {
	key := make([]byte, keyLength)
	rand.Read(key) // never fails
	return like[:strings.LastIndexByte(like, '$')+1] + base64.RawStdEncoding.EncodeToString(key)
}

// Lookup finds a user; nil: there is none of that name.
func (d *Directory) Lookup(name string) *User { return d.users[name] }

// SignIn proves a user by a password.
//
//keyladder:code sign-in
func (d *Directory) SignIn(ctx context.Context, at time.Time, from Origin, name, password string) (*User, error) {
	// Counted as failed before the password is looked at: of many attempts that arrive
	// together, each finds those before it.
	attempt, err := d.throttle.begin(at, name, from)
	if err != nil {
		return nil, err
	}
	user, hash := d.users[name], d.dummy
	if user != nil {
		hash = user.hash
	}
	right, err := d.compare(ctx, password, hash)
	if err != nil {
		attempt.cancel() // nothing was learned from it
		return nil, err
	}
	switch {
	case user == nil:
		return nil, ErrUnknown // even if the password should be that of the dummy
	case !right:
		return nil, ErrPassword
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	if err := d.remember(ctx, at, name, from); err != nil {
		attempt.cancel()
		return nil, err
	}
	attempt.succeed()
	return user, nil
}

// compare waits for its turn, but not behind too many others.
func (d *Directory) compare(ctx context.Context, password, hash string) (bool, error) {
	select {
	case d.turns <- struct{}{}:
	default:
		if d.waiting.Add(1) > maxWaiting {
			d.waiting.Add(-1)
			return false, ErrBusy
		}
		defer d.waiting.Add(-1)
		select {
		case d.turns <- struct{}{}:
		case <-ctx.Done():
			return false, fmt.Errorf("wait to check a password: %w", ctx.Err())
		}
	}
	defer func() { <-d.turns }()
	right, err := d.verify(password, hash)
	if err != nil {
		return false, fmt.Errorf("check a password: %w", err)
	}
	return right, nil
}

// List is all users, by name. How many sessions each has is for others to fill in.
func (d *Directory) List(at time.Time) []manage.User {
	list := make([]manage.User, 0, len(d.users))
	for _, user := range d.users {
		out := manage.User{Name: user.Name, Staff: user.Staff}
		var until time.Time
		if out.FailedSignIns, until = d.throttle.state(at, user.Name); !until.IsZero() {
			until = until.UTC()
			out.ThrottledUntil = &until
		}
		list = append(list, out)
	}
	slices.SortFunc(list, func(a, b manage.User) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Knows says whether there is a user of that name.
func (d *Directory) Knows(name string) bool { return d.Lookup(name) != nil }

// Clear forgets the failed attempts on a user, wherever they were made. Familiar places
// stay so.
func (d *Directory) Clear(name string) { d.throttle.clear(name) }
