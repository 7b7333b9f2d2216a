package program

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// LockFolder waits until no other program has the folder locked, by its file "lock", and locks it until
// unlock is called or the program ends. On Windows nobody waits, and nothing is locked.
func LockFolder(dir string) (unlock func() error, err error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(file); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for %s: %w", dir, err), file.Close())
	}
	return file.Close, nil
}
