package device

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
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
	current   *Page
	transport *http.Transport
	version   int // of the settings that the transport was made for
}

// Page is what the user agent shows.
type Page struct {
	URL    string // where it came from, with the fragment
	Status int    // HTTP
	Title  string
	Text   string // what there is to read, spaces folded
	Forms  []Form
	Links  []string // absolute

	// App is the package of the app that the URL was handed to: then there is no page.
	App string

	stage string
}

// Form is a form of a page.
type Form struct {
	Method string // GET or POST
	Action string // absolute
	Fields url.Values
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

// Submit fills in fields of a form of a page and submits it. Fields that are not
// given keep what the page has put into them.
func (a *Agent) Submit(ctx context.Context, page *Page, form Form, values url.Values) (*Page, error) {
	fields := url.Values{}
	for name, preset := range form.Fields {
		fields[name] = slices.Clone(preset)
	}
	for name, value := range values {
		if _, ok := form.Fields[name]; !ok {
			return nil, fmt.Errorf("fill in %q: %w", name, ErrNoField)
		}
		fields[name] = value
	}
	if form.Method == http.MethodPost {
		return a.load(ctx, http.MethodPost, form.Action, fields, page)
	}
	u, err := url.Parse(form.Action)
	if err != nil {
		return nil, fmt.Errorf("submit a form: %w", err)
	}
	u.RawQuery = fields.Encode() // HTML replaces the query of the action
	return a.load(ctx, http.MethodGet, u.String(), nil, page)
}

func (a *Agent) open(ctx context.Context, rawURL, stage string) (*Page, error) {
	return a.load(ctx, http.MethodGet, rawURL, nil, &Page{stage: stage})
}

// load follows a URL to a page, or to an app.
func (a *Agent) load(ctx context.Context, method, rawURL string, fields url.Values, from *Page) (*Page, error) {
	for range maxRedirects {
		u, err := url.Parse(rawURL)
		if err != nil {
			return nil, fmt.Errorf("open a page: %w", err)
		}
		if u.Scheme != "http" && u.Scheme != "https" {
			name, err := a.device.HandOver(ctx, rawURL, from.stage)
			if err != nil {
				return nil, err
			}
			return a.show(&Page{URL: rawURL, App: name, stage: from.stage}), nil
		}
		resp, body, err := a.fetch(ctx, method, u, fields, from)
		if err != nil {
			return nil, fmt.Errorf("open %s://%s: %w", u.Scheme, u.Host, err)
		}
		location := resp.Header.Get("Location")
		if location == "" || !redirects(resp.StatusCode) {
			page := &Page{URL: u.String(), Status: resp.StatusCode, stage: from.stage}
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
			method, fields = http.MethodGet, nil
		}
	}
	return nil, fmt.Errorf("open a page: %w", ErrRedirects)
}

func redirects(status int) bool {
	return slices.Contains([]int{301, 302, 303, 307, 308}, status)
}

func (a *Agent) show(page *Page) *Page {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current = page
	return page
}

func (a *Agent) fetch(ctx context.Context, method string, u *url.URL, fields url.Values, from *Page) (*http.Response, []byte, error) {
	ctx = context.WithValue(ctx, stageKey{}, from.stage)
	var body io.Reader
	if fields != nil {
		body = strings.NewReader(fields.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("User-Agent", agentName)
	req.Header.Set("Accept", "text/html, text/plain;q=0.8, */*;q=0.1")
	if fields != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if origin, err := url.Parse(from.URL); err == nil && origin.Host != "" {
			req.Header.Set("Origin", origin.Scheme+"://"+origin.Host)
		}
	}
	client := &http.Client{
		Transport: a.roundTripper(), Jar: a.jar, Timeout: pageTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return nil, nil, err
	}
	return resp, data, nil
}

type stageKey struct{}

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
			stage, _ := ctx.Value(stageKey{}).(string)
			n := d.newNotes(stage, "")
			n.participant = "user agent"
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

// read takes from a page what there is to see and to fill in.
func (p *Page) read(contentType string, body []byte, base *url.URL) {
	if media, _, err := mime.ParseMediaType(contentType); err != nil || media != "text/html" {
		p.Text = strings.TrimSpace(string(body))
		return
	}
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return // it never fails on text in memory
	}
	var text []string
	for node := range root.Descendants() {
		switch {
		case node.Type == html.TextNode:
			if !hidden(node.Parent) {
				text = append(text, strings.Fields(node.Data)...)
			}
		case node.Type != html.ElementNode:
		case node.DataAtom == atom.Title && node.FirstChild != nil:
			p.Title = strings.TrimSpace(node.FirstChild.Data)
		case node.DataAtom == atom.A:
			if href, ok := attribute(node, "href"); ok {
				if link, err := base.Parse(href); err == nil {
					p.Links = append(p.Links, link.String())
				}
			}
		case node.DataAtom == atom.Form:
			if form, err := readForm(node, base); err == nil {
				p.Forms = append(p.Forms, form)
			}
		}
	}
	p.Text = strings.Join(text, " ")
}

func hidden(parent *html.Node) bool {
	return parent != nil && slices.Contains([]atom.Atom{atom.Script, atom.Style, atom.Title, atom.Noscript, atom.Template}, parent.DataAtom)
}

func readForm(node *html.Node, base *url.URL) (Form, error) {
	form := Form{Method: http.MethodGet, Fields: url.Values{}}
	if method, _ := attribute(node, "method"); strings.EqualFold(method, http.MethodPost) {
		form.Method = http.MethodPost
	}
	action, _ := attribute(node, "action")
	target, err := base.Parse(action)
	if err != nil {
		return Form{}, err
	}
	target.Fragment = ""
	form.Action = target.String()
	for field := range node.Descendants() {
		name, ok := attribute(field, "name")
		if _, disabled := attribute(field, "disabled"); !ok || name == "" || disabled {
			continue
		}
		switch field.DataAtom {
		case atom.Input:
			value, given := attribute(field, "value")
			kind, _ := attribute(field, "type")
			switch strings.ToLower(kind) {
			case "submit", "image", "button", "reset", "file":
				continue // a button counts only when it is the one that was pressed
			case "checkbox", "radio":
				if _, checked := attribute(field, "checked"); !checked {
					if _, there := form.Fields[name]; !there {
						form.Fields[name] = nil // can be filled in, and is not sent otherwise
					}
					continue
				}
				if !given {
					value = "on"
				}
			}
			form.Fields.Add(name, value)
		case atom.Button:
			// Which of several buttons is pressed is the user's choice: a field like others.
			if _, there := form.Fields[name]; !there {
				form.Fields[name] = nil
			}
		case atom.Textarea:
			text := ""
			if field.FirstChild != nil {
				text = field.FirstChild.Data
			}
			form.Fields.Add(name, text)
		case atom.Select:
			form.Fields.Add(name, selected(field))
		}
	}
	return form, nil
}

// selected is the value of a list's chosen option, or of its first.
func selected(list *html.Node) string {
	first, found := "", false
	for option := range list.Descendants() {
		if option.DataAtom != atom.Option {
			continue
		}
		value, ok := attribute(option, "value")
		if !ok && option.FirstChild != nil {
			value = strings.TrimSpace(option.FirstChild.Data)
		}
		if _, chosen := attribute(option, "selected"); chosen {
			return value
		}
		if !found {
			first, found = value, true
		}
	}
	return first
}

func attribute(node *html.Node, name string) (string, bool) {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}
