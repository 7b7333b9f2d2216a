package route_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"keyladder/internal/pki"
	"keyladder/internal/route"
)

// A client that is led elsewhere still asks for, and checks, the public name.
func TestNamesStayPublic(t *testing.T) {
	t.Parallel()
	authority, err := pki.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Server("API", "bank.test")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Host+" "+r.TLS.ServerName)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.Certificate)
	config := &tls.Config{RootCAs: roots}
	table := route.Table{"bank.test:8443": server.Listener.Addr().String()}

	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DialContext: table.Dial(nil)}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://bank.test:8443/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "bank.test:8443 bank.test" {
		t.Errorf("the server was asked for %s, %v", body, err)
	}
	conn, err := table.DialTLS(nil, config)(t.Context(), "tcp", "bank.test:8443")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	other := route.Table{"other.test:8443": server.Listener.Addr().String()}
	if conn, err := other.DialTLS(nil, config)(t.Context(), "tcp", "other.test:8443"); err == nil {
		conn.Close()
		t.Error("a server under another name was accepted")
	}
	if got := table.To("bank.test:443"); got != "bank.test:443" {
		t.Errorf("another port leads to %s", got)
	}
}
