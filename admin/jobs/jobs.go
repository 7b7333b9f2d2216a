package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"keyladder/admin/ui"
	"keyladder/internal/manage"
)

const (
	maxWaiting = 12  // jobs that run or wait
	maxKept    = 200 // jobs that ended and can still be looked at

	appTime = 45 * time.Second
)

// How long an attack and the whole matrix may take.
const (
	AttackTime = 3 * time.Minute
	MatrixTime = 20 * time.Minute
)

// errBusy means that enough is waiting already.
var errBusy = &ui.Trouble{
	Status: http.StatusServiceUnavailable, Title: "Too much is running already",
	Text: "Wait until some of the runs have ended, then try again.",
}

// Kind says what a job does.
type Kind string

// The kinds of jobs.
const (
	App    Kind = "app"
	Attack Kind = "attack"
	Matrix Kind = "matrix"

	Hijacks Kind = "hijacks" // of authorization codes, counted
)

// Job is something that takes longer than a page may. Copies are handed out.
type Job struct {
	ID      string
	Kind    Kind
	Stages  []string
	Where   string // the stages in words: "stages 1 and 6"
	Attack  string
	Asked   time.Time
	Started time.Time // zero: it waits for the one before
	Ended   time.Time
	Done    int
	Total   int
	Latest  string    // what ended last, in words
	Cells   []CellKey // that it has filled, in that order
	Failure string    // why it could not be carried out
	Ahead   int       // jobs that it waits for

	cancel context.CancelFunc
}

// Running says that it has not ended yet; it may still wait.
func (j Job) Running() bool { return j.Ended.IsZero() }

// Stage is the first one.
func (j Job) Stage() string {
	if len(j.Stages) == 0 {
		return ""
	}
	return j.Stages[0]
}

// Subject is what the job is about, for people.
func (j Job) Subject() string {
	switch j.Kind {
	case Attack:
		return j.Attack + " at " + j.Stage()
	case Matrix:
		return "the matrix at " + j.Where
	case Hijacks:
		return "counting stolen codes at " + j.Where
	}
	return "the genuine app at " + j.Stage()
}

// Measured is a cell and when it was Measured.
type Measured struct {
	manage.Cell
	At time.Time
}

// AppRun is what the genuine app did on the phone, and when.
type AppRun struct {
	manage.Run
	At      time.Time
	Failure string // it could not even be started
	Stale   bool   // something was changed since, so that it may come out differently now
}

// CellKey names a cell of the matrix.
type CellKey struct{ Stage, Attack string }

// Jobs runs what was asked for and remembers what came of it. Attacks share the
// deployment with each other and would be refused for each other's calls, so they run
// one after the other; the app may run beside them.
type Jobs struct {
	ctx  context.Context
	now  func() time.Time
	slot chan struct{}
	wg   sync.WaitGroup

	mu    sync.Mutex
	list  []*Job // oldest first
	ends  map[string]chan struct{}
	cells map[CellKey]Measured
	runs  map[string]AppRun // by stage
	last  string            // stage of the latest run
}

// New makes jobs that end with ctx.
func New(ctx context.Context, now func() time.Time) *Jobs {
	return &Jobs{
		ctx: ctx, now: now, slot: make(chan struct{}, 1),
		ends: map[string]chan struct{}{}, cells: map[CellKey]Measured{}, runs: map[string]AppRun{},
	}
}

// Start runs do in the background. Done is told how it ended.
func (js *Jobs) Start(j Job, limit time.Duration, do func(ctx context.Context, j *Job) error, done func(error)) (string, error) {
	j.ID, j.Asked = rand.Text(), js.now()
	js.mu.Lock()
	waiting := 0
	for _, other := range js.list {
		if other.Running() {
			waiting++
		}
	}
	if waiting >= maxWaiting {
		js.mu.Unlock()
		return "", errBusy
	}
	ctx, cancel := context.WithCancel(js.ctx)
	j.cancel = cancel
	own := &j
	js.list = append(js.list, own)
	js.ends[j.ID] = make(chan struct{})
	js.forget()
	js.mu.Unlock()

	js.wg.Go(func() {
		defer cancel()
		err := js.carryOut(ctx, own, limit, do)
		if err != nil && ctx.Err() != nil && js.ctx.Err() == nil {
			err = errCancelled
		}
		done(err)
		js.mu.Lock()
		own.Ended = js.now()
		if err != nil {
			own.Failure = err.Error()
		}
		close(js.ends[own.ID])
		js.mu.Unlock()
	})
	return j.ID, nil
}

