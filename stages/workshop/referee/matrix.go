package referee

import (
	"context"
	"slices"
	"time"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// Pair is a cell that is to be filled.
type Pair struct{ Stage, Attack string }

// Pairs are the cells of the given stages and attacks, stage by stage; no stages or no
// attacks mean all.
func Pairs(stages catalog.Set, slugs, attacks []string) []Pair {
	if len(slugs) == 0 {
		for _, stage := range stages {
			slugs = append(slugs, stage.Slug)
		}
	}
	if len(attacks) == 0 {
		for _, attack := range catalog.Attacks() {
			attacks = append(attacks, attack.Name)
		}
	}
	var pairs []Pair
	for _, slug := range slugs {
		for _, attack := range attacks {
			pairs = append(pairs, Pair{slug, attack})
		}
	}
	return pairs
}

// Applies says whether there is something to attack: the stage is built, and the attack
// goes for something that it has.
func (p Pair) Applies(stages catalog.Set) bool {
	stage, _ := stages.Lookup(p.Stage)
	attack, _ := catalog.LookupAttack(p.Attack)
	return stage.Built && attack.Expected(stage) != catalog.NotApplicable
}

// Applicable counts the cells in which there is something to attack.
func Applicable(stages catalog.Set, pairs []Pair) (count int) {
	for _, pair := range pairs {
		if pair.Applies(stages) {
			count++
		}
	}
	return count
}

// MaxRetried is in how many cells of a matrix the first try may show nothing. Once in a
// while something breaks on the way; more often than this, it is a fault.
const MaxRetried = 3

// Retried are the cells that were tried more than once, because the first try showed
// nothing.
func Retried(cells []manage.Cell) []manage.Cell {
	var retried []manage.Cell
	for _, cell := range cells {
		if cell.Tries > 1 {
			retried = append(retried, cell)
		}
	}
	return retried
}

// Twice carries an attack out, and once more where that shows nothing, because something broke or the
// machine has too much to do. The steps say so: what is inconclusive twice stays inconclusive.
func Twice(try func() (manage.Cell, error)) (manage.Cell, error) {
	begin := time.Now()
	cell, err := try()
	if err != nil || cell.Outcome != string(catalog.Inconclusive) || cell.Tries == 0 {
		return cell, err
	}
	first := "A first try showed nothing: " + cell.Reason
	if cell, err = try(); err == nil {
		cell.Steps, cell.Tries = slices.Insert(cell.Steps, 0, first), 2
	}
	cell.MS = time.Since(begin).Milliseconds()
	return cell, err
}

// Matrix judges the given attacks at the given stages, one after the other, and reports
// each cell to progress in which there is something to attack.
func (r *Referee) Matrix(ctx context.Context, slugs, attacks []string, progress func(done, total int, latest manage.Cell)) manage.Matrix {
	pairs := Pairs(r.stages, slugs, attacks)
	matrix := manage.Matrix{Cells: []manage.Cell{}, Genuine: []manage.Genuine{}}
	done, total := 0, Applicable(r.stages, pairs)
	for i, pair := range pairs {
		if ctx.Err() != nil {
			break
		}
		if stage, ok := r.stages.Lookup(pair.Stage); ok && stage.Built && (i == 0 || pairs[i-1].Stage != pair.Stage) {
			matrix.Genuine = append(matrix.Genuine, r.GenuineAlone(ctx, pair.Stage))
			breathe(ctx)
		}
		cell, _ := Twice(func() (manage.Cell, error) { return r.Attack(ctx, pair.Stage, pair.Attack), ctx.Err() })
		matrix.Cells = append(matrix.Cells, cell)
		if pair.Applies(r.stages) {
			done++
			progress(done, total, cell)
		}
	}
	return matrix
}
