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

// sealedBody opens the body. It comes after the verification of the code, which covers the
// body as it came. A request without a body has nothing to open.
// [catalog.PlainBodies] switches it off.
//
//keyladder:code guard-sealed
func (g *Guard) sealedBody(c *call) *Refusal {
	switch c.policy.Call.Bodies {
	case catalog.PlainBodies:
		return nil
	case catalog.SealedBodies:
		if c.policy.Call.AppProof != catalog.Hawk {
			return c.unproven("bodies are sealed, but requests are not signed")
		}
	default:
		return undecided("bodies", c.policy.Call.Bodies)
	}
	if len(c.raw) == 0 {
		return nil
	}
	field := c.request.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(field); err != nil || media != sealed.MediaType {
		return notSealed("the body comes as %q, not as %s", field, sealed.MediaType)
	}
	body, _, err := c.key.Secret().Requests().Open(c.raw)
	if err != nil {
		return notSealed("%v", err)
	}
	c.body = body
	c.request.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// notSealed is the same whatever is wrong with the body.
func notSealed(reason string, values ...any) *Refusal {
	return refuse(problem.New(http.StatusBadRequest, "body-not-sealed", "The body can't be opened",
		"Seal it for this server with the app's secret, and send it as "+sealed.MediaType+"."), reason, values...)
}
