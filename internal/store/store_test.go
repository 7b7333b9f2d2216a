package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"
)

type parent struct {
	ID   int
	Name string
}

type child struct {
	ID       int
	ParentID int
	Parent   parent
}

func opened(t *testing.T, path string) *gorm.DB {
	t.Helper()
	db, err := Open(path, &parent{}, &child{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Close(db); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestSettings(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a %?#b.db") // a path is not a part of a URL
	db := opened(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	const nothing = "-"
	for name, want := range map[string][2]string{ // of the writer and of a reader
		"journal_mode": {"wal", "wal"}, "synchronous": {"2", nothing}, "foreign_keys": {"1", "1"},
		"busy_timeout": {"5000", "5000"}, "query_only": {"0", "1"},
	} {
		var writer, reader string
		err := db.Transaction(func(tx *gorm.DB) error { return tx.Raw("PRAGMA " + name).Scan(&writer).Error })
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Plugins[readersName].(*readers).pool.QueryRow("PRAGMA " + name).Scan(&reader); err != nil {
			t.Fatal(err)
		}
		if writer != want[0] || want[1] != nothing && reader != want[1] {
			t.Errorf("%s: %s for the writer, %s for readers, want %v", name, writer, reader, want)
		}
	}
	writer, _ := db.DB()
	if n := writer.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d connections may write", n)
	}
	if err := db.Omit("Parent").Create(&child{ParentID: 7}).Error; err == nil {
		t.Error("a child of nobody was written")
	}
}

// Reads do not wait for a transaction that is under way, and do not see what it wrote until
// it is committed; statements that write go to the writer, whatever they look like.
func TestReadsDoNotWait(t *testing.T) {
	t.Parallel()
	for name, session := range map[string]gorm.Session{"plain": {}, "prepared": {PrepareStmt: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := opened(t, filepath.Join(t.TempDir(), "x.db")).Session(&session)
			count := func(db *gorm.DB) (n int64) {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				if err := db.WithContext(ctx).Model(&parent{}).Where("name <> ?", "").Count(&n).Error; err != nil {
					t.Error(err)
				}
				return n
			}
			err := db.Transaction(func(tx *gorm.DB) error {
				if err := tx.Create(&parent{Name: "one"}).Error; err != nil {
					return err
				}
				if inside, outside := count(tx), count(db); inside != 1 || outside != 0 {
					t.Errorf("%d inside of the transaction, %d outside", inside, outside)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := count(db); n != 1 {
				t.Errorf("%d after the commit", n)
			}
			var id int
			if err := db.Raw("INSERT INTO parents (name) VALUES ('two') RETURNING id").Scan(&id).Error; err != nil || id != 2 {
				t.Errorf("id %d, %v", id, err)
			}
			if err := db.Raw(" select count(*) from parents").Scan(&id).Error; err != nil || id != 2 {
				t.Errorf("%d rows, %v", id, err)
			}
		})
	}
}

// Two processes, each with its own writer, lose nothing and do not fail.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	databases := []*gorm.DB{opened(t, path), opened(t, path)}
	var wg sync.WaitGroup
	for i, db := range databases {
		for j := range 4 {
			wg.Go(func() {
				for k := range 10 {
					err := db.Transaction(func(tx *gorm.DB) error {
						var n int64
						if err := tx.Model(&parent{}).Count(&n).Error; err != nil {
							return err
						}
						return tx.Create(&parent{Name: fmt.Sprint(i, j, k)}).Error
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, db := range databases {
		var n int64
		if err := db.Model(&parent{}).Count(&n).Error; err != nil || n != 80 {
			t.Errorf("%d rows, %v", n, err)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}
