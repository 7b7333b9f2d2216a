package device

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"keyladder/internal/traffic"
)

// Bounds of the user agent.
const (
	pageTimeout  = 30 * time.Second
	maxPage      = 4 << 20 // bytes
	maxRedirects = 20      // as browsers do
)

// UserAgent of the user agent's requests.
const agentName = "HarbourPhone/1.0 (user agent)"

// Errors of the user agent.
var (
	// ErrRedirects means that a page leads on and on.
	ErrRedirects = errors.New("too many redirects")
	// ErrNoField means that a form has no field of that name.
	ErrNoField = errors.New("the form has no such field")
)

// Agent is the device's user agent: a browser of sorts, without scripts. It uses the
// device's network and trust store and keeps cookies; no app sees into it.
type Agent struct {
	device *Device
	jar    http.CookieJar

	mu        sync.Mutex
	seen      func(url string)      // see [Agent.Spy]
	asked     func(url string) bool // see [Agent.Confirm]
	current   *Page
	shown     int // pages so far
	transport *http.Transport
	version   int // of the settings that the transport was made for
}

func newAgent(d *Device) *Agent {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it never fails, its documentation says
	}
	return &Agent{device: d, jar: jar}
}

// Agent is the device's user agent.
func (d *Device) Agent() *Agent { return d.agent }

// Spy has somebody told of each address that is loaded or handed to an app from now on, with its
// fragment: an extension or a library in the browser sees that much. Nil ends it.
func (a *Agent) Spy(seen func(url string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = seen
}

// Confirm has somebody asked, from now on, before an address is handed to an app: on a phone of one's
// own one can keep it, and look at it. Nil: all are handed over.
func (a *Agent) Confirm(asked func(url string) (handOver bool)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = asked
}

// Current is the page that is shown; nil before the first.
func (a *Agent) Current() *Page {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}

// Open loads a page, as when somebody types its address. The stage goes into the
// records, and to an app that has to be launched.
func (a *Agent) Open(ctx context.Context, rawURL, stage string) (*Page, error) {
	return a.open(ctx, rawURL, stage)
}

// Submit fills in a form of a page and presses a button of it; the zero Button stands for
// the Enter key. Fields that are not given keep what the page has put into them.
func (a *Agent) Submit(ctx context.Context, page *Page, form Form, values url.Values, pressed Button) (*Page, error) {
	fields, err := form.Filled(values, pressed)
	if err != nil {
		return nil, err
	}
	secrets := form.passwords()
	if form.Method == http.MethodPost {
		return a.load(ctx, outgoing{method: http.MethodPost, fields: fields, secrets: secrets}, form.Action, page)
	}
	u, err := url.Parse(form.Action)
	if err != nil {
		return nil, fmt.Errorf("submit a form: %w", err)
	}
	u.RawQuery = fields.Encode() // HTML replaces the query of the action
	return a.load(ctx, outgoing{method: http.MethodGet, secrets: secrets}, u.String(), page)
}

func (a *Agent) open(ctx context.Context, rawURL, stage string) (*Page, error) {
	return a.load(ctx, outgoing{method: http.MethodGet}, rawURL, &Page{stage: stage})
}

// outgoing is what the user agent sends to a URL.
type outgoing struct {
	method  string
	fields  url.Values // in the body; nil: there is none
	secrets []string   // names of fields that no record holds
}

// load follows a URL to a page, or to an app.
func (a *Agent) load(ctx context.Context, out outgoing, rawURL string, from *Page) (*Page, error) {
	for range maxRedirects {
		u, err := url.Parse(rawURL)
		if err != nil {
			return nil, fmt.Errorf("open a page: %w", err)
		}
		a.mu.Lock()
		seen, asked := a.seen, a.asked
		a.mu.Unlock()
		if seen != nil {
			seen(rawURL)
		}
		if u.Scheme != "http" && u.Scheme != "https" {
			if asked != nil && !asked(rawURL) {
				return a.show(keptLink(rawURL, from.stage)), nil
			}
			at := time.Now()
			name, err := a.device.HandOver(ctx, rawURL, from.stage)
			if errors.Is(err, ErrUnclaimed) && strings.Contains(u.Scheme, ".") {
				return a.show(unclaimed(rawURL, u.Scheme, from.stage)), nil
			}
			if err != nil {
				return nil, err
			}
			a.recordHandOver(rawURL, name, from.stage, at)
			return a.show(&Page{URL: rawURL, App: name, stage: from.stage}), nil
		}
		resp, body, err := a.fetch(ctx, out, u, from)
		if err != nil {
			return nil, fmt.Errorf("open %s://%s: %w", u.Scheme, u.Host, err)
		}
		location := resp.Header.Get("Location")
		if location == "" || !redirects(resp.StatusCode) {
			page := &Page{URL: u.String(), Status: resp.StatusCode, stage: from.stage}
			if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
				page.Wait = time.Duration(seconds) * time.Second
			}
			page.read(resp.Header.Get("Content-Type"), body, u)
			return a.show(page), nil
		}
		next, err := u.Parse(location)
		if err != nil {
			return nil, fmt.Errorf("follow a redirect: %w", err)
		}
		if next.Fragment == "" {
			next.Fragment, next.RawFragment = u.Fragment, u.RawFragment // RFC 9110, section 10.2.2
		}
		rawURL = next.String()
		if resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect {
			out = outgoing{method: http.MethodGet}
		}
	}
	return nil, fmt.Errorf("open a page: %w", ErrRedirects)
}

