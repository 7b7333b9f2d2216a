package terminator

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"keyladder/internal/problem"
	"keyladder/internal/route"
	"keyladder/internal/serve"
	"keyladder/stages/mechanism/clientcert"
)

// Config is what a terminator needs.
type Config struct {
	Certificate tls.Certificate // of the API, shown to apps
	// ClientCAs issue the apps' certificates. Nil: certificates are asked for and handed
	// on as they are, and only the API looks at who issued them. In either case the
	// client has proven in the handshake that it holds the key.
	ClientCAs *x509.CertPool
	Upstream  string          // URL of the API's listener for terminators, without a path
	Routes    route.Table     // where the upstream is
	Client    tls.Certificate // that of the terminator, shown to the API
	Roots     *x509.CertPool  // issue the API's certificate
}

const (
	maxBody  = 1 << 20 // bytes; the API takes less
	maxCalls = 1000    // that are kept
)

// Call is a complete call as it came out of TLS.
type Call struct {
	Method     string
	Path       string // with the query, as it was written
	Header     http.Header
	Body       []byte
	ClientCert []byte // DER of the certificate that the client proved to hold; nil: none
	Address    string // of the client
}

// Terminator is a TLS terminator.
type Terminator struct {
	// OnRequest, when it is set, is given each call before it is handed on. It may change
	// the head in place, and returns the body to send. It is called concurrently.
	OnRequest func(r *http.Request, body []byte) []byte
	// Hold, when it is set, says of a complete call whether to keep it from the API. Its client is told
	// that this does not answer. It is called concurrently.
	Hold func(Call) bool

	// Log, when it is set, is told of each complete call, as it came. It is called
	// concurrently.
	Log func(Call)

	config    Config
	upstream  *url.URL
	transport *http.Transport

	mu    sync.Mutex
	calls []Call
}

// New makes a terminator. Set its fields before it serves.
func New(config Config) (*Terminator, error) {
	upstream, err := url.Parse(config.Upstream)
	if err != nil {
		return nil, fmt.Errorf("make a TLS terminator: %w", err)
	}
	if upstream.Scheme != "https" || upstream.Host == "" || strings.Trim(upstream.Path, "/") != "" {
		return nil, fmt.Errorf("make a TLS terminator: the upstream %q is not an https URL without a path", config.Upstream)
	}
	return &Terminator{
		config:   config,
		upstream: &url.URL{Scheme: upstream.Scheme, Host: upstream.Host},
		transport: &http.Transport{
			TLSClientConfig: &tls.Config{
				MinVersion:   tls.VersionTLS13,
				Certificates: []tls.Certificate{config.Client},
				RootCAs:      config.Roots,
			},
			DialContext:         config.Routes.Dial(nil),
			DisableCompression:  true, // calls go on as they came
			MaxIdleConnsPerHost: 32,
			IdleConnTimeout:     30 * time.Second,
		},
	}, nil
}

// Serve ends TLS on the listener until ctx ends.
func (t *Terminator) Serve(ctx context.Context, listener net.Listener) error {
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: serve.Suites(),
		Certificates: []tls.Certificate{t.config.Certificate},
		NextProtos:   []string{"http/1.1"},
		ClientAuth:   tls.RequestClientCert,
	}
	if t.config.ClientCAs != nil {
		config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, t.config.ClientCAs
	}
	return t.ServePlain(ctx, tls.NewListener(listener, config))
}

// ServePlain does the same without TLS, for an API that is called without it.
func (t *Terminator) ServePlain(ctx context.Context, listener net.Listener) error {
	defer t.transport.CloseIdleConnections()
	return serve.HTTP(ctx, serve.New(t.handler()), listener)
}

func (t *Terminator) handler() http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport: t.transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(t.upstream)
			// As it was written: neither cleaned nor encoded anew.
			p.Out.URL.Path, p.Out.URL.RawPath, p.Out.URL.RawQuery = p.In.URL.Path, p.In.URL.RawPath, p.In.URL.RawQuery
			p.Out.Host = p.In.Host
			vouch(p.Out.Header, certificateOf(p.In), addressOf(p.In))
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			slog.Debug("TLS terminator", "error", err)
			noAnswer(w)
		},
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			problem.New(http.StatusRequestEntityTooLarge, "too-large", "The body is too large", "").Write(w)
			return
		case err != nil:
			problem.New(http.StatusBadRequest, "bad-request", "The body can't be read", "").Write(w)
			return
		}
		call := callOf(r, body)
		t.keep(call)
		if t.Hold != nil && t.Hold(call) {
			noAnswer(w)
			return
		}
		if t.OnRequest != nil {
			body = t.OnRequest(r, body)
		}
		setBody(r, body)
		proxy.ServeHTTP(w, r)
	})
}

func noAnswer(w http.ResponseWriter) {
	problem.New(http.StatusBadGateway, "bad-gateway", "The API does not answer", "Try again later.").Write(w)
}

// vouch writes what the terminator knows about the client, in place of what the client
// says about itself.
func vouch(header http.Header, certificate *x509.Certificate, address string) {
	clientcert.Forward(header, certificate)
	header.Set("X-Forwarded-For", address)
}

// stripHop removes what is about one connection only (RFC 9110, section 7.6.1), and what
// clients say about the way here, as [httputil.ReverseProxy] does.
func stripHop(header http.Header) {
	for _, names := range header.Values("Connection") {
		for name := range strings.SplitSeq(names, ",") {
			header.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{
		"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto",
	} {
		header.Del(name)
	}
}

func certificateOf(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func setBody(r *http.Request, body []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		r.Body = http.NoBody
	}
	r.TransferEncoding = nil
	r.Header.Del("Content-Length") // it is made anew
}

func callOf(r *http.Request, body []byte) Call {
	target := r.URL.EscapedPath()
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		target += "?" + r.URL.RawQuery
	}
	header := r.Header.Clone()
	header.Set("Host", r.Host)
	call := Call{Method: r.Method, Path: target, Header: header, Body: slices.Clone(body), Address: addressOf(r)}
	if certificate := certificateOf(r); certificate != nil {
		call.ClientCert = certificate.Raw
	}
	return call
}

func (t *Terminator) keep(call Call) {
	t.mu.Lock()
	t.calls = append(t.calls, call)
	if excess := len(t.calls) - maxCalls; excess > 0 {
		t.calls = slices.Delete(t.calls, 0, excess)
	}
	t.mu.Unlock()
	if t.Log != nil {
		t.Log(call)
	}
}

// Calls are the latest calls as they came, oldest first. The Host is among the fields.
func (t *Terminator) Calls() []Call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.calls)
}

// Send sends a call to the API from here, as if its client had made it now. The caller
// closes the answer's body.
func (t *Terminator) Send(ctx context.Context, call Call) (*http.Response, error) {
	target, err := url.ParseRequestURI(call.Path)
	if err != nil {
		return nil, fmt.Errorf("send a call: %w", err)
	}
	target.Scheme, target.Host = t.upstream.Scheme, t.upstream.Host
	req, err := http.NewRequestWithContext(ctx, call.Method, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("send a call: %w", err)
	}
	req.Header = call.Header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
	setBody(req, call.Body)
	stripHop(req.Header)
	var certificate *x509.Certificate
	if call.ClientCert != nil {
		if certificate, err = x509.ParseCertificate(call.ClientCert); err != nil {
			return nil, fmt.Errorf("send a call: %w", err)
		}
	}
	vouch(req.Header, certificate, call.Address)
	return t.transport.RoundTrip(req)
}
