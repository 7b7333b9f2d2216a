package workshop

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/jobs"
	"keyladder/admin/traffic"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// matrixData is what the matrix page shows.
type matrixData struct {
	Stages   catalog.Set
	Rows     []matrixRow
	Job      *jobs.Job // the latest run of the matrix
	Measured int
	Differ   int
	Now      time.Time
}

// chosen says whether the form proposes a stage: those of the latest run, or all.
func (d matrixData) chosen(stage catalog.Stage) bool {
	return d.Job == nil || slices.Contains(d.Job.Stages, stage.Slug)
}

// count is how many attacks come to an outcome at a stage: as measured, or else as expected.
func (d matrixData) count(stage catalog.Stage, outcome catalog.Outcome) int {
	count := 0
	for _, row := range d.Rows {
		for _, cell := range row.Cells {
			found := cell.Expect
			if cell.Latest != nil {
				found = catalog.Outcome(cell.Latest.Outcome)
			}
			if cell.Stage.Slug == stage.Slug && found == outcome {
				count++
			}
		}
	}
	return count
}

type matrixRow struct {
	catalog.Attack
	Cells []attackRow
}

func (w *Workshop) matrixPage(c echo.Context) error {
	data := matrixData{Stages: w.stages, Now: w.now()}
	// Before the cells: what a running job has filled by now is among them.
	if j, ok := w.runner.Latest(func(j jobs.Job) bool { return j.Kind == jobs.Matrix }); ok {
		data.Job = &j
	}
	for _, attack := range byPosition(catalog.Attacks()) {
		row := matrixRow{Attack: attack}
		for _, stage := range w.stages {
			cell := w.attackRow(stage, attack)
			if cell.Latest != nil {
				data.Measured++
			}
			if cell.differs() {
				data.Differ++
			}
			row.Cells = append(row.Cells, cell)
		}
		data.Rows = append(data.Rows, row)
	}
	p := w.gate.Page(c, "Matrix", "/matrix")
	p.Waiting = data.Job != nil && data.Job.Running()
	return ui.Render(c, http.StatusOK, matrixView(p, data))
}

// byPosition brings attacks from one position together; positions come in the order in which
// attacks first have them.
func byPosition(attacks []catalog.Attack) []catalog.Attack {
	first := map[catalog.Position]int{}
	for i, attack := range attacks {
		if _, ok := first[attack.Position]; !ok {
			first[attack.Position] = i
		}
	}
	slices.SortStableFunc(attacks, func(a, b catalog.Attack) int { return first[a.Position] - first[b.Position] })
	return attacks
}

func (w *Workshop) runMatrix(c echo.Context) error {
	chosen := c.Request().PostForm["stage"]
	stages := slices.DeleteFunc(w.stages.Built(), func(stage catalog.Stage) bool { return !slices.Contains(chosen, stage.Slug) })
	if len(stages) == 0 {
		w.gate.Notify(c, ui.Notice{Kind: ui.Failed, Text: "Choose at least one stage. Nothing was run."})
		return c.Redirect(http.StatusSeeOther, "/matrix")
	}
	if _, running := w.runner.Latest(func(j jobs.Job) bool { return j.Kind == jobs.Matrix && j.Running() }); running {
		w.gate.Notify(c, ui.Notice{Kind: ui.Failed, Text: "The matrix is running already. Wait until it has ended."})
		return c.Redirect(http.StatusSeeOther, "/matrix")
	}
	var slugs, attacks []string
	for _, stage := range stages {
		slugs = append(slugs, stage.Slug)
	}
	cells := 0
	for _, attack := range catalog.Attacks() {
		applies := 0
		for _, stage := range stages {
			if attack.Expected(stage) != catalog.NotApplicable {
				applies++
			}
		}
		if applies > 0 {
			attacks = append(attacks, attack.Name)
			cells += applies
		}
	}
	err := w.runner.Begin(c, jobs.Job{Kind: jobs.Matrix, Stages: slugs, Where: ui.StagesInWords(stages), Total: cells}, jobs.MatrixTime, "run the matrix", strings.Join(slugs, ", "),
		func(ctx context.Context, j *jobs.Job) error {
			result := w.referee.Matrix(ctx, slugs, attacks, func(done, total int, latest manage.Cell) {
				w.runner.KeepCell(latest)
				w.runner.Update(func() {
					j.Done, j.Total = done, total
					j.Cells = append(j.Cells, jobs.CellKey{Stage: latest.Stage, Attack: latest.Attack})
					j.Latest = latest.Attack + " at " + latest.Stage + ": " + ui.OutcomeWords(catalog.Outcome(latest.Outcome))
				})
				w.runner.Yield(ctx)
			})
			for _, cell := range result.Cells {
				w.runner.KeepCell(cell)
			}
			for _, genuine := range result.Genuine {
				if !genuine.OK {
					return fmt.Errorf("at %s the genuine app, or what is tried beside it, is not as it must be, so the column does not count: %s", genuine.Stage, genuine.Reason)
				}
			}
			return ctx.Err()
		})
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/matrix#the-run")
}

