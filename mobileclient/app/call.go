package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device/sdk"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
)

const (
	callTime   = 20 * time.Second // for one attempt
	patience   = 10 * time.Second // for a server that asks to wait
	maxAnswer  = 4 << 20          // bytes
	jsonMedia  = "application/json"
	errorMedia = "application/problem+json" // RFC 9457
)

// request is a call of the API, before it is protected.
type request struct {
	method, path string
	body         any  // sent as JSON; nil: none
	public       bool // needs no user; and goes with the key in the URL, where that is accepted
	settled      bool // twice does no more than once, though it is a POST
	login        *credentials
	session      session.Key
	again        *protected // sent as it was made then; nil: made anew
}

// protected is a request as it is sent, but for what says which attempt it is.
type protected struct {
	http *http.Request
	body body
	sent *hawk.Sent // nil: the answer proves nothing
}

// repeatable says whether making the call twice does no more than making it once (RFC
// 9110, section 9.2.2). A payment is not.
func (r request) repeatable() bool { return r.method != http.MethodPost || r.settled }

// outcome is what came of a call.
type outcome struct {
	screen sdk.Screen
	answer answer
	wait   time.Duration // that the server asked for; 0: it didn't
	early  bool          // the clock was wrong, somebody with the secret says, and has been set
	sent   bool          // the request, or a part of it
	made   *protected    // nil: it could not be made
}

// problem says whether the bank, and nobody else, answered with a problem of that kind.
func (o outcome) problem(status int, kind string) bool {
	return o.answer.status == status && o.answer.authentic && o.answer.kind() == kind
}

// sessionGone says whether the bank says that a session has ended.
func (o outcome) sessionGone() bool {
	return o.problem(http.StatusUnauthorized, "session-not-accepted")
}

// send makes a call, once more where the app's clock was wrong, and once more where
// the server asks for a little patience.
//
// But nobody pays twice because of an answer that proves nothing. Whoever sits between
// the app and the bank can pass a payment on and put a refusal in the place of the answer.
// And one that is repeated is the same one, with its nonce: the bank remembers no call that
// goes past a limit, so that whoever kept the first could have it booked beside a second.
//
//keyladder:code app-repeat
func (b *bank) send(ctx context.Context, r request) outcome {
	o := b.attempt(ctx, r)
	switch {
	case o.early && r.repeatable():
		o = b.attempt(ctx, r)
	case o.early:
		// The code under the server's time is somebody's with the secret, but it belongs to
		// no request: every copy of the app, its clock set wrong, is sent one.
		o.screen.Error = "The answer says that the request was signed for another time. From now on the app goes by the bank's clock."
	}
	if o.wait > 0 && o.wait <= patience && (r.repeatable() || b.plan.hawk == nil || o.problem(http.StatusTooManyRequests, "rate-limited")) {
		select {
		case <-time.After(o.wait):
			if !r.repeatable() {
				r.again = o.made
			}
			o = b.attempt(ctx, r)
		case <-ctx.Done():
		}
	}
	if !r.repeatable() && b.uncertain(o) {
		o.screen.Error += " It may have been booked all the same: look at the account's transfers before you pay again."
	}
	return o
}

// uncertain says whether the bank may have done what it was asked for, although it does
// not look so. The code over an answer does not cover the status, so that what counts is
// what the answer says.
func (b *bank) uncertain(o outcome) bool {
	switch kind := o.answer.kind(); {
	case o.screen.OK || !o.sent:
		return false
	case kind == "":
		return true // there is no answer, or it says nothing
	case b.plan.hawk == nil:
		return false // as far as anything is certain at this stage
	default:
		// The bank signs answers to requests whose code was good. If it does not accept one of
		// those, it has seen it before. And what it had no time for it has not seen, and takes
		// from whoever kept it.
		return !o.answer.authentic || kind == "client-not-accepted" || kind == "rate-limited" || kind == "try-later"
	}
}

