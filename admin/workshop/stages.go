package workshop

import (
	"net/http"
	"net/url"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"keyladder/admin/jobs"
	"keyladder/admin/traffic"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// rung is a stage on the ladder.
type rung struct {
	catalog.Stage
	Through, Stopped int // attacks that are expected to get through, and to be blocked
	Opened           int // of those that get through: not possible at the stage before, and not counted in Through
	OnPhone          bool
}

// chapterView is a part of the ladder.
type chapterView struct {
	Number int
	Title  string
	Rungs  []rung
}

func (w *Workshop) ladder(phoneStage string) []chapterView {
	var chapters []chapterView
	for i, title := range catalog.Chapters() {
		chapter := chapterView{Number: i + 1, Title: title}
		for _, stage := range w.stages {
			if stage.Chapter != chapter.Number {
				continue
			}
			r := rung{Stage: stage, OnPhone: stage.Slug == phoneStage}
			for _, attack := range catalog.Attacks() {
				switch attack.Expected(stage) {
				case catalog.Succeeds:
					if w.possibleBefore(attack, stage) {
						r.Through++
					} else {
						r.Opened++
					}
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

// possibleBefore says whether an attack gets through the stage before the given one, too. At
// the first stage nothing is new.
func (w *Workshop) possibleBefore(attack catalog.Attack, stage catalog.Stage) bool {
	before, ok := w.stages.Before(stage)
	return !ok || attack.Expected(before) == catalog.Succeeds
}

func (w *Workshop) ladderPage(c echo.Context) error {
	phone, _ := w.phone.Phone(c.Request().Context()) // without it the page says less
	return ui.Render(c, http.StatusOK, ladderView(w.gate.Page(c, "Stages", "/stages"), w.ladder(phone.Stage)))
}

// noRungPage is about what is not on the ladder.
func (w *Workshop) noRungPage(c echo.Context) error {
	return ui.Render(c, http.StatusOK, noRungView(w.gate.Page(c, "What is no rung", "/stages"), w.noRung))
}

// attackRow is an attack at one stage, in short.
type attackRow struct {
	catalog.Attack
	Stage     catalog.Stage
	Expect    catalog.Outcome
	BlockedBy catalog.Check // expected
	Latest    *jobs.Measured
	Running   bool
}

func (r attackRow) path() string { return "/matrix/" + r.Stage.Slug + "/" + r.Name }

// differs says that the outcome, or the check that blocked, is not the expected one.
func (r attackRow) differs() bool {
	return r.Latest != nil && !r.AsExpected(r.Stage, catalog.Outcome(r.Latest.Outcome), r.Latest.Check)
}

func (w *Workshop) attackRow(stage catalog.Stage, attack catalog.Attack) attackRow {
	row := attackRow{Attack: attack, Stage: stage, Expect: attack.Expected(stage), BlockedBy: attack.BlockedBy(stage)}
	if cell, ok := w.runner.Cell(stage.Slug, attack.Name); ok {
		row.Latest = &cell
	}
	_, row.Running = w.runner.Latest(func(j jobs.Job) bool {
		return j.Running() && j.Kind == jobs.Attack && j.Stage() == stage.Slug && j.Attack == attack.Name
	})
	return row
}

// stageData is what a stage's page shows.
type stageData struct {
	Part      string // which of its pages, see stageParts
	Stage     catalog.Stage
	Chapter   string
	Before    *catalog.Stage
	Next      *catalog.Stage
	All       catalog.Set
	Changes   []catalog.Difference
	Attacks   []attackRow // those that apply
	Narrative narrative
	Diagram   traffic.Diagram
	OnPhone   bool
	Run       jobs.Panel
	Served    time.Time // from when on revoked tokens are served here; zero: they are not
	Now       time.Time
}

// stageParts are the pages of a stage; Path is the last part of their address.
var stageParts = []ui.NavItem{{Path: "", Label: "Learn"}, {Path: "try", Label: "Try"}, {Path: "code", Label: "Code"}}

func stagePath(stage catalog.Stage, part string) templ.SafeURL {
	if part == "" {
		return templ.SafeURL("/stages/" + stage.Slug)
	}
	return templ.SafeURL("/stages/" + stage.Slug + "/" + part)
}

// stage is what all pages of the stage in the path show.
func (w *Workshop) stage(c echo.Context, part string) (stageData, error) {
	stage, err := w.stageParam(c)
	if err != nil {
		return stageData{}, err
	}
	data := stageData{
		Part: part, Stage: stage, Chapter: catalog.Chapters()[stage.Chapter-1], All: w.stages,
		Narrative: w.narratives[stage.Slug], Now: w.now(),
	}
	if before, ok := w.stages.Before(stage); ok {
		data.Before = &before
	}
	for _, other := range w.stages {
		if other.Number == stage.Number+1 {
			data.Next = &other
		}
	}
	return data, nil
}

func (w *Workshop) learnPage(c echo.Context) error {
	data, err := w.stage(c, "")
	if err != nil {
		return err
	}
	before := catalog.Policies{}
	if data.Before != nil {
		before = data.Before.Policies
	}
	data.Changes = before.Diff(data.Stage.Policies)
	return ui.Render(c, http.StatusOK, learnView(w.gate.Page(c, data.Stage.Title, "/stages"), data))
}

func (w *Workshop) codePage(c echo.Context) error {
	data, err := w.stage(c, "code")
	if err != nil {
		return err
	}
	return ui.Render(c, http.StatusOK, codeView(w.gate.Page(c, data.Stage.Title+": code", "/stages"), data))
}

func (w *Workshop) tryPage(c echo.Context) error {
	data, err := w.stage(c, "try")
	if err != nil {
		return err
	}
	stage := data.Stage
	data.Run, data.Diagram = w.runner.Panel(stage.Slug), w.latestTraffic(stage.Slug)
	for _, attack := range catalog.Attacks() {
		if attack.Expected(stage) != catalog.NotApplicable {
			data.Attacks = append(data.Attacks, w.attackRow(stage, attack))
		}
	}
	p := w.gate.Page(c, stage.Title+": try it", "/stages")
	p.Waiting = data.Run.Job != nil
	if stage.Built && stage.Auth.Revocations == catalog.RevokedRefused {
		checks, _ := w.runner.Resource.RevocationChecks(c.Request().Context()) // without them the page says less
		for _, check := range checks {
			if check.Stage == stage.Slug && check.Since != nil {
				data.Served = *check.Since
			}
		}
	}
	if stage.Built {
		if phone, err := w.phone.Phone(c.Request().Context()); err == nil {
			data.OnPhone = phone.Stage == stage.Slug
		}
	}
	return ui.Render(c, http.StatusOK, tryView(p, data))
}

// latestTraffic is what the latest run at a stage has sent, or what was sent after it.
func (w *Workshop) latestTraffic(stage string) traffic.Diagram {
	j, ok := w.runner.Latest(func(j jobs.Job) bool {
		return j.Kind != jobs.Matrix && j.Kind != jobs.Hijacks && j.Stage() == stage && !j.Started.IsZero()
	})
	if !ok {
		return w.traffic.Latest(stage, time.Time{}, w.now(), time.Time{})
	}
	from, to, ended := j.Started, w.now(), w.now()
	if !j.Running() {
		to, ended = j.Ended, j.Ended
	}
	if cell, ok := w.runner.Cell(stage, j.Attack); ok && !cell.From.Before(j.Started) {
		from, to = cell.From, cell.To
	}
	return w.traffic.Latest(stage, from, to, ended)
}

func (w *Workshop) runAtStage(c echo.Context) error {
	stage, err := w.builtParam(c)
	if err != nil {
		return err
	}
	if err := w.runner.BeginApp(c, stage.Slug); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/stages/"+stage.Slug+"/try#the-run")
}

func (w *Workshop) switchPhone(c echo.Context) error {
	stage, err := w.builtParam(c)
	if err != nil {
		return err
	}
	if err := w.runner.PutPhone(c, stage); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/stages/"+stage.Slug+"/try#the-run")
}

// openPhone goes on to the phone's screen. The phone gives a code with which it lets this
// browser in.
func (w *Workshop) openPhone(c echo.Context) error {
	screen := w.gate.PhoneURL()
	if screen == "" {
		return echo.ErrNotFound
	}
	var pairing manage.Pairing
	if err := w.phone.Quick(c.Request().Context(), http.MethodPost, manage.PairingPath, nil, &pairing); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, screen+"/pair?"+url.Values{"code": {pairing.Code}}.Encode())
}
