package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// rung is a stage on the ladder.
type rung struct {
	catalog.Stage
	Through, Stopped int // attacks that are expected to get through, and to be blocked
	OnPhone          bool
}

// chapterView is a part of the ladder.
type chapterView struct {
	Number int
	Title  string
	Rungs  []rung
}

func (s *Server) ladder(phoneStage string) []chapterView {
	var chapters []chapterView
	for i, title := range catalog.Chapters() {
		chapter := chapterView{Number: i + 1, Title: title}
		for _, stage := range s.cfg.Stages {
			if stage.Chapter != chapter.Number {
				continue
			}
			r := rung{Stage: stage, OnPhone: stage.Slug == phoneStage}
			for _, attack := range catalog.Attacks() {
				switch attack.Expected(stage) {
				case catalog.Succeeds:
					r.Through++
				case catalog.Blocked:
					r.Stopped++
				}
			}
			chapter.Rungs = append(chapter.Rungs, r)
		}
		if len(chapter.Rungs) > 0 {
			chapters = append(chapters, chapter)
		}
	}
	return chapters
}

func (s *Server) ladderPage(c echo.Context) error {
	phone, _ := s.phone.phone(c.Request().Context()) // without it the page says less
	return render(c, http.StatusOK, ladderView(s.page(c, "Stages", "/stages"), s.ladder(phone.Stage)))
}

// attackRow is an attack at one stage, in short.
type attackRow struct {
	catalog.Attack
	Stage     catalog.Stage
	Expect    catalog.Outcome
	BlockedBy catalog.Check // expected
	Latest    *measured
	Running   bool
}

func (r attackRow) path() string { return "/matrix/" + r.Stage.Slug + "/" + r.Name }

// differs says that the outcome, or the check that blocked, is not the expected one.
func (r attackRow) differs() bool {
	return r.Latest != nil && !r.AsExpected(r.Stage, catalog.Outcome(r.Latest.Outcome), r.Latest.Check)
}

func (s *Server) attackRow(stage catalog.Stage, attack catalog.Attack) attackRow {
	row := attackRow{Attack: attack, Stage: stage, Expect: attack.Expected(stage), BlockedBy: attack.BlockedBy(stage)}
	if cell, ok := s.jobs.cell(stage.Slug, attack.Name); ok {
		row.Latest = &cell
	}
	_, row.Running = s.jobs.latest(func(j job) bool {
		return j.running() && j.Kind == attackJob && j.stage() == stage.Slug && j.Attack == attack.Name
	})
	return row
}

// stageData is what a stage's page shows.
type stageData struct {
	Stage     catalog.Stage
	Chapter   string
	Before    *catalog.Stage
	Next      *catalog.Stage
	All       catalog.Set
	Changes   []change
	Attacks   []attackRow // those that apply
	Narrative narrative
	Diagram   diagram
	OnPhone   bool
	Run       runPanel
	Now       time.Time
}

func (s *Server) stagePage(c echo.Context) error {
	stage, err := s.stageParam(c)
	if err != nil {
		return err
	}
	data := stageData{
		Stage: stage, Chapter: catalog.Chapters()[stage.Chapter-1], All: s.cfg.Stages,
		Narrative: s.narratives[stage.Slug], Run: s.runPanel(stage.Slug), Now: s.now(),
	}
	if before, ok := s.cfg.Stages.Before(stage); ok {
		data.Before = &before
		data.Changes = changes(before.Policies, stage.Policies)
	} else {
		data.Changes = changes(catalog.Policies{}, stage.Policies)
	}
	for _, other := range s.cfg.Stages {
		if other.Number == stage.Number+1 {
			data.Next = &other
		}
	}
	for _, attack := range catalog.Attacks() {
		if attack.Expected(stage) != catalog.NotApplicable {
			data.Attacks = append(data.Attacks, s.attackRow(stage, attack))
		}
	}
	records, _ := s.hub.since(0, stage.Slug)
	data.Diagram = layOut(records, stageRows)
	p := s.page(c, stage.Title, "/stages")
	p.Waiting = data.Run.Job != nil
	if stage.Built {
		if phone, err := s.phone.phone(c.Request().Context()); err == nil {
			data.OnPhone = phone.Stage == stage.Slug
		}
	}
	return render(c, http.StatusOK, stageView(p, data))
}

