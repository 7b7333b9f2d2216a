// Package makers knows which devices and which systems the attestation service believes: the roots of
// makers of devices, which certificates are revoked, and with which keys systems may be signed. But for
// the roots these are data with a history, which the admin changes while the service runs. A change
// counts from the next attestation on, so that what an app got before ends with its tokens.
package makers

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"keyladder/attestsvc/history"
	"keyladder/internal/manage"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/pin"
)

// The files in the service's folder: the makers' roots in PEM, and [Known] in JSON.
const (
	RootsFile = "makers.pem"
	KnownFile = "makers.json"
)

// Known is what the service knows from the beginning.
type Known struct {
	Roots         []Certificate `json:"-"` // of makers; they are in a file of their own
	Intermediates []Certificate `json:"intermediates"`
	Systems       []System      `json:"systems"`
}

// Certificate is one of a maker's: a root, or an intermediate with which devices are certified.
type Certificate struct {
	Serial string `json:"serial"`
	Name   string `json:"name"`
}

// Of is what is known of a certificate.
func Of(certificate *x509.Certificate) Certificate {
	return Certificate{Serial: evidence.Serial(certificate), Name: certificate.Subject.CommonName}
}

// System is a key with which systems are signed that are accepted.
type System struct {
	Key  pin.Pin `json:"key"`
	Name string  `json:"name"` // for people
}

// certificateRow is a certificate that is known: one of a maker's, or one of a device that was revoked
// once.
type certificateRow struct {
	Serial    string    `gorm:"primaryKey"`
	Root      bool      `gorm:"not null;default:false"`
	Maker     bool      `gorm:"not null"` // it is no device's
	Name      string    `gorm:"not null"`
	KnownAt   time.Time `gorm:"not null"`
	RevokedAt *time.Time
}

func (certificateRow) TableName() string { return "device_certificates" }

// systemRow is a key with which systems are signed.
type systemRow struct {
	Key         string    `gorm:"primaryKey"`
	Name        string    `gorm:"not null"`
	AcceptedAt  time.Time `gorm:"not null"`
	WithdrawnAt *time.Time
}

func (systemRow) TableName() string { return "systems" }

// Models are the tables of this package. Package history has what happened to what is in them.
func Models() []any { return []any{&certificateRow{}, &systemRow{}} }

// Store is what one service believes. It is safe for concurrent use.
type Store struct {
	db    *gorm.DB
	known Known
	now   func() time.Time

	changing sync.Mutex
	mu       sync.RWMutex
	revoked  map[string]bool  // by serial number
	systems  map[pin.Pin]bool // that are accepted
}

// Open opens it in a database that has the tables of [Models] and of package history. Now may be nil.
func Open(ctx context.Context, db *gorm.DB, known Known, now func() time.Time) (*Store, error) {
	if now == nil {
		now = time.Now
	}
	s := &Store{db: db, known: known, now: now}
	if err := s.change(ctx, s.seed); err != nil {
		return nil, fmt.Errorf("open what is known of makers: %w", err)
	}
	return s, nil
}

// seed adds what is known from the beginning and not there. Revoked and withdrawn entries stay so.
func (s *Store) seed(tx *gorm.DB) error {
	at := s.now().UTC()
	for i, known := range slices.Concat(s.known.Roots, s.known.Intermediates) {
		found := certificateRow{Serial: known.Serial, Root: i < len(s.known.Roots), Maker: true, Name: known.Name, KnownAt: at}
		if isNew, err := create(tx, &found, "serial = ?", known.Serial); err != nil {
			return err
		} else if isNew {
			if err := history.Add(tx, history.Certificate, known.Serial, at, "known"); err != nil {
				return err
			}
		}
	}
	for _, known := range s.known.Systems {
		found := systemRow{Key: string(known.Key), Name: known.Name, AcceptedAt: at}
		if isNew, err := create(tx, &found, "key = ?", string(known.Key)); err != nil {
			return err
		} else if isNew {
			if err := history.Add(tx, history.System, string(known.Key), at, "accepted"); err != nil {
				return err
			}
		}
	}
	return nil
}

// create adds a row where there is none; otherwise it reads the one that is there.
func create(tx *gorm.DB, row any, query, value string) (isNew bool, err error) {
	result := tx.Where(query, value).FirstOrCreate(row)
	return result.RowsAffected > 0, result.Error
}

// change changes the database, then what is in memory.
func (s *Store) change(ctx context.Context, do func(tx *gorm.DB) error) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	ctx = context.WithoutCancel(ctx)
	var revoked []certificateRow
	var systems []systemRow
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := do(tx); err != nil {
			return err
		}
		return errors.Join(tx.Find(&revoked, "revoked_at IS NOT NULL").Error, tx.Find(&systems, "withdrawn_at IS NULL").Error)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked, s.systems = map[string]bool{}, map[pin.Pin]bool{}
	for _, r := range revoked {
		s.revoked[r.Serial] = true
	}
	for _, r := range systems {
		s.systems[pin.Pin(r.Key)] = true
	}
	return nil
}

// Revoked says whether a certificate is, by its serial number.
func (s *Store) Revoked(serial string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.revoked[serial]
}

// Accepts says whether systems may be signed with a key.
func (s *Store) Accepts(key pin.Pin) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.systems[key]
}

// Errors of this package.
var (
	ErrSerial = errors.New("that is no serial number: want hexadecimal digits, in small letters, without a zero before them")
	ErrKey    = errors.New("that is no pin of a key")
	ErrName   = errors.New("that is no name: want 1 to 100 bytes")
	ErrNone   = errors.New("there is none of that name")
)

// Refused says whether an error is about what was sent, and not ours.
func Refused(err error) bool {
	return errors.Is(err, ErrSerial) || errors.Is(err, ErrKey) || errors.Is(err, ErrName)
}

