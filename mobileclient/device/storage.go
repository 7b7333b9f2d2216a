package device

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"keyladder/internal/statefile"
)

// Bounds on what an app can store under one key.
const (
	maxKey   = 100     // bytes
	maxValue = 1 << 20 // bytes
)

var errStorage = errors.New("a key has 1 to 100 bytes, a value at most 1 MiB")

func (d *Device) storagePath(name string) string { return filepath.Join(d.config.Dir, "storage", name) }

// Storage is the folder with what an app has stored: a file for each key. Anyone who has
// a copy of it, from a backup for example, has it all.
func (d *Device) Storage(name string) string { return d.storagePath(name) }

// Backup is a copy of what an app has stored, by its keys: what leaves the phone when
// somebody backs it up. The package and the installation's identifier are not in it.
func (d *Device) Backup(name string) (map[string][]byte, error) {
	d.mu.Lock()
	_, ok := d.state.Packages[name]
	d.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("back %s up: %w", name, ErrNotInstalled)
	}
	items := map[string][]byte{}
	files, err := os.ReadDir(d.storagePath(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("back %s up: %w", name, err)
	}
	for _, file := range files {
		key, err := hex.DecodeString(file.Name())
		if err != nil {
			continue // being written just now
		}
		value, found, err := d.loadItem(name, string(key))
		if err != nil {
			return nil, fmt.Errorf("back %s up: %w", name, err)
		}
		if found { // still
			items[string(key)] = value
		}
	}
	return items, nil
}

// Restore puts a backup into an app's storage, in place of what is there. The app
// should not be running.
func (d *Device) Restore(name string, items map[string][]byte) error {
	if err := d.Erase(name); err != nil {
		return err
	}
	for key, value := range items {
		if err := d.store(name, key, value); err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
	}
	return nil
}

// Erase removes what an app has stored. The app should not be running.
func (d *Device) Erase(name string) error {
	d.mu.Lock()
	_, ok := d.state.Packages[name]
	d.mu.Unlock()
	if !ok {
		return fmt.Errorf("erase what %s stored: %w", name, ErrNotInstalled)
	}
	if err := os.RemoveAll(d.storagePath(name)); err != nil {
		return fmt.Errorf("erase what %s stored: %w", name, err)
	}
	return nil
}

// item is the file of a key; hexadecimal, so that no key can be a path.
func (d *Device) item(app, key string) string {
	return filepath.Join(d.storagePath(app), hex.EncodeToString([]byte(key)))
}

func (d *Device) store(app, key string, value []byte) error {
	if key == "" || len(key) > maxKey || len(value) > maxValue {
		return errStorage
	}
	if err := os.MkdirAll(d.storagePath(app), 0o700); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := statefile.Write(d.item(app, key), value); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (d *Device) loadItem(app, key string) (value []byte, found bool, err error) {
	if key == "" || len(key) > maxKey {
		return nil, false, errStorage
	}
	value, err = os.ReadFile(d.item(app, key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("load from storage: %w", err)
	}
	return value, true, nil
}

func (d *Device) deleteItem(app, key string) error {
	if key == "" || len(key) > maxKey {
		return errStorage
	}
	if err := os.Remove(d.item(app, key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete from storage: %w", err)
	}
	return nil
}

// maxLog is how much is kept of what an app logs, in bytes. Past it the log begins anew.
const maxLog = 1 << 20

func (d *Device) logPath(name string) string {
	return filepath.Join(d.config.Dir, "log", name+".log")
}

// Log is what an app has written to its standard error, which the device keeps as the app's log:
// on a phone, a cable or a report of a fault is all that it takes to read it.
func (d *Device) Log(name string) ([]byte, error) {
	if !d.knows(name) {
		return nil, ErrNotInstalled
	}
	data, err := os.ReadFile(d.logPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the log of %s: %w", name, err)
	}
	return data, nil
}

func (d *Device) knows(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.state.Packages[name]
	return ok
}

// appLog is a log that is being written.
type appLog struct {
	mu   sync.Mutex
	file *os.File
	size int64
}

func (d *Device) openLog(name string) (*appLog, error) {
	path := d.logPath(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &appLog{file: file, size: info.Size()}, nil
}

// Write never fails: an app goes on without its log.
func (l *appLog) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(data)) > maxLog && l.file.Truncate(0) == nil {
		l.size = 0
	}
	if l.size+int64(len(data)) <= maxLog {
		n, _ := l.file.Write(data)
		l.size += int64(n)
	}
	return len(data), nil
}
