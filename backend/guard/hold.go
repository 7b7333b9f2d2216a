package guard

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
)

// held is an answer that waits until it is whole: its code covers all of it and goes
// before it. A nil one holds nothing back.
type held struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// hold holds the answer back if the request was signed, and signed well. Refusals are
// authenticated like other answers, so that nobody on the way can make an app believe in
// one. Where nothing was verified, there is nobody for whom an answer could be signed.
func (g *Guard) hold(c *call) *held {
	if c.received == nil {
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

// release seals the body, where the stage wants it, authenticates the answer and sends
// it. With an error nothing was sent.
//
//keyladder:code guard-answer
func (h *held) release(c *call) error {
	if h == nil {
		return nil
	}
	response := c.echo.Response()
	response.Writer = h.ResponseWriter
	header, body, err := response.Header(), h.body.Bytes(), error(nil)
	if len(body) > 0 && c.policy.Call.Bodies == catalog.SealedBodies {
		body, err = c.key.Secret().Answers().Seal(body, header.Get(echo.HeaderContentType))
		header.Set(echo.HeaderContentType, sealed.MediaType)
	}
	if err == nil {
		seen := body
		if c.request.Method == http.MethodHead {
			seen = nil // the client gets the head alone
		}
		err = c.received.SignResponse(header, seen, "")
	}
	if err != nil {
		header.Del(hawk.ServerAuthorization)
		response.Committed, response.Size = false, 0 // as far as Echo knows, it was on its way
		return fmt.Errorf("authenticate the answer to %s: %w", c.route.name, err)
	}
	if len(body) > 0 {
		header.Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	}
	response.Size = int64(len(body))
	h.ResponseWriter.WriteHeader(max(h.status, http.StatusOK))
	_, _ = h.ResponseWriter.Write(body) // the client went away: nobody left to tell
	return nil
}
