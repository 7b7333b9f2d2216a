package phone

import (
	"fmt"
	"os"
	"sync"
	"time"

	"keyladder/internal/deployment"
	"keyladder/mobileclient/release"
)

// Store is the app store: the packages in a deployment's folder. It notices when the bank
// packs an app anew.
type Store struct {
	folder *deployment.Folder

	mu     sync.Mutex
	opened map[string]opened // by path
}

// opened is a package as it was when it was looked at last.
type opened struct {
	size    int64
	changed time.Time
	*release.Package
}

// NewStore is the store of a deployment.
func NewStore(folder *deployment.Folder) *Store {
	return &Store{folder: folder, opened: map[string]opened{}}
}

// Find looks for a release of an app; nil: the store does not have it.
func (s *Store) Find(name string, number int) (*release.Package, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, path := range s.folder.Packages() {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("look into the app store: %w", err)
		}
		known, ok := s.opened[path]
		if !ok || known.size != info.Size() || !known.changed.Equal(info.ModTime()) {
			p, err := release.Open(path)
			if err != nil {
				return nil, fmt.Errorf("look into the app store: %w", err)
			}
			known = opened{info.Size(), info.ModTime(), p}
			s.opened[path] = known
		}
		if known.Name == name && known.Release == number {
			return known.Package, nil
		}
	}
	return nil, nil
}
