package serve_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"

	"keyladder/internal/serve"
)

// With TLS 1.2, what is recommended is spoken and CBC is not.
func TestSuites(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: serve.Suites()}
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for suite, want := range map[uint16]bool{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:       true,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: true,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:          false,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256:             false,
	} {
		conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{
			RootCAs: roots, ServerName: "example.com", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite},
		})
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.CipherSuiteName(suite), err)
		}
		if err == nil {
			conn.Close()
		}
	}
}
