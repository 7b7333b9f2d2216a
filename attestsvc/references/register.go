package references

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gorm.io/gorm"

	"keyladder/attestsvc/history"
	"keyladder/internal/statefile"
	"keyladder/mobileclient/release"
	"keyladder/stages/mechanism/pin"
)

// Errors of registering.
var (
	ErrPackage = errors.New("that is no package of an app") // and the text says why
	ErrClient  = errors.New("no client has packages of that name")
	ErrSigner  = errors.New("it is signed by somebody who is not accepted as a signer of that client's packages")
)

// Events of references and signers.
const (
	registered = "registered"
	withdrawn  = "withdrawn"
	accepted   = "accepted"
	again      = "accepted again"
)

// Follow registers what is published until ctx ends.
func (s *Store) Follow(ctx context.Context, every time.Duration, logger *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.Scan(ctx); err != nil && ctx.Err() == nil {
				logger.Error("register packages that were published", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Scan registers the packages that were published since the last time. It tells of each that can't
// be registered once.
func (s *Store) Scan(ctx context.Context) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	paths, err := filepath.Glob(filepath.Join(s.config.Published, "*"+extension))
	if err != nil {
		return fmt.Errorf("look for packages: %w", err)
	}
	var faults []error
	for _, path := range paths {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another takes its place just now
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if old := s.seen[path]; old != nil && os.SameFile(old, info) && old.ModTime().Equal(info.ModTime()) && old.Size() == info.Size() {
			continue
		}
		if s.keeps(info) {
			s.seen[path] = info
			continue
		}
		if _, err := s.take(ctx, path); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", path, err))
			if !permanent(err) {
				continue // and tried again
			}
		}
		s.seen[path] = info
	}
	return errors.Join(faults...)
}

// keeps says whether a file that was published is one that is kept as a reference, under its other
// name: it was read when it was taken, which takes longer than all else when a service starts. A
// file that was written to since then is read again.
func (s *Store) keeps(published os.FileInfo) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.ContainsFunc(s.references, func(r row) bool {
		kept, err := os.Stat(s.path(r.ID))
		return err == nil && os.SameFile(kept, published) && !published.ModTime().After(r.RegisteredAt)
	})
}

func permanent(err error) bool {
	return errors.Is(err, ErrPackage) || errors.Is(err, ErrClient) || errors.Is(err, ErrSigner)
}

// Register registers a package that somebody sends. One that is known already stays as it is,
// withdrawn or not.
func (s *Store) Register(ctx context.Context, pkg io.Reader) (id string, err error) {
	file, err := os.CreateTemp(s.config.Kept, ".*.partial")
	if err != nil {
		return "", fmt.Errorf("register a package: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = io.Copy(file, pkg)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("register a package: %w", err)
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.register(ctx, file.Name())
}

// take registers a package that was published, under a name of our own: whoever publishes the next
// one gives it the name of this one, and leaves this one as it is.
func (s *Store) take(ctx context.Context, path string) (string, error) {
	name := filepath.Join(s.config.Kept, ".taken.partial")
	defer os.Remove(name)
	if err := os.Link(path, name); err != nil { // such as another file system
		data, err := os.ReadFile(path)
		if err == nil {
			err = statefile.Replace(name, data)
		}
		if err != nil {
			return "", fmt.Errorf("take a package that was published: %w", err)
		}
	}
	return s.register(ctx, name)
}

// register registers the package in a file, which gets another name.
func (s *Store) register(ctx context.Context, path string) (string, error) {
	opened, err := release.Open(path)
	if errors.Is(err, release.ErrUnsigned) || errors.Is(err, release.ErrSignature) || errors.Is(err, release.ErrMalformed) {
		return "", fmt.Errorf("%w: %w", ErrPackage, errors.Unwrap(err))
	}
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(s.config.Known, func(k Known) bool { return k.Package == opened.Name })
	if i < 0 {
		return "", fmt.Errorf("%w: %s", ErrClient, opened.Name)
	}
	client := s.config.Known[i].Client
	signer, err := pin.OfKey(opened.Signer)
	if err != nil {
		return "", fmt.Errorf("%w: its signer: %w", ErrPackage, err)
	}
	s.mu.RLock()
	known := slices.ContainsFunc(s.references, func(r row) bool { return r.ID == opened.SHA256 })
	signs := s.signs(client, string(signer))
	s.mu.RUnlock()
	switch {
	case known:
		return opened.SHA256, nil
	case !signs:
		return "", fmt.Errorf("%w: %s", ErrSigner, signer)
	}
	err = os.Rename(path, s.path(opened.SHA256))
	if err == nil {
		err = statefile.Sync(s.config.Kept)
	}
	if err != nil {
		return "", fmt.Errorf("keep a package: %w", err)
	}
	at := s.config.Now().UTC()
	err = s.change(ctx, func(tx *gorm.DB) error {
		return errors.Join(
			tx.Create(&row{
				ID: opened.SHA256, Client: client, Package: opened.Name, Release: opened.Release, Size: opened.Size, Signer: string(signer), RegisteredAt: at,
			}).Error,
			history.Add(tx, history.Reference, opened.SHA256, at, registered))
	})
	return opened.SHA256, err
}

// change changes the database and then what is in memory. It needs changing.
func (s *Store) change(ctx context.Context, write func(tx *gorm.DB) error) error {
	ctx = context.WithoutCancel(ctx)
	if err := s.db.WithContext(ctx).Transaction(write); err != nil {
		return fmt.Errorf("change the references: %w", err)
	}
	return s.load(ctx)
}
