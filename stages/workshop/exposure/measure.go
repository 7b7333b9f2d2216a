package exposure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"keyladder/internal/manage"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
	"keyladder/stages/catalog/exposure"
	"keyladder/stages/workshop/lab"
)

// Options say what to measure.
type Options struct {
	Stages        catalog.Set
	Slugs, Thefts []string // which of the stages and of the thefts; none: all
	Jobs          int      // labs at a time
	// Known is a matrix: an attack that was blocked in it has no loot, and is not carried out again.
	Known manage.Matrix
	// Progress is told of each cell as it is done, one at a time.
	Progress func(done, total int, latest exposure.Cell)
}

// Measure measures thefts at stages. When ctx ends, it begins no further lab and returns ctx's error.
func Measure(ctx context.Context, o Options) (exposure.Table, error) {
	table := exposure.Table{}
	for _, stage := range o.Stages.Built() {
		for _, theft := range exposure.Thefts() {
			if theft.Applies(stage) && chosen(o.Slugs, stage.Slug) && chosen(o.Thefts, theft.Name) {
				table = append(table, exposure.Cell{Stage: stage.Slug, Theft: theft.Name})
			}
		}
	}
	var mu sync.Mutex
	done := 0
	group, jobsCtx := errgroup.WithContext(ctx)
	group.SetLimit(max(o.Jobs, 1))
	for i, cell := range table {
		group.Go(func() (err error) {
			if check, blocked := blockedIn(o.Known, cell); blocked {
				cell.Check = check
			} else if cell, err = Cell(jobsCtx, o.Stages, cell.Stage, cell.Theft); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			table[i] = cell
			done++
			o.Progress(done, len(table), cell)
			return nil
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return table, err
}

// blockedIn says which check has blocked the theft in a matrix, if any has.
func blockedIn(matrix manage.Matrix, theft exposure.Cell) (catalog.Check, bool) {
	i := slices.IndexFunc(matrix.Cells, func(c manage.Cell) bool { return c.Stage == theft.Stage && c.Attack == theft.Theft })
	if i < 0 || matrix.Cells[i].Outcome != string(catalog.Blocked) {
		return "", false
	}
	return matrix.Cells[i].Check, true
}

func chosen(names []string, name string) bool {
	return len(names) == 0 || slices.Contains(names, name)
}

// Cell measures one theft at one stage, once more where something broke on the way.
func Cell(ctx context.Context, stages catalog.Set, stage, theft string) (exposure.Cell, error) {
	cell, err := measure(ctx, stages, stage, theft)
	if err != nil && ctx.Err() == nil {
		cell, err = measure(ctx, stages, stage, theft)
	}
	if err != nil {
		return cell, fmt.Errorf("%s at %s: %w", theft, stage, err)
	}
	return cell, nil
}

func measure(ctx context.Context, stages catalog.Set, stage, theft string) (exposure.Cell, error) {
	m := measurement{cell: exposure.Cell{Stage: stage, Theft: theft}}
	l, err := lab.Start(ctx, lab.Options{Stages: stages, Settings: settings(), Now: m.now, Spend: m.spend})
	if err != nil {
		return m.cell, err
	}
	defer l.Close()
	report, err := l.Referee.Steal(ctx, stage, theft)
	if err != nil {
		return m.cell, err
	}
	if report.Claim != (m.cell.Calls != 0) {
		return m.cell, errors.New("the thief succeeds, and has no loot to call with")
	}
	if !m.cell.Endless() {
		m.cell.Check, err = l.Referee.StoppedBy(ctx, report)
	}
	return m.cell, err
}

// measurement is of one theft.
type measurement struct {
	cell exposure.Cell

	mu    sync.Mutex
	ahead time.Duration // of the machine's clock
}

func (m *measurement) now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Add(m.ahead)
}

func (m *measurement) setAhead(ahead time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ahead = ahead
}

// enough calls in a row with the same loot mean that it is not used up by calling.
const enough = 3

// spend calls with the loot, at once and later, until it is refused. The theft itself has been served
// already.
func (m *measurement) spend(ctx context.Context, pieces []attack.Use) error {
	served, err := inARow(ctx, pieces[0])
	if err != nil {
		return err
	}
	fresh := func() (attack.Use, error) { return pieces[0], nil }
	switch {
	case served == enough:
		m.cell.Calls = exposure.Any
	case len(pieces) == 1 || served == 0:
		return fmt.Errorf("the loot was good for the theft itself, and for %d calls after it: nothing is left to find out until when", served)
	default:
		m.cell.Calls = served
		fresh = func() (attack.Use, error) {
			if pieces = pieces[1:]; len(pieces) == 0 {
				return nil, errors.New("there is not enough loot to find out until when it is good")
			}
			return pieces[0], nil
		}
	}
	last := time.Duration(0)
	for _, at := range schedule() {
		m.setAhead(at)
		use, err := fresh()
		if err == nil {
			err = use(ctx)
		}
		if !attack.Refused(err) {
			if err != nil {
				return fmt.Errorf("call with the loot after %s: %w", at, err)
			}
			last = at
			continue
		}
		life := endedBy(last, at)
		if life == 0 {
			return fmt.Errorf("the loot was good after %s and is not after %s, and no lifetime ends in between: %w", last, at, err)
		}
		m.cell.Seconds = int64(life / time.Second)
		return nil
	}
	return nil
}

// inARow is how many calls are served at once, if they are not enough.
func inARow(ctx context.Context, use attack.Use) (served int, err error) {
	for served < enough {
		switch err := use(ctx); {
		case attack.Refused(err):
			return served, nil
		case err != nil:
			return served, fmt.Errorf("call with the loot: %w", err)
		}
		served++
	}
	return served, nil
}
