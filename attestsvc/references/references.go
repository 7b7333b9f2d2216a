// Package references knows which packages were published, of which client and by whom they are
// signed: what evidence is compared with. They are data with a history. A package that is withdrawn
// stays, so that whoever still has it can be told apart from whoever has changed it.
//
// The package files are kept under their hash, since a challenge asks for bytes of them.
package references

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"

	"keyladder/attestsvc/history"
	"keyladder/stages/mechanism/attestation"
)

// Known says which packages a client's are, and who signs them.
type Known struct {
	Client  string `json:"client_id"`
	Package string `json:"package"` // com.harbourbank.app
	Signer  string `json:"signer"`  // pin of the public key: "sha256/" + base64
}

// Config is what a [Store] needs.
type Config struct {
	Known     []Known
	Published string           // the folder in which new packages appear
	Kept      string           // the folder in which references are kept
	Now       func() time.Time // nil: the clock
}

// row is a reference. IDs are the SHA-256 of packages.
type row struct {
	ID           string    `gorm:"primaryKey"`
	Client       string    `gorm:"not null"`
	Package      string    `gorm:"not null"`
	Release      int       `gorm:"not null"`
	Size         int64     `gorm:"not null"`
	Signer       string    `gorm:"not null"`
	RegisteredAt time.Time `gorm:"not null"`
	WithdrawnAt  *time.Time
}

func (row) TableName() string { return "references_known" }

// signerRow is who may sign a client's packages.
type signerRow struct {
	Client      string    `gorm:"primaryKey"`
	Signer      string    `gorm:"primaryKey"`
	AcceptedAt  time.Time `gorm:"not null"`
	WithdrawnAt *time.Time
}

func (signerRow) TableName() string { return "signers" }

func (s signerRow) subject() string { return s.Client + " " + s.Signer }

// Models are the tables of references and signers. Package history has what happened to them.
func Models() []any { return []any{&row{}, &signerRow{}} }

// Store is the references of one service. It is safe for concurrent use.
type Store struct {
	config Config
	db     *gorm.DB

	changing sync.Mutex // held while something is changed or looked for
	seen     map[string]os.FileInfo

	mu         sync.RWMutex
	references []row // the newest first
	signers    []signerRow
}

// Open opens the references in a database that has the tables of [Models] and of package history.
// [Store.Scan] registers packages that are published already.
func Open(ctx context.Context, db *gorm.DB, config Config) (*Store, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	s := &Store{config: config, db: db, seen: map[string]os.FileInfo{}}
	if err := os.MkdirAll(config.Kept, 0o700); err != nil {
		return nil, fmt.Errorf("open the references: %w", err)
	}
	err := db.WithContext(ctx).Transaction(s.seed)
	if err == nil {
		err = s.load(ctx)
	}
	if err == nil {
		err = s.sweep()
	}
	if err != nil {
		return nil, fmt.Errorf("open the references: %w", err)
	}
	return s, nil
}

// sweep removes what a service that was killed has left half registered, and the packages that a reset
// has forgotten.
func (s *Store) sweep() error {
	files, err := os.ReadDir(s.config.Kept)
	if err != nil {
		return err
	}
	for _, file := range files {
		if id, ok := strings.CutSuffix(file.Name(), extension); ok && slices.ContainsFunc(s.references, func(r row) bool { return r.ID == id }) {
			continue
		}
		if err := os.Remove(filepath.Join(s.config.Kept, file.Name())); err != nil {
			return err
		}
	}
	return nil
}

// seed accepts the signers that are known from the beginning. One that was withdrawn stays so.
func (s *Store) seed(tx *gorm.DB) error {
	at := s.config.Now().UTC()
	for _, known := range s.config.Known {
		signer := signerRow{Client: known.Client, Signer: known.Signer, AcceptedAt: at}
		var count int64
		err := tx.Model(&signer).Where("client = ? AND signer = ?", known.Client, known.Signer).Count(&count).Error
		if err == nil && count == 0 {
			err = errors.Join(tx.Create(&signer).Error, history.Add(tx, history.Signer, signer.subject(), at, accepted))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// load reads all into memory.
func (s *Store) load(ctx context.Context) error {
	var references []row
	var signers []signerRow
	err := s.db.WithContext(context.WithoutCancel(ctx)).Transaction(func(tx *gorm.DB) error { // from the connection that writes
		return errors.Join(tx.Order("registered_at DESC, id").Find(&references).Error, tx.Order("client, accepted_at").Find(&signers).Error)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.references, s.signers = references, signers
	return nil
}

// Reference is a package that was published.
type Reference struct {
	SHA256          attestation.Measurement
	Size            int64 // bytes
	Release         int
	Withdrawn       bool
	SignerWithdrawn bool
	path            string
}

func (s *Store) reference(r row) Reference {
	return Reference{
		SHA256: attestation.Measurement(r.ID), Size: r.Size, Release: r.Release, Withdrawn: r.WithdrawnAt != nil,
		SignerWithdrawn: !s.signs(r.Client, r.Signer), path: s.path(r.ID),
	}
}

// Open opens the package. It is for the caller to close.
func (r Reference) Open() (*os.File, error) {
	file, err := os.Open(r.path)
	if err != nil {
		return nil, fmt.Errorf("open a package that is a reference: %w", err)
	}
	return file, nil
}

// extension is that of packages' files.
const extension = ".pkg"

func (s *Store) path(id string) string { return filepath.Join(s.config.Kept, id+extension) }

// signs says whether a signer is accepted. It needs reading.
func (s *Store) signs(client, signer string) bool {
	return slices.ContainsFunc(s.signers, func(r signerRow) bool {
		return r.Client == client && r.Signer == signer && r.WithdrawnAt == nil
	})
}

// ErrNone means that nothing was ever published of a client.
var ErrNone = errors.New("no package of that client is known")

// Challenged is the package over which whoever claims to be that release of a client is asked: of
// those that were published as that release the one of that size, or the newest; one that is not
// withdrawn, if there is one. Where there is no such release, it is any of the client's, and known
// is false: the question is put all the same.
func (s *Store) Challenged(client string, release int, size int64) (chosen Reference, known bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	best := 0
	for _, r := range s.references { // of those that are as good the newest
		if r.Client != client {
			continue
		}
		rank := 1
		if r.Release == release {
			rank = 2
			if r.WithdrawnAt == nil {
				rank += 2
			}
			if r.Size == size {
				rank++
			}
		}
		if rank > best {
			chosen, best = s.reference(r), rank
		}
	}
	if best == 0 {
		return Reference{}, false, ErrNone
	}
	return chosen, best > 1, nil
}

// Measured is the package of a client with that measurement, if it was published as that release.
func (s *Store) Measured(client string, release int, measurement attestation.Measurement) (found Reference, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.references {
		if attestation.Equal(measurement, attestation.Measurement(r.ID)) && r.Client == client && r.Release == release {
			found, ok = s.reference(r), true
		}
	}
	return found, ok
}

// Current says how people are told what was expected of a release: the measurement of the newest
// package that is not withdrawn.
func (s *Store) Current(client string, release int) string {
	chosen, known, err := s.Challenged(client, release, -1)
	switch {
	case err != nil:
		return err.Error()
	case !known:
		return fmt.Sprintf("no package of release %d is known", release)
	case chosen.Withdrawn:
		return "all packages of the release are withdrawn"
	}
	return string(chosen.SHA256)
}
