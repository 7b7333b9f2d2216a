package usage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyladder/internal/manage"
)

// row is what was counted on a day. The names of apps are no foreign keys: statistics
// outlive the registry's entries.
type row struct {
	Day     string `gorm:"primaryKey"` // UTC, 2006-01-02
	App     string `gorm:"primaryKey"` // empty: none was proven
	Stage   string `gorm:"primaryKey"`
	Route   string `gorm:"primaryKey"`
	Served  int64  `gorm:"not null"`
	Refused int64  `gorm:"not null"`
}

func (row) TableName() string { return "usage" }

// Models are the tables of the statistics.
func Models() []any { return []any{&row{}, &sourceRow{}} }

type key struct{ day, app, stage, route string }

type count struct{ served, refused int64 }

// Counter counts. It is safe for concurrent use.
type Counter struct {
	db  *gorm.DB
	now func() time.Time

	mu      sync.Mutex
	pending counts[key, count]
	days    int64  // since 1970, of today
	today   string // the same as text

	flushing sync.Mutex // held while pending counts are on their way to the database
}

// New makes a counter on a database that has [Models]' tables. Now tells the day; nil
// is the clock.
func New(db *gorm.DB, now func() time.Time) *Counter {
	if now == nil {
		now = time.Now
	}
	return &Counter{db: db, now: now, pending: newCounts[key, count]()}
}

// Count counts one call. App is the proven app, or empty.
func (c *Counter) Count(at time.Time, app, stage, route string, served bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if days := at.Unix() / (24 * 60 * 60); days != c.days || c.today == "" {
		c.days, c.today = days, at.UTC().Format(time.DateOnly)
	}
	k := key{day: c.today, app: app, stage: stage, route: route}
	n := c.pending.findOrAdd(k)
	if served {
		n.served++
	} else {
		n.refused++
	}
}

// Flush adds to the database what was counted since the last time. Counts that can't be
// written stay for the next time.
func (c *Counter) Flush(ctx context.Context) error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	c.mu.Lock()
	taken := c.pending.all
	c.pending = newCounts[key, count]()
	c.mu.Unlock()
	if len(taken) == 0 {
		return nil
	}
	rows := make([]row, 0, len(taken))
	for k, n := range taken {
		rows = append(rows, row{Day: k.day, App: k.app, Stage: k.stage, Route: k.route, Served: n.served, Refused: n.refused})
	}
	err := c.db.WithContext(ctx).Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "day"}, {Name: "app"}, {Name: "stage"}, {Name: "route"}},
		DoUpdates: clause.Assignments(map[string]any{
			"served":  gorm.Expr("usage.served + excluded.served"),
			"refused": gorm.Expr("usage.refused + excluded.refused"),
		}),
	}).CreateInBatches(&rows, 500).Error
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		for k, n := range taken {
			now := c.pending.findOrAdd(k)
			now.served, now.refused = now.served+n.served, now.refused+n.refused
		}
		return fmt.Errorf("write the usage statistics: %w", err)
	}
	return nil
}

// Latest is the usage of the latest days, today included, newest day first; what was
// not written yet is in it.
func (c *Counter) Latest(ctx context.Context, days int) ([]manage.Usage, error) {
	since := c.now().UTC().AddDate(0, 0, 1-days).Format(time.DateOnly)
	c.flushing.Lock() // or counts on their way would be missed, or taken twice
	defer c.flushing.Unlock()
	var rows []row
	if err := c.db.WithContext(ctx).Where("day >= ?", since).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read the usage statistics: %w", err)
	}
	counts := map[key]count{}
	for _, r := range rows {
		counts[key{r.Day, r.App, r.Stage, r.Route}] = count{r.Served, r.Refused}
	}
	c.mu.Lock()
	for k, n := range c.pending.all {
		if k.day >= since {
			counts[k] = count{counts[k].served + n.served, counts[k].refused + n.refused}
		}
	}
	c.mu.Unlock()
	usage := make([]manage.Usage, 0, len(counts))
	for k, n := range counts {
		usage = append(usage, manage.Usage{Day: k.day, App: k.app, Stage: k.stage, Route: k.route, Served: n.served, Refused: n.refused})
	}
	slices.SortFunc(usage, func(a, b manage.Usage) int {
		return cmp.Or(cmp.Compare(b.Day, a.Day), cmp.Compare(a.App, b.App), cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Route, b.Route))
	})
	return usage, nil
}

// Reset forgets everything.
func (c *Counter) Reset(ctx context.Context) error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	if err := c.db.WithContext(ctx).Session(&gorm.Session{AllowGlobalUpdate: true}).Delete(&row{}).Error; err != nil {
		return fmt.Errorf("clear the usage statistics: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = newCounts[key, count]()
	return nil
}
