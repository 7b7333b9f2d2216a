package store

import (
	"path/filepath"
	"slices"
	"testing"

	"gorm.io/gorm"
)

type other struct {
	ID   uint   `gorm:"primaryKey;autoIncrement"`
	Name string `gorm:"uniqueIndex;not null;default:what?"`
}

// Tables that are made as others before them are the same as those, and the same as the models.
func TestTablesMadeAgain(t *testing.T) {
	t.Parallel()
	models := []any{&parent{}, &child{}, &other{}}
	var first []string
	for i := range 3 {
		db, err := Open(filepath.Join(t.TempDir(), "x.db"), models...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { Close(db) })
		tables := schema(t, db)
		if i == 0 {
			first = tables
		}
		if len(tables) < 4 || !slices.Equal(tables, first) {
			t.Errorf("%q, and at first %q", tables, first)
		}
		if err := db.Create(&child{ParentID: 7}).Error; err == nil {
			t.Error("a child has no parent")
		}
		if err := db.AutoMigrate(models...); err != nil || !slices.Equal(schema(t, db), tables) {
			t.Errorf("the models want other tables: %q, %v", schema(t, db), err)
		}
	}
	// Fewer models have fewer tables.
	db := opened(t, filepath.Join(t.TempDir(), "x.db"))
	if tables := schema(t, db); len(tables) >= len(first) {
		t.Errorf("more tables than wanted: %q", tables)
	}
}

func schema(t *testing.T, db *gorm.DB) (made []string) {
	t.Helper()
	if err := db.Raw("SELECT type || name || coalesce(sql, '') FROM sqlite_master ORDER BY name").Scan(&made).Error; err != nil {
		t.Fatal(err)
	}
	return made
}
