package device

import (
	"io/fs"
	"os"
	"sync"
)

// Shelf keeps packages that many devices install, as those of a lab are, so that each is copied and
// measured once. One counts as the same while its file has the same number, size and time. So what
// others can write to does not belong there. An empty one is ready to be used.
type Shelf struct {
	mu     sync.RWMutex // also held while an image is used
	images []shelved
}

type shelved struct {
	*image
	from fs.FileInfo
}

// Install is [Device.Install].
func (s *Shelf) Install(d *Device, path string) (Installed, error) {
	return d.install(path, s.take)
}

// Close lets go of all. Devices keep what they have installed.
func (s *Shelf) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.images {
		i.close()
	}
	s.images = nil
}

func (s *Shelf) take(dir, path string) (i *image, staged string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	s.mu.RLock()
	kept := s.find(info)
	if kept == nil {
		s.mu.RUnlock()
		if err := s.add(path, info); err != nil {
			return nil, "", err
		}
		s.mu.RLock()
		kept = s.find(info)
	}
	defer s.mu.RUnlock()
	if kept == nil {
		return take(dir, path) // closed meanwhile
	}
	if i, err = kept.again(); err != nil {
		return nil, "", err
	}
	if staged, err = kept.write(dir); err != nil {
		i.close()
		return nil, "", err
	}
	return i, staged, nil
}

// find looks for the image of a file; s.mu is held.
func (s *Shelf) find(info fs.FileInfo) *image {
	for _, i := range s.images {
		if os.SameFile(i.from, info) && i.from.Size() == info.Size() && i.from.ModTime().Equal(info.ModTime()) {
			return i.image
		}
	}
	return nil
}

// add makes the image of a file, if nobody else has meanwhile.
func (s *Shelf) add(path string, info fs.FileInfo) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(info) != nil {
		return nil
	}
	made, err := newImage(path)
	if err != nil {
		return err
	}
	s.images = append(s.images, shelved{made, info})
	return nil
}
