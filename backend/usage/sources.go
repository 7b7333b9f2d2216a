package usage

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyladder/internal/manage"
)

// Bounds on what strangers can make us keep: whoever calls can invent user agents, and some
// can invent addresses.
const (
	maxPending = 1024 // sources of calls between two flushes, of those let through and of those refused
	maxListed  = 1000 // rows of one kind and day
	maxAgent   = 64   // bytes of a User-Agent field
	daysKept   = 30
)

// Names of what is no value.
const (
	noAgent   = "(no User-Agent)"
	noAddress = "(unknown)"
)

// ErrKind means that there are no sources of that kind.
var ErrKind = errors.New("there are no sources of that kind")

// Source is where a call comes from.
type Source struct {
	Stage   string
	App     string     // proven; empty: none
	User    string     // proven; empty: nobody
	Address netip.Addr // of the client
	Agent   string     // its User-Agent field
}

// sourceRow is how often somebody called on a day. Those that are not listed have the value
// "": see [Sources.Flush].
type sourceRow struct {
	Day     string `gorm:"primaryKey"` // UTC, 2006-01-02
	Kind    string `gorm:"primaryKey"` // as in [manage.SourceKind]
	Value   string `gorm:"primaryKey"`
	Stage   string `gorm:"primaryKey"`
	App     string `gorm:"primaryKey"` // empty: none was proven
	Served  int64  `gorm:"not null"`
	Refused int64  `gorm:"not null"`
}

func (sourceRow) TableName() string { return "usage_sources" }

// Sources counts who calls: users, addresses and user agents. A call costs a look into a map
// and an addition. It is safe for concurrent use.
//
// IPv6 addresses count by their /64, which is what one subscriber gets. Of each kind those
// with most calls that were let through are listed, so that a flood of invented ones pushes
// out other invented ones; what is not listed is counted together, so sums are right.
type Sources struct {
	db  *gorm.DB
	now func() time.Time

	mu      sync.Mutex
	pending pendingSources

	flushing sync.Mutex
	swept    string // the day on which old days were last removed
}

// pendingSources are calls that were refused, and those that were let through.
type pendingSources [2]counts[sourceKey, int64]

func newPendingSources() pendingSources {
	return pendingSources{newCounts[sourceKey, int64](), newCounts[sourceKey, int64]()}
}

type sourceKey struct {
	day   int64 // since 1970
	other bool  // all that there was no room for
	Source
}

// NewSources makes a counter on a database that has [Models]' tables. Nil is the clock.
func NewSources(db *gorm.DB, now func() time.Time) *Sources {
	if now == nil {
		now = time.Now
	}
	return &Sources{db: db, now: now, pending: newPendingSources()}
}

// Count counts one call.
func (s *Sources) Count(at time.Time, from Source, letThrough bool) {
	if from.Address.Is6() {
		prefix, _ := from.Address.Prefix(64)
		from.Address = prefix.Addr()
	}
	from.Agent = from.Agent[:min(len(from.Agent), maxAgent)]
	k := sourceKey{day: at.Unix() / (24 * 60 * 60), Source: from}
	which := 0
	if letThrough {
		which = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pending := &s.pending[which]
	n := pending.find(k)
	if n == nil {
		if len(pending.all) >= maxPending {
			k = sourceKey{day: k.day, other: true, Source: Source{Stage: k.Stage, App: k.App}}
		}
		k.Agent = strings.Clone(k.Agent) // not all of a long field
		n = pending.findOrAdd(k)
	}
	*n++
}

// Flush adds to the database what was counted since the last time. Of a kind and day that has
// more rows than can be listed, those with the fewest calls that were let through go, and are
// counted together. Counts that can't be written stay for the next time.
func (s *Sources) Flush(ctx context.Context) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.mu.Lock()
	taken := s.pending
	s.pending = newPendingSources()
	s.mu.Unlock()
	today := s.now().UTC().Format(time.DateOnly)
	if len(taken[0].all)+len(taken[1].all) == 0 && s.swept == today {
		return nil
	}
	rows := rowsOf(taken)
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		oldest := s.now().UTC().AddDate(0, 0, 1-daysKept).Format(time.DateOnly)
		if s.swept != today {
			if err := tx.Where("day < ?", oldest).Delete(&sourceRow{}).Error; err != nil {
				return err
			}
		}
		if err := addSources(tx, rows); err != nil {
			return err
		}
		return shorten(tx, rows)
	})
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for which, counts := range taken {
			for k, n := range counts.all {
				*s.pending[which].findOrAdd(k) += *n
			}
		}
		return fmt.Errorf("write who called: %w", err)
	}
	s.swept = today
	return nil
}

// rowsOf are the rows that the counts add to.
func rowsOf(taken pendingSources) []sourceRow {
	sums := map[sourceRow]sourceRow{} // by the row without its counts
	for which, counts := range taken {
		for k, n := range counts.all {
			values := map[manage.SourceKind]string{manage.ByUser: k.User, manage.ByAddress: addressText(k.Address), manage.ByAgent: agentText(k.Agent)}
			for kind, value := range values {
				if k.other {
					value = ""
				} else if value == "" {
					continue // nobody was proven
				}
				id := sourceRow{Day: dayText(k.day), Kind: string(kind), Value: value, Stage: k.Stage, App: k.App}
				sum, ok := sums[id]
				if !ok {
					sum = id
				}
				if which == 1 {
					sum.Served += *n
				} else {
					sum.Refused += *n
				}
				sums[id] = sum
			}
		}
	}
	rows := make([]sourceRow, 0, len(sums))
	for _, row := range sums {
		rows = append(rows, row)
	}
	return rows
}

