package store

import (
	"database/sql"
	"strings"
	"time"

	"gorm.io/gorm"
)

// readers is a plugin of gorm's that sends reads outside of transactions to connections of
// their own.
type readers struct {
	pool     *sql.DB
	prepared *gorm.PreparedStmtDB // the same, for sessions with prepared statements
}

const readersName = "keyladder:readers"

func newReaders(pool *sql.DB) *readers {
	// Statements are few and are written in the code, so none has to go.
	return &readers{pool, gorm.NewPreparedStmtDB(pool, 1000, 24*time.Hour)}
}

// Name implements [gorm.Plugin].
func (*readers) Name() string { return readersName }

// Initialize implements [gorm.Plugin].
func (r *readers) Initialize(db *gorm.DB) error {
	if err := db.Callback().Query().Before("gorm:query").Register(readersName, r.use); err != nil {
		return err
	}
	return db.Callback().Row().Before("gorm:row").Register(readersName, r.use)
}

func (r *readers) use(db *gorm.DB) {
	// A statement that somebody wrote may write, too: INSERT … RETURNING.
	if text := strings.TrimSpace(db.Statement.SQL.String()); text != "" && !strings.HasPrefix(strings.ToUpper(text), "SELECT") {
		return
	}
	switch db.Statement.ConnPool.(type) {
	case *sql.DB:
		db.Statement.ConnPool = r.pool
	case *gorm.PreparedStmtDB:
		db.Statement.ConnPool = r.prepared
	} // all others are transactions
}
