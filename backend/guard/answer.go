package guard

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// Refusal is what a check says that does not let a call through.
type Refusal struct {
	Problem *problem.Problem // what went wrong, for the client
	Reason  string           // private, for people who look at the traffic
	Check   catalog.Check    // of a handler; the guard knows its own

	// Answered says that the handler has written the answer, a page or a redirect. Then there
	// need be no problem.
	Answered bool
}

// Error makes a refusal one that a [Handler] can return. It is private, too.
func (r *Refusal) Error() string { return r.Reason }

func refuse(p *problem.Problem, reason string, values ...any) *Refusal {
	return &Refusal{Problem: p, Reason: fmt.Sprintf(reason, values...)}
}

// write writes the refusal as its route says.
func (r *Refusal) write(c *call) {
	if r.Answered {
		return
	}
	format := c.plan.route.Refusals
	if format == nil {
		format = problem.Details
	}
	format(c.echo.Response(), r.Problem)
}

// closed is for what is no fault of the client's, and nothing that it could mend.
func closed() *problem.Problem {
	return problem.New(http.StatusForbidden, "not-allowed", "This stage is closed", "The API can't tell who is calling, so nothing is let through.")
}

// answer is what is going to be sent.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// finisher completes an answer before it is sent: it seals it, signs it or adds fields to it.
// The checks that a call passed say which there are. They run from the last check to the
// first, so that what a request opened last its answer closes first: bodies are sealed, and
// then signed. They run for refusals as for other answers, so that nobody on the way can make
// an app believe in one.
type finisher func(*call, *answer) error

// held is an answer that waits until it is whole: what finishes it covers all of it, and goes
// before it.
type held struct {
	http.ResponseWriter
	before []string // names of the fields that the header had before the answer
	status int
	body   bytes.Buffer
	answer answer
	room   [4]string // for before
}

// hold holds the answer back, where there is something to do for it. Else it is nil.
func hold(c *call) *held {
	if len(c.plan.finish) == 0 {
		return nil
	}
	response := c.echo.Response()
	h := &held{ResponseWriter: response.Writer}
	h.before = h.room[:0]
	for name := range response.Header() {
		h.before = append(h.before, name)
	}
	response.Writer = h
	return h
}

// WriteHeader keeps the status.
func (h *held) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

// Write keeps a piece of the body.
func (h *held) Write(data []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(data)
}

// release finishes the answer and sends it. With an error nothing was sent, and the answer is
// as good as not begun: its fields are gone, be they the handler's or half a signature.
//
//keyladder:code guard-answer
func (h *held) release(c *call) error {
	if h == nil {
		return nil
	}
	response := c.echo.Response()
	response.Writer = h.ResponseWriter
	a := &h.answer
	*a = answer{Status: max(h.status, http.StatusOK), Header: response.Header(), Body: h.body.Bytes()}
	for _, finish := range c.plan.finish {
		if err := finish(c, a); err != nil {
			maps.DeleteFunc(a.Header, func(name string, _ []string) bool { return !slices.Contains(h.before, name) })
			response.Committed, response.Size = false, 0 // as far as Echo knows, it was on its way
			return fmt.Errorf("finish the answer to %s: %w", c.plan.route.name, err)
		}
	}
	if len(a.Body) > 0 {
		a.Header.Set("Content-Length", strconv.Itoa(len(a.Body)))
	}
	response.Size = int64(len(a.Body))
	h.ResponseWriter.WriteHeader(a.Status)
	_, _ = h.ResponseWriter.Write(a.Body) // the client went away: nobody left to tell
	return nil
}
