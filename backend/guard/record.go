package guard

import (
	"net/http"
	"time"

	"keyladder/internal/traffic"
)

// recorder records a call in the server's lane. The request is recorded at the end, too,
// when its body has been read, but with the time at which it came, and the head that it
// came with: the guard removes fields that nobody should believe.
type recorder struct {
	http.ResponseWriter
	log  *traffic.Log
	name string       // the server's, in records
	head traffic.HTTP // of the request
	body []byte
	size int
}

// record starts to record. Without a log it does nothing.
func (c *call) record(log *traffic.Log, server string) *recorder {
	if log == nil {
		return nil
	}
	response := c.echo.Response()
	c.recorder = recorder{ResponseWriter: response.Writer, log: log, name: server, head: traffic.RequestHead(c.request)}
	response.Writer = &c.recorder
	return &c.recorder
}

func (r *recorder) Write(data []byte) (int, error) {
	if room := traffic.MaxBody - len(r.body); room > 0 {
		r.body = append(r.body, data[:min(room, len(data))]...)
	}
	r.size += len(data)
	return r.ResponseWriter.Write(data)
}

// Unwrap is for [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// client is who calls. The app's lane tells who that was; here it comes from the network.
const client = "network"

func (r *recorder) finish(c *call, end time.Time) {
	if r == nil {
		return
	}
	slug := ""
	if c.stage != nil {
		slug = c.stage.Slug
	}
	verdict := c.plan.passed
	if c.refusal != nil {
		verdict = &traffic.Verdict{Check: c.check, Reason: c.refusal.Reason}
	}
	exchange, response := traffic.ExchangeOf(c.request), c.echo.Response()
	r.log.Add(traffic.Message{
		At: c.at, Lane: traffic.Server, Stage: slug, Exchange: exchange, Kind: traffic.Request, From: client, To: r.name,
		HTTP: r.head, Body: c.raw, Size: len(c.raw), Base: c.base,
	}, traffic.Message{
		At: end, Lane: traffic.Server, Stage: slug, Exchange: exchange, Kind: traffic.Response, From: r.name, To: client,
		HTTP: traffic.AnswerHead(c.request.Proto, response.Status, response.Header()), Body: r.body, Size: r.size,
		Verdict: verdict,
	})
}
