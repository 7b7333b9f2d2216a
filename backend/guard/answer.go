package guard

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"

	"keyladder/stages/mechanism/hawk"
)

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
	status int
	body   bytes.Buffer
	answer answer
}

// hold holds the answer back, where there is something to do for it. Else it is nil.
func hold(c *call) *held {
	if len(c.plan.finish) == 0 {
		return nil
	}
	response := c.echo.Response()
	h := &held{ResponseWriter: response.Writer}
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
// as good as not begun.
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
			a.Header.Del(hawk.ServerAuthorization)
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
