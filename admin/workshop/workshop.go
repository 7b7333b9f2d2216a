package workshop

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/jobs"
	"keyladder/admin/programs"
	"keyladder/admin/traffic"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// Referee runs the genuine app and the attacks and decides what came of them.
type Referee interface {
	Genuine(ctx context.Context, stage string) manage.Genuine
	Attack(ctx context.Context, stage, attack string) manage.Cell
	// Matrix calls progress after every cell, one call at a time.
	Matrix(ctx context.Context, stages, attacks []string, progress func(done, total int, latest manage.Cell)) manage.Matrix
	// Hijacks counts how often a stolen code is good, so many times in each round, and tells progress of
	// each that is done.
	Hijacks(ctx context.Context, times int, progress func(done, total int, latest manage.HijackMeasurement)) ([]manage.HijackMeasurement, error)
}

// Workshop is the pages.
type Workshop struct {
	stages  catalog.Set
	referee Referee
	phone   programs.Remote
	station programs.Remote // the attacker's
	auth    programs.Remote
	traffic *traffic.Traffic
	runner  *jobs.Runner
	gate    *access.Gate
	now     func() time.Time
	counted counted // of stolen codes

	narratives map[string]narrative // by stage
	noRung     narrative            // about what is no stage
}

// New renders the narratives.
func New(stages catalog.Set, referee Referee, station, auth programs.Remote, seen *traffic.Traffic, runner *jobs.Runner, now func() time.Time) (*Workshop, error) {
	w := &Workshop{
		stages: stages, referee: referee, phone: runner.Phone, station: station, auth: auth, traffic: seen, runner: runner, gate: runner.Gate, now: now,
		narratives: map[string]narrative{},
	}
	for _, stage := range stages {
		var err error
		if w.narratives[stage.Slug], err = renderNarrative(stage.Narrative(), "/stages/"+stage.Slug+"/code"); err != nil {
			return nil, err
		}
	}
	var err error
	w.noRung, err = renderNarrative(catalog.NoRung(), "")
	return w, err
}

// Mount adds the routes.
func (w *Workshop) Mount(e *echo.Echo) {
	in := w.gate.SignedIn
	e.GET("/stages", w.ladderPage, in)
	e.GET("/no-rung", w.noRungPage, in)
	e.GET("/stages/:stage", w.learnPage, in)
	e.GET("/stages/:stage/try", w.tryPage, in)
	e.GET("/stages/:stage/code", w.codePage, in)
	e.GET("/compare", func(c echo.Context) error { // from the form
		return c.Redirect(http.StatusSeeOther, "/compare/"+url.PathEscape(c.QueryParam("from"))+"/"+url.PathEscape(c.QueryParam("to")))
	}, in)
	e.GET("/compare/:from/:to", w.comparePage, in)
	e.GET("/attacks/:attack", w.attackPage, in)
	e.GET("/identifiers", w.identifiersPage, in)
	e.GET("/exposure", w.exposurePage, in)
	e.POST("/stages/:stage/run", w.runAtStage, in)
	e.POST("/stages/:stage/phone", w.switchPhone, in)
	e.GET("/phone", w.openPhone, in)
	e.GET("/take-apart", w.tokenPage, in)
	e.POST("/take-apart", w.takeApart, in)
	e.GET("/matrix", w.matrixPage, in)
	e.POST("/matrix/run", w.runMatrix, in)
	e.GET("/matrix/:stage/:attack", w.cellPage, in)
	e.POST("/matrix/:stage/:attack/run", w.runAttack, in)
	e.GET(codesPath, w.codesPage, in)
	e.POST(codesPath, w.switchDefences, in)
	e.POST(codesPath+"/measure", w.measureHijacks, in)
	e.GET("/jobs/:id", w.jobState, w.gate.SignedInQuietly)
}

// stageParam is the stage in the path.
func (w *Workshop) stageParam(c echo.Context) (catalog.Stage, error) {
	return ui.Stage(w.stages, c.Param("stage"))
}

// builtParam is the stage in the path, when it can be used.
func (w *Workshop) builtParam(c echo.Context) (catalog.Stage, error) {
	return ui.BuiltStage(w.stages, c.Param("stage"))
}
