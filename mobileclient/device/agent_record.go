package device

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"time"

	"keyladder/internal/traffic"
)

// exchange is a request of the user agent and its answer, in records.
type exchange struct {
	id    string // the Traffic-Id
	stage string
	with  string // who is asked
}

type exchangeKey struct{}

// carried is a context for the exchange's request: the connection that carries it is noted
// under its ID.
func (e exchange) carried(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, exchangeKey{}, e)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		conn := got.Conn
		for {
			switch inner := conn.(type) {
			case *tls.Conn:
				conn = inner.NetConn()
				continue
			case *noted:
				inner.notes.carries(e.id)
			}
			return
		}
	}})
}

// server is what records call whoever is asked for a URL. Strangers are somewhere in the network.
func (d *Device) server(u *url.URL) string {
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	if name, ok := d.config.Servers[host]; ok {
		return name
	}
	return "network"
}

// hidden stands in records for what was typed into a password field.
const hidden = "not-recorded"

// recordable are fields as they are recorded.
func (o outgoing) recordable(fields url.Values) url.Values {
	fields = maps.Clone(fields)
	for _, name := range o.secrets {
		if fields.Get(name) != "" {
			fields[name] = []string{hidden}
		}
	}
	return fields
}

// passwords are the names of the fields that take one.
func (f *Form) passwords() (names []string) {
	for _, field := range f.Fields {
		if field.Kind == Password {
			names = append(names, field.Name)
		}
	}
	return names
}

func (a *Agent) recordRequest(e exchange, req *http.Request, out outgoing) {
	var body []byte
	if out.fields != nil {
		body = []byte(out.recordable(out.fields).Encode())
	}
	if len(out.secrets) > 0 && out.method == http.MethodGet {
		req = req.Clone(req.Context())
		req.URL.RawQuery = out.recordable(req.URL.Query()).Encode()
	}
	a.record(e, traffic.Message{
		Kind: traffic.Request, From: a.device.config.Agent, To: e.with, HTTP: traffic.RequestHead(req), Body: body, Size: len(body),
	})
}

func (a *Agent) recordResponse(e exchange, resp *http.Response, body []byte) {
	a.record(e, traffic.Message{
		Kind: traffic.Response, From: e.with, To: a.device.config.Agent,
		HTTP: traffic.AnswerHead(resp.Proto, resp.StatusCode, resp.Header), Body: slices.Clone(body[:min(len(body), traffic.MaxBody)]), Size: len(body),
	})
}

// recordFailure notes that there was no answer, and why, without the URL, which may hold anything.
func (a *Agent) recordFailure(e exchange, err error) {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	a.record(e, a.thought("no answer: "+err.Error()))
}

// recordHandOver notes that a link went to an app, at that time: by now the app has used what it
// carries. That stands in the answer that led there.
func (a *Agent) recordHandOver(link, app, stage string, at time.Time) {
	link, _, _ = strings.Cut(link, "#")
	link, _, _ = strings.Cut(link, "?")
	m := a.thought("hands " + link + " to " + app)
	m.At = at
	a.record(exchange{stage: stage}, m)
}

// thought is something that goes nowhere.
func (a *Agent) thought(summary string) traffic.Message {
	return traffic.Message{Kind: traffic.Note, From: a.device.config.Agent, To: a.device.config.Agent, Summary: summary}
}

func (a *Agent) record(e exchange, m traffic.Message) {
	m.Lane, m.Stage, m.Exchange = traffic.App, e.stage, e.id
	a.device.record(m)
}
