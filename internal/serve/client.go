package serve

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"

	"keyladder/internal/route"
)

// connecting is how long it may take to reach another server, unless a whole answer has less time.
const connecting = 5 * time.Second

// Client asks other servers, and trusts those that the roots vouch for. A whole answer may take as
// long as its patience. It follows no redirects: what is secret is for the address that it was meant
// for, and for no other.
func Client(roots *x509.CertPool, routes route.Table, patience time.Duration) *http.Client {
	return &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: Suites(), RootCAs: roots},
			DialContext:         routes.Dial(&net.Dialer{Timeout: min(connecting, patience)}),
			TLSHandshakeTimeout: min(connecting, patience), MaxIdleConnsPerHost: 64, DisableCompression: true,
			// Shorter than a server's, so that it does not close one which is about to be used.
			IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 32 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
