package guard

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"keyladder/internal/problem"
)

// MaxBody is the size of the largest body that is read, in bytes.
const MaxBody = 64 << 10

// maxDrained is how much of a body that is too large is read and thrown away. Many clients
// send all of a body before they read; if the connection ends meanwhile, they never see
// the answer.
const maxDrained = 8 << 20

// readBody reads the body once, whole, so that a proof can hash what the handler will
// read. It comes after the limit per address: who is turned away does not get to fill
// our memory first.
func readBody(c *call) *Refusal {
	r := c.request
	if coding := contentCoding(r.Header); coding != "" {
		return refuse(problem.New(http.StatusUnsupportedMediaType, "content-coding", "The body comes in a coding that is not read here",
			"Send it as it is, without Content-Encoding.").With("Accept-Encoding", "identity"), // RFC 9110, section 15.5.16
			"the body comes in the content coding %q", coding)
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if r.ContentLength > MaxBody {
		if r.Header.Get("Expect") == "" { // else the client waits to hear whether to send it
			_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
		}
		return tooLarge("the body has %d bytes, above %d", r.ContentLength, MaxBody)
	}
	body, err := readAll(r.Body, r.ContentLength)
	if err != nil {
		return refuse(problem.New(http.StatusBadRequest, "bad-request", "The body can't be read", "It ended early, or came too slowly."),
			"the body can't be read: %v", err)
	}
	if len(body) > MaxBody {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
		return tooLarge("the body goes on past %d bytes", MaxBody)
	}
	c.raw, c.body = body, body
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// readAll reads at most one byte more than a body may have.
func readAll(body io.Reader, length int64) ([]byte, error) {
	var buffer bytes.Buffer
	if length > 0 {
		buffer.Grow(int(length) + bytes.MinRead)
	}
	_, err := buffer.ReadFrom(io.LimitReader(body, MaxBody+1))
	return buffer.Bytes(), err
}

// contentCoding is the Content-Encoding of a body, if it is one that changes anything.
func contentCoding(header http.Header) string {
	for _, field := range header["Content-Encoding"] {
		for coding := range strings.SplitSeq(field, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
				return coding
			}
		}
	}
	return ""
}

func tooLarge(reason string, values ...any) *Refusal {
	return refuse(problem.New(http.StatusRequestEntityTooLarge, "too-large", "The body is too large", "Send at most 64 KiB."), reason, values...)
}
