package programs

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/problem"
)

// watchEvery is how often programs are asked whether they can do their work.
const watchEvery = 2 * time.Second

// Watch knows which programs answer, but say that they can't do all of their work: for example a
// resource server that is not told of revocations any more, and goes on with what it knows. It is
// safe for concurrent use.
type Watch struct {
	programs []Remote

	mu     sync.Mutex
	unwell map[deployment.Role]string
}

// NewWatch makes one that knows nothing before [Watch.Run].
func NewWatch(programs ...Remote) *Watch {
	return &Watch{programs: programs, unwell: map[deployment.Role]string{}}
}

// Run asks again and again, until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	for ctx.Err() == nil {
		var wg sync.WaitGroup
		for _, program := range w.programs {
			wg.Go(func() { w.look(ctx, program) })
		}
		wg.Wait()
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
		}
	}
}

func (w *Watch) look(ctx context.Context, program Remote) {
	err := program.Quick(ctx, http.MethodGet, "/health", nil, nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	var p *problem.Problem
	if errors.As(err, &p) && p.Status == http.StatusServiceUnavailable {
		w.unwell[program.Role] = p.Detail
	} else {
		delete(w.unwell, program.Role) // who does not answer at all is seen by others
	}
}

// Unwell says what a program can't do, in its own words; empty: it has not said so.
func (w *Watch) Unwell(role deployment.Role) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unwell[role]
}
