package manage

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/pki"
	"keyladder/internal/problem"
	"keyladder/internal/traffic"
)

// maxAnswer is the length of the longest answer that is read, in bytes.
const maxAnswer = 16 << 20

// ErrTooLong means that an answer is longer than a client reads. A part of one would be taken
// for all there is.
var ErrTooLong = fmt.Errorf("it is longer than %d MiB", maxAnswer>>20)

// Client asks one program's management API.
type Client struct {
	base string
	http *http.Client
}

// NewClient makes a client of the given program's management API, with the
// certificate of the folder's role. The address is the deployment's.
func NewClient(folder *deployment.Folder, program deployment.Role) (*Client, error) {
	certificate, err := folder.Pair("manage")
	if err != nil {
		return nil, err
	}
	authority, err := folder.Read("manage-ca.pem")
	if err != nil {
		return nil, err
	}
	pool, err := pki.Pool(authority)
	if err != nil {
		return nil, fmt.Errorf("read manage-ca.pem: %w", err)
	}
	return &Client{
		base: folder.Addresses.URL(deployment.Manage(program)),
		http: &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{
				MinVersion:   tls.VersionTLS13,
				Certificates: []tls.Certificate{certificate},
				RootCAs:      pool,
				ServerName:   string(program), // in every management certificate
			},
			DialContext:         folder.Addresses.Routes().Dial(nil),
			MaxIdleConnsPerHost: 8,
			IdleConnTimeout:     time.Minute,
		}},
	}, nil
}

// Close closes connections that wait for the next request. A server that is asked to stop waits
// for those that have carried none yet.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// NewClients makes a client of every program that has a management API.
func NewClients(folder *deployment.Folder) (map[deployment.Role]*Client, error) {
	clients := map[deployment.Role]*Client{}
	for _, role := range deployment.Managed() {
		var err error
		if clients[role], err = NewClient(folder, role); err != nil {
			return nil, err
		}
	}
	return clients, nil
}

// AwaitServers waits until the servers that need others know what they are told by these: before that
// they serve nobody. The error is that of ctx.
func AwaitServers(ctx context.Context, programs map[deployment.Role]*Client) error {
	for _, role := range deployment.Servers() {
		if program, _ := deployment.Of(role); len(program.Needs) == 0 {
			continue
		}
		for programs[role].Healthy(ctx) != nil {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// Do sends a request with a JSON body (nil: none; bytes: as they are) and decodes the JSON answer
// into out (nil: it is dropped). A refusal comes back as a [*problem.Problem].
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	mediaType := "application/json"
	if data, ok := in.([]byte); ok {
		body, mediaType = bytes.NewReader(data), PackageType
	} else if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", mediaType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("the program at %s does not answer: %w", c.base, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	if len(data) > maxAnswer {
		return fmt.Errorf("read the answer of %s%s: %w", c.base, path, ErrTooLong)
	}
	if p := problem.Parse(resp.Header.Get("Content-Type"), data); p != nil {
		return p
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s%s: %s", method, c.base, path, resp.Status)
	}
	if out == nil || len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("read the answer of %s%s: %w", c.base, path, err)
	}
	return nil
}

// Doer is one program's management API, such as a [*Client].
type Doer interface {
	// Do sends in as JSON (nil: no body; bytes: as they are) and decodes the answer into out (nil: it is
	// dropped). A refusal is a [*problem.Problem]; any other error means that the program
	// did not answer as it should.
	Do(ctx context.Context, method, path string, in, out any) error
}

// Get decodes the JSON answer to a GET.
func Get[T any](ctx context.Context, d Doer, path string) (T, error) {
	var out T
	err := d.Do(ctx, http.MethodGet, path, nil, &out)
	return out, err
}

// Post sends in as JSON and decodes the answer.
func Post[T any](ctx context.Context, d Doer, path string, in any) (T, error) {
	var out T
	err := d.Do(ctx, http.MethodPost, path, in, &out)
	return out, err
}

// Healthy is nil when the program can do its work.
func (c *Client) Healthy(ctx context.Context) error {
	return c.Do(ctx, http.MethodGet, "/health", nil, nil)
}

// Traffic returns all messages after the cursor that are there now.
func (c *Client) Traffic(ctx context.Context, after feed.Cursor) (feed.Page[traffic.Message], error) {
	return feed.All(ctx, Traffic(c), after)
}

// TrafficEnd is the cursor of a reader that has read all messages.
func (c *Client) TrafficEnd(ctx context.Context) (feed.Cursor, error) {
	return Get[feed.Cursor](ctx, c, "/traffic/end")
}

// Traffic is the feed of any program's messages.
func Traffic(d Doer) feed.Reader[traffic.Message] { return feed.Remote[traffic.Message](d, "/traffic") }

// Apps returns all apps.
func (c *Client) Apps(ctx context.Context) ([]App, error) { return Get[[]App](ctx, c, "/apps") }

// Ledger returns the state of all accounts.
func (c *Client) Ledger(ctx context.Context) (Ledger, error) { return Get[Ledger](ctx, c, "/ledger") }

// Transfers returns the transfers with that reference.
func (c *Client) Transfers(ctx context.Context, reference string) ([]Transfer, error) {
	return Get[[]Transfer](ctx, c, "/transfers?"+url.Values{"reference": {reference}}.Encode())
}

// Usage returns the usage of the latest days.
func (c *Client) Usage(ctx context.Context, days int) ([]Usage, error) {
	return Get[[]Usage](ctx, c, "/usage?days="+strconv.Itoa(days))
}

// AccessLog returns the latest lines of the resource server's access log.
func (c *Client) AccessLog(ctx context.Context) ([]string, error) {
	return Get[[]string](ctx, c, "/accesslog")
}
