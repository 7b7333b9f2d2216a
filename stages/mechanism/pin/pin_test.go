package pin_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"keyladder/internal/pki"
	"keyladder/stages/mechanism/pin"
)

const host = "api.harbourbank.test"

// world is a genuine server with a spare key, and an attacker whose authority the
// device trusts as well.
type world struct {
	roots            *x509.CertPool
	server, backup   tls.Certificate
	attacker         tls.Certificate
	other            tls.Certificate // of the genuine authority, but nobody's pin
	pins, onlyBackup pin.Set
}

func newWorld(t *testing.T) world {
	t.Helper()
	workshop, evil := newCA(t, "Workshop CA"), newCA(t, "Evil CA")
	w := world{
		roots:  x509.NewCertPool(),
		server: issue(t, workshop), backup: issue(t, workshop), other: issue(t, workshop),
		attacker: issue(t, evil),
	}
	w.roots.AppendCertsFromPEM(workshop.Certificate)
	w.roots.AppendCertsFromPEM(evil.Certificate)
	w.pins = pin.Set{pin.Of(w.server.Leaf), pin.Of(w.backup.Leaf)}
	w.onlyBackup = pin.Set{pin.Of(w.backup.Leaf)}
	return w
}

func TestVerifyConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)

	// The attacker's chain, with the genuine server's certificate as decoration.
	appended := w.attacker
	appended.Certificate = append(append([][]byte{}, w.attacker.Certificate...), w.server.Certificate...)

	for _, test := range []struct {
		name     string
		server   tls.Certificate
		pins     pin.Set
		insecure bool
		want     error
	}{
		{name: "the pinned key", server: w.server, pins: w.pins},
		{name: "the backup key", server: w.backup, pins: w.pins},
		{name: "another key of the same authority", server: w.other, pins: w.pins, want: pin.ErrMismatch},
		{name: "an authority that the device was made to trust", server: w.attacker, pins: w.pins, want: pin.ErrMismatch},
		{name: "the pinned certificate appended to another chain", server: appended, pins: w.pins, want: pin.ErrMismatch},
		{name: "no pins", server: w.server, pins: nil, want: pin.ErrMismatch},
		{name: "nobody verified the chain", server: w.server, pins: w.pins, insecure: true, want: pin.ErrUnverified},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := connect(t, serve(t, test.server), &tls.Config{
				ServerName: host, RootCAs: w.roots, InsecureSkipVerify: test.insecure,
				VerifyConnection: test.pins.VerifyConnection,
			})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// TestResumedSession makes sure that the pins are compared even where no certificate
// is sent, in both versions of TLS that resume.
func TestResumedSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			address := serve(t, w.server)
			config := &tls.Config{
				ServerName: host, RootCAs: w.roots, MinVersion: version, MaxVersion: version,
				ClientSessionCache: tls.NewLRUClientSessionCache(1),
				VerifyConnection:   w.pins.VerifyConnection,
			}
			if resumed, err := connect(t, address, config); err != nil || resumed {
				t.Fatalf("first connection: resumed %v, %v", resumed, err)
			}
			if resumed, err := connect(t, address, config); err != nil || !resumed {
				t.Fatalf("second connection: resumed %v, %v", resumed, err)
			}
			// The app's new release has other pins, but still holds the session.
			updated := config.Clone()
			updated.VerifyConnection = w.onlyBackup.VerifyConnection
			if resumed, err := connect(t, address, updated); !resumed || !errors.Is(err, pin.ErrMismatch) {
				t.Fatalf("session of the previous pins: resumed %v, %v, want %v", resumed, err, pin.ErrMismatch)
			}
		})
	}
}

func TestOfAgreesWithOpenSSL(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl on this machine")
	}
	certificate := issue(t, newCA(t, "Workshop CA"))
	command := exec.CommandContext(t.Context(), "sh", "-c", "openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary")
	command.Stdin = strings.NewReader(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})))
	sum, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := pin.Pin("sha256/" + base64.StdEncoding.EncodeToString(sum)); pin.Of(certificate.Leaf) != want {
		t.Errorf("got %s, want %s", pin.Of(certificate.Leaf), want)
	}
	if key, err := pin.OfKey(certificate.Leaf.PublicKey); err != nil || key != pin.Of(certificate.Leaf) {
		t.Errorf("of the key: got %s (%v), want %s", key, err, pin.Of(certificate.Leaf))
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	good := "sha256/" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, test := range []struct {
		name, text string
		want       error
	}{
		{"a pin", good, nil},
		{"curl's notation", strings.Replace(good, "/", "//", 1), pin.ErrMalformed},
		{"no prefix", strings.TrimPrefix(good, "sha256/"), pin.ErrMalformed},
		{"another hash", strings.Replace(good, "256", "1", 1), pin.ErrMalformed},
		{"too short", "sha256/AAAA", pin.ErrMalformed},
		{"not base64", "sha256/" + strings.Repeat("!", 44), pin.ErrMalformed},
		{"bits beyond the last byte", good[:len(good)-2] + "B=", pin.ErrMalformed},
		{"a line break", good + "\n", pin.ErrMalformed},
		{"nothing", "", pin.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := pin.Parse(test.text); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if _, err := pin.ParseSet(nil); !errors.Is(err, pin.ErrMalformed) {
		t.Errorf("an empty set: got %v, want %v", err, pin.ErrMalformed)
	}
	if set, err := pin.ParseSet([]string{good}); err != nil || len(set) != 1 {
		t.Errorf("a set: got %v, %v", set, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("sha256/" + base64.StdEncoding.EncodeToString(make([]byte, 32)))
	f.Add("sha256//AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := pin.Parse(text)
		if err == nil && string(parsed) != text {
			t.Errorf("%q became %q", text, parsed)
		}
	})
}

func newCA(t *testing.T, name string) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA(name)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca *pki.CA) tls.Certificate {
	t.Helper()
	pair, err := ca.Server("api", host)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// serve answers every TLS connection with one byte.
func serve(t *testing.T, certificate tls.Certificate) (address string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = conn.Write([]byte("!")) // a client that refuses goes away: that is what is tested
			}()
		}
	}()
	return listener.Addr().String()
}

// connect shakes hands and reads a byte, with which session tickets arrive as well.
func connect(t *testing.T, address string, config *tls.Config) (resumed bool, err error) {
	t.Helper()
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, config)
	defer conn.Close()
	if err := conn.HandshakeContext(t.Context()); err != nil {
		return conn.ConnectionState().DidResume, err
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().DidResume, nil
}