func (js *Jobs) carryOut(ctx context.Context, j *Job, limit time.Duration, do func(context.Context, *Job) error) (err error) {
	if j.Kind != App {
		select {
		case js.slot <- struct{}{}:
			defer func() { <-js.slot }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	js.Update(func() { j.Started = js.now() })
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it panicked: %v", r)
		}
	}()
	return do(ctx, j)
}

// forget drops the oldest jobs that ended; js.mu is held.
func (js *Jobs) forget() {
	for i := 0; len(js.list) > maxKept && i < len(js.list); {
		if js.list[i].Running() {
			i++
			continue
		}
		delete(js.ends, js.list[i].ID)
		js.list = slices.Delete(js.list, i, i+1)
	}
}

// Update changes a job while it runs.
func (js *Jobs) Update(change func()) {
	js.mu.Lock()
	defer js.mu.Unlock()
	change()
}

// Get is the job of an ID.
func (js *Jobs) Get(id string) (Job, bool) {
	return js.Latest(func(j Job) bool { return j.ID == id })
}

// Latest is the newest job that fits.
func (js *Jobs) Latest(fits func(Job) bool) (Job, bool) {
	js.mu.Lock()
	defer js.mu.Unlock()
	for i, j := range slices.Backward(js.list) {
		if !fits(*j) {
			continue
		}
		found := *j
		if found.Started.IsZero() {
			for _, other := range js.list[:i] {
				if other.Running() && other.Kind != App {
					found.Ahead++
				}
			}
		}
		return found, true
	}
	return Job{}, false
}

// errCancelled means that somebody did not want the job to go on.
var errCancelled = errors.New("it was cancelled")

// Cancel ends a job, or takes it out of the queue. It says whether there was one to end.
func (js *Jobs) Cancel(id string) bool {
	js.mu.Lock()
	defer js.mu.Unlock()
	for _, j := range js.list {
		if j.ID == id && j.Running() {
			j.cancel()
			return true
		}
	}
	return false
}

// Yield lets jobs that wait have their turn, one each; for a job that is long, between two
// of its parts.
func (js *Jobs) Yield(ctx context.Context) {
	<-js.slot // who waits longest has it now
	select {
	case js.slot <- struct{}{}:
	case <-ctx.Done():
		js.slot <- struct{}{} // carryOut gives it back
	}
}

// Await waits for the end of a job, but no longer than limit.
func (js *Jobs) Await(ctx context.Context, id string, limit time.Duration) {
	js.mu.Lock()
	end := js.ends[id]
	js.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-end:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// KeepCell remembers a cell of the matrix, until it is measured anew.
func (js *Jobs) KeepCell(cell manage.Cell) {
	js.Update(func() { js.cells[CellKey{cell.Stage, cell.Attack}] = Measured{Cell: cell, At: js.now()} })
}

// Cell is what an attack came to last.
func (js *Jobs) Cell(stage, attack string) (Measured, bool) {
	js.mu.Lock()
	defer js.mu.Unlock()
	m, ok := js.cells[CellKey{stage, attack}]
	return m, ok
}

// Stolen are the texts that attacks which were carried out at a stage at that time have stolen.
func (js *Jobs) Stolen(stage string, at time.Time) []string {
	js.mu.Lock()
	defer js.mu.Unlock()
	var stolen []string
	for key, cell := range js.cells {
		if key.Stage == stage && !at.Before(cell.From) && !at.After(cell.To) {
			stolen = append(stolen, cell.Stolen...)
		}
	}
	return stolen
}

// KeepRun remembers what the genuine app did at a stage.
func (js *Jobs) KeepRun(stage string, run AppRun) {
	js.Update(func() {
		run.Stage, run.At = stage, js.now()
		js.runs[stage], js.last = run, stage
	})
}

// Run is what the genuine app did last at the stage (empty: anywhere).
func (js *Jobs) Run(stage string) (AppRun, bool) {
	js.mu.Lock()
	defer js.mu.Unlock()
	if stage == "" {
		stage = js.last
	}
	r, ok := js.runs[stage]
	return r, ok
}

// Changed says that something was changed on the servers: what the genuine app did before may
// not be so any more.
func (js *Jobs) Changed() {
	js.Update(func() {
		for stage, run := range js.runs {
			run.Stale = true
			js.runs[stage] = run
		}
	})
}

// Wait waits until all jobs have ended.
func (js *Jobs) Wait() { js.wg.Wait() }
