package devices

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// MaxIdentifier is the length of the longest identifier, in bytes.
const MaxIdentifier = 128

// Errors of [Registry.Register].
var (
	ErrIdentifier = errors.New("an identifier has 1 to 128 visible ASCII characters")
	ErrTaken      = errors.New("the identifier is registered already")
	ErrFull       = errors.New("no more devices of this app can be registered: all are used or banned")
)

// ValidIdentifier says whether a text can be an identifier: see [ErrIdentifier].
func ValidIdentifier(text string) bool {
	return text != "" && len(text) <= MaxIdentifier && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' })
}

const guidBytes = 16

// Errors of [Registry.Check], which must look the same to a client.
var (
	ErrUnknown = errors.New("the device is not registered")
	ErrApp     = errors.New("the device was registered by another app")
	ErrGUID    = errors.New("the GUID is not the one of that device")
	ErrBanned  = errors.New("the device is banned")
)

// ErrNoDevice means that there is no device with that ID.
var ErrNoDevice = errors.New("there is no such device")

// Device is a registered installation. It is never changed, but for the time when it was
// last seen; a banned device is another value.
type Device struct {
	ID                     string
	Stage, Identifier, App string

	digest       [sha256.Size]byte // of the GUID
	registeredAt time.Time
	bannedAt     *time.Time
	workshop     bool
	seen         *seen // shared by all values for this device
}

type seen struct {
	at      atomic.Int64 // nanoseconds since 1970; 0: never
	flushed int64        // what the database knows; guarded by Registry.writing
}

// Seen notes that a call of the device was served.
func (d *Device) Seen(at time.Time) { d.seen.at.Store(at.UnixNano()) }

// unused says whether nobody can miss the device: no call of it was ever served, and it
// does not keep a ban in force.
func (d *Device) unused() bool { return d.seen.at.Load() == 0 && d.bannedAt == nil }

// row is a device in the database.
type row struct {
	ID           string     `gorm:"primaryKey"`
	Stage        string     `gorm:"not null;uniqueIndex:device"`
	Identifier   string     `gorm:"not null;uniqueIndex:device"`
	App          string     `gorm:"not null"`
	Digest       []byte     `gorm:"not null"` // SHA-256 of the GUID
	RegisteredAt time.Time  `gorm:"not null;index"`
	LastSeen     *time.Time `gorm:"index"`
	BannedAt     *time.Time
	Workshop     bool `gorm:"not null;default:false"` // see Registry.MarkWorkshop
}

func (row) TableName() string { return "devices" }

// Models are the table of devices.
func Models() []any { return []any{&row{}} }

type name struct{ stage, identifier string }

type owner struct{ stage, app string }

func (d *Device) owner() owner { return owner{d.Stage, d.App} }

// Registry is the devices of one server. It is safe for concurrent use.
type Registry struct {
	db   *gorm.DB
	most int

	writing sync.Mutex // one change at a time; held while the database is written
	mu      sync.RWMutex
	byName  map[name]*Device
	byID    map[string]*Device
	byOwner map[owner]map[string]*Device // by ID
}

// Open reads the devices from a database that has [Models]' tables.
func Open(ctx context.Context, db *gorm.DB) (*Registry, error) {
	r := &Registry{db: db, most: MostOfApp}
	r.forget()
	var rows []row
	if err := db.WithContext(ctx).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read the devices: %w", err)
	}
	for _, found := range rows {
		if len(found.Digest) != sha256.Size {
			return nil, fmt.Errorf("read the devices: the digest of %s has %d bytes", found.ID, len(found.Digest))
		}
		r.put(found.device())
	}
	return r, nil
}

func (r row) device() *Device {
	d := &Device{
		ID: r.ID, Stage: r.Stage, Identifier: r.Identifier, App: r.App, digest: [sha256.Size]byte(r.Digest),
		registeredAt: r.RegisteredAt, bannedAt: r.BannedAt, workshop: r.Workshop, seen: &seen{},
	}
	if r.LastSeen != nil {
		d.seen.flushed = r.LastSeen.UnixNano()
		d.seen.at.Store(d.seen.flushed)
	}
	return d
}

// put needs mu, where others know the registry already.
func (r *Registry) put(d *Device) {
	r.byName[name{d.Stage, d.Identifier}] = d
	r.byID[d.ID] = d
	if r.byOwner[d.owner()] == nil {
		r.byOwner[d.owner()] = map[string]*Device{}
	}
	r.byOwner[d.owner()][d.ID] = d
}

