package store

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// busy is how long a transaction waits for one of another process, in milliseconds.
const busy = "5000"

// Open opens, or makes, the database in the file path (mode 0600) and brings its
// tables up to the models. A committed transaction survives the death of the process
// and of the machine: write-ahead log, synced at every commit. Foreign keys are enforced.
//
// A database that was there before and is missing or empty now is not made anew in silence:
// what was revoked or banned would be good again. That, and one that is damaged, is an error
// that says what to do.
func Open(path string, models ...any) (*gorm.DB, error) {
	if err := lost(path); err != nil {
		return nil, err
	}
	db, err := open(path, models...)
	if err != nil {
		return nil, damaged(path, err)
	}
	if err := mark(path); err != nil {
		return nil, errors.Join(err, Close(db))
	}
	return db, nil
}

func open(path string, models ...any) (*gorm.DB, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	file.Close()
	db, err := gorm.Open(sqlite.New(sqlite.Config{
		DriverName: driverName, DSN: dsn(path, "_journal_mode", "WAL", "_synchronous", "FULL", "_txlock", "immediate"),
	}), &gorm.Config{
		Logger:         logger.Discard, // values can be secrets; errors are returned
		TranslateError: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", path, err)
	}
	writer, err := db.DB()
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	// All of it or nothing, and one wait for the disk rather than one for each table and index.
	err = db.Transaction(func(tx *gorm.DB) error { return makeTables(tx, models) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bring the tables of %s up to date: %w", path, err), writer.Close())
	}
	pool, err := sql.Open(driverName, dsn(path, "_query_only", "on"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the database %s for reading: %w", path, err), writer.Close())
	}
	connections := max(4, runtime.NumCPU())
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections) // opening one takes longer than most reads
	if err := db.Use(newReaders(pool)); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database %s for reading: %w", path, err), pool.Close(), writer.Close())
	}
	return db, nil
}

// dsn names the database with the settings of a connection, as go-sqlite3 has them.
func dsn(path string, settings ...string) string {
	values := url.Values{"_foreign_keys": {"on"}, "_busy_timeout": {busy}}
	for i := 0; i < len(settings); i += 2 {
		values.Set(settings[i], settings[i+1])
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + values.Encode()
}

// Close closes the database.
func Close(db *gorm.DB) error {
	writer, err := db.DB()
	if err != nil {
		return err
	}
	if r, ok := db.Plugins[readersName].(*readers); ok {
		err = r.pool.Close() // first, so that the writer is the last to go and empties the log
	}
	return errors.Join(err, writer.Close())
}
