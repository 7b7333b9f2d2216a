package mediator

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"keyladder/backend/oauth"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
)

const (
	patience   = 15 * time.Second // that the authorization server may take for an answer
	mostAnswer = 64 << 10         // bytes of it
)

// agent is how the mediator names itself.
const agent = "HarbourMediator/1.0"

// upstream is the authorization server, as a client of it sees it. Its connections are used for many
// requests.
type upstream struct {
	base string // its URL, without a path
	http *http.Client
	log  *traffic.Log
}

func newUpstream(config Config) (*upstream, error) {
	pool, err := config.Folder.Pool("roots.pem")
	if err != nil {
		return nil, err
	}
	return &upstream{
		base: config.Folder.Addresses.URL(deployment.AuthServer), log: config.Log,
		http: serve.Client(pool, config.Folder.Addresses.Routes(), patience),
	}, nil
}

func (u *upstream) close() { u.http.CloseIdleConnections() }

// target is an endpoint of a provider, and what a client authenticates with there.
type target struct {
	url, client, secret string
	auth                manage.ProviderAuth
}

// answer is what goes back to the app, byte for byte.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// Errors of [upstream.ask].
var (
	errSecret = errors.New("the authorization server does not accept the secret of the servers' key")
	errNoJSON = errors.New("the answer is none of OAuth")
	errLong   = fmt.Errorf("the answer is longer than %d bytes", mostAnswer)
)

// ask sends a form to an endpoint, and authenticates as a client with a secret (RFC 6749, section
// 2.3.1). Its error is for logs: there is nothing secret in it, and it is not for apps.
//
//keyladder:code mediator-upstream
func (u *upstream) ask(from *http.Request, stage string, to target, form oauth.Form) (answer, error) {
	values := url.Values{}
	for name, value := range form {
		values.Set(name, value)
	}
	if to.auth == manage.SecretPost {
		values.Set("client_id", to.client)
		values.Set("client_secret", to.secret)
	}
	body := values.Encode()
	r, err := http.NewRequestWithContext(from.Context(), http.MethodPost, to.url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if to.auth == manage.SecretBasic {
		r.SetBasicAuth(url.QueryEscape(to.client), url.QueryEscape(to.secret))
	}
	r.Header.Set("Content-Type", oauth.MediaType)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", agent)
	if exchange := traffic.ExchangeOf(from); exchange != "" {
		r.Header.Set(traffic.Header, exchange)
	}
	for _, name := range passedOn {
		for _, value := range from.Header.Values(name) {
			r.Header.Add(name, value)
		}
	}
	record := u.log.Asked(string(deployment.Mediator), stage, r, []byte(body))
	response, err := u.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	got := answer{status: response.StatusCode, header: http.Header{}}
	if got.body, err = io.ReadAll(io.LimitReader(response.Body, mostAnswer+1)); err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	record(response, got.body)
	for _, name := range passedBack {
		if found := response.Header.Values(name); len(found) > 0 {
			got.header[http.CanonicalHeaderKey(name)] = found
		}
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case len(got.body) > mostAnswer:
		return answer{}, errLong
	case got.status == http.StatusUnauthorized: // that is between the two servers
		return answer{}, errSecret
	case got.status >= 300 && got.status < 400, media != "application/json" && (got.status != http.StatusOK || len(got.body) > 0):
		return answer{}, fmt.Errorf("%w: %d, %.80q", errNoJSON, got.status, media)
	}
	return got, nil
}
