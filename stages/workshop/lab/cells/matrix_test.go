package cells_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"keyladder/internal/manage"
	"keyladder/internal/tempdir"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/referee"
)

func TestMain(m *testing.M) {
	code := 1
	err := errors.Join(testenv.Waiting(), tempdir.InMemory())
	if err == nil {
		code = m.Run()
		err = lab.Cleanup()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Every attack is carried out at every stage that is built; in short runs, at the last one,
// which has every defence. What has been measured already is taken from there.
func TestMatrix(t *testing.T) {
	t.Parallel()
	stages := catalog.All().Built()
	if testing.Short() {
		stages = stages[len(stages)-1:]
	}
	measured, err := lab.Kept[manage.Matrix](lab.MatrixKeptIn)
	if errors.Is(err, lab.ErrNotKept) {
		measureMatrix(t, stages)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	cells := map[referee.Pair]manage.Cell{}
	for _, cell := range measured.Cells {
		cells[referee.Pair{Stage: cell.Stage, Attack: cell.Attack}] = cell
	}
	for _, pair := range referee.Pairs(stages, nil, nil) {
		asExpected(t, pair, cells[pair])
	}
	if retried := referee.Retried(measured.Cells); len(retried) > referee.MaxRetried {
		t.Errorf("%d attacks showed nothing at first: %+v", len(retried), retried)
	}
}

// measureMatrix carries the attacks out.
func measureMatrix(t *testing.T, stages catalog.Set) {
	var mu sync.Mutex
	var cells []manage.Cell
	t.Cleanup(func() {
		if retried := referee.Retried(cells); len(retried) > referee.MaxRetried {
			t.Errorf("%d attacks showed nothing at first: %+v", len(retried), retried)
		}
	})
	for _, pair := range referee.Pairs(stages, nil, nil) {
		t.Run(pair.Stage+"/"+pair.Attack, func(t *testing.T) {
			t.Parallel()
			cell, err := lab.Cell(t.Context(), catalog.All(), pair)
			if err != nil {
				t.Fatal(err)
			}
			asExpected(t, pair, cell)
			mu.Lock()
			defer mu.Unlock()
			cells = append(cells, cell)
		})
	}
}

func asExpected(t *testing.T, pair referee.Pair, cell manage.Cell) {
	t.Helper()
	if cell.Stage != pair.Stage || cell.Attack != pair.Attack {
		t.Errorf("%s at %s was not measured", pair.Attack, pair.Stage)
	} else if err := referee.Expected(catalog.All(), cell); err != nil {
		t.Errorf("%v\nsteps: %s\nevidence: %s", err, strings.Join(cell.Steps, "\n\t"), strings.Join(cell.Evidence, "\n\t"))
	}
}

// An app that keeps the session key in its memory only leaves nothing in the copy of its
// storage that stands for its user. That is a matter of the app alone: the API serves it as it
// serves the other.
func TestBackupTheftFromMemoryOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as a cell of the matrix")
	}
	t.Parallel()
	stages := catalog.All().With("user-session", func(p *catalog.Policies) { p.Call.UserKey = catalog.UserKeyInMemory })
	cell, err := lab.Cell(t.Context(), stages, referee.Pair{Stage: "user-session", Attack: "backup-theft"})
	if err != nil {
		t.Fatal(err)
	}
	if cell.Outcome != string(catalog.Blocked) || cell.Check != catalog.CheckNotStored {
		t.Errorf("%s by %q (%s)\n%s", cell.Outcome, cell.Check, cell.Reason, strings.Join(cell.Steps, "\n"))
	}
}
