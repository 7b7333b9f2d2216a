package jobs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
)

func newTestJobs(t *testing.T) *Jobs {
	ctx, cancel := context.WithCancel(context.Background())
	js := New(ctx, func() time.Time { return time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC) })
	t.Cleanup(func() { cancel(); js.wg.Wait() })
	return js
}

// ended waits for a job.
func (js *Jobs) ended(t *testing.T, id string) Job {
	t.Helper()
	js.Await(context.Background(), id, 10*time.Second)
	j, ok := js.Get(id)
	if !ok || j.Running() {
		t.Fatal("the Job does not end")
	}
	return j
}

func ignore(error) {}

func TestJobsOfAttacksRunOneByOne(t *testing.T) {
	t.Parallel()
	js := newTestJobs(t)
	started, hold := make(chan struct{}), make(chan struct{})
	first, err := js.Start(Job{Kind: Attack}, time.Minute, func(context.Context, *Job) error { close(started); <-hold; return nil }, ignore)
	must(t, err)
	<-started
	second, err := js.Start(Job{Kind: Matrix}, time.Minute, func(context.Context, *Job) error { return nil }, ignore)
	must(t, err)
	app, err := js.Start(Job{Kind: App}, time.Minute, func(context.Context, *Job) error { return nil }, ignore)
	must(t, err)
	js.ended(t, app) // beside the attack
	if j, _ := js.Get(second); !j.Started.IsZero() {
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
	wait := func(context.Context, *Job) error { <-hold; return nil }
	var ids []string
	for range maxWaiting {
		id, err := js.Start(Job{Kind: Attack}, time.Minute, wait, ignore)
		must(t, err)
		ids = append(ids, id)
	}
	if _, err := js.Start(Job{Kind: Attack}, time.Minute, wait, ignore); !errors.Is(err, errBusy) {
		t.Errorf("one too many: %v", err)
	}
	close(hold)
	for _, id := range ids {
		js.ended(t, id)
	}
	for range maxKept + 5 {
		id, err := js.Start(Job{Kind: App}, time.Minute, wait, ignore)
		must(t, err)
		js.ended(t, id)
	}
	if len(js.list) > maxKept+1 || len(js.ends) != len(js.list) {
		t.Errorf("%d jobs are kept", len(js.list))
	}
}

func TestJobsThatFail(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(context.Context, *Job) error{
		"an error": func(context.Context, *Job) error { return errors.New("no device") },
		"a panic":  func(context.Context, *Job) error { panic("no device") },
		"out of time": func(ctx context.Context, _ *Job) error {
			<-ctx.Done()
			return errors.New("no device: " + ctx.Err().Error())
		},
		"it is stopped": func(context.Context, *Job) error { return errors.New("no device") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := newTestJobs(t)
			told := make(chan error, 1)
			id, err := js.Start(Job{Kind: Attack}, 10*time.Millisecond, do, func(err error) { told <- err })
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
	js := New(ctx, time.Now)
	wait := func(ctx context.Context, _ *Job) error { <-ctx.Done(); return ctx.Err() }
	for range 3 {
		_, err := js.Start(Job{Kind: Attack}, time.Hour, wait, ignore)
		must(t, err)
	}
	cancel()
	js.wg.Wait()
}

func TestResultsAreKept(t *testing.T) {
	t.Parallel()
	js := newTestJobs(t)
	js.KeepCell(manage.Cell{Stage: "tls", Attack: "flood", Outcome: "blocked"})
	js.KeepCell(manage.Cell{Stage: "tls", Attack: "flood", Outcome: "succeeds"})
	if cell, ok := js.Cell("tls", "flood"); !ok || cell.Outcome != "succeeds" || cell.At.IsZero() {
		t.Errorf("cell: %+v", cell)
	}
	js.KeepRun("tls", AppRun{Run: manage.Run{OK: true}})
	js.KeepRun("app-id", AppRun{Failure: "gone"})
	if run, _ := js.Run(""); run.Stage != "app-id" {
		t.Errorf("the latest run: %+v", run)
	}
	if run, _ := js.Run("tls"); !run.OK {
		t.Errorf("the run at tls: %+v", run)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
