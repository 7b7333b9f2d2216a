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
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/clientcert"
)

const (
	userAgent  = "HarbourBank/1.0"
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
	oldWay       bool // with the key in the URL, where that is accepted
}

// call makes a call, and once more where the server asks for a little patience.
func (b *bank) call(ctx context.Context, r request) sdk.Screen {
	screen, wait := b.attempt(ctx, r)
	if wait <= 0 || wait > patience {
		return screen
	}
	select {
	case <-time.After(wait):
		screen, _ = b.attempt(ctx, r)
	case <-ctx.Done():
	}
	return screen
}

// attempt makes a call once. Where the server refused it for being too early, wait
// says how long it asked to wait.
func (b *bank) attempt(ctx context.Context, r request) (screen sdk.Screen, wait time.Duration) {
	exchange := rand.Text()
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req, body, err := b.request(ctx, r, exchange)
	if err != nil {
		return b.failed(exchange, err), 0
	}
	client, err := b.client.current(b.system, b.plan)
	if err != nil {
		return b.failed(exchange, err), 0
	}
	b.report(sdk.Record{
		Kind: traffic.Request, Exchange: exchange, Summary: req.Method + " " + req.URL.RequestURI(),
		Head: requestHead(req), Body: body, Size: len(body),
	})
	resp, err := client.Do(req)
	if err != nil {
		return b.failed(exchange, err), 0
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return b.failed(exchange, err), 0
	}
	b.report(sdk.Record{
		Kind: traffic.Response, Exchange: exchange, Summary: resp.Status,
		Head: responseHead(resp), Body: answer, Size: len(answer),
	})
	if resp.StatusCode == http.StatusTooManyRequests {
		wait = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return show(resp, answer), wait
}

// request protects a call as the stage demands.
func (b *bank) request(ctx context.Context, r request, exchange string) (*http.Request, []byte, error) {
	var body []byte
	var reader io.Reader // a nil one, not a nil *bytes.Reader, is no body
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, nil, err
		}
		reader = bytes.NewReader(body)
	}
	ctx = sdk.WithExchange(ctx, exchange)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			_ = b.system.Use(info.Conn, exchange) // a note for the class; the call goes on without
		},
	})
	req, err := http.NewRequestWithContext(ctx, r.method, b.plan.base+r.path, reader)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", jsonMedia+", "+errorMedia)
	req.Header.Set(traffic.Header, exchange)
	if body != nil {
		req.Header.Set("Content-Type", jsonMedia)
	}
	switch {
	case b.plan.key == "":
	case r.oldWay && b.plan.keyInURL:
		appkey.SetQuery(req, b.plan.key)
	default:
		appkey.Set(req, b.plan.key)
	}
	return req, body, nil
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

// show makes a screen of an answer.
func show(resp *http.Response, answer []byte) sdk.Screen {
	screen := sdk.Screen{Status: resp.StatusCode}
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	isJSON := json.Valid(answer) && (media == jsonMedia || media == errorMedia)
	if isJSON {
		screen.Body = answer
	}
	if resp.StatusCode < 300 {
		if screen.OK = isJSON; !isJSON {
			screen.Error = "The bank's answer can't be read. Is something between the phone and the bank?"
		}
		return screen
	}
	var problem struct{ Title, Detail string }
	if media == errorMedia && isJSON && json.Unmarshal(answer, &problem) == nil && problem.Title != "" {
		screen.Error = strings.TrimSpace(problem.Title + ". " + problem.Detail)
		return screen
	}
	screen.Error = "The answer was " + resp.Status + ", and not in the bank's own way. Is there a proxy in between?"
	return screen
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
func (b *bank) refuse(exchange, check, reason, advice string) sdk.Screen {
	b.report(sdk.Record{
		Kind: traffic.Note, Exchange: exchange, Summary: "refused by the app: " + check,
		Verdict: &traffic.Verdict{Check: check, Reason: reason},
	})
	return sdk.Screen{Check: check, Error: advice}
}