// drop needs mu.
func (r *Registry) drop(gone []*Device) {
	for _, d := range gone {
		delete(r.byName, name{d.Stage, d.Identifier})
		delete(r.byID, d.ID)
		delete(r.byOwner[d.owner()], d.ID)
	}
}

// forget needs mu, where others know the registry already.
func (r *Registry) forget() {
	r.byName, r.byID, r.byOwner = map[name]*Device{}, map[string]*Device{}, map[owner]map[string]*Device{}
}

// Register registers an app's installation and returns its GUID, which is not kept. As
// long as it was never used, the app can register the same identifier anew: the answer may
// have got lost. That is another device then, and the GUID from before is void.
//
//keyladder:code device-register
func (r *Registry) Register(ctx context.Context, at time.Time, stage, app, identifier string) (guid string, err error) {
	if !ValidIdentifier(identifier) {
		return "", ErrIdentifier
	}
	var bits [guidBytes]byte
	rand.Read(bits[:]) // never fails
	guid = base64.RawURLEncoding.EncodeToString(bits[:])
	digest := sha256.Sum256([]byte(guid))
	added := row{ID: rand.Text(), Stage: stage, Identifier: identifier, App: app, Digest: digest[:], RegisteredAt: at.UTC()}
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.RLock()
	before, full := r.byName[name{stage, identifier}], len(r.byOwner[owner{stage, app}]) >= r.most
	r.mu.RUnlock()
	var gone []*Device
	switch {
	case before != nil && before.App == app && before.unused():
		gone = []*Device{before}
	case before != nil:
		return "", ErrTaken
	case full:
		if gone = r.room(owner{stage, app}); len(gone) == 0 {
			return "", ErrFull
		}
	}
	err = r.db.WithContext(context.WithoutCancel(ctx)).Transaction(func(tx *gorm.DB) error {
		if err := inBatches(tx, gone, func(rows *gorm.DB) error { return rows.Delete(&row{}).Error }); err != nil {
			return err
		}
		return tx.Create(&added).Error
	})
	if err != nil {
		return "", fmt.Errorf("register a device: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(gone)
	r.put(added.device())
	return guid, nil
}

// Check finds the device of a call. With an error that is about a registered device, the
// device comes along.
func (r *Registry) Check(stage, app, identifier, guid string) (*Device, error) {
	r.mu.RLock()
	found := r.byName[name{stage, identifier}]
	r.mu.RUnlock()
	digest := sha256.Sum256([]byte(guid))
	switch {
	case found == nil:
		return nil, ErrUnknown
	case subtle.ConstantTimeCompare(found.digest[:], digest[:]) != 1:
		return found, ErrGUID
	case found.App != app:
		return found, ErrApp
	case found.bannedAt != nil:
		return found, ErrBanned
	}
	return found, nil
}

func (d *Device) manage() manage.Device {
	out := manage.Device{
		ID: d.ID, Stage: d.Stage, Identifier: d.Identifier, App: d.App, RegisteredAt: d.registeredAt, BannedAt: d.bannedAt, Workshop: d.workshop,
	}
	if at := d.seen.at.Load(); at != 0 {
		seen := time.Unix(0, at).UTC()
		out.LastSeen = &seen
	}
	return out
}

func (r *Registry) all() []*Device {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]*Device, 0, len(r.byID))
	for _, d := range r.byID {
		all = append(all, d)
	}
	return all
}

// Flush writes when devices were last seen. Times that can't be written stay for the
// next time.
func (r *Registry) Flush(ctx context.Context) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.flush(ctx)
}

// flush needs writing.
func (r *Registry) flush(ctx context.Context) error {
	changed := map[*Device]int64{}
	for _, d := range r.all() {
		if at := d.seen.at.Load(); at != d.seen.flushed {
			changed[d] = at
		}
	}
	if len(changed) == 0 {
		return nil
	}
	err := r.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for d, at := range changed {
			if err := tx.Model(&row{}).Where("id = ?", d.ID).Update("last_seen", time.Unix(0, at).UTC()).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write when devices were seen: %w", err)
	}
	for d, at := range changed {
		d.seen.flushed = at
	}
	return nil
}

// Reset forgets all devices. They have to be registered again.
func (r *Registry) Reset(ctx context.Context) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	all := r.db.WithContext(context.WithoutCancel(ctx)).Session(&gorm.Session{AllowGlobalUpdate: true})
	if err := all.Delete(&row{}).Error; err != nil {
		return fmt.Errorf("clear the devices: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	return nil
}
