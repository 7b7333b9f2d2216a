package guard

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"keyladder/internal/problem"
)

// readBody reads the body once, whole, so that a proof can hash what the handler will
// read. It comes after the limit per address: who is turned away does not get to fill
// our memory first. Nothing switches it off.
func (g *Guard) readBody(c *call) *Refusal {
	r := c.request
	if r.ContentLength > MaxBody {
		return tooLarge(r.ContentLength)
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.echo.Response(), r.Body, MaxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tooLarge(-1)
	}
	if err != nil {
		return refuse(problem.New(http.StatusBadRequest, "bad-request", "The body can't be read", "It ended early, or came too slowly."),
			"the body can't be read: %v", err)
	}
	c.raw, c.body = body, body
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

func tooLarge(size int64) *Refusal {
	reason := "the body goes on past %d bytes"
	values := []any{MaxBody}
	if size >= 0 {
		reason, values = "the body has %d bytes, above %d", []any{size, MaxBody}
	}
	return refuse(problem.New(http.StatusRequestEntityTooLarge, "too-large", "The body is too large", "Send at most 64 KiB."), reason, values...)
}