var serials = regexp.MustCompile(`^[1-9a-f][0-9a-f]{0,39}$`)

// Revoke has all fail that a certificate leads to, or accepts them again. One that is not known yet is a
// device's. The error is [ErrSerial], [ErrNone] where one is accepted again that never was revoked, or one of the database.
func (s *Store) Revoke(ctx context.Context, asked manage.CertificateToRevoke) error {
	if !serials.MatchString(asked.Serial) {
		return ErrSerial
	}
	at := s.now().UTC()
	return s.change(ctx, func(tx *gorm.DB) error {
		found := certificateRow{Serial: asked.Serial, Name: "a device", KnownAt: at}
		err := tx.Take(&found, "serial = ?", asked.Serial).Error
		isNew := errors.Is(err, gorm.ErrRecordNotFound)
		var revokedAt *time.Time
		what := "accepted again"
		if !asked.Restore {
			revokedAt, what = &at, "revoked"
		}
		switch {
		case err != nil && !isNew:
			return err
		case isNew && asked.Restore:
			return ErrNone
		case isNew:
			if err := tx.Create(&found).Error; err != nil {
				return err
			}
		case (found.RevokedAt == nil) == (revokedAt == nil):
			return nil // it is so already, and since then
		}
		return errors.Join(tx.Model(&found).Update("revoked_at", revokedAt).Error, history.Add(tx, history.Certificate, asked.Serial, at, what))
	})
}

// ChangeSystem accepts systems that are signed with a key, or withdraws it: then apps on devices fail
// that have started one. A key that is new needs a name. The error is [ErrKey], [ErrName], [ErrNone] where one is withdrawn that is not known, or one
// of the database.
func (s *Store) ChangeSystem(ctx context.Context, asked manage.SystemToAccept) error {
	if _, err := pin.Parse(asked.Key); err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	at := s.now().UTC()
	return s.change(ctx, func(tx *gorm.DB) error {
		found := systemRow{Key: asked.Key, Name: asked.Name, AcceptedAt: at}
		err := tx.Take(&found, "key = ?", asked.Key).Error
		isNew := errors.Is(err, gorm.ErrRecordNotFound)
		note := func(what string) error { return history.Add(tx, history.System, asked.Key, at, what) }
		switch {
		case err != nil && !isNew:
			return err
		case isNew && asked.Withdraw:
			return ErrNone
		case isNew && (asked.Name == "" || len(asked.Name) > 100):
			return ErrName
		case isNew:
			return errors.Join(tx.Create(&found).Error, note("accepted"))
		case asked.Withdraw == (found.WithdrawnAt != nil):
			return nil // it is so already
		case asked.Withdraw:
			return errors.Join(tx.Model(&found).Update("withdrawn_at", at).Error, note("withdrawn"))
		}
		return errors.Join(tx.Model(&found).Update("withdrawn_at", nil).Error, note("accepted again"))
	})
}

// Certificates are those that are known: the roots first, then the makers' others, then the latest. With
// serial numbers they are those of them that are known.
func (s *Store) Certificates(ctx context.Context, of ...string) ([]manage.DeviceCertificate, error) {
	query := s.db.WithContext(ctx).Order("root DESC, maker DESC, known_at DESC, serial").Limit(manage.MostListed)
	if len(of) > 0 {
		query = query.Where("serial IN ?", of)
	}
	var rows []certificateRow
	if err := query.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list certificates of devices: %w", err)
	}
	serials := make([]string, len(rows))
	for i, r := range rows {
		serials[i] = r.Serial
	}
	events, err := history.Of(s.db.WithContext(ctx), history.Certificate, serials...)
	if err != nil {
		return nil, err
	}
	all := make([]manage.DeviceCertificate, len(rows))
	for i, r := range rows {
		all[i] = manage.DeviceCertificate{Serial: r.Serial, Root: r.Root, Maker: r.Maker, Name: r.Name, RevokedAt: r.RevokedAt, History: events[r.Serial]}
	}
	return all, nil
}

// Certificate is one of them; the error is [ErrNone] where it is not known.
func (s *Store) Certificate(ctx context.Context, serial string) (manage.DeviceCertificate, error) {
	found, err := s.Certificates(ctx, serial)
	switch {
	case err != nil:
		return manage.DeviceCertificate{}, err
	case len(found) == 0:
		return manage.DeviceCertificate{}, ErrNone
	}
	return found[0], nil
}

// Systems are the keys with which systems are signed, in the order in which they were accepted.
func (s *Store) Systems(ctx context.Context) ([]manage.AcceptedSystem, error) {
	var rows []systemRow
	if err := s.db.WithContext(ctx).Order("accepted_at, key").Limit(manage.MostListed).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list systems: %w", err)
	}
	keys := make([]string, len(rows))
	for i, r := range rows {
		keys[i] = r.Key
	}
	events, err := history.Of(s.db.WithContext(ctx), history.System, keys...)
	if err != nil {
		return nil, err
	}
	all := make([]manage.AcceptedSystem, len(rows))
	for i, r := range rows {
		all[i] = manage.AcceptedSystem{Key: r.Key, Name: r.Name, AcceptedAt: r.AcceptedAt, WithdrawnAt: r.WithdrawnAt, History: events[r.Key]}
	}
	return all, nil
}

// Reset forgets all but what is known from the beginning.
func (s *Store) Reset(ctx context.Context) error {
	return s.change(ctx, func(tx *gorm.DB) error {
		all := tx.Session(&gorm.Session{AllowGlobalUpdate: true})
		return errors.Join(all.Delete(&certificateRow{}).Error, all.Delete(&systemRow{}).Error, history.Reset(tx, history.Certificate, history.System), s.seed(tx))
	})
}