// attempt makes a call once.
func (b *bank) attempt(ctx context.Context, r request) (o outcome) {
	exchange := rand.Text()
	failed := func(err error) outcome {
		o.screen = b.failed(exchange, err)
		return o
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	ctx = sdk.WithExchange(ctx, exchange)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			o.sent = true
			_ = b.system.Use(info.Conn, exchange) // a note for the class; the call goes on without
		},
	})
	made, err := b.make(r)
	if err != nil {
		return failed(err)
	}
	o.made = made
	req, body, sent := made.http.Clone(ctx), made.body, made.sent
	req.Header.Set(traffic.Header, exchange)
	if body.sent != nil {
		req.Body = io.NopCloser(bytes.NewReader(body.sent))
	}
	client, err := b.client.current(b.system, b.plan)
	if err != nil {
		return failed(err)
	}
	b.report(sdk.Record{
		Kind: traffic.Request, Exchange: exchange, Summary: req.Method + " " + req.URL.RequestURI(),
		Head: requestHead(req), Body: body.sent, Size: len(body.sent),
	})
	if body.sealed {
		b.opened(exchange, "the body that was sent", jsonMedia, body.content)
	}
	resp, err := client.Do(req)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	received, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return failed(err)
	}
	b.report(sdk.Record{
		Kind: traffic.Response, Exchange: exchange, Summary: resp.Status,
		Head: responseHead(resp), Body: received, Size: len(received),
	})
	answer, err := b.plan.check(sent, resp, received)
	if err != nil {
		return failed(err)
	}
	if len(answer.body) > 0 && mediaType(resp.Header.Get("Content-Type")) == sealed.MediaType {
		b.opened(exchange, "the answer", answer.media, answer.body)
	}
	if o.early, err = b.plan.learn(resp); err != nil {
		return failed(err)
	}
	o.answer, o.screen = answer, show(answer, resp.Status)
	if answer.status == http.StatusTooManyRequests {
		o.wait = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return o
}

// make makes a request, complete and protected.
func (b *bank) make(r request) (*protected, error) {
	if r.again != nil {
		return r.again, nil
	}
	req, body, err := b.request(r)
	if err != nil {
		return nil, err
	}
	sent, err := b.protect(req, body.sent, r)
	if err != nil {
		return nil, err
	}
	return &protected{req, body, sent}, nil
}

// body is what a request carries.
type body struct {
	content []byte // JSON; nil: none
	sent    []byte // what goes over the wire
	sealed  bool
}

// body encodes what a request carries, and seals it where the stage demands it.
func (p *plan) body(content any) (b body, err error) {
	if content == nil {
		return b, nil
	}
	if b.content, err = json.Marshal(content); err != nil {
		return b, err
	}
	b.sent = b.content
	if p.seals != nil {
		b.sealed = true
		b.sent, err = p.seals.Requests.Seal(b.content, jsonMedia)
	}
	return b, err
}

// request makes a request, complete but for what protects it.
func (b *bank) request(r request) (*http.Request, body, error) {
	carried, err := b.plan.body(r.body)
	if err != nil {
		return nil, carried, err
	}
	var reader io.Reader // a nil one, not a nil *bytes.Reader, is no body
	if carried.sent != nil {
		reader = bytes.NewReader(carried.sent)
	}
	req, err := http.NewRequest(r.method, b.plan.base+r.path, reader)
	if err != nil {
		return nil, carried, err
	}
	req.Header.Set("User-Agent", fmt.Sprintf("%s/%d.0", b.plan.agent, b.release))
	req.Header.Set("Accept", strings.Join(b.plan.accepts(), ", "))
	switch {
	case carried.sealed:
		req.Header.Set("Content-Type", sealed.MediaType)
	case carried.sent != nil:
		req.Header.Set("Content-Type", jsonMedia)
	}
	return req, carried, nil
}

// accepts are the media types of answers that the app can read.
func (p *plan) accepts() []string {
	if p.seals != nil {
		return []string{sealed.MediaType, jsonMedia, errorMedia}
	}
	return []string{jsonMedia, errorMedia}
}

// opened notes what is inside a sealed body, which nobody but the two ends can read.
func (b *bank) opened(exchange, what, media string, content []byte) {
	b.report(sdk.Record{
		Kind: traffic.Note, Exchange: exchange, Summary: fmt.Sprintf("inside %s: %s, %d bytes", what, media, len(content)),
		Head: "Content-Type: " + media + "\r\n", Body: content, Size: len(content),
	})
}

// client is the HTTP client. It keeps connections open from call to call, until the
// device's settings change.
type client struct {
	mu       sync.Mutex
	settings sdk.Settings
	http     *http.Client
}

