package lab

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/referee"
)

// Matrix fills the cells of the given stages and attacks (none: all), each in a fresh
// lab, jobs of them at a time. Progress is told of each cell as it is done.
func Matrix(ctx context.Context, stages catalog.Set, slugs, attacks []string, jobs int, progress func(done, total int, latest manage.Cell)) (manage.Matrix, error) {
	pairs := referee.Pairs(stages, slugs, attacks)
	matrix := manage.Matrix{Cells: make([]manage.Cell, len(pairs)), Genuine: []manage.Genuine{}}
	var mu sync.Mutex
	done := 0
	group, cellsCtx := errgroup.WithContext(ctx)
	group.SetLimit(max(jobs, 1))
	for i, pair := range pairs {
		group.Go(func() error {
			cell, err := Cell(cellsCtx, stages, pair)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			matrix.Cells[i] = cell
			done++
			progress(done, len(pairs), cell)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return matrix, err
	}
	for i, pair := range pairs {
		if stage, ok := stages.Lookup(pair.Stage); !ok || !stage.Built || i > 0 && pairs[i-1].Stage == pair.Stage {
			continue
		}
		genuine, err := Genuine(ctx, stages, pair.Stage)
		if err != nil {
			return matrix, err
		}
		matrix.Genuine = append(matrix.Genuine, genuine)
	}
	return matrix, nil
}

// Cell judges one attack at one stage in a fresh lab. Cells that need no lab get none.
func Cell(ctx context.Context, stages catalog.Set, pair referee.Pair) (manage.Cell, error) {
	stage, _ := stages.Lookup(pair.Stage)
	attack, _ := catalog.LookupAttack(pair.Attack)
	if !stage.Built || attack.Expected(stage) == catalog.NotApplicable {
		return referee.New(stages, nil, nil).Attack(ctx, pair.Stage, pair.Attack), nil
	}
	begin := time.Now()
	lab, err := Start(ctx, Options{Stages: stages})
	if err != nil {
		return manage.Cell{}, err
	}
	defer lab.Close()
	cell := lab.Referee.Attack(ctx, pair.Stage, pair.Attack)
	cell.MS = time.Since(begin).Milliseconds()
	return cell, ctx.Err()
}

// Genuine runs the genuine app at a stage in a fresh lab.
func Genuine(ctx context.Context, stages catalog.Set, slug string) (manage.Genuine, error) {
	lab, err := Start(ctx, Options{Stages: stages})
	if err != nil {
		return manage.Genuine{}, err
	}
	defer lab.Close()
	return lab.Referee.Genuine(ctx, slug), ctx.Err()
}
