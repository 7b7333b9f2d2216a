package terminator_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyladder/internal/pki"
	"keyladder/internal/testenv"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/workshop/terminator"
)

// site is a terminator in front of an API that keeps what it is sent.
type site struct {
	*terminator.Terminator
	base   string
	roots  *x509.CertPool
	client tls.Certificate

	mu       sync.Mutex
	received []received
}

type received struct {
	Target, Host, Body string
	Header             http.Header
	Terminator         string // the name in its certificate
}

func start(t *testing.T, set func(*terminator.Terminator)) *site {
	t.Helper()
	ca := testenv.Must[*pki.CA](t)(pki.NewCA("test"))
	s := &site{roots: testenv.Must[*x509.CertPool](t)(pki.Pool(ca.Certificate))}
	server := testenv.Must[tls.Certificate](t)(testenv.Must[pki.Pair](t)(ca.Server("api", "127.0.0.1")).TLS())
	s.client = testenv.Must[tls.Certificate](t)(testenv.Must[pki.Pair](t)(ca.Client("harbour-mobile")).TLS())

	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.received = append(s.received, received{
			Target: r.RequestURI, Host: r.Host, Body: string(body), Header: r.Header,
			Terminator: r.TLS.PeerCertificates[0].Subject.CommonName,
		})
		w.Header().Set("Ratelimit", `"address";r=1;t=1`)
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "served")
	}))
	api.TLS = &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: s.roots}
	api.StartTLS()
	t.Cleanup(api.Close)

	var err error
	s.Terminator, err = terminator.New(terminator.Config{
		Certificate: server, ClientCAs: s.roots, Upstream: api.URL, Roots: s.roots,
		Client: testenv.Must[tls.Certificate](t)(testenv.Must[pki.Pair](t)(ca.Client("terminator")).TLS()),
	})
	if err != nil {
		t.Fatal(err)
	}
	if set != nil {
		set(s.Terminator)
	}
	listener := testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	s.base = "https://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) call(t *testing.T, method, target, body string, client bool, header http.Header) (int, http.Header, string) {
	t.Helper()
	req := testenv.Must[*http.Request](t)(http.NewRequest(method, s.base+target, strings.NewReader(body)))
	for name, values := range header {
		req.Header[name] = values
	}
	config := &tls.Config{RootCAs: s.roots}
	if client {
		clientcert.Present(config, s.client)
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	resp := testenv.Must[*http.Response](t)(transport.RoundTrip(req))
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header, string(testenv.Must[[]byte](t)(io.ReadAll(resp.Body)))
}

func (s *site) last(t *testing.T) received {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.received) == 0 {
		t.Fatal("nothing got through")
	}
	return s.received[len(s.received)-1]
}

