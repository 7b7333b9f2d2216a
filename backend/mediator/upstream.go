package mediator

import (
	"context"
	"crypto/tls"
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
	"keyladder/internal/pki"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
)

const (
	patience   = 15 * time.Second // that the authorization server may take for an answer
	mostAnswer = 64 << 10         // bytes of it
	mostIdle   = 64               // connections that wait for the next request
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
	roots, err := config.Folder.Read("roots.pem")
	if err != nil {
		return nil, err
	}
	pool, err := pki.Pool(roots)
	if err != nil {
		return nil, fmt.Errorf("read roots.pem: %w", err)
	}
	return &upstream{
		base: config.Folder.Addresses.URL(deployment.AuthServer), log: config.Log,
		http: &http.Client{
			Transport: &http.Transport{
				TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: serve.Suites(), RootCAs: pool},
				DialContext:         config.Folder.Addresses.Routes().Dial(&net.Dialer{Timeout: 5 * time.Second}),
				TLSHandshakeTimeout: 5 * time.Second, MaxIdleConnsPerHost: mostIdle, DisableCompression: true,
				// Shorter than the server's, so that it does not close one which is about to be used.
				IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 32 << 10,
			},
			// What is secret is for the address that it was meant for, and for no other.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
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
	ctx, cancel := context.WithTimeout(from.Context(), patience)
	defer cancel()
	values := url.Values{}
	for name, value := range form {
		values.Set(name, value)
	}
	if to.auth == manage.SecretPost {
		values.Set("client_id", to.client)
		values.Set("client_secret", to.secret)
	}
	body := values.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, strings.NewReader(body))
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
	record := u.record(stage, r, body)
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

// record records what the two servers say to each other, on the mediator's side.
func (u *upstream) record(stage string, r *http.Request, body string) func(*http.Response, []byte) {
	const self, other = string(deployment.Mediator), "network"
	of := traffic.Message{Lane: traffic.Server, Stage: stage, Exchange: traffic.ExchangeOf(r)}
	sent := of
	sent.Kind, sent.From, sent.To, sent.HTTP, sent.Body, sent.Size = traffic.Request, self, other, traffic.RequestHead(r), []byte(body), len(body)
	u.log.Add(sent)
	return func(response *http.Response, body []byte) {
		got := of
		got.Kind, got.From, got.To, got.HTTP = traffic.Response, other, self, traffic.AnswerHead(response.Proto, response.StatusCode, response.Header)
		got.Body, got.Size = body, len(body)
		u.log.Add(got)
	}
}
