package guard

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/internal/traffic"
)

// recorder records a call in the server's lane. The request is recorded at the end, too,
// when its body has been read, but with the time at which it came, and the head that it
// came with: the guard removes fields that nobody should believe.
type recorder struct {
	http.ResponseWriter
	log  *traffic.Log
	head *traffic.HTTP // of the request
	body []byte
	size int
}

// record starts to record. Without a log it does nothing.
func (g *Guard) record(ec echo.Context) *recorder {
	if g.Log == nil {
		return nil
	}
	response := ec.Response()
	r := &recorder{ResponseWriter: response.Writer, log: g.Log, head: traffic.RequestHead(ec.Request())}
	response.Writer = r
	return r
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

const (
	client = "network" // who it was is for the app's lane to tell; here it comes from the network
	server = "resource"
)

func (r *recorder) finish(c *call) {
	if r == nil {
		return
	}
	slug := ""
	if c.stage != nil {
		slug = c.stage.Slug
	}
	exchange := exchangeOf(c.request)
	r.log.Add(traffic.Message{
		At: c.at, Lane: traffic.Server, Stage: slug, Exchange: exchange, Kind: traffic.Request, From: client, To: server,
		HTTP: r.head, Body: c.raw, Size: len(c.raw),
	})
	verdict := &traffic.Verdict{Allowed: c.refusal == nil, Check: c.check, Reason: "all checks let it through"}
	if c.refusal != nil {
		verdict.Reason = c.refusal.Reason
	}
	response := c.echo.Response()
	r.log.Add(traffic.Message{
		Lane: traffic.Server, Stage: slug, Exchange: exchange, Kind: traffic.Response, From: server, To: client,
		HTTP: traffic.AnswerHead(c.request.Proto, response.Status, response.Header()), Body: r.body, Size: r.size,
		Verdict: verdict,
	})
}

// exchangeOf is the Traffic-Id, as long as it looks like one.
func exchangeOf(r *http.Request) string {
	id := r.Header.Get(traffic.Header)
	if len(id) > 64 || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return ""
	}
	return id
}
