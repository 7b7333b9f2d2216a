package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"gorm.io/gorm"
)

// TestGroup: of callers that write at once, each has its own result. What one of them fails at
// is undone, and nothing else.
func TestGroup(t *testing.T) {
	t.Parallel()
	db := opened(t, filepath.Join(t.TempDir(), "x.db"))
	group, broken := NewGroup(db), errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // and nobody minds
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			defer func() {
				if panicked := recover(); (panicked != nil) != (i%10 == 7) {
					t.Errorf("%d panicked: %v", i, panicked)
				}
			}()
			err := group.Write(ctx, func(tx *gorm.DB) error {
				if err := tx.Create(&parent{Name: fmt.Sprint(i)}).Error; err != nil {
					return err
				}
				switch i % 10 {
				case 3:
					return broken
				case 7:
					panic("more than broken")
				}
				return nil
			})
			if i%10 == 3 && !errors.Is(err, broken) || i%10 != 3 && err != nil {
				t.Errorf("%d: %v", i, err)
			}
			var n int64 // what was acknowledged is there
			if err := db.Model(&parent{}).Where("name = ?", fmt.Sprint(i)).Count(&n).Error; err != nil || (n == 1) != (i%10 != 3) {
				t.Errorf("%d: %d rows, %v", i, n, err)
			}
		})
	}
	wg.Wait()
	var n int64
	if err := db.Model(&parent{}).Count(&n).Error; err != nil || n != 240 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// TestManyStatements: more different ones than are kept prepared, each many times.
func TestManyStatements(t *testing.T) {
	t.Parallel()
	db := opened(t, filepath.Join(t.TempDir(), "x.db"))
	group := NewGroup(db)
	var wg sync.WaitGroup
	for i := range 3 * mostPrepared {
		wg.Go(func() {
			for range 3 {
				err := group.Write(t.Context(), func(tx *gorm.DB) error {
					var name string
					if err := tx.Exec(fmt.Sprintf("INSERT INTO parents (name) VALUES ('%d')", i)).Error; err != nil {
						return err
					}
					if err := tx.Raw(fmt.Sprintf("SELECT name FROM parents WHERE name = '%d'", i)).Scan(&name).Error; err != nil || name != fmt.Sprint(i) {
						return fmt.Errorf("read %q: %w", name, err)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var n int64
	if err := db.Model(&parent{}).Count(&n).Error; err != nil || n != 9*mostPrepared {
		t.Errorf("%d rows, %v", n, err)
	}
	if n := group.statements.prepared.Len(); n != mostPrepared {
		t.Errorf("%d statements are prepared", n)
	}
}

// TestGroupWithoutDatabase: everybody is told that nothing was written.
func TestGroupWithoutDatabase(t *testing.T) {
	t.Parallel()
	db, err := Open(filepath.Join(t.TempDir(), "x.db"), &parent{})
	if err != nil {
		t.Fatal(err)
	}
	group := NewGroup(db)
	if err := Close(db); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := group.Write(t.Context(), func(tx *gorm.DB) error { return tx.Create(&parent{}).Error }); err == nil {
				t.Error("written to a database that is closed")
			}
		})
	}
	wg.Wait()
}

func BenchmarkGroup(b *testing.B) {
	db, err := Open(filepath.Join(b.TempDir(), "x.db"), &parent{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { Close(db) })
	insert := func(tx *gorm.DB) error { return tx.Exec("INSERT INTO parents (name) VALUES ('one')").Error }
	group, alone := NewGroup(db), db.Session(&gorm.Session{PrepareStmt: true})
	for name, write := range map[string]func() error{
		"together": func() error { return group.Write(b.Context(), insert) },
		"each":     func() error { return alone.Transaction(insert) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := write(); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
