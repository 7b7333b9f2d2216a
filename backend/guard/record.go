package guard

import (
	"fmt"
	"net/http"
	"slices"
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
	head string // of the request
	body []byte
	size int
}

// record starts to record. Without a log it does nothing.
func (g *Guard) record(ec echo.Context) *recorder {
	if g.Log == nil {
		return nil
	}
	response := ec.Response()
	r := &recorder{ResponseWriter: response.Writer, log: g.Log, head: requestHead(ec.Request())}
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
		Summary: c.request.Method + " " + c.request.URL.EscapedPath(),
		Head:    r.head, Body: c.raw, Size: len(c.raw),
	})
	verdict := traffic.Verdict{Allowed: c.refusal == nil, Check: c.check, Reason: "all checks let it through"}
	if c.refusal != nil {
		verdict.Reason = c.refusal.Reason
	}
	status := c.echo.Response().Status
	line := fmt.Sprintf("%d %s", status, http.StatusText(status))
	r.log.Add(traffic.Message{
		Lane: traffic.Server, Stage: slug, Exchange: exchange, Kind: traffic.Response, From: server, To: client,
		Summary: line, Head: head(c.request.Proto+" "+line, c.echo.Response().Header()), Body: r.body, Size: r.size,
		Verdict: &verdict,
	})
}

func requestHead(r *http.Request) string {
	target := r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	return head(r.Method+" "+target+" "+r.Proto+"\nHost: "+r.Host, r.Header)
}

// head is a start line and the fields after it, in order of their names. Cookies are none of
// ours: a browser that opens an address here sends the admin UI's along, because cookies
// are good for every port of a host.
func head(start string, fields http.Header) string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	var text strings.Builder
	text.WriteString(start)
	for _, name := range names {
		for _, value := range fields[name] {
			if name == "Cookie" || name == "Set-Cookie" {
				value = "(not recorded)"
			}
			text.WriteString("\n" + name + ": " + value)
		}
	}
	return text.String()
}

// exchangeOf is the Traffic-Id, as long as it looks like one.
func exchangeOf(r *http.Request) string {
	id := r.Header.Get(traffic.Header)
	if len(id) > 64 || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return ""
	}
	return id
}
