//go:build cgo

package store

import (
	"testing"

	"github.com/mattn/go-sqlite3"
)

// 3.51.3 mended a bug that could corrupt a database when the write-ahead log was begun anew.
func TestSQLiteIsNotOneOfTheBrokenOnes(t *testing.T) {
	t.Parallel()
	text, number, _ := sqlite3.Version()
	if number < 3_051_003 {
		t.Errorf("SQLite %s is linked, want 3.51.3 or newer", text)
	}
}
