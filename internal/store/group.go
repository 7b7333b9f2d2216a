package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"gorm.io/gorm"
)

// Group writes what several callers want to write at the same time in one transaction, since
// waiting for the disk takes longer than all the rest (group commit). It is safe for concurrent
// use. Its zero value is not: see [NewGroup].
type Group struct {
	db         *gorm.DB
	statements *statements // of db; nil: they are not prepared
	mu         sync.Mutex
	waiting    []*change
	busy       bool // somebody writes
}

// change is what one caller writes.
type change struct {
	write    func(tx *gorm.DB) error
	err      error
	panicked any
	done     chan struct{}
}

// mostTogether bounds how long other transactions on the database wait.
const mostTogether = 100

// NewGroup makes a group of those who write to a database.
func NewGroup(db *gorm.DB) *Group {
	g := &Group{db: db.Session(&gorm.Session{NewDB: true, Context: context.Background()})}
	if writer, ok := db.ConnPool.(*sql.DB); ok {
		g.statements = newStatements(writer)
		g.db.Statement.ConnPool = g.statements
	}
	return g
}

// Write has write change the database, and returns when that is committed. Where write returns
// an error, what it did is undone, which concerns no other caller, and Write returns that error.
//
// It does not stop when ctx ends: a caller that goes away must not leave us guessing whether it
// was written. write must use tx alone: there is no other connection that writes.
func (g *Group) Write(ctx context.Context, write func(tx *gorm.DB) error) error {
	ctx = context.WithoutCancel(ctx)
	c := &change{done: make(chan struct{}), write: func(tx *gorm.DB) error { return write(tx.WithContext(ctx)) }}
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	if !g.busy {
		g.busy = true
		go g.work()
	}
	g.mu.Unlock()
	<-c.done
	if c.panicked != nil {
		panic(c.panicked)
	}
	return c.err
}

// work writes until nobody waits.
func (g *Group) work() {
	for {
		g.mu.Lock()
		together := g.waiting[:min(len(g.waiting), mostTogether)]
		g.waiting = g.waiting[len(together):]
		if len(together) == 0 {
			g.busy = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		err := g.db.Transaction(func(tx *gorm.DB) error {
			for _, c := range together {
				if err := c.apply(tx); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range together {
			if err != nil {
				c.err = fmt.Errorf("write to the database: %w", err)
			}
			close(c.done)
		}
		if g.statements != nil {
			g.statements.prepare(context.Background())
		}
	}
}

// apply makes one change, or undoes it. An error is one of the database, after which nothing
// of the transaction is good.
func (c *change) apply(tx *gorm.DB) error {
	if err := tx.Exec("SAVEPOINT one_change").Error; err != nil {
		return err
	}
	c.run(tx)
	if c.err != nil || c.panicked != nil {
		if err := tx.Exec("ROLLBACK TO one_change").Error; err != nil {
			return err
		}
	}
	return tx.Exec("RELEASE one_change").Error
}

func (c *change) run(tx *gorm.DB) {
	defer func() { c.panicked = recover() }()
	c.err = c.write(tx)
}
