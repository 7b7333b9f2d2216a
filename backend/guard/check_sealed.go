package guard

import (
	"bytes"
	"io"
	"mime"
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
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
	if c.policies.Call.Bodies == catalog.SealedPortions {
		return openPortions(c)
	}
	field := c.request.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(field); err != nil || media != sealed.MediaType {
		return notSealed("the body comes as %q, not as %s", field, sealed.MediaType)
	}
	body, _, err := c.secret.Requests().Open(c.raw)
	if err != nil {
		return notSealed("%v", err)
	}
	c.read(body)
	return nil
}

// openPortions opens what has to be sealed of the body, and refuses it in the clear.
//
//keyladder:code guard-portions
func openPortions(c *call) *Refusal {
	if !isJSON(c.request.Header) {
		return portionNotSealed("the body comes as %q", c.request.Header.Get("Content-Type"))
	}
	body, _, err := c.secret.Requests().OpenMembers(c.raw, catalog.Confidential())
	if err != nil {
		return portionNotSealed("%v", err)
	}
	c.read(body)
	return nil
}

func isJSON(header http.Header) bool {
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && media == "application/json"
}

// read has the handler read that body in place of the one that came.
func (c *call) read(body []byte) {
	c.body = body
	c.request.Body = io.NopCloser(bytes.NewReader(body))
}

// sealAnswer seals the answer's body for an app that has signed its request.
func sealAnswer(c *call, a *answer) (err error) {
	if c.received == nil || len(a.Body) == 0 {
		return nil
	}
	if c.policies.Call.Bodies == catalog.SealedPortions {
		if isJSON(a.Header) {
			a.Body, _, err = c.secret.Answers().SealMembers(a.Body, catalog.Confidential())
		}
		return err
	}
	a.Body, err = c.secret.Answers().Seal(a.Body, a.Header.Get("Content-Type"))
	a.Header.Set("Content-Type", sealed.MediaType)
	return err
}

// notSealed is the same whatever is wrong with the body.
func notSealed(reason string, values ...any) *Refusal {
	return cannotOpen("Seal it for this server with the app's secret, and send it as "+sealed.MediaType+".", reason, values...)
}

func portionNotSealed(reason string, values ...any) *Refusal {
	return cannotOpen("Seal what is confidential in it for this server with the app's secret, and send it as application/json.", reason, values...)
}

func cannotOpen(advice, reason string, values ...any) *Refusal {
	return refuse(problem.New(http.StatusBadRequest, "body-not-sealed", "The body can't be opened", advice), reason, values...)
}
