package oauthclient

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"keyladder/backend/oauth"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
	"keyladder/stages/protect"
)

const (
	patience   = 15 * time.Second // that a provider may take for an answer
	mostAnswer = 64 << 10         // bytes of it
)

// agent is how the mediator names itself.
const agent = "HarbourMediator/1.0"

// ErrAnswer means that a provider has answered in a way that is not understood.
var ErrAnswer = errors.New("the provider's answer is not understood")

// ErrNoAnswer means that a provider has not answered. It may have done what it was asked for.
var ErrNoAnswer = errors.New("the provider has not answered")

// RefusedError is a refusal of a provider (RFC 6749, section 5.2).
type RefusedError struct{ Code string }

func (e *RefusedError) Error() string { return fmt.Sprintf("the provider refuses: %.40q", e.Code) }

// InvalidGrant says whether a code or refresh token is not good, or not any more.
func (e *RefusedError) InvalidGrant() bool { return e.Code == "invalid_grant" }

// Client is the mediator's connections to providers. It is safe for concurrent use.
type Client struct {
	http *http.Client
	log  *traffic.Log
	now  func() time.Time
}

// New makes a client. It trusts the roots in the folder's roots.pem, and those of the system.
func New(folder *deployment.Folder, log *traffic.Log, now func() time.Time) (*Client, error) {
	roots, err := folder.Read("roots.pem")
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // such as in a container that has none
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(roots) {
		return nil, errors.New("read roots.pem: there is no certificate in it")
	}
	return &Client{log: log, now: now, http: serve.Client(pool, folder.Addresses.Routes(), patience)}, nil
}

// Close closes the connections that wait.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// For is on whose behalf a provider is asked, for the records of traffic.
type For struct{ Stage, Exchange string }

// post sends a form, authenticated as the provider wants that, and reads a JSON object. An object of
// nothing is the answer of an endpoint that has nothing to say.
func (c *Client) post(ctx context.Context, to For, p manage.Provider, address string, form url.Values, key string) (map[string]json.RawMessage, error) {
	if p.ClientAuth == manage.SecretPost {
		form.Set("client_id", p.ClientID)
		form.Set("client_secret", p.Secret)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	if p.ClientAuth == manage.SecretBasic {
		r.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.Secret)) // RFC 6749, section 2.3.1
	}
	r.Header.Set("Content-Type", oauth.MediaType)
	if key != "" {
		r.Header.Set(protect.IdempotencyKey, `"`+key+`"`)
		r.GetBody = nil // else net/http sends it again by itself when a connection breaks, and nobody knows
	}
	return c.do(to, r, form.Encode())
}

// do sends a request and reads a JSON object.
func (c *Client) do(to For, r *http.Request, body string) (map[string]json.RawMessage, error) {
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", agent)
	if to.Exchange != "" {
		r.Header.Set(traffic.Header, to.Exchange)
	}
	record := c.log.Asked(string(deployment.Mediator), to.Stage, r, []byte(body))
	response, err := c.http.Do(r)
	if dial, is := errors.AsType[*net.OpError](err); is && dial.Op == "dial" { // so nothing was sent
		return nil, fmt.Errorf("ask a provider: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%w in full: %w", ErrNoAnswer, err)
	}
	record(response, data)
	object := map[string]json.RawMessage{}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case len(data) > mostAnswer:
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrAnswer, mostAnswer)
	case response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests:
		return nil, fmt.Errorf("a provider can't answer: %d", response.StatusCode)
	case response.StatusCode == http.StatusOK && len(data) == 0:
		return object, nil
	case media != "application/json" || json.Unmarshal(data, &object) != nil || object == nil:
		return nil, fmt.Errorf("%w: %d, %.80q", ErrAnswer, response.StatusCode, media)
	case response.StatusCode != http.StatusOK:
		code, err := text(object, "error")
		if err != nil {
			return nil, fmt.Errorf("%w: %d without an error", ErrAnswer, response.StatusCode)
		}
		return nil, &RefusedError{code}
	}
	return object, nil
}

// text is a member that has to be a string, and not an empty one.
func text(object map[string]json.RawMessage, name string) (string, error) {
	var value *string
	if json.Unmarshal(object[name], &value) != nil || value == nil || *value == "" {
		return "", fmt.Errorf("%w: %.80q is no text", ErrAnswer, name)
	}
	return *value, nil
}