// runPanel is the button that runs the genuine app, and what came of it last.
type runPanel struct {
	Job    *job // that is under way
	Latest *appRun
	Now    time.Time
}

// runPanel for a stage (empty: for any).
func (s *Server) runPanel(stage string) runPanel {
	panel := runPanel{Now: s.now()}
	if j, ok := s.jobs.latest(func(j job) bool {
		return j.running() && j.Kind == appJob && (stage == "" || j.stage() == stage)
	}); ok {
		panel.Job = &j
	}
	if run, ok := s.jobs.run(stage); ok {
		panel.Latest = &run
	}
	return panel
}

// atOnce is how long a button waits for its job, so that what is quick needs no progress.
const atOnce = 900 * time.Millisecond

// startApp lets the genuine app run on the phone.
func (s *Server) startApp(c echo.Context, stage string) error {
	return s.startJob(c, job{Kind: appJob, Stages: []string{stage}, Total: 1}, appTime, "run the genuine app", stage,
		func(ctx context.Context, _ *job) error {
			var run manage.Run
			err := s.phone.Do(ctx, http.MethodPost, "/phone/run",
				map[string]string{"stage": stage, "reference": "admin run " + rand.Text()[:6]}, &run)
			if err != nil {
				s.jobs.keepRun(stage, appRun{Failure: s.inWords(err)})
				return err
			}
			s.jobs.keepRun(stage, appRun{Run: run})
			return nil
		})
}

// startJob writes the job down, starts it and gives it a moment to end.
func (s *Server) startJob(c echo.Context, j job, limit time.Duration, action, subject string, do func(context.Context, *job) error) error {
	entry, err := s.audit.begin(visitorOf(c).who(), addressOf(c), action, subject)
	if err != nil {
		return err
	}
	id, err := s.jobs.start(j, limit, do, func(failure error) {
		if err := s.audit.end(entry, failure); err != nil {
			s.echo.Logger.Error(err)
		}
	})
	if err != nil {
		return errors.Join(err, s.audit.end(entry, err))
	}
	s.jobs.await(c.Request().Context(), id, atOnce)
	return nil
}

// builtParam is the stage in the path, when it can be used.
func (s *Server) builtParam(c echo.Context) (catalog.Stage, error) {
	stage, err := s.stageParam(c)
	if err == nil && !stage.Built {
		err = notBuilt(stage)
	}
	return stage, err
}

func notBuilt(stage catalog.Stage) error {
	return echo.NewHTTPError(http.StatusConflict, fmt.Sprintf("Stage %d (%s) is declared, but not built yet. Choose one of the built stages.", stage.Number, stage.Slug))
}

func (s *Server) runAtStage(c echo.Context) error {
	stage, err := s.builtParam(c)
	if err != nil {
		return err
	}
	if err := s.startApp(c, stage.Slug); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/stages/"+stage.Slug+"#the-run")
}

func (s *Server) switchPhone(c echo.Context) error {
	stage, err := s.builtParam(c)
	if err != nil {
		return err
	}
	if err := s.putPhone(c, stage); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/stages/"+stage.Slug+"#the-run")
}

// putPhone has the phone use a stage from now on.
func (s *Server) putPhone(c echo.Context, stage catalog.Stage) error {
	return s.act(c, "switch the phone", stage.Slug, "The phone uses “"+stage.Title+"” from now on.", func() error {
		return s.phone.quick(c.Request().Context(), http.MethodPost, "/phone/stage", map[string]string{"stage": stage.Slug}, nil)
	})
}
