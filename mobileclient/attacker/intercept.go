package attacker

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"sync"

	"github.com/elazarl/goproxy"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
)

// interceptor is an HTTP proxy like mitmproxy: it answers TLS handshakes in the
// server's place with certificates of its own authority, and reads everything. It
// works on apps whose device trusts that authority.
type interceptor struct {
	g        *Given
	ca       *authority
	listener net.Listener
	server   *http.Server
	upstream *http.Transport
	done     chan error

	mu    sync.Mutex
	calls []seen
}

// seen is a call that went through the proxy.
type seen struct {
	request  *http.Request
	sent     []byte // the request as text, head and body
	status   int    // of the answer; 0: none yet
	received []byte // the answer's body
}

// newInterceptor starts a proxy that shows the API the given client certificate, if
// there is one. Close it.
func newInterceptor(g *Given, ca *authority, certificate *tls.Certificate) (*interceptor, error) {
	config, err := g.tls(certificate)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	i := &interceptor{g: g, ca: ca, listener: listener, done: make(chan error, 1)}
	i.upstream = &http.Transport{
		DialContext: g.Routes.Dial(dialer), TLSClientConfig: config,
		DisableCompression: true, ResponseHeaderTimeout: callTimeout,
	}
	proxy := goproxy.NewProxyHttpServer()
	proxy.Logger = log.New(io.Discard, "", 0)
	proxy.Tr = i.upstream
	proxy.ConnectDial = nil // the default goes through the proxy of the environment
	proxy.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return &goproxy.ConnectAction{Action: goproxy.ConnectMitm, TLSConfig: i.impersonate}, host
	})
	proxy.OnRequest().DoFunc(i.onRequest)
	proxy.OnResponse().DoFunc(i.onResponse)
	i.server = &http.Server{Handler: proxy, ReadHeaderTimeout: callTimeout}
	go func() { i.done <- i.server.Serve(listener) }()
	return i, nil
}

// network are the settings of a device that uses the proxy.
func (i *interceptor) network() device.Network {
	return device.Network{Proxy: (&url.URL{Scheme: "http", Host: i.listener.Addr().String()}).String()}
}

func (i *interceptor) close() {
	_ = i.server.Close()
	i.upstream.CloseIdleConnections()
	<-i.done
}

// impersonate is the proxy's end of the app's TLS connections.
func (i *interceptor) impersonate(host string, _ *goproxy.ProxyCtx) (*tls.Config, error) {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	certificate, err := i.ca.server(name)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{*certificate},
		ClientAuth:   tls.RequestClientCert, // as the API does, so that the app notices no difference
		MinVersion:   tls.VersionTLS12,
	}, nil
}

func (i *interceptor) onRequest(request *http.Request, ctx *goproxy.ProxyCtx) (*http.Request, *http.Response) {
	body, err := swallow(&request.Body)
	if err != nil {
		return request, goproxy.NewResponse(request, "text/plain", http.StatusBadGateway, "the request broke off")
	}
	start := request.Method + " " + request.URL.RequestURI()
	text := head(start+" HTTP/1.1", "Host: "+request.Host, request.Header)
	i.mu.Lock()
	ctx.UserData = len(i.calls)
	i.calls = append(i.calls, seen{request: request.Clone(request.Context()), sent: append([]byte(text+"\r\n"), body...)})
	i.mu.Unlock()
	i.g.record(traffic.Message{
		Lane: traffic.Network, Exchange: request.Header.Get(traffic.Header), Kind: traffic.Request,
		From: AppParty, To: Party, Summary: start, Head: text, Body: body, Size: len(body),
	})
	return request, nil
}

func (i *interceptor) onResponse(response *http.Response, ctx *goproxy.ProxyCtx) *http.Response {
	index, ok := ctx.UserData.(int)
	if response == nil || !ok {
		return response
	}
	body, err := swallow(&response.Body)
	if err != nil {
		return goproxy.NewResponse(ctx.Req, "text/plain", http.StatusBadGateway, "the answer broke off")
	}
	i.mu.Lock()
	call := &i.calls[index]
	call.status, call.received = response.StatusCode, body
	exchange := call.request.Header.Get(traffic.Header)
	i.mu.Unlock()
	i.g.record(traffic.Message{
		Lane: traffic.Network, Exchange: exchange, Kind: traffic.Response, From: Party, To: AppParty,
		Summary: response.Status, Head: head("HTTP/1.1 "+response.Status, "", response.Header), Body: body, Size: len(body),
	})
	return response
}

// swallow reads a body and puts it back.
func swallow(body *io.ReadCloser) ([]byte, error) {
	if *body == nil || *body == http.NoBody {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(*body, maxAnswer+1))
	_ = (*body).Close()
	if err == nil && len(data) > maxAnswer {
		err = errors.New("too large for the proxy")
	}
	*body = io.NopCloser(bytes.NewReader(data))
	return data, err
}

// read are the calls so far.
func (i *interceptor) read() []seen {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]seen(nil), i.calls...)
}
