package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// matrixData is what the matrix page shows.
type matrixData struct {
	Stages   catalog.Set
	Rows     []matrixRow
	Job      *job // the latest run of the matrix
	Measured int
	Differ   int
	Now      time.Time
}

// chosen says whether the form proposes a stage: those of the latest run, or all.
func (d matrixData) chosen(stage catalog.Stage) bool {
	return d.Job == nil || slices.Contains(d.Job.Stages, stage.Slug)
}

type matrixRow struct {
	catalog.Attack
	Cells []attackRow
}

func (s *Server) matrixPage(c echo.Context) error {
	data := matrixData{Stages: s.cfg.Stages, Now: s.now()}
	// Before the cells: what a running job has filled by now is among them.
	if j, ok := s.jobs.latest(func(j job) bool { return j.Kind == matrixJob }); ok {
		data.Job = &j
	}
	for _, attack := range catalog.Attacks() {
		row := matrixRow{Attack: attack}
		for _, stage := range s.cfg.Stages {
			cell := s.attackRow(stage, attack)
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
	p := s.page(c, "Matrix", "/matrix")
	p.Waiting = data.Job != nil && data.Job.running()
	return render(c, http.StatusOK, matrixView(p, data))
}

func (s *Server) runMatrix(c echo.Context) error {
	stages := s.builtStages(c.Request().PostForm["stage"])
	if len(stages) == 0 {
		s.notices.put(visitorOf(c).Hash, notice{noticeFailed, "Choose at least one stage. Nothing was run."})
		return c.Redirect(http.StatusSeeOther, "/matrix")
	}
	if _, running := s.jobs.latest(func(j job) bool { return j.Kind == matrixJob && j.running() }); running {
		s.notices.put(visitorOf(c).Hash, notice{noticeFailed, "The matrix is running already. Wait until it has ended."})
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
	err := s.startJob(c, job{Kind: matrixJob, Stages: slugs, Where: stagesInWords(stages), Total: cells}, matrixTime, "run the matrix", strings.Join(slugs, ", "),
		func(ctx context.Context, j *job) error {
			result := s.cfg.Referee.Matrix(ctx, slugs, attacks, func(done, total int, latest manage.Cell) {
				s.jobs.keepCell(latest)
				s.jobs.update(func() {
					j.Done, j.Total = done, total
					j.Cells = append(j.Cells, cellKey{latest.Stage, latest.Attack})
					j.Latest = latest.Attack + " at " + latest.Stage + ": " + outcomeWords(catalog.Outcome(latest.Outcome))
				})
			})
			for _, cell := range result.Cells {
				s.jobs.keepCell(cell)
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
	Job     *job // of this attack, when it runs or could not be carried out
	Diagram diagram
	Now     time.Time
	Next    *attackRow // the next attack that applies at this stage
}

func (s *Server) cellParam(c echo.Context) (catalog.Stage, catalog.Attack, error) {
	stage, err := s.stageParam(c)
	if err != nil {
		return stage, catalog.Attack{}, err
	}
	attack, ok := catalog.LookupAttack(c.Param("attack"))
	if !ok {
		return stage, attack, echo.NewHTTPError(http.StatusNotFound, "There is no attack of this name. The matrix lists them all.")
	}
	return stage, attack, nil
}

func (s *Server) cellPage(c echo.Context) error {
	stage, attack, err := s.cellParam(c)
	if err != nil {
		return err
	}
	data := cellData{Row: s.attackRow(stage, attack), Now: s.now()}
	if latest := data.Row.Latest; latest != nil {
		records, _ := s.hub.since(0, stage.Slug)
		data.Diagram = layOut(slices.DeleteFunc(records, func(r record) bool { return r.At.Before(latest.From) || r.At.After(latest.To) }), attackRows)
	}
	if j, ok := s.jobs.latest(func(j job) bool {
		return j.Kind == attackJob && j.stage() == stage.Slug && j.Attack == attack.Name
	}); ok && (j.running() || j.Failure != "") {
		data.Job = &j
	}
	passed := false
	for _, other := range catalog.Attacks() {
		if passed && other.Expected(stage) != catalog.NotApplicable {
			row := s.attackRow(stage, other)
			data.Next = &row
			break
		}
		passed = passed || other.Name == attack.Name
	}
	p := s.page(c, attack.Name+" at "+stage.Slug, "/matrix")
	p.Waiting = data.Row.Running
	return render(c, http.StatusOK, cellView(p, data))
}

func (s *Server) runAttack(c echo.Context) error {
	stage, attack, err := s.cellParam(c)
	if err != nil {
		return err
	}
	if !stage.Built {
		return notBuilt(stage)
	}
	if attack.Expected(stage) == catalog.NotApplicable {
		return echo.NewHTTPError(http.StatusConflict, "This attack does not apply at this stage: what it goes for is not there.")
	}
	row := s.attackRow(stage, attack)
	if row.Running { // a second click asks for the same
		return c.Redirect(http.StatusSeeOther, row.path())
	}
	err = s.startJob(c, job{Kind: attackJob, Stages: []string{stage.Slug}, Attack: attack.Name, Total: 1}, attackTime,
		"run an attack", attack.Name+" at "+stage.Slug,
		func(ctx context.Context, j *job) error {
			cell := s.cfg.Referee.Attack(ctx, stage.Slug, attack.Name)
			s.jobs.keepCell(cell)
			s.jobs.update(func() { j.Done = 1 })
			return ctx.Err()
		})
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, row.path())
}

// jobState is how far a job is, and the cells that it has filled since the script asked
// last. Once the job has ended, the script loads its page anew.
func (s *Server) jobState(c echo.Context) error {
	j, ok := s.jobs.get(c.Param("id"))
	if !ok {
		return echo.NewHTTPError(http.StatusNotFound, "This run is not known any more, for example because the admin UI was restarted.")
	}
	if !j.running() {
		c.Response().Header().Set("Job-Ended", "1")
	}
	after, _ := strconv.Atoi(c.QueryParam("after")) // 0, all of them, where it is no number
	var cells []attackRow
	for _, key := range j.Cells[min(max(after, 0), len(j.Cells)):] {
		stage, _ := s.cfg.Stages.Lookup(key.stage)
		attack, _ := catalog.LookupAttack(key.attack)
		cells = append(cells, s.attackRow(stage, attack))
	}
	c.Response().Header().Set("Job-Cells", strconv.Itoa(len(j.Cells)))
	return render(c, http.StatusOK, jobStateView(j, s.cfg.Stages, cells, s.now()))
}
