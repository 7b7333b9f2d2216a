package lab

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/referee"
)

// Jobs is how many labs at a time take the least time: more than there are processors, because some
// wait for limits, and for what expires.
func Jobs() int { return 2*runtime.NumCPU() + 1 }

// Matrix fills the cells of the given stages and attacks (none: all) and runs the genuine
// app at those stages, each in a fresh lab, jobs of them at a time. Progress is told of
// each cell as it is done, but for those that need no lab. When ctx ends, it begins no
// further lab and returns ctx's error.
func Matrix(ctx context.Context, stages catalog.Set, slugs, attacks []string, jobs int, progress func(done, total int, latest manage.Cell)) (manage.Matrix, error) {
	pairs := referee.Pairs(stages, slugs, attacks)
	matrix := manage.Matrix{Cells: make([]manage.Cell, len(pairs)), Genuine: []manage.Genuine{}}
	var mu sync.Mutex
	done, total := 0, referee.Applicable(stages, pairs)
	group, jobsCtx := errgroup.WithContext(ctx)
	group.SetLimit(max(jobs, 1))
	var built []string
	for _, pair := range pairs {
		if stage, ok := stages.Lookup(pair.Stage); ok && stage.Built && !slices.Contains(built, pair.Stage) {
			built = append(built, pair.Stage)
		}
	}
	// These take longest, with all that the API has to refuse: at the end, one would have the others wait.
	matrix.Genuine = slices.Grow(matrix.Genuine, len(built))[:len(built)]
	for i, slug := range built {
		group.Go(func() (err error) {
			matrix.Genuine[i], err = Genuine(jobsCtx, stages, slug)
			return err
		})
	}
	for i, pair := range pairs {
		if !pair.Applies(stages) {
			matrix.Cells[i] = notRun(stages, pair)
			continue
		}
		group.Go(func() error {
			cell, err := Cell(jobsCtx, stages, pair)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			matrix.Cells[i] = cell
			done++
			progress(done, total, cell)
			return nil
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return matrix, err
}

// Cell judges one attack at one stage in a fresh lab. Cells that need no lab get none. A
// second try ([referee.Twice]) is in another lab.
func Cell(ctx context.Context, stages catalog.Set, pair referee.Pair) (manage.Cell, error) {
	if !pair.Applies(stages) {
		return notRun(stages, pair), nil
	}
	return referee.Twice(func() (manage.Cell, error) { return carryOut(ctx, stages, pair) })
}

func carryOut(ctx context.Context, stages catalog.Set, pair referee.Pair) (manage.Cell, error) {
	lab, err := Start(ctx, Options{Stages: stages})
	if err != nil {
		return manage.Cell{}, err
	}
	defer lab.Close()
	return lab.Referee.Attack(ctx, pair.Stage, pair.Attack), ctx.Err()
}

// notRun is a cell in which nothing is attacked: the stage is not built, or the attack
// does not apply.
func notRun(stages catalog.Set, pair referee.Pair) manage.Cell {
	return referee.New(stages, nil).Attack(context.Background(), pair.Stage, pair.Attack)
}

// Genuine runs the genuine app at a stage in a fresh lab, and nothing else must be served.
func Genuine(ctx context.Context, stages catalog.Set, slug string) (manage.Genuine, error) {
	lab, err := Start(ctx, Options{Stages: stages})
	if err != nil {
		return manage.Genuine{}, err
	}
	defer lab.Close()
	return lab.Referee.GenuineAlone(ctx, slug), ctx.Err()
}
