package device

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
