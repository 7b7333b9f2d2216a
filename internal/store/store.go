// Package store opens the programs' SQLite databases, all in the same way.
package store

import (
	"fmt"
	"net/url"
	"os"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Open opens, or makes, the database in the file path (mode 0600) and brings its
// tables up to the models. What was committed survives the death of the process and
// of the machine: write-ahead log, synced at every commit. Foreign keys are enforced,
// and write transactions queue up instead of failing.
func Open(path string, models ...any) (*gorm.DB, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	file.Close()
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_journal_mode=WAL&_synchronous=FULL&_foreign_keys=on&_busy_timeout=5000&_txlock=immediate"
	db, err := gorm.Open(sqlite.Open(dsn), &gorm.Config{
		Logger:         logger.Discard, // values can be secrets; errors are returned
		TranslateError: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", path, err)
	}
	if err := db.AutoMigrate(models...); err != nil {
		return nil, fmt.Errorf("bring the tables of %s up to date: %w", path, err)
	}
	return db, nil
}

// Close closes the database.
func Close(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	return pool.Close()
}
