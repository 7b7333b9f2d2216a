package protect

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pin"
)

// TestConnections makes connections to a server that has one key, and looks at who is
// refused by whom.
func TestConnections(t *testing.T) {
	t.Parallel()
	shown := make(chan int, 1)
	bank := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { shown <- len(r.TLS.PeerCertificates) }))
	bank.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	bank.StartTLS()
	t.Cleanup(bank.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: bank.Certificate().Raw})
	own, other := pin.Of(bank.Certificate()), pin.Pin("sha256/AAAA")
	certificate := &bank.TLS.Certificates[0] // any will do

	for _, test := range []struct {
		name, stage, url string
		roots            []byte
		identity         Identity
		check            catalog.Check
		certificates     int
	}{
		{name: "trusted", stage: "tls", url: bank.URL, roots: roots},
		{name: "trusted and pinned", stage: "pinned-mtls", url: bank.URL, roots: roots, identity: Identity{Pins: pin.Set{other, own}, Certificate: certificate}, certificates: 1},
		{name: "a certificate that the stage does not ask for", stage: "tls", url: bank.URL, roots: roots, identity: Identity{Certificate: certificate}},
		{name: "no certificate", stage: "pinned-mtls", url: bank.URL, roots: roots, identity: Identity{Pins: pin.Set{own}}},
		{name: "trusted, but another key", stage: "pinned-mtls", url: bank.URL, roots: roots, identity: Identity{Pins: pin.Set{other}}, check: catalog.CheckPins},
		{name: "pinned, but not trusted", stage: "pinned-mtls", url: bank.URL, identity: Identity{Pins: pin.Set{own}}, check: catalog.CheckTLS},
		{name: "pins that the stage does not ask for", stage: "tls", url: bank.URL, roots: roots, identity: Identity{Pins: pin.Set{other}}},
		{name: "no TLS", stage: "tls", url: "https" + plain.URL[len("http"):], roots: roots, check: catalog.CheckTLS},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := caller(t, lookup(t, test.stage), test.identity).TLS(test.roots)
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
			defer client.CloseIdleConnections()
			response, err := client.Get(test.url)
			if check, reason := Refused(err); check != test.check || (check != "") != (reason != "") {
				t.Errorf("refused by %q (%s), want %q: %v", check, reason, test.check, err)
			}
			if err != nil {
				return
			}
			response.Body.Close()
			if got := <-shown; got != test.certificates {
				t.Errorf("%d certificates were shown, want %d", got, test.certificates)
			}
		})
	}
	if check, _ := Refused(nil); check != "" {
		t.Errorf("nothing is refused by %q", check)
	}
}
