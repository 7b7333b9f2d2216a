package hawk

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// DefaultSkew is how far the client's and the server's clock may be apart.
const DefaultSkew = 60 * time.Second

// Verifier checks requests to one server. It may be used by several goroutines.
type Verifier struct {
	Host  string // of the server as its clients call it, from the server's settings
	Port  int    // of the server as its clients call it, from the server's settings
	Field string // that the credentials are in; empty: Authorization

	// Lookup finds the key of an ID. The error that it returns for IDs that are
	// unknown or revoked is for records, and wrapped; clients are not told it.
	Lookup func(id string) (key string, err error)
}

// Received is a request that was verified. It is needed to authenticate the response.
type Received struct {
	ID    string    // whose key the MAC was made with
	Nonce string    // good once, if the server remembers it: see package replay
	Ext   string    // what the application had covered
	Time  time.Time // that the request was signed for

	artifacts artifacts
	key       string
}

// String is for logs, and says nothing of the key.
func (r *Received) String() string { return r.artifacts.method + " " + r.artifacts.target }

// Verify checks a request as the server received it, with its whole body. [Refusal]
// says how its errors are answered.
//
//keyladder:code hawk-verify
func (v *Verifier) Verify(r *http.Request, body []byte, now time.Time) (*Received, error) {
	if v.Host == "" || v.Port == 0 || v.Lookup == nil {
		return nil, ErrUndecided
	}
	fields := r.Header.Values(fieldOr(v.Field))
	if len(fields) == 0 {
		return nil, ErrMissing
	}
	if len(fields) > 1 {
		return nil, ErrTwice
	}
	h, err := Parse(fields[0])
	if err != nil {
		return nil, err
	}
	ts, err := seconds(h.Timestamp)
	if err != nil {
		return nil, err
	}
	media, err := contentType(r.Header)
	if err != nil {
		return nil, err
	}
	a := artifacts{
		method: r.Method, target: originForm(r.RequestURI), host: v.Host, port: v.Port,
		timestamp: h.Timestamp, nonce: h.Nonce, hash: h.Hash, ext: h.Ext, app: h.App, dlg: h.Dlg,
	}
	if err := a.check(); err != nil {
		return nil, err
	}

	key, err := v.Lookup(h.ID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknownCredentials, err)
	}
	if key == "" {
		return nil, fmt.Errorf("%w: there is no key", ErrUnknownCredentials)
	}

	if !same(a.mac(key, tagRequest), h.MAC) {
		return nil, ErrMAC
	}

	switch {
	case h.Hash == "" && len(body) > 0:
		return nil, ErrMissingHash
	case h.Hash != "" && !same(payloadHash(media, body), h.Hash):
		return nil, ErrHash
	}

	received := &Received{ID: h.ID, Nonce: h.Nonce, Ext: h.Ext, Time: time.Unix(ts, 0), artifacts: a, key: key}
	if now.Sub(received.Time).Abs() > DefaultSkew {
		return nil, received.Stale(now)
	}
	return received, nil
}

// Stale is the refusal of a request that was signed for another time than the server
// accepts. It tells the client the server's.
func (r *Received) Stale(now time.Time) error {
	at := strconv.FormatInt(now.Unix(), 10)
	return &StaleError{Now: now.Unix(), MAC: artifacts{timestamp: at}.mac(r.key, tagTime)}
}

// SignResponse puts Server-Authorization into the response's header, in place of what is
// there. The body is all that is going to be sent, before content coding, and the
// Content-Type must be set already: net/http would add one later, which the MAC
// would not cover. The ext is whatever the application wants covered, and may be empty.
//
//keyladder:code hawk-sign-response
func (r *Received) SignResponse(header http.Header, body []byte, ext string) error {
	media, err := contentType(header)
	if err != nil {
		return fmt.Errorf("authenticate a response with Hawk: %w", err)
	}
	if media == "" && len(body) > 0 {
		return errors.New("authenticate a response with Hawk: a body without Content-Type")
	}
	if ext != "" && !validValue(ext) {
		return fmt.Errorf("authenticate a response with Hawk: ext: %w", ErrAttributeValue)
	}
	a := r.artifacts
	a.hash, a.ext = payloadHash(media, body), ext
	answer := reply{mac: a.mac(r.key, tagResponse), hash: a.hash, ext: a.ext}
	header.Set(ServerAuthorization, format(replyAttributes, answer.attributes()))
	return nil
}