// unclaimed is the page for a URL with a scheme that an app would have to itself (RFC 8252,
// section 7.1), where none does.
func unclaimed(rawURL, scheme, stage string) *Page {
	return &Page{
		URL: rawURL, Unclaimed: true, stage: stage,
		Title: "No app opens this link",
		Text:  "No app on this phone opens links that begin with " + scheme + ":. Install the app that this page wants to lead back to, and begin again there.",
	}
}

// keptLink is the page for a URL that was not handed to an app.
func keptLink(rawURL, stage string) *Page {
	return &Page{URL: rawURL, stage: stage, Title: "This link was kept", Text: "It was not handed to an app, as the phone's owner wants it."}
}

func redirects(status int) bool {
	return slices.Contains([]int{301, 302, 303, 307, 308}, status)
}

func (a *Agent) show(page *Page) *Page {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shown++
	page.Number = a.shown
	a.current = page
	return page
}

func (a *Agent) fetch(ctx context.Context, out outgoing, u *url.URL, from *Page) (*http.Response, []byte, error) {
	seen := exchange{id: rand.Text(), stage: from.stage, with: a.device.server(u)}
	var body io.Reader
	if out.fields != nil {
		body = strings.NewReader(out.fields.Encode())
	}
	req, err := http.NewRequestWithContext(seen.carried(ctx), out.method, u.String(), body)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("User-Agent", agentName)
	req.Header.Set("Accept", "text/html, text/plain;q=0.8, */*;q=0.1")
	if out.fields != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if origin, err := url.Parse(from.URL); err == nil && origin.Host != "" {
			req.Header.Set("Origin", origin.Scheme+"://"+origin.Host)
		}
	}
	req.Header.Set(traffic.Header, seen.id)
	a.recordRequest(seen, req, out)
	client := &http.Client{
		Transport: a.roundTripper(), Jar: a.jar, Timeout: pageTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		a.recordFailure(seen, err)
		return nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		a.recordFailure(seen, err)
		return nil, nil, err
	}
	a.recordResponse(seen, resp, data)
	return resp, data, nil
}

// roundTripper uses the device's settings as they are now.
func (a *Agent) roundTripper() http.RoundTripper {
	d := a.device
	d.mu.Lock()
	version, roots, proxy := d.version, d.roots, d.state.Network.Proxy
	d.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.transport == nil || a.version != version {
		if a.transport != nil {
			a.transport.CloseIdleConnections()
		}
		a.transport, a.version = d.agentTransport(roots, proxy), version
	}
	return a.transport
}

func (d *Device) agentTransport(roots *x509.CertPool, proxy string) *http.Transport {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			seen, _ := ctx.Value(exchangeKey{}).(exchange)
			n := d.newNotes(seen.stage, seen.id)
			n.participant = d.config.Agent
			conn, err := d.connect(ctx, n, address)
			if err != nil {
				return nil, err
			}
			return &noted{Conn: conn, notes: n}, nil
		},
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		IdleConnTimeout: 30 * time.Second,
	}
	if u, err := url.Parse(proxy); err == nil && proxy != "" {
		transport.Proxy = http.ProxyURL(u)
	}
	return transport
}

func (a *Agent) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.transport != nil {
		a.transport.CloseIdleConnections()
	}
}

// noted is a connection of the user agent, which needs no process boundary.
type noted struct {
	net.Conn
	notes *notes
}

func (c *noted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.notes.received(b[:n])
	}
	return n, err
}

func (c *noted) Write(b []byte) (int, error) {
	c.notes.sent(b)
	return c.Conn.Write(b)
}