func (c *client) current(system *sdk.System, p *plan) (*http.Client, error) {
	settings, err := system.Settings()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil && c.settings.Version == settings.Version {
		return c.http, nil
	}
	transport := &http.Transport{
		DialContext:         system.Dial,
		DisableCompression:  true, // so that lengths in the records are those of the text
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: callTime,
		TLSClientConfig:     p.tls(settings.Roots),
	}
	if settings.Proxy != "" {
		proxy, err := url.Parse(settings.Proxy)
		if err != nil {
			return nil, fmt.Errorf("the phone's proxy setting can't be used: %w", err)
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	c.settings = settings
	c.http = &http.Client{
		Transport: transport,
		// The API redirects nobody, and the key is for nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c.http, nil
}

// tls verifies the server against the device's trust store, never the machine's, and
// then, where the stage says so, against the pins.
//
//keyladder:code app-tls
func (p *plan) tls(roots []byte) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(roots) // an empty store trusts nobody
	if p.certificate != nil {
		clientcert.Present(config, *p.certificate)
	}
	if p.pins != nil {
		config.VerifyConnection = p.pins.VerifyConnection
	}
	return config
}

// show makes a screen of an answer. Only an answer without content, or with JSON that
// is not a problem, is a success, whatever its status says.
func show(a answer, status string) sdk.Screen {
	screen := sdk.Screen{Status: a.status}
	isJSON := json.Valid(a.body) && (a.media == jsonMedia || a.media == errorMedia)
	if isJSON {
		screen.Body = a.body
	}
	if a.status < 300 && a.media != errorMedia {
		if screen.OK = isJSON || a.status == http.StatusNoContent && len(a.body) == 0; !screen.OK {
			screen.Error = "The bank's answer can't be read. Is something between the phone and the bank?"
		}
		return screen
	}
	if p := a.problem(); p.Title != "" {
		screen.Error = strings.TrimSpace(p.Title + ". " + p.Detail)
		return screen
	}
	screen.Error = "The answer was " + status + ", and not in the bank's own way. Is there a proxy in between?"
	return screen
}

// problem is what the answer says went wrong; the zero value where it doesn't.
func (a answer) problem() (p struct{ Type, Title, Detail string }) {
	if a.media == errorMedia {
		_ = json.Unmarshal(a.body, &p) // of what can't be read, nothing is shown
	}
	return p
}

// kind is that of the problem, as the bank names it; empty: the answer is none.
func (a answer) kind() string {
	kind, _ := strings.CutPrefix(a.problem().Type, "urn:keyladder:problem:")
	return kind
}

// retryAfter reads the field of the same name (RFC 9110, section 10.2.3): seconds or
// a date. A server that wants to be asked later, but does not say when, gets a second.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return max(time.Duration(seconds)*time.Second, time.Millisecond)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), time.Millisecond)
	}
	return time.Second
}

func (b *bank) report(record sdk.Record) {
	record.Body = record.Body[:min(len(record.Body), traffic.MaxBody)]
	_ = b.system.Report(record) // a note for the class; the call goes on without
}

// requestHead is the request's head as it goes to the server. Behind a proxy the
// transport may write the first line differently.
func requestHead(req *http.Request) string {
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", req.Method, req.URL.RequestURI(), req.URL.Host)
	if req.ContentLength > 0 {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", req.ContentLength)
	}
	_ = req.Header.Write(&head) // to memory
	return head.String()
}

func responseHead(resp *http.Response) string {
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s\r\n", resp.Proto, resp.Status)
	_ = resp.Header.Write(&head) // to memory
	return head.String()
}

// failed makes a screen of a call that got no answer.
func (b *bank) failed(exchange string, err error) sdk.Screen {
	if check, reason, advice := refusal(err); check != "" {
		return b.refuse(exchange, check, reason, advice)
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // the URL may hold the key
	}
	b.report(sdk.Record{Kind: traffic.Note, Exchange: exchange, Summary: "no answer: " + err.Error()})
	if errors.Is(err, context.DeadlineExceeded) {
		return sdk.Screen{Error: "The bank did not answer in time. Try again in a moment."}
	}
	return sdk.Screen{Error: "The bank can't be reached (" + err.Error() + "). Check the phone's network settings, and that the API runs."}
}

// refuse makes a screen of a refusal by the app itself, and records why.
func (b *bank) refuse(exchange string, check catalog.Check, reason, advice string) sdk.Screen {
	b.report(sdk.Record{
		Kind: traffic.Note, Exchange: exchange, Summary: "refused by the app: " + string(check),
		Verdict: &traffic.Verdict{Check: check, Reason: reason},
	})
	return sdk.Screen{Check: check, Error: advice}
}