// cellData is what the page of one cell shows.
type cellData struct {
	Row     attackRow
	Job     *jobs.Job // of this attack, when it runs or could not be carried out
	Diagram traffic.Diagram
	Now     time.Time
	Next    *attackRow // the next attack that applies at this stage
}

func (w *Workshop) cellParam(c echo.Context) (catalog.Stage, catalog.Attack, error) {
	stage, err := w.stageParam(c)
	if err != nil {
		return stage, catalog.Attack{}, err
	}
	attack, err := attackParam(c)
	return stage, attack, err
}

func attackParam(c echo.Context) (catalog.Attack, error) {
	attack, ok := catalog.LookupAttack(c.Param("attack"))
	if !ok {
		return attack, echo.NewHTTPError(http.StatusNotFound, "There is no attack of this name. The matrix lists them all.")
	}
	return attack, nil
}

func (w *Workshop) cellPage(c echo.Context) error {
	stage, attack, err := w.cellParam(c)
	if err != nil {
		return err
	}
	data := cellData{Row: w.attackRow(stage, attack), Now: w.now()}
	if latest := data.Row.Latest; latest != nil {
		data.Diagram = w.traffic.Of(latest.Cell)
	}
	if j, ok := w.runner.Latest(func(j jobs.Job) bool {
		return j.Kind == jobs.Attack && j.Stage() == stage.Slug && j.Attack == attack.Name
	}); ok && (j.Running() || j.Failure != "") {
		data.Job = &j
	}
	passed := false
	for _, other := range catalog.Attacks() {
		if passed && other.Expected(stage) != catalog.NotApplicable {
			row := w.attackRow(stage, other)
			data.Next = &row
			break
		}
		passed = passed || other.Name == attack.Name
	}
	p := w.gate.Page(c, attack.Name+" at "+stage.Slug, "/matrix")
	p.Waiting = data.Row.Running
	return ui.Render(c, http.StatusOK, cellView(p, data))
}

func (w *Workshop) runAttack(c echo.Context) error {
	stage, attack, err := w.cellParam(c)
	if err != nil {
		return err
	}
	if _, err := w.builtParam(c); err != nil {
		return err
	}
	if attack.Expected(stage) == catalog.NotApplicable {
		return echo.NewHTTPError(http.StatusConflict, "This attack does not apply at this stage: what it goes for is not there.")
	}
	row := w.attackRow(stage, attack)
	if row.Running { // a second click asks for the same
		return c.Redirect(http.StatusSeeOther, row.path())
	}
	err = w.runner.Begin(c, jobs.Job{Kind: jobs.Attack, Stages: []string{stage.Slug}, Attack: attack.Name, Total: 1}, jobs.AttackTime,
		"run an attack", attack.Name+" at "+stage.Slug,
		func(ctx context.Context, j *jobs.Job) error {
			cell := w.referee.Attack(ctx, stage.Slug, attack.Name)
			w.runner.KeepCell(cell)
			w.runner.Update(func() { j.Done = 1 })
			return ctx.Err()
		})
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, row.path())
}

// jobState is how far a job is, and the cells that it has filled since the script asked
// last. Once the job has ended, the script loads its page anew.
func (w *Workshop) jobState(c echo.Context) error {
	j, ok := w.runner.Get(c.Param("id"))
	if !ok {
		return echo.NewHTTPError(http.StatusNotFound, "This run is not known any more, for example because the admin UI was restarted.")
	}
	if !j.Running() {
		c.Response().Header().Set("Job-Ended", "1")
	}
	after, _ := strconv.Atoi(c.QueryParam("after")) // 0, all of them, where it is no number
	var cells []attackRow
	for _, key := range j.Cells[min(max(after, 0), len(j.Cells)):] {
		stage, _ := w.stages.Lookup(key.Stage)
		attack, _ := catalog.LookupAttack(key.Attack)
		cells = append(cells, w.attackRow(stage, attack))
	}
	c.Response().Header().Set("Job-Cells", strconv.Itoa(len(j.Cells)))
	return ui.Render(c, http.StatusOK, jobStateView(j, w.stages, cells, w.now()))
}
