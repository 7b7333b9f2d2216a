package testbank

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/stages/mechanism/clientcert"
)

// Front is where clients call. It hands their calls on to the resource server.
type Front struct {
	Plain, TLS string // URLs, without a path

	plain, tls *httptest.Server
	transport  *http.Transport

	mu              sync.Mutex
	calls           []Arrived
	plainAt, tlsAt  string // host:port of the resource server's listeners
	instead         func(http.ResponseWriter, *http.Request, []byte) (answered bool)
	changesAnswers  func(*http.Response, []byte) []byte
	changesRequests func(*http.Request, []byte) []byte
}

// Arrived is a call as it arrived.
type Arrived struct {
	*http.Request        // its body has been read
	Content       []byte // the body
}

// Call is what is asked for, as in "GET /v1/rates": without the stage.
func (a Arrived) Call() string {
	_, path, _ := strings.Cut(strings.TrimPrefix(a.URL.EscapedPath(), "/"), "/")
	return a.Method + " /" + path
}

// newFront makes a front that shows the bank's certificate.
func (b *Bank) newFront() *Front {
	b.t.Helper()
	role, name := deployment.Resource, "server"
	if b.options.BackupKey {
		role, name = deployment.Offline, "server-backup"
	}
	certificate, err := b.folders[role].Pair(name)
	b.must(err)
	terminator, err := b.folders[deployment.Attacker].Pair("terminator")
	b.must(err)
	roots, err := pki.Pool(b.Roots)
	b.must(err)
	f := &Front{transport: &http.Transport{
		TLSClientConfig:    &tls.Config{Certificates: []tls.Certificate{terminator}, RootCAs: roots},
		DisableCompression: true,
	}}
	b.t.Cleanup(f.transport.CloseIdleConnections)
	f.plain = httptest.NewServer(f)
	b.t.Cleanup(f.plain.Close)
	f.tls = httptest.NewUnstartedServer(f)
	f.tls.TLS = showing(certificate)
	f.tls.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that clients give up
	f.tls.StartTLS()
	b.t.Cleanup(f.tls.Close)
	f.Plain, f.TLS = f.plain.URL, f.tls.URL
	return f
}

// showing shows a certificate, and asks for the client's.
func showing(certificate tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert, NextProtos: []string{"http/1.1"}}
}

func (f *Front) behind(plain, terminated string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plainAt, f.tlsAt = plain, terminated
}

// ServeHTTP hands a call on.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	at := url.URL{Scheme: "http", Host: f.plainAt}
	if r.TLS != nil {
		at = url.URL{Scheme: "https", Host: f.tlsAt}
	}
	f.mu.Unlock()
	f.hand(w, r, at)
}

// before stands before a mediator that listens for a terminator. Calls of the API arrive there like all
// others; what else is asked for passes through.
func (f *Front) before(mediator string) http.Handler {
	at := url.URL{Scheme: "https", Host: mediator}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); strings.HasPrefix(path, "v1/") {
			f.hand(w, r, at)
			return
		}
		f.proxy(r, at).ServeHTTP(w, r)
	})
}

// hand hands a call on to where it is answered.
func (f *Front) hand(w http.ResponseWriter, r *http.Request, at url.URL) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	f.calls = append(f.calls, Arrived{r, slices.Clone(body)})
	instead, changesAnswers, changesRequests := f.instead, f.changesAnswers, f.changesRequests
	f.mu.Unlock()
	if instead != nil {
		said := httptest.NewRecorder()
		if instead(said, r, body) {
			answer, content := said.Result(), said.Body.Bytes()
			if changesAnswers != nil {
				content = changesAnswers(answer, content)
			}
			maps.Copy(w.Header(), answer.Header)
			w.WriteHeader(answer.StatusCode)
			_, _ = w.Write(content)
			return
		}
	}
	out := r.Clone(r.Context())
	if changesRequests != nil {
		body = changesRequests(out, body)
	}
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	proxy := f.proxy(r, at)
	proxy.ModifyResponse = func(response *http.Response) error {
		content, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if changesAnswers != nil {
			content = changesAnswers(response, content)
		}
		response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
		response.Header.Set("Content-Length", strconv.Itoa(len(content)))
		return nil
	}
	proxy.ServeHTTP(w, out)
}

// proxy is the way of a request that has arrived.
func (f *Front) proxy(r *http.Request, at url.URL) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: f.transport,
		ErrorLog:  log.New(io.Discard, "", 0),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&at)
			p.Out.URL.Path, p.Out.URL.RawPath, p.Out.URL.RawQuery = p.In.URL.Path, p.In.URL.RawPath, p.In.URL.RawQuery
			p.Out.Host = p.In.Host
			if r.TLS == nil {
				return
			}
			clientcert.Strip(p.Out.Header)
			if len(r.TLS.PeerCertificates) > 0 {
				clientcert.Forward(p.Out.Header, r.TLS.PeerCertificates[0])
			}
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			p.Out.Header.Set("X-Forwarded-For", host)
		},
	}
}

// Answer has the front answer calls instead of the bank, where the function says that it has;
// nil ends that. The function is given the body, too.
func (f *Front) Answer(instead func(http.ResponseWriter, *http.Request, []byte) (answered bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead = instead
}

// ChangeAnswers has answers, those of [Front.Answer] too, changed on their way back; nil ends
// that.
func (f *Front) ChangeAnswers(change func(*http.Response, []byte) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changesAnswers = change
}

// ChangeRequests has calls changed on their way to the bank; nil ends that.
func (f *Front) ChangeRequests(change func(*http.Request, []byte) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changesRequests = change
}

// Arrived are all calls so far.
func (f *Front) Arrived() []Arrived {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Calls are what was asked for so far.
func (f *Front) Calls() []string {
	var calls []string
	for _, a := range f.Arrived() {
		calls = append(calls, a.Call())
	}
	return calls
}

// Leave closes the front: nobody answers any more.
func (f *Front) Leave() {
	for _, server := range []*httptest.Server{f.plain, f.tls} {
		server.CloseClientConnections()
		server.Close()
	}
}
