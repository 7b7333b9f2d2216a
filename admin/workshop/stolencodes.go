package workshop

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/jobs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

const (
	codesPath    = "/stolen-codes"
	defencesPath = "/codes/defences" // of the authorization server's management API
	mostTimes    = 20                // that a code is stolen in each round
)

// counted is what was measured last.
type counted struct {
	mu     sync.Mutex
	rounds []manage.HijackMeasurement
	at     time.Time
}

func (c *counted) keep(rounds []manage.HijackMeasurement, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rounds, c.at = slices.Clone(rounds), at
}

func (c *counted) latest() ([]manage.HijackMeasurement, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rounds, c.at
}

// codesData is what the page of stolen codes shows.
type codesData struct {
	Stage   *catalog.Stage // at which codes are bound to nothing; nil: there is none
	On      manage.CodeDefences
	Silence string // why what is on can't be shown
	Rounds  []manage.HijackMeasurement
	At      time.Time // when they were measured
	Job     *jobs.Job // that measures, or measured last
	Now     time.Time
}

// unbound is the stage at which codes are bound to nothing.
func (w *Workshop) unbound() *catalog.Stage {
	for i := range w.stages {
		if w.stages[i].Built && w.stages[i].Auth.CodesUnbound() {
			return &w.stages[i]
		}
	}
	return nil
}

func (w *Workshop) measuring() (jobs.Job, bool) {
	return w.runner.Latest(func(j jobs.Job) bool { return j.Kind == jobs.Hijacks })
}

func (w *Workshop) codesPage(c echo.Context) error {
	data := codesData{Stage: w.unbound(), Now: w.now()}
	if j, ok := w.measuring(); ok { // before the rounds: those that it has done by now are among them
		data.Job = &j
	}
	data.Rounds, data.At = w.counted.latest()
	if err := w.auth.Quick(c.Request().Context(), http.MethodGet, defencesPath, nil, &data.On); err != nil {
		data.Silence = ui.InWords(err)
	}
	p := w.gate.Page(c, "Stolen codes", "/auth/clients")
	p.Waiting = data.Job != nil && data.Job.Running()
	return ui.Render(c, http.StatusOK, codesView(p, data))
}

// switchDefences switches what there is against stolen codes.
func (w *Workshop) switchDefences(c echo.Context) error {
	form := c.Request().PostForm
	on := manage.CodeDefences{Newest: form.Get("newest") != "", Fingerprint: form.Get("fingerprint") != ""}
	var err error
	if text := strings.TrimSpace(form.Get("lifetime_seconds")); text != "" {
		on.LifetimeSeconds, err = strconv.Atoi(text)
	}
	j, known := w.measuring()
	switch {
	case err != nil:
		return w.refuse(c, "A code's life is a whole number of seconds, or nothing for as long as usual. Nothing was changed.")
	case known && j.Running():
		return w.refuse(c, "A measurement is under way, and switches them itself. Wait until it has ended, or cancel it.")
	}
	return w.runner.CarryOut(c, jobs.Change{Action: "switch defences of authorization codes", Subject: on.String()}, func() (string, error) {
		return "Switched on from the next code on: " + on.String() + ".", w.auth.Quick(c.Request().Context(), http.MethodPost, defencesPath, on, nil)
	})
}

func (w *Workshop) refuse(c echo.Context, text string) error {
	w.gate.Notify(c, ui.Notice{Kind: ui.Failed, Text: text})
	return c.Redirect(http.StatusSeeOther, codesPath)
}

// measureHijacks counts how often a stolen code is good.
func (w *Workshop) measureHijacks(c echo.Context) error {
	stage := w.unbound()
	times, err := strconv.Atoi(strings.TrimSpace(c.Request().PostForm.Get("times")))
	j, known := w.measuring()
	switch {
	case stage == nil:
		return echo.NewHTTPError(http.StatusConflict, "Codes are bound to nothing at no stage that is built.")
	case err != nil || times < 1 || times > mostTimes:
		return w.refuse(c, fmt.Sprintf("Choose a number of tries from 1 to %d. Nothing was measured.", mostTimes))
	case known && j.Running():
		return w.refuse(c, "A measurement is under way already. Wait until it has ended.")
	}
	err = w.runner.Begin(c, jobs.Job{Kind: jobs.Hijacks, Stages: []string{stage.Slug}, Where: ui.StagesInWords(catalog.Set{*stage}), Total: rounds}, jobs.MatrixTime,
		"count stolen codes", fmt.Sprintf("%s, %d times each", stage.Slug, times),
		func(ctx context.Context, j *jobs.Job) error {
			var done []manage.HijackMeasurement
			measured, err := w.referee.Hijacks(ctx, times, func(count, total int, latest manage.HijackMeasurement) {
				done = append(done, latest)
				w.counted.keep(done, w.now())
				w.runner.Update(func() { j.Done, j.Total, j.Latest = count, total, ui.Sentence(latest.String()) })
			})
			if err == nil {
				w.counted.keep(measured, w.now())
			}
			return err
		})
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, codesPath+"#measured")
}

// rounds is how many there are until the first one says it.
const rounds = 8

// thief says how a thief goes about it.
func thief(m manage.HijackMeasurement) string {
	if m.LateBySeconds == 0 {
		return "uses it at once"
	}
	return fmt.Sprintf("waits %d s, while the victim tries again", m.LateBySeconds)
}

// meaning says what a measurement means.
func meaning(m manage.HijackMeasurement) string {
	switch {
	case m.Robbed+m.Blocked == 0:
		return "nothing: " + m.Reason
	case m.Blocked == 0:
		return "it stops nobody"
	case m.Robbed == 0:
		return "it stops this thief"
	}
	return "it stops this thief sometimes"
}