func dayText(days int64) string {
	return time.Unix(days*24*60*60, 0).UTC().Format(time.DateOnly)
}

func addressText(address netip.Addr) string {
	switch {
	case !address.IsValid():
		return noAddress
	case address.Is6():
		return netip.PrefixFrom(address, 64).String()
	}
	return address.String()
}

func agentText(agent string) string {
	if agent = strings.ToValidUTF8(agent, "�"); agent == "" {
		return noAgent
	}
	return agent
}

func addSources(tx *gorm.DB, rows []sourceRow) error {
	if len(rows) == 0 {
		return nil
	}
	return tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "day"}, {Name: "kind"}, {Name: "value"}, {Name: "stage"}, {Name: "app"}},
		DoUpdates: clause.Assignments(map[string]any{
			"served":  gorm.Expr("usage_sources.served + excluded.served"),
			"refused": gorm.Expr("usage_sources.refused + excluded.refused"),
		}),
	}).CreateInBatches(&rows, 500).Error
}

// shorten counts together what is too much of the kinds and days of these rows.
func shorten(tx *gorm.DB, rows []sourceRow) error {
	type part struct{ day, kind string }
	var done []part
	for _, row := range rows {
		p := part{row.Day, row.Kind}
		if slices.Contains(done, p) {
			continue
		}
		done = append(done, p)
		var over []sourceRow
		err := tx.Where("day = ? AND kind = ? AND value <> ''", p.day, p.kind).
			Order("served DESC, refused DESC, value").Offset(maxListed).Limit(-1).Find(&over).Error
		if err != nil {
			return err
		}
		if len(over) == 0 {
			continue
		}
		others := map[sourceRow]sourceRow{}
		for _, gone := range over {
			id := sourceRow{Day: gone.Day, Kind: gone.Kind, Stage: gone.Stage, App: gone.App}
			sum, ok := others[id]
			if !ok {
				sum = id
			}
			sum.Served, sum.Refused = sum.Served+gone.Served, sum.Refused+gone.Refused
			others[id] = sum
			err := tx.Where("day = ? AND kind = ? AND value = ? AND stage = ? AND app = ?", gone.Day, gone.Kind, gone.Value, gone.Stage, gone.App).
				Delete(&sourceRow{}).Error
			if err != nil {
				return err
			}
		}
		for _, sum := range others {
			if err := addSources(tx, []sourceRow{sum}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Query is who called most, what was not written yet included.
func (s *Sources) Query(ctx context.Context, q manage.SourceQuery) (manage.SourceList, error) {
	list := manage.SourceList{Sources: []manage.Source{}}
	if !slices.Contains(manage.SourceKinds(), q.Kind) {
		return list, fmt.Errorf("%w: %q", ErrKind, q.Kind)
	}
	if err := s.Flush(ctx); err != nil {
		return list, err
	}
	since := s.now().UTC().AddDate(0, 0, 1-q.Days).Format(time.DateOnly)
	rows := s.db.WithContext(ctx).Model(&sourceRow{}).Where("kind = ? AND day >= ?", string(q.Kind), since)
	if q.Stage != "" {
		rows = rows.Where("stage = ?", q.Stage)
	}
	if q.App != "" {
		rows = rows.Where("app = ?", q.App)
	}
	rows = rows.Session(&gorm.Session{})
	if err := rows.Where("value = ''").Select("COALESCE(SUM(served), 0) AS served, COALESCE(SUM(refused), 0) AS refused").Scan(&list.Others).Error; err != nil {
		return list, fmt.Errorf("read who called: %w", err)
	}
	listed := rows.Where("value <> ''")
	if q.Search != "" {
		escaped := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(q.Search)
		listed = listed.Where(`value LIKE ? ESCAPE '\'`, "%"+escaped+"%")
	}
	listed = listed.Session(&gorm.Session{})
	var total int64
	if err := listed.Distinct("value").Count(&total).Error; err != nil {
		return list, fmt.Errorf("read who called: %w", err)
	}
	list.Total = int(total)
	err := listed.Select("value, SUM(served) AS served, SUM(refused) AS refused, MAX(day) AS last_day").
		Group("value").Order("SUM(served) + SUM(refused) DESC, value").Offset(q.From).Limit(q.Limit).Scan(&list.Sources).Error
	if err != nil {
		return list, fmt.Errorf("read who called: %w", err)
	}
	return list, nil
}

// Reset forgets everything.
func (s *Sources) Reset(ctx context.Context) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if err := s.db.WithContext(ctx).Session(&gorm.Session{AllowGlobalUpdate: true}).Delete(&sourceRow{}).Error; err != nil {
		return fmt.Errorf("clear the statistics of who called: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = newPendingSources()
	return nil
}
