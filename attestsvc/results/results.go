// Package results keeps what was found out about apps, which they are not told, and the devices on
// which they ran. A result and what it changes about its device are written in one transaction,
// before the app gets its answer.
package results

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyladder/internal/manage"
	"keyladder/internal/store"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/jwk"
)

// row is a result. Its ID is the reference code.
type row struct {
	ID            string        `gorm:"primaryKey"`
	At            time.Time     `gorm:"not null;index"`
	Stage         string        `gorm:"not null;index"`
	Level         catalog.Level `gorm:"not null"`
	Client        string        `gorm:"not null"`
	Release       int           `gorm:"not null"`
	Device        string        `gorm:"not null;index"`
	Address       string        `gorm:"not null"`
	Good          bool          `gorm:"not null"`
	Watched       bool          `gorm:"not null"`
	Policy        int           `gorm:"not null"`
	Token         string        `gorm:"not null"`
	Issuer        string        `gorm:"not null;default:''"`
	Audience      []string      `gorm:"not null;default:'[]';serializer:json"`
	Key           string        `gorm:"not null;default:''"`
	ExpiresAt     time.Time     `gorm:"not null"`
	TookMS        int64         `gorm:"not null"`
	Executables   manage.Trust  `gorm:"not null"`
	Runtime       manage.Trust  `gorm:"not null"`
	Configuration manage.Trust  `gorm:"not null"`
	Instance      manage.Trust  `gorm:"not null"`
	Claims        []byte        `gorm:"not null"` // JSON of []manage.AttestedClaim

	Holder *jwk.Key               `gorm:"serializer:json"`
	Said   *manage.DeviceEvidence `gorm:"serializer:json"`
}

func (row) TableName() string { return "results" }

// Models are the tables of results and devices. Package history has what happened to devices.
func Models() []any { return []any{&row{}, &deviceRow{}} }

// Store is the results of one service. It is safe for concurrent use.
type Store struct {
	db    *gorm.DB
	group *store.Group
	now   func() time.Time
	most  int // results, and devices, that are kept

	banning sync.Mutex // held while a ban is written
	mu      sync.RWMutex
	banned  map[installation]bool
}

// Kept is how many results, and how many devices, are kept. The oldest go; devices that are banned
// stay.
const Kept = 100_000

// Open opens the results in a database that has the tables of [Models] and of package history. Now
// may be nil.
func Open(ctx context.Context, db *gorm.DB, now func() time.Time) (*Store, error) {
	if now == nil {
		now = time.Now
	}
	s := &Store{db: db, group: store.NewGroup(db), now: now, most: Kept}
	if err := s.load(ctx); err != nil {
		return nil, fmt.Errorf("open the results: %w", err)
	}
	return s, nil
}

// NewReference makes a code that people can read out: five characters, a dash, and five more, of 32
// that can't be mixed up.
func NewReference() string {
	text := rand.Text()
	return text[:5] + "-" + text[5:10]
}

// Add writes a result. The caller makes its reference.
//
//keyladder:code attestation-result
func (s *Store) Add(ctx context.Context, a manage.Attestation) error {
	claims, err := json.Marshal(a.Claims)
	if err != nil {
		return fmt.Errorf("write a result: %w", err)
	}
	r := row{
		ID: a.Reference, At: a.At.UTC(), Stage: a.Stage, Level: a.Level, Client: a.Client, Release: a.Release, Device: a.Device, Address: a.Address,
		Good: a.Good, Watched: a.Watched, Policy: a.Policy, Token: a.Token, Issuer: a.Issuer, Audience: a.Audience, Key: a.Key, ExpiresAt: a.ExpiresAt.UTC(), TookMS: a.TookMS, Claims: claims, Holder: a.Holder, Said: a.Said,
	}
	for _, claim := range a.Claims {
		switch claim.Claim {
		case manage.Executables:
			r.Executables = claim.Trust
		case manage.Runtime:
			r.Runtime = claim.Trust
		case manage.Configuration:
			r.Configuration = claim.Trust
		case manage.Instance:
			r.Instance = claim.Trust
		}
	}
	err = s.group.Write(ctx, func(tx *gorm.DB) error {
		if err := tx.Create(&r).Error; err != nil {
			return err
		}
		return seen(tx, r)
	})
	if err != nil {
		return fmt.Errorf("write a result: %w", err)
	}
	return nil
}

// seen notes an attestation with its device, if the app has named one.
func seen(tx *gorm.DB, r row) error {
	if r.Device == "" {
		return nil
	}
	good, failing := int64(0), int64(1)
	if r.Good {
		good, failing = 1, 0
	}
	device := deviceRow{
		ID: rand.Text(), Stage: r.Stage, Client: r.Client, Device: r.Device, FirstSeen: r.At, LastSeen: r.At, Release: r.Release,
		Good: good, Failing: failing, LastGood: r.Good, LastReference: r.ID,
	}
	change := []string{"last_seen", "release", "last_good", "last_reference"}
	if r.Said != nil && len(r.Said.Certificates) > 0 { // otherwise the one stays that was believed last, so that it can be revoked
		device.Certificate = r.Said.Certificates[0].Serial
		change = append(change, "certificate")
	}
	return tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "stage"}, {Name: "client"}, {Name: "device"}},
		DoUpdates: append(
			clause.AssignmentColumns(change),
			clause.Assignments(map[string]any{"good": gorm.Expr("good + ?", good), "failing": gorm.Expr("failing + ?", failing)})...),
	}).Create(&device).Error
}

func (r row) manage() (manage.Attestation, error) {
	a := manage.Attestation{
		Reference: r.ID, At: r.At, Stage: r.Stage, Level: r.Level, Client: r.Client, Release: r.Release, Device: r.Device, Address: r.Address,
		Good: r.Good, Watched: r.Watched, Policy: r.Policy, Token: r.Token, Issuer: r.Issuer, Audience: r.Audience, Key: r.Key, ExpiresAt: r.ExpiresAt, TookMS: r.TookMS, Holder: r.Holder, Said: r.Said,
	}
	if err := json.Unmarshal(r.Claims, &a.Claims); err != nil {
		return manage.Attestation{}, fmt.Errorf("read the result %s: %w", r.ID, err)
	}
	return a, nil
}

// ErrNone means that there is no such result, or device, or not any more.
var ErrNone = errors.New("there is none")
