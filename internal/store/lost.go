package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"keyladder/internal/statefile"
)

// Errors of [Open].
var (
	ErrLost    = errors.New("is missing or empty, though it was there before")
	ErrDamaged = errors.New("is damaged")
)

const whatToDo = "stop the program and put back a copy of the database, or run `stages reset` (with Docker: `docker compose down --volumes`), which starts over without anything that was booked, registered or revoked"

// Mark is the name of the file that stays beside a database and tells that it was made.
func Mark(path string) string { return path + ".made" }

// mark writes that the database was made.
func mark(path string) error {
	if _, err := os.Stat(Mark(path)); err == nil {
		return nil
	}
	if err := statefile.Write(Mark(path), []byte("The database beside this file was made. Where it is missing, it got lost.\n")); err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	return nil
}

// lost is [ErrLost] when the database was made and is not there.
func lost(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() > 0 {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open the database: %w", err)
	}
	if _, err := os.Stat(Mark(path)); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	return fmt.Errorf("the database %s %w: %s", path, ErrLost, whatToDo)
}

// damaged adds to an error that a database causes what to do about it.
func damaged(path string, err error) error {
	text := err.Error() // as SQLite has it for SQLITE_NOTADB and SQLITE_CORRUPT; without cgo there are no types to compare
	if strings.Contains(text, "file is not a database") || strings.Contains(text, "database disk image is malformed") {
		return fmt.Errorf("the database %s %w (%w): %s", path, ErrDamaged, err, whatToDo)
	}
	return err
}
