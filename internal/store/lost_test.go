package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyladder/internal/store"
)

type entry struct{ ID int }

// What was in a database is not forgotten in silence.
func TestLostOrDamaged(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		spoil func(path string) error
		want  error
	}{
		{"as it was", func(string) error { return nil }, nil},
		{"deleted", os.Remove, store.ErrLost},
		{"emptied", func(path string) error { return os.Truncate(path, 0) }, store.ErrLost},
		{"no database", func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("no "), 3000), 0o600) }, store.ErrDamaged},
		{"deleted with all that is beside it", func(path string) error {
			return errors.Join(os.Remove(path), os.Remove(store.Mark(path)))
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "test.db")
			db, err := store.Open(path, &entry{})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Create(&entry{ID: 1}).Error, store.Close(db), test.spoil(path)); err != nil {
				t.Fatal(err)
			}
			db, err = store.Open(path, &entry{})
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if err != nil {
				for _, part := range []string{path, "put back a copy", "stages reset"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%v does not say %q", err, part)
					}
				}
				return
			}
			if err := store.Close(db); err != nil {
				t.Error(err)
			}
		})
	}
}
