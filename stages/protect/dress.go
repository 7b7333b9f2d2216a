package protect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
)

// JSON is the media type of bodies, inside a seal or not.
const JSON = "application/json"

// Call is a call of the API, before it is dressed.
type Call struct {
	Method string // empty: GET
	Path   string // below the stage: /v1/rates

	// URL is used instead of the path, as it is; nil: it is not.
	URL *url.URL

	Body   []byte      // empty: none
	Media  string      // of the body; empty: [JSON]
	Header http.Header // further fields; dressing adds its own to a copy

	Public   bool    // needs no user, so that neither session nor token goes with it
	SignIn   *SignIn // the user's password goes with it, instead of a session; nil: it does not
	Clear    bool    // the body is not sealed, although the stage seals bodies
	Client   bool    // the client authenticates, as where it gets its tokens
	Unproven bool    // no proof of the app goes with it: what it takes stands in the body

	// Spoil makes the request wrong in one place.
	Spoil Spoiler
}

// Spoiler changes a request while it is dressed. A hook that is nil changes nothing.
type Spoiler struct {
	BeforeSealing func(*Request)
	BeforeSigning func(*Request) // everything is there but the app's proof
	AfterSigning  func(*Request)
}

// Request is a request as it is sent, so far.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte
	Sealed bool // the body is sealed

	// Base is the text that was signed, where the request itself is (RFC 9421); empty: it is not. It is
	// not sent.
	Base []byte
}

// Dressed is a request as it is to be sent, with what is needed to check the answer.
type Dressed struct {
	Request
	Content []byte // the body before it was sealed
	Media   string // its media type

	checks []answerCheck // of the answer; empty: it proves nothing
	parts  []part
}

// Dress dresses a call. Sending it twice sends the same nonce and MAC twice.
func (c *Caller) Dress(call Call) (*Dressed, error) {
	r, err := c.undressed(call)
	if err != nil {
		return nil, err
	}
	d := &Dressed{Request: *r, Content: r.Body, Media: r.Header.Get("Content-Type"), parts: c.parts}
	r = &d.Request
	r.spoil(call.Spoil.BeforeSealing)
	for _, p := range c.parts {
		if p.seal != nil && !call.Clear {
			if err := p.seal(r); err != nil {
				return nil, fmt.Errorf("seal the body of a call: %w", err)
			}
		}
	}
	for _, p := range c.parts {
		if p.say != nil {
			if err := p.say(r, call); err != nil {
				return nil, fmt.Errorf("say who is calling: %w", err)
			}
		}
	}
	r.spoil(call.Spoil.BeforeSigning)
	for _, p := range c.parts {
		if p.prove == nil || call.Unproven {
			continue
		}
		check, err := p.prove(r, call)
		if err != nil {
			return nil, fmt.Errorf("prove which app is calling: %w", err)
		}
		if check != nil {
			d.checks = append(d.checks, check)
		}
	}
	r.spoil(call.Spoil.AfterSigning)
	return d, nil
}

// undressed is the request without anything that protects it.
func (c *Caller) undressed(call Call) (*Request, error) {
	r := &Request{Method: call.Method, URL: call.URL, Header: maps.Clone(call.Header), Body: call.Body}
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.URL == nil {
		var err error
		if r.URL, err = c.URL(call.Path); err != nil {
			return nil, err
		}
	} else {
		own := *r.URL
		r.URL = &own
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if c.identity.UserAgent != "" {
		r.Header.Set("User-Agent", c.identity.UserAgent)
	}
	if len(r.Body) > 0 {
		media := call.Media
		if media == "" {
			media = JSON
		}
		r.Header.Set("Content-Type", media)
	}
	return r, nil
}

// Accepts are further media types of answers, besides those of the API, that the caller can
// read: for the Accept field.
func (c *Caller) Accepts() []string {
	var media []string
	for _, p := range c.parts {
		media = append(media, p.accepts...)
	}
	return media
}

// HTTP is the request for an HTTP client. Every one is a copy.
func (r *Request) HTTP(ctx context.Context) (*http.Request, error) {
	var body io.Reader // a nil one, not a nil *bytes.Reader, is no body
	if len(r.Body) > 0 {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL.String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		req.Header[name] = slices.Clone(values)
	}
	return req, nil
}

func (r *Request) spoil(change func(*Request)) {
	if change != nil {
		change(r)
	}
}
