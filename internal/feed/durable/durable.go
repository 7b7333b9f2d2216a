// Package durable keeps a feed in the database of what the feed tells about. It stands apart from
// package feed because that is also part of programs without a database, such as the bank's app.
package durable

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyladder/internal/feed"
)

// Feed is a feed in a database, beside what it tells about: an entry is committed together
// with the change, or not at all. All processes that open the database share it.
type Feed[T any] struct {
	db     *gorm.DB
	name   string
	limits feed.Limits
}

// head is a feed.
type head struct {
	Name  string `gorm:"primaryKey"`
	Epoch string `gorm:"not null"`
	Begin uint64 `gorm:"not null"` // number of the epoch's first entry
	Last  uint64 `gorm:"not null"` // of the newest one
}

func (head) TableName() string { return "feeds" }

// row is an entry.
type row struct {
	Feed   string `gorm:"primaryKey"`
	Number uint64 `gorm:"primaryKey;autoIncrement:false"`
	Data   []byte `gorm:"not null"` // JSON
}

func (row) TableName() string { return "feed_entries" }

// Models are the tables of all feeds in a database.
func Models() []any { return []any{&head{}, &row{}} }

// pollEvery is how often a waiting reader looks. It is one row by its primary key, which takes
// some 20 µs, and nothing else would tell it what other processes committed.
const pollEvery = 100 * time.Millisecond

// Open opens the feed of that name in a database that has [Models]' tables, or makes it.
func Open[T any](ctx context.Context, db *gorm.DB, name string, limits feed.Limits) (*Feed[T], error) {
	d := &Feed[T]{db, name, limits}
	first := head{Name: name, Epoch: feed.NewEpoch(), Begin: 1}
	if err := db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&first).Error; err != nil {
		return nil, fmt.Errorf("open the feed %s: %w", name, err)
	}
	return d, nil
}

// Append adds an entry in the transaction of the change that it tells about, and returns its
// number. Oldest entries go where there are too many.
func (d *Feed[T]) Append(tx *gorm.DB, value T) (number uint64, err error) {
	data, err := json.Marshal(value)
	if err != nil {
		return 0, fmt.Errorf("append to the feed %s: %w", d.name, err)
	}
	if err := tx.Raw("UPDATE feeds SET last = last + 1 WHERE name = ? RETURNING last", d.name).Scan(&number).Error; err != nil {
		return 0, fmt.Errorf("append to the feed %s: %w", d.name, err)
	}
	if err := tx.Create(&row{d.name, number, data}).Error; err != nil {
		return 0, fmt.Errorf("append to the feed %s: %w", d.name, err)
	}
	err = tx.Exec(`DELETE FROM feed_entries WHERE feed = ? AND number <= (
		SELECT COALESCE(MAX(number), 0) FROM (
			SELECT number, ROW_NUMBER() OVER newer AS entries, SUM(LENGTH(data)) OVER newer AS bytes
			FROM feed_entries WHERE feed = ? WINDOW newer AS (ORDER BY number DESC))
		WHERE entries > ? OR bytes > ? AND entries > 1)`, d.name, d.name, d.limits.Entries, d.limits.Bytes).Error
	if err != nil {
		return 0, fmt.Errorf("drop the feed %s's oldest entries: %w", d.name, err)
	}
	return number, nil
}

// Clear drops all entries and begins a new epoch, in the transaction of a change that is too
// large to tell: readers start over. Numbers go on.
func (d *Feed[T]) Clear(tx *gorm.DB) error {
	if err := tx.Delete(&row{}, "feed = ?", d.name).Error; err != nil {
		return fmt.Errorf("clear the feed %s: %w", d.name, err)
	}
	anew := map[string]any{"epoch": feed.NewEpoch(), "begin": gorm.Expr("last + 1")}
	if err := tx.Model(&head{}).Where("name = ?", d.name).Updates(anew).Error; err != nil {
		return fmt.Errorf("clear the feed %s: %w", d.name, err)
	}
	return nil
}

// End is the cursor of a reader that has read everything. In a transaction it belongs to the
// state that the transaction sees.
func (d *Feed[T]) End(tx *gorm.DB) (feed.Cursor, error) {
	h, err := d.head(tx)
	return feed.Cursor{Epoch: h.Epoch, Number: h.Last}, err
}

func (d *Feed[T]) head(tx *gorm.DB) (h head, err error) {
	if err := tx.Where("name = ?", d.name).Take(&h).Error; err != nil {
		return head{}, fmt.Errorf("read the feed %s: %w", d.name, err)
	}
	return h, nil
}

// Read implements [feed.Reader].
func (d *Feed[T]) Read(ctx context.Context, after feed.Cursor, wait time.Duration) (feed.Page[T], error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		page, err := d.page(ctx, after)
		if err != nil || len(page.Entries) > 0 || page.StartOver || page.Cut > 0 || wait <= 0 {
			return page, err
		}
		select {
		case <-ticker.C:
		case <-deadline.C:
			return page, nil
		case <-ctx.Done():
			return page, ctx.Err()
		}
	}
}

func (d *Feed[T]) page(ctx context.Context, after feed.Cursor) (feed.Page[T], error) {
	page := feed.Page[T]{Entries: []T{}}
	db := d.db.WithContext(ctx)
	h, err := d.head(db)
	if err != nil {
		return page, err
	}
	from := h.Begin
	switch {
	case after == (feed.Cursor{}):
	case after.Epoch != h.Epoch || after.Number > h.Last:
		page.StartOver = true
	default:
		from = max(after.Number+1, h.Begin)
	}
	page.Next = feed.Cursor{Epoch: h.Epoch, Number: h.Last}
	if from > h.Last {
		return page, nil
	}
	var rows []row
	found := db.Where("feed = ? AND number BETWEEN ? AND ?", d.name, from, h.Last).Order("number").Limit(feed.PageEntries).Find(&rows)
	if found.Error != nil {
		return page, fmt.Errorf("read the feed %s: %w", d.name, found.Error)
	}
	if len(rows) == 0 { // they were dropped meanwhile
		page.Cut = h.Last - from + 1
		return page, nil
	}
	page.Cut = rows[0].Number - from
	bytes := 0
	for i, r := range rows {
		if bytes += len(r.Data); i > 0 && bytes > feed.PageBytes {
			break
		}
		var value T
		if err := json.Unmarshal(r.Data, &value); err != nil {
			return page, fmt.Errorf("read entry %d of the feed %s: %w", r.Number, d.name, err)
		}
		page.Entries = append(page.Entries, value)
		page.Next.Number = r.Number
	}
	page.More = page.Next.Number < h.Last
	return page, nil
}
