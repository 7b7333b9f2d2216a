package guard

import (
	"bytes"
	"io"
	"mime"
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/mechanism/sealed"
)

// openBody opens the body. It comes after the verification of the MAC, which covers the
// body as it came. A request without a body has nothing to open.
//
//keyladder:code guard-sealed
func openBody(c *call) *Refusal {
	if len(c.raw) == 0 {
		return nil
	}
	field := c.request.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(field); err != nil || media != sealed.MediaType {
		return notSealed("the body comes as %q, not as %s", field, sealed.MediaType)
	}
	body, _, err := c.secret.Requests().Open(c.raw)
	if err != nil {
		return notSealed("%v", err)
	}
	c.body = body
	c.request.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// sealAnswer seals the answer's body for an app that has signed its request.
func sealAnswer(c *call, a *answer) (err error) {
	if c.received == nil || len(a.Body) == 0 {
		return nil
	}
	a.Body, err = c.secret.Answers().Seal(a.Body, a.Header.Get("Content-Type"))
	a.Header.Set("Content-Type", sealed.MediaType)
	return err
}

// notSealed is the same whatever is wrong with the body.
func notSealed(reason string, values ...any) *Refusal {
	return refuse(problem.New(http.StatusBadRequest, "body-not-sealed", "The body can't be opened",
		"Seal it for this server with the app's secret, and send it as "+sealed.MediaType+"."), reason, values...)
}
