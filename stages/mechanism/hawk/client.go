package hawk

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Client signs requests to one server. It may be used by several goroutines, and must
// not be copied.
type Client struct {
	Credentials Credentials
	Host        string // of the server, from the client's settings
	Port        int    // of the server, from the client's settings
	Field       string // that the credentials go into; empty: Authorization

	// Nonce makes a nonce. It is for tests; if it is nil, nonces are random.
	Nonce func() string

	offset atomic.Int64 // of the server's clock from ours, in seconds
}

// Sent is a request that was signed. It is needed to check the response.
type Sent struct {
	artifacts artifacts
	key       string
}

// String is for logs, and says nothing of the key.
func (s *Sent) String() string { return s.artifacts.method + " " + s.artifacts.target }

// Sign puts the field into req, in place of what is there. The body is the one that
// req is going to have; its Content-Type must be set already, and nothing that is
// covered may change afterwards. An empty body means that there is none. The ext is
// whatever the application wants covered, and may be empty.
//
//keyladder:code hawk-sign
func (c *Client) Sign(req *http.Request, body []byte, ext string, now time.Time) (*Sent, error) {
	nonce := rand.Text
	if c.Nonce != nil {
		nonce = c.Nonce
	}
	a := artifacts{
		method: req.Method, target: req.URL.RequestURI(), host: c.Host, port: c.Port,
		timestamp: strconv.FormatInt(now.Unix()+c.offset.Load(), 10), nonce: nonce(), ext: ext,
	}
	if a.method == "" {
		a.method = http.MethodGet // as net/http reads it
	}
	if c.Host == "" || c.Port == 0 || c.Credentials.Key == "" {
		return nil, fmt.Errorf("sign a request with Hawk: host, port or key are not set: %w", ErrRequest)
	}
	media, err := contentType(req.Header)
	if err != nil {
		return nil, fmt.Errorf("sign a request with Hawk: %w", err)
	}
	if len(body) > 0 {
		a.hash = payloadHash(media, body)
	}
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("sign a request with Hawk: %w", err)
	}
	header := Header{
		ID: c.Credentials.ID, Timestamp: a.timestamp, Nonce: a.nonce, Hash: a.hash, Ext: a.ext,
		MAC: a.mac(c.Credentials.Key, tagRequest),
	}.String()
	if _, err := Parse(header); err != nil { // what our own server would not read is not sent
		return nil, fmt.Errorf("sign a request with Hawk: %w", err)
	}
	req.Header.Set(fieldOr(c.Field), header)
	return &Sent{artifacts: a, key: c.Credentials.Key}, nil
}

// CheckResponse makes sure that the response comes from somebody with the key, answers
// this request and has this body. It returns the ext of the response, which is covered
// as well. Its errors are [ErrUnsigned], [ErrResponseMalformed], [ErrResponseMAC] and
// [ErrResponseHash].
//
//keyladder:code hawk-check-response
func (s *Sent) CheckResponse(header http.Header, body []byte) (ext string, err error) {
	fields := header.Values(ServerAuthorization)
	if len(fields) == 0 {
		return "", ErrUnsigned
	}
	media, err := contentType(header)
	if err != nil || len(fields) > 1 {
		return "", ErrResponseMalformed
	}
	var r reply
	if err := parse(fields[0], replyAttributes, r.attributes()); err != nil {
		return "", fmt.Errorf("%w: %w", ErrResponseMalformed, err)
	}
	a := s.artifacts
	a.hash, a.ext = r.hash, r.ext
	if !same(a.mac(s.key, tagResponse), r.mac) {
		return "", ErrResponseMAC
	}
	if !same(payloadHash(media, body), r.hash) {
		return "", ErrResponseHash
	}
	return r.ext, nil
}

// Learn takes the server's time from a refusal, if the refusal tells it and somebody
// with the key made it. After that, requests are signed for the server's time. The one
// that seems to be refused can be signed and sent again, once, if the server may do it
// twice: that it was refused is not proven. Its errors are [ErrNoTime] and [ErrTimeMAC].
//
//keyladder:code hawk-learn
func (c *Client) Learn(status int, header http.Header, now time.Time) error {
	if status != http.StatusUnauthorized {
		return ErrNoTime
	}
	for _, field := range header.Values("WWW-Authenticate") {
		var told challenge
		if parse(field, challengeAttributes, told.attributes()) != nil || told.ts == "" {
			continue // of another scheme, or not about time
		}
		ts, err := seconds(told.ts)
		if err != nil {
			continue
		}
		if c.Credentials.Key == "" || !same(artifacts{timestamp: told.ts}.mac(c.Credentials.Key, tagTime), told.tsm) {
			return ErrTimeMAC
		}
		c.offset.Store(ts - now.Unix())
		return nil
	}
	return ErrNoTime
}

// Offset is how far the server's clock is ahead of ours, as far as we know.
func (c *Client) Offset() time.Duration { return time.Duration(c.offset.Load()) * time.Second }

func fieldOr(name string) string {
	if name == "" {
		return "Authorization"
	}
	return name
}