func TestHandsOn(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	header := http.Header{"Authorization": {"key harbour-mobile"}, "User-Agent": {"HarbourBank/1.0"}, "Traffic-Id": {"trip"}}
	status, answer, body := s.call(t, "POST", "/tls/v1/transfers%2F?a=1;b=%zz&c", `{"amount":1}`, true, header)
	if status != http.StatusTeapot || body != "served" || answer.Get("RateLimit") == "" {
		t.Errorf("%d %q %v", status, body, answer)
	}
	got := s.last(t)
	if got.Target != "/tls/v1/transfers%2F?a=1;b=%zz&c" || got.Body != `{"amount":1}` || got.Host != strings.TrimPrefix(s.base, "https://") {
		t.Errorf("%+v", got)
	}
	for name, values := range header {
		if diff := cmp.Diff(values, got.Header[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got.Terminator != "terminator" || got.Header.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("it vouches as %q for %q", got.Terminator, got.Header.Get("X-Forwarded-For"))
	}
	if certificate, err := clientcert.FromHeader(got.Header); err != nil || !certificate.Equal(s.client.Leaf) {
		t.Errorf("the certificate: %v, %v", certificate, err)
	}
}

// TestClientsCannotVouch sends what only the terminator may write.
func TestClientsCannotVouch(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.call(t, "GET", "/tls/v1/rates", "", false, http.Header{
		"X-Forwarded-For":   {"203.0.113.7", "203.0.113.8"},
		"Client-Cert":       {clientcert.Encode(s.client.Leaf.Raw)},
		"Client-Cert-Chain": {clientcert.Encode(s.client.Leaf.Raw)},
		"Connection":        {"X-Forwarded-For, Client-Cert"},
		"X-Forwarded-Host":  {"elsewhere"},
		"Forwarded":         {"for=203.0.113.7"},
	})
	header := s.last(t).Header
	if diff := cmp.Diff([]string{"127.0.0.1"}, header["X-Forwarded-For"]); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"Client-Cert", "Client-Cert-Chain", "X-Forwarded-Host", "Forwarded"} {
		if header[name] != nil {
			t.Errorf("%s: %q", name, header[name])
		}
	}
}

func TestCallsAndSend(t *testing.T) {
	t.Parallel()
	var logged []terminator.Call
	var mu sync.Mutex
	s := start(t, func(s *terminator.Terminator) {
		s.Log = func(call terminator.Call) {
			mu.Lock()
			defer mu.Unlock()
			logged = append(logged, call)
		}
	})
	s.call(t, "POST", "/tls/v1/transfers?x=%2F", `{"amount":1}`, true, http.Header{
		"Authorization": {"key harbour-mobile"}, "Connection": {"close, X-Hop"}, "X-Hop": {"1"}, "Forwarded": {"for=203.0.113.7"},
	})
	calls := s.Calls()
	mu.Lock()
	if diff := cmp.Diff(logged, calls); diff != "" || len(calls) != 1 {
		t.Fatalf("%d calls\n%s", len(calls), diff)
	}
	mu.Unlock()
	call := calls[0]
	if call.Method != "POST" || call.Path != "/tls/v1/transfers?x=%2F" || string(call.Body) != `{"amount":1}` ||
		call.Header.Get("Authorization") != "key harbour-mobile" || !bytes.Equal(call.ClientCert, s.client.Leaf.Raw) || call.Address != "127.0.0.1" {
		t.Errorf("%+v", call)
	}
	first := s.last(t)
	for range 2 { // sending changes nothing in what was captured
		resp, err := s.Send(context.Background(), call)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if diff := cmp.Diff(first, s.last(t)); diff != "" {
			t.Errorf("the API can tell that a call was sent again:\n%s", diff)
		}
	}
	if len(s.Calls()) != 1 {
		t.Error("what is sent from here is kept as if a client had called")
	}
}

func TestOnRequest(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *terminator.Terminator) {
		s.OnRequest = func(r *http.Request, body []byte) []byte {
			r.Header.Set("X-Changed", "yes")
			r.Header.Set("X-Forwarded-For", "203.0.113.9")
			return bytes.ReplaceAll(body, []byte("HB-2001"), []byte("HB-3001 and longer"))
		}
	})
	s.call(t, "POST", "/tls/v1/transfers", `{"to":"HB-2001"}`, false, nil)
	got := s.last(t)
	if got.Body != `{"to":"HB-3001 and longer"}` || got.Header.Get("X-Changed") != "yes" || got.Header.Get("Content-Length") != "27" {
		t.Errorf("%+v", got)
	}
	if kept := s.Calls()[0]; string(kept.Body) != `{"to":"HB-2001"}` || kept.Header.Get("X-Changed") != "" {
		t.Errorf("the call was not kept as it came: %+v", kept)
	}
}

// What is held back does not arrive, and whoever has sent it is told that nobody answers.
func TestHold(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *terminator.Terminator) {
		s.Hold = func(call terminator.Call) bool { return call.Method == http.MethodPost }
	})
	if status, _, _ := s.call(t, "POST", "/tls/v1/transfers", `{"to":"HB-2001"}`, false, nil); status != http.StatusBadGateway {
		t.Errorf("%d", status)
	}
	s.call(t, "GET", "/tls/v1/rates", "", false, nil)
	if got := s.last(t); got.Target != "/tls/v1/rates" {
		t.Errorf("what arrived is %+v", got)
	}
	if kept := s.Calls(); len(kept) != 2 || string(kept[0].Body) != `{"to":"HB-2001"}` {
		t.Errorf("it was not kept: %+v", kept)
	}
}

func TestUpstreamGone(t *testing.T) {
	t.Parallel()
	ca := testenv.Must[*pki.CA](t)(pki.NewCA("test"))
	server := testenv.Must[tls.Certificate](t)(testenv.Must[pki.Pair](t)(ca.Server("api", "127.0.0.1")).TLS())
	gone := testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	gone.Close()
	front := testenv.Must[*terminator.Terminator](t)(terminator.New(terminator.Config{Certificate: server, Upstream: "https://" + gone.Addr().String()}))
	listener := testenv.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- front.Serve(ctx, listener) }()
	s := &site{base: "https://" + listener.Addr().String(), roots: testenv.Must[*x509.CertPool](t)(pki.Pool(ca.Certificate))}
	if status, _, _ := s.call(t, "GET", "/tls/v1/rates", "", false, nil); status != http.StatusBadGateway {
		t.Errorf("%d", status)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBadUpstream(t *testing.T) {
	t.Parallel()
	for _, upstream := range []string{"", "http://localhost:8446", "localhost:8446", "https://localhost:8446/api", "https://"} {
		if _, err := terminator.New(terminator.Config{Upstream: upstream}); err == nil {
			t.Errorf("the upstream %q was taken", upstream)
		}
	}
}
