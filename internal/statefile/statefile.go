// Package statefile writes files in which a program remembers something.
package statefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Write replaces a file (mode 0600) as a whole: a reader, and a machine that lost its power,
// finds the old one or the new one, and after Write has returned the new one. Where several
// write at once, one of them wins.
func Write(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".*.partial")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone already when all went well
	if err := put(file, data, path); err != nil {
		return err
	}
	return Sync(filepath.Dir(path))
}

// Replace is Write for one who writes alone, of many files in a folder, which [Sync] then
// waits for. The file that an interrupted one leaves, path.partial, is overwritten by the next.
func Replace(path string, data []byte) error {
	file, err := os.OpenFile(path+".partial", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return put(file, data, path)
}

func put(file *os.File, data []byte, path string) error {
	_, err := file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// Sync waits until what was renamed in a folder will be so after a power cut.
func Sync(dir string) error {
	if runtime.GOOS == "windows" { // which has no such call
		return nil
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// room is how much CanWrite wants to be free, in bytes.
const room = 64 << 10

// CanWrite is nil when something can be written to the disk that the folder is on.
func CanWrite(dir string) error {
	file, err := os.CreateTemp(dir, ".room-*.partial")
	if err != nil {
		return fmt.Errorf("nothing can be written: %w", err)
	}
	_, err = file.Write(make([]byte, room))
	err = errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
	if err != nil {
		return fmt.Errorf("nothing can be written: %w", err)
	}
	return nil
}
