package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/internal/deployment"
	"keyladder/internal/problem"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/forwarded"
)

// passedOn are the fields that go along with a call. A field that is not here stays behind: tokens, cookies, and all
// that says who or where a caller is, of which there are more names than anybody can list.
var passedOn = []string{
	"Accept", "Accept-Language", "Content-Type", "Content-Language", "Idempotency-Key", "If-Match", "If-None-Match", "User-Agent", traffic.Header,
}

// kept are the fields of an answer that are about one connection only (RFC 9110, section 7.6.1), or
// that the gateway writes itself.
var kept = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authenticate", "Date",
	"Content-Length", "Set-Cookie", "Ratelimit", "Ratelimit-Policy",
}

const (
	// whole is how much of an answer is waited for before any of it is sent on, in bytes: an answer
	// that ends before it is complete is no answer then.
	whole = 64 << 10
	// mostAnswer is how large an answer may be, in bytes.
	mostAnswer = 16 << 20
)

// Forward sends a call on, and its answer back. It is a [guard.Handler].
//
//keyladder:code gateway-forward
func (g *Gateway) Forward(c echo.Context, caller guard.Caller) error {
	if err := g.waf.look(c.Request(), caller); err != nil {
		return err
	}
	if isSubrequest(c.Request()) {
		return g.allow(c, caller)
	}
	if wait, down := g.health.down(g.config.Now()); down {
		g.counts.refused.Add(1)
		return unavailable(wait, "the API is down: %s", g.health.reason())
	}
	got, err := g.send(c.Request(), caller)
	if err != nil && again(c.Request(), err) {
		g.counts.again.Add(1)
		got, err = g.send(c.Request(), caller)
	}
	if err != nil {
		return g.failed(c.Request(), err)
	}
	defer got.body.Close()
	g.counts.forwarded.Add(1)
	g.health.success()
	return got.write(c)
}

// again says whether a call may be sent once more: it changes nothing (RFC 9110, section 9.2.1), and
// it was the connection that failed.
func again(r *http.Request, err error) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Context().Err() == nil && !isTimeout(err)
}

func isTimeout(err error) bool {
	var timed net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timed) && timed.Timeout()
}

// answer is one whose head came, and as much of its body as is waited for.
type answer struct {
	status int
	header http.Header
	begun  []byte
	more   bool
	body   io.ReadCloser // what follows
}

// send sends a call once, and waits until its answer is there, or enough of it.
func (g *Gateway) send(from *http.Request, caller guard.Caller) (*answer, error) {
	token, err := g.vouch(from, caller)
	if err != nil {
		return nil, err
	}
	url := *from.URL
	target := g.config.Folder.Addresses.URL(deployment.InsideAPI)
	url.Scheme, url.Host, _ = strings.Cut(target, "://")
	// There is a body, though it may be empty, and no way to get it anew: so the transport does not send
	// anything again by itself, with a token that the API has seen.
	r := (&http.Request{
		Method: from.Method, URL: &url, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(caller.Body())), ContentLength: int64(len(caller.Body())),
	}).WithContext(from.Context())
	for _, name := range passedOn {
		if values := from.Header.Values(name); len(values) > 0 {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	forwarded.Set(r.Header, token)
	r.Header.Set(echo.HeaderXForwardedFor, caller.Address().String())
	recorded := g.config.Log.Asked(string(deployment.Mediator), caller.Stage().Slug, r, caller.Body())
	response, err := g.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	got := &answer{status: response.StatusCode, header: http.Header{}, body: response.Body}
	if got.begun, err = io.ReadAll(io.LimitReader(response.Body, whole+1)); err != nil {
		response.Body.Close()
		return nil, fmt.Errorf("%w: %w", errHalf, err)
	}
	got.more = len(got.begun) > whole
	recorded(response, got.begun)
	passed(response.Header, got.header)
	return got, nil
}

var errHalf = errors.New("the answer ended before it was complete")

// passed copies what goes back of an answer's fields.
func passed(from, to http.Header) {
	about := slices.Clone(kept)
	for _, names := range from.Values("Connection") {
		for name := range strings.SplitSeq(names, ",") {
			about = append(about, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	for name, values := range from {
		if !slices.Contains(about, name) {
			to[name] = values
		}
	}
}

// write sends an answer back. Where the rest of it does not come, the connection is closed: who asked
// has to see that it is not complete.
func (a *answer) write(c echo.Context) error {
	for name, values := range a.header {
		c.Response().Header()[name] = values
	}
	if !a.more && len(a.begun) > 0 {
		c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(len(a.begun)))
	}
	c.Response().WriteHeader(a.status)
	if _, err := c.Response().Write(a.begun); err != nil || !a.more {
		return gone(c.Request(), err)
	}
	n, err := io.Copy(c.Response(), io.LimitReader(a.body, mostAnswer))
	if err == nil && n < mostAnswer {
		return nil
	}
	if connection, _, hijacked := http.NewResponseController(c.Response().Writer).Hijack(); hijacked == nil {
		connection.Close()
	}
	return gone(c.Request(), fmt.Errorf("pass an answer on: %w", errors.Join(err, errHalf)))
}

// gone is the error, unless the client went away: nobody is left to tell.
func gone(r *http.Request, err error) error {
	if r.Context().Err() != nil {
		return nil
	}
	return err
}

// failed is what is said where the API gave no answer.
func (g *Gateway) failed(r *http.Request, err error) error {
	if r.Context().Err() != nil { // the client went away: it says nothing about the API
		return nil
	}
	g.counts.failed.Add(1)
	g.config.Logger.Error("send a call on to the API", "method", r.Method, "error", err)
	switch {
	case errors.Is(err, errHalf):
		return refuse(http.StatusBadGateway, "bad-gateway", "The API's answer is not complete", err)
	case isTimeout(err):
		g.health.failure(g.config.Now(), err)
		return refuse(http.StatusGatewayTimeout, "gateway-timeout", "The API takes too long", err)
	}
	g.health.failure(g.config.Now(), err)
	return unavailable(g.config.Every, "the API does not answer: %v", err)
}

func refuse(status int, kind, title string, err error) *guard.Refusal {
	return &guard.Refusal{
		Check: catalog.CheckUpstream, Reason: err.Error(),
		Problem: problem.New(status, kind, title, "Whether the call was carried out is not known. One that books something can be asked for again with the same Idempotency-Key."),
	}
}

func unavailable(wait time.Duration, reason string, values ...any) *guard.Refusal {
	return &guard.Refusal{
		Check: catalog.CheckUpstream, Reason: fmt.Sprintf(reason, values...),
		Problem: problem.New(http.StatusServiceUnavailable, "try-later", "The API can't be reached at the moment",
			"Try again after the time in Retry-After, in seconds.").With("Retry-After", fmt.Sprint(max(1, int(wait.Seconds())))),
	}
}
