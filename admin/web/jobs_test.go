package web

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
)

func newTestJobs(t *testing.T) *jobs {
	ctx, cancel := context.WithCancel(context.Background())
	js := newJobs(ctx, newClockwork().now)
	t.Cleanup(func() { cancel(); js.wg.Wait() })
	return js
}

// ended waits for a job.
func (js *jobs) ended(t *testing.T, id string) job {
	t.Helper()
	js.await(context.Background(), id, 10*time.Second)
	j, ok := js.get(id)
	if !ok || j.running() {
		t.Fatal("the job does not end")
	}
	return j
}

func ignore(error) {}

func TestJobsOfAttacksRunOneByOne(t *testing.T) {
	t.Parallel()
	js := newTestJobs(t)
	started, hold := make(chan struct{}), make(chan struct{})
	first, err := js.start(job{Kind: attackJob}, time.Minute, func(context.Context, *job) error { close(started); <-hold; return nil }, ignore)
	must(t, err)
	<-started
	second, err := js.start(job{Kind: matrixJob}, time.Minute, func(context.Context, *job) error { return nil }, ignore)
	must(t, err)
	app, err := js.start(job{Kind: appJob}, time.Minute, func(context.Context, *job) error { return nil }, ignore)
	must(t, err)
	js.ended(t, app) // beside the attack
	if j, _ := js.get(second); !j.Started.IsZero() {
		t.Error("two attacks run at once")
	}
	close(hold)
	js.ended(t, first)
	js.ended(t, second)
}

func TestJobsAreBounded(t *testing.T) {
	t.Parallel()
	js := newTestJobs(t)
	hold := make(chan struct{})
	wait := func(context.Context, *job) error { <-hold; return nil }
	var ids []string
	for range maxWaiting {
		id, err := js.start(job{Kind: attackJob}, time.Minute, wait, ignore)
		must(t, err)
		ids = append(ids, id)
	}
	if _, err := js.start(job{Kind: attackJob}, time.Minute, wait, ignore); !errors.Is(err, errBusy) {
		t.Errorf("one too many: %v", err)
	}
	close(hold)
	for _, id := range ids {
		js.ended(t, id)
	}
	for range maxKept + 5 {
		id, err := js.start(job{Kind: appJob}, time.Minute, wait, ignore)
		must(t, err)
		js.ended(t, id)
	}
	if len(js.list) > maxKept+1 || len(js.ends) != len(js.list) {
		t.Errorf("%d jobs are kept", len(js.list))
	}
}

func TestJobsThatFail(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(context.Context, *job) error{
		"an error": func(context.Context, *job) error { return errors.New("no device") },
		"a panic":  func(context.Context, *job) error { panic("no device") },
		"out of time": func(ctx context.Context, _ *job) error {
			<-ctx.Done()
			return errors.New("no device: " + ctx.Err().Error())
		},
		"it is stopped": func(context.Context, *job) error { return errors.New("no device") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := newTestJobs(t)
			told := make(chan error, 1)
			id, err := js.start(job{Kind: attackJob}, 10*time.Millisecond, do, func(err error) { told <- err })
			must(t, err)
			if j := js.ended(t, id); !strings.Contains(j.Failure, "no device") {
				t.Errorf("failure: %q", j.Failure)
			}
			if err := <-told; err == nil {
				t.Error("the audit log is told that all went well")
			}
		})
	}
}

func TestJobsEndWithTheServer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	js := newJobs(ctx, time.Now)
	wait := func(ctx context.Context, _ *job) error { <-ctx.Done(); return ctx.Err() }
	for range 3 {
		_, err := js.start(job{Kind: attackJob}, time.Hour, wait, ignore)
		must(t, err)
	}
	cancel()
	js.wg.Wait()
}

func TestResultsAreKept(t *testing.T) {
	t.Parallel()
	js := newTestJobs(t)
	js.keepCell(manage.Cell{Stage: "tls", Attack: "flood", Outcome: "blocked"})
	js.keepCell(manage.Cell{Stage: "tls", Attack: "flood", Outcome: "succeeds"})
	if cell, ok := js.cell("tls", "flood"); !ok || cell.Outcome != "succeeds" || cell.At.IsZero() {
		t.Errorf("cell: %+v", cell)
	}
	js.keepRun("tls", appRun{Run: manage.Run{OK: true}})
	js.keepRun("app-id", appRun{Failure: "gone"})
	if run, _ := js.run(""); run.Stage != "app-id" {
		t.Errorf("the latest run: %+v", run)
	}
	if run, _ := js.run("tls"); !run.OK {
		t.Errorf("the run at tls: %+v", run)
	}
}
