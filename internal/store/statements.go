package store

import (
	"context"
	"database/sql"

	lru "github.com/hashicorp/golang-lru/v2"
	"gorm.io/gorm"
)

// statements is a connection pool of gorm's whose transactions use statements that were prepared
// outside of them. A statement that is prepared in a transaction, as gorm does it, has to be prepared again in
// the next one, which takes a quarter of a short transaction's time. One transaction runs at a
// time.
type statements struct {
	*sql.DB
	prepared *lru.Cache[string, *sql.Stmt]
	missing  map[string]bool // that the transaction would have used
}

// mostPrepared is more than the programs have. Those that lists of values make differ each time.
const mostPrepared = 200

func newStatements(db *sql.DB) *statements {
	s := &statements{DB: db, missing: map[string]bool{}}
	s.prepared, _ = lru.NewWithEvict(mostPrepared, func(_ string, old *sql.Stmt) { _ = old.Close() }) // an error is for a size below 1
	return s
}

// BeginTx implements [gorm.ConnPoolBeginner].
func (s *statements) BeginTx(ctx context.Context, options *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := s.DB.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	return &statementsTx{tx, s}, nil
}

// prepare prepares what was missing. No transaction is under way: it would wait for itself.
func (s *statements) prepare(ctx context.Context) {
	for query := range s.missing {
		if one, err := s.DB.PrepareContext(ctx, query); err == nil { // else it is used as it is
			s.prepared.Add(query, one)
		}
	}
	clear(s.missing)
}

// statementsTx is a transaction.
type statementsTx struct {
	*sql.Tx
	of *statements
}

func (t *statementsTx) statement(ctx context.Context, query string) *sql.Stmt {
	one, ok := t.of.prepared.Get(query)
	if !ok {
		t.of.missing[query] = true
		return nil
	}
	return t.StmtContext(ctx, one)
}

// ExecContext implements [gorm.ConnPool].
func (t *statementsTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if one := t.statement(ctx, query); one != nil {
		return one.ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

// QueryContext implements [gorm.ConnPool].
func (t *statementsTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if one := t.statement(ctx, query); one != nil {
		return one.QueryContext(ctx, args...)
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

// QueryRowContext implements [gorm.ConnPool].
func (t *statementsTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if one := t.statement(ctx, query); one != nil {
		return one.QueryRowContext(ctx, args...)
	}
	return t.Tx.QueryRowContext(ctx, query, args...)
}
