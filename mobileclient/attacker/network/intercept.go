package network

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

// Interceptor is an HTTP proxy like mitmproxy: it answers TLS handshakes in the
// server's place with certificates of its own authority, and reads everything. It
// works on apps whose device trusts that authority.
type Interceptor struct {
	uplink   Uplink
	ca       *Authority
	listener net.Listener
	server   *http.Server
	upstream *http.Transport
	done     chan error

	mu    sync.Mutex
	calls []Call
}

// Call is a call that went through the proxy.
type Call struct {
	Request  *http.Request
	Sent     []byte // the request as text, head and body
	Status   int    // of the answer; 0: none yet
	Answer   string // the answer's head, as text
	Received []byte // and its body
}

// NewInterceptor starts a proxy. Close it.
func NewInterceptor(uplink Uplink, ca *Authority) (*Interceptor, error) {
	listener, err := uplink.listen()
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	i := &Interceptor{uplink: uplink, ca: ca, listener: listener, done: make(chan error, 1)}
	i.upstream = &http.Transport{
		DialContext: uplink.Routes.Dial(Dialer), TLSClientConfig: uplink.TLS,
		DisableCompression: true, ResponseHeaderTimeout: Timeout,
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
	i.server = &http.Server{Handler: proxy, ReadHeaderTimeout: Timeout}
	go func() { i.done <- i.server.Serve(listener) }()
	return i, nil
}

// Network are the settings of a device that uses the proxy.
func (i *Interceptor) Network() device.Network {
	return device.Network{Proxy: (&url.URL{Scheme: "http", Host: i.listener.Addr().String()}).String()}
}

// Close stops the proxy.
func (i *Interceptor) Close() {
	_ = i.server.Close()
	i.upstream.CloseIdleConnections()
	<-i.done
}

// impersonate is the proxy's end of the app's TLS connections.
func (i *Interceptor) impersonate(host string, _ *goproxy.ProxyCtx) (*tls.Config, error) {
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

func (i *Interceptor) onRequest(request *http.Request, ctx *goproxy.ProxyCtx) (*http.Request, *http.Response) {
	body, err := swallow(&request.Body)
	if err != nil {
		return request, goproxy.NewResponse(request, "text/plain", http.StatusBadGateway, "the request broke off")
	}
	start := request.Method + " " + request.URL.RequestURI()
	text := Head(start+" HTTP/1.1", "Host: "+request.Host, request.Header)
	i.mu.Lock()
	ctx.UserData = len(i.calls)
	i.calls = append(i.calls, Call{Request: request.Clone(request.Context()), Sent: append([]byte(text+"\r\n"), body...)})
	i.mu.Unlock()
	i.uplink.Record(traffic.Message{
		Lane: traffic.Network, Exchange: request.Header.Get(traffic.Header), Kind: traffic.Request,
		From: AppParty, To: Party, Summary: start, Head: text, Body: body, Size: len(body),
	})
	return request, nil
}

func (i *Interceptor) onResponse(response *http.Response, ctx *goproxy.ProxyCtx) *http.Response {
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
	call.Status, call.Received = response.StatusCode, body
	call.Answer = Head("HTTP/1.1 "+response.Status, "", response.Header)
	exchange := call.Request.Header.Get(traffic.Header)
	i.mu.Unlock()
	i.uplink.Record(traffic.Message{
		Lane: traffic.Network, Exchange: exchange, Kind: traffic.Response, From: Party, To: AppParty,
		Summary: response.Status, Head: Head("HTTP/1.1 "+response.Status, "", response.Header), Body: body, Size: len(body),
	})
	return response
}

// swallow reads a body and puts it back.
func swallow(body *io.ReadCloser) ([]byte, error) {
	if *body == nil || *body == http.NoBody {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(*body, MaxBody+1))
	_ = (*body).Close()
	if err == nil && len(data) > MaxBody {
		err = errors.New("too large for the proxy")
	}
	*body = io.NopCloser(bytes.NewReader(data))
	return data, err
}

// Calls are those that went through so far.
func (i *Interceptor) Calls() []Call {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]Call(nil), i.calls...)
}
