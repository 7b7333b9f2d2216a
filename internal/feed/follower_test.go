package feed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
)

// program serves a feed over HTTP, until it is stopped.
type program struct {
	server *httptest.Server
	memory atomic.Pointer[feed.Memory[string]]
	down   atomic.Bool
}

func served(t *testing.T) *program {
	t.Helper()
	p := &program{}
	p.restart()
	e := echo.New()
	e.HTTPErrorHandler = problem.Handler(func(err error) { t.Error(err) })
	e.GET("/names", func(c echo.Context) error {
		if p.down.Load() {
			return problem.New(http.StatusServiceUnavailable, "down", "Down", "")
		}
		return manage.Feed[string](p.memory.Load())(c)
	})
	p.server = httptest.NewServer(e)
	t.Cleanup(p.server.Close)
	return p
}

func (p *program) restart() {
	p.memory.Store(feed.NewMemory[string](feed.Limits{Entries: 4, Bytes: 1000}))
}

// Do implements [feed.Doer].
func (p *program) Do(ctx context.Context, method, path string, _, out any) error {
	r, err := http.NewRequestWithContext(ctx, method, p.server.URL+path, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(out)
}

// of is the size of each entry.
func of(size int) func(*string) int { return func(*string) int { return size } }

func TestFollowerOfEvents(t *testing.T) {
	t.Parallel()
	p := served(t)
	var heard []string
	var cut uint64
	f := feed.Follower[string]{Feed: feed.Remote[string](p, "/names"), Apply: func(_ context.Context, page feed.Page[string]) error {
		heard, cut = append(heard, page.Entries...), cut+page.Cut
		return nil
	}}
	step := func(want error, heardNow ...string) {
		t.Helper()
		heard = nil
		if err := f.Next(t.Context()); (err == nil) != (want == nil) {
			t.Fatalf("got %v", err)
		}
		if !slices.Equal(heard, heardNow) {
			t.Errorf("heard %v, want %v", heard, heardNow)
		}
		if health := f.Health(); (health.Err == nil) != (want == nil) {
			t.Errorf("health: %+v", health)
		}
	}
	step(nil)
	p.memory.Load().Append(of(1), "a")
	p.memory.Load().Append(of(1), "b")
	step(nil, "a", "b")
	step(nil)
	p.down.Store(true)
	step(errors.New("down"))
	p.down.Store(false)
	p.memory.Load().Append(of(1), "c")
	step(nil, "c")
	p.memory.Load().Clear()
	step(nil)
	p.memory.Load().Append(of(1), "d")
	step(nil, "d")
	for i := range 9 {
		p.memory.Load().Append(of(1), fmt.Sprint(i))
	}
	step(nil, "5", "6", "7", "8")
	if cut != 5 {
		t.Errorf("%d are told to be cut, want 5", cut)
	}
	p.restart()
	for i := range 20 { // past the old number already
		p.memory.Load().Append(of(1), fmt.Sprint("new ", i))
	}
	step(nil, "new 16", "new 17", "new 18", "new 19")
	if cut != 5+16 {
		t.Errorf("%d are told to be cut, want 21", cut)
	}
	step(nil)
}

func TestFollowerOfAState(t *testing.T) {
	t.Parallel()
	m := feed.NewMemory[string](feed.Limits{Entries: 4, Bytes: 1000})
	loads := 0
	var applied []string
	fails := errors.New("the state can't be read")
	var broken error
	f := feed.Follower[string]{
		Feed: m, Apply: func(_ context.Context, page feed.Page[string]) error {
			applied = append(applied, page.Entries...)
			return broken
		},
		Load: func(context.Context) (feed.Cursor, error) {
			loads++
			if loads == 1 {
				return feed.Cursor{}, fails
			}
			return m.End(), nil
		},
	}
	m.Append(of(1), "before")
	if err := f.Next(t.Context()); !errors.Is(err, fails) || !errors.Is(f.Health().Err, fails) {
		t.Errorf("got %v", err)
	}
	for _, step := range []struct {
		does    func()
		loads   int
		applied []string
	}{
		{func() {}, 2, nil},
		{func() { m.Append(of(1), "a") }, 2, []string{"a"}},
		{func() {
			for range 5 {
				m.Append(of(1), "many")
			}
		}, 3, nil},
		{func() { m.Append(of(1), "b") }, 3, []string{"b"}},
		{m.Clear, 4, nil},
		{func() { m.Append(of(1), "c") }, 4, []string{"c"}},
	} {
		applied = nil
		step.does()
		if err := f.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if loads != step.loads || !slices.Equal(applied, step.applied) {
			t.Errorf("%d loads, applied %v, want %+v", loads, applied, step)
		}
	}
	broken = errors.New("it can't be applied")
	m.Append(of(1), "d")
	if err := f.Next(t.Context()); !errors.Is(err, broken) || !errors.Is(f.Health().Err, broken) {
		t.Errorf("got %v", err)
	}
	applied, broken = nil, nil
	if err := f.Next(t.Context()); err != nil || !slices.Equal(applied, []string{"d"}) {
		t.Errorf("applied %v, %v", applied, err)
	}
}

func TestFollowerRuns(t *testing.T) {
	t.Parallel()
	p := served(t)
	p.down.Store(true)
	heard := make(chan string, 10)
	f := feed.Follower[string]{Feed: feed.Remote[string](p, "/names"), Wait: 5 * time.Second, Apply: func(_ context.Context, page feed.Page[string]) error {
		for _, entry := range page.Entries {
			heard <- entry
		}
		return nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan bool)
	go func() { f.Run(ctx); ended <- true }()
	for f.Health().Err == nil {
		time.Sleep(time.Millisecond)
	}
	p.down.Store(false)
	p.memory.Load().Append(of(1), "a")
	if got := <-heard; got != "a" {
		t.Errorf("heard %q", got)
	}
	p.memory.Load().Append(of(1), "b")
	if got := <-heard; got != "b" {
		t.Errorf("heard %q", got)
	}
	for f.Health().Err != nil || f.Health().Heard.IsZero() {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-ended
	if err := f.Health().Err; err != nil {
		t.Errorf("the end is told as a fault: %v", err)
	}
}

func TestHandlerRefuses(t *testing.T) {
	t.Parallel()
	p := served(t)
	for _, query := range []string{"?after=x", "?after=12", "?wait=x", "?wait=-1", "?wait=1.5"} {
		answer, err := http.Get(p.server.URL + "/names" + query)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", query, answer.Status)
		}
	}
}
