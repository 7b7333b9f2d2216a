package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"keyladder/internal/manage"
)

const (
	maxWaiting = 12  // jobs that run or wait
	maxKept    = 200 // jobs that ended and can still be looked at

	appTime    = 45 * time.Second
	attackTime = 3 * time.Minute
	matrixTime = 20 * time.Minute
)

// errBusy means that enough is waiting already.
var errBusy = errors.New("too much is running already")

// jobKind says what a job does.
type jobKind string

const (
	appJob    jobKind = "app"
	attackJob jobKind = "attack"
	matrixJob jobKind = "matrix"
)

// job is something that takes longer than a page may. Copies are handed out.
type job struct {
	ID      string
	Kind    jobKind
	Stages  []string
	Where   string // the stages in words: "stages 1 and 6"
	Attack  string
	Asked   time.Time
	Started time.Time // zero: it waits for the one before
	Ended   time.Time
	Done    int
	Total   int
	Latest  string    // what ended last, in words
	Cells   []cellKey // that it has filled, in that order
	Failure string    // why it could not be carried out
}

func (j job) running() bool { return j.Ended.IsZero() }

func (j job) stage() string {
	if len(j.Stages) == 0 {
		return ""
	}
	return j.Stages[0]
}

// measured is a cell and when it was measured.
type measured struct {
	manage.Cell
	At time.Time
}

// appRun is what the genuine app did on the phone, and when.
type appRun struct {
	manage.Run
	At      time.Time
	Failure string // it could not even be started
}

type cellKey struct{ stage, attack string }

// jobs runs what was asked for and remembers what came of it. Attacks share the
// deployment with each other and would be refused for each other's calls, so they run
// one after the other; the app may run beside them.
type jobs struct {
	ctx  context.Context
	now  func() time.Time
	slot chan struct{}
	wg   sync.WaitGroup

	mu    sync.Mutex
	list  []*job // oldest first
	ends  map[string]chan struct{}
	cells map[cellKey]measured
	runs  map[string]appRun // by stage
	last  string            // stage of the latest run
}

func newJobs(ctx context.Context, now func() time.Time) *jobs {
	return &jobs{
		ctx: ctx, now: now, slot: make(chan struct{}, 1),
		ends: map[string]chan struct{}{}, cells: map[cellKey]measured{}, runs: map[string]appRun{},
	}
}

// start runs do in the background. Done is told how it ended.
func (js *jobs) start(j job, limit time.Duration, do func(ctx context.Context, j *job) error, done func(error)) (string, error) {
	j.ID, j.Asked = rand.Text(), js.now()
	js.mu.Lock()
	waiting := 0
	for _, other := range js.list {
		if other.running() {
			waiting++
		}
	}
	if waiting >= maxWaiting {
		js.mu.Unlock()
		return "", errBusy
	}
	own := &j
	js.list = append(js.list, own)
	js.ends[j.ID] = make(chan struct{})
	js.forget()
	js.mu.Unlock()

	js.wg.Go(func() {
		err := js.carryOut(own, limit, do)
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

func (js *jobs) carryOut(j *job, limit time.Duration, do func(context.Context, *job) error) (err error) {
	if j.Kind != appJob {
		select {
		case js.slot <- struct{}{}:
			defer func() { <-js.slot }()
		case <-js.ctx.Done():
			return js.ctx.Err()
		}
	}
	js.update(func() { j.Started = js.now() })
	ctx, cancel := context.WithTimeout(js.ctx, limit)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it panicked: %v", r)
		}
	}()
	return do(ctx, j)
}

// forget drops the oldest jobs that ended; js.mu is held.
func (js *jobs) forget() {
	for i := 0; len(js.list) > maxKept && i < len(js.list); {
		if js.list[i].running() {
			i++
			continue
		}
		delete(js.ends, js.list[i].ID)
		js.list = slices.Delete(js.list, i, i+1)
	}
}

func (js *jobs) update(change func()) {
	js.mu.Lock()
	defer js.mu.Unlock()
	change()
}

func (js *jobs) get(id string) (job, bool) {
	return js.latest(func(j job) bool { return j.ID == id })
}

// latest is the newest job that fits.
func (js *jobs) latest(fits func(job) bool) (job, bool) {
	js.mu.Lock()
	defer js.mu.Unlock()
	for _, j := range slices.Backward(js.list) {
		if fits(*j) {
			return *j, true
		}
	}
	return job{}, false
}

// await waits for the end of a job, but no longer than limit.
func (js *jobs) await(ctx context.Context, id string, limit time.Duration) {
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

func (js *jobs) keepCell(cell manage.Cell) {
	js.update(func() { js.cells[cellKey{cell.Stage, cell.Attack}] = measured{Cell: cell, At: js.now()} })
}

func (js *jobs) cell(stage, attack string) (measured, bool) {
	js.mu.Lock()
	defer js.mu.Unlock()
	m, ok := js.cells[cellKey{stage, attack}]
	return m, ok
}

func (js *jobs) keepRun(stage string, run appRun) {
	js.update(func() {
		run.Stage, run.At = stage, js.now()
		js.runs[stage], js.last = run, stage
	})
}

// run is what the genuine app did last at the stage (empty: anywhere).
func (js *jobs) run(stage string) (appRun, bool) {
	js.mu.Lock()
	defer js.mu.Unlock()
	if stage == "" {
		stage = js.last
	}
	r, ok := js.runs[stage]
	return r, ok
}
