package clientcert_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyladder/internal/pki"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/pin"
)

// authority is a CA with a certificate of each kind.
type authority struct {
	pool           *x509.CertPool
	client, server pki.Pair
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	ca, err := pki.NewCA("test CA")
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.Client("harbour-mobile")
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Server("api", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pki.Pool(ca.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return authority{pool: pool, client: client, server: server}
}

func parse(t *testing.T, pair pki.Pair) *x509.Certificate {
	t.Helper()
	certificate, err := pki.Certificate(pair.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestVerify(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	now := time.Now()
	tests := []struct {
		name        string
		certificate *x509.Certificate
		roots       *x509.CertPool
		now         time.Time
		err         error
	}{
		{"good", parse(t, ours.client), ours.pool, now, nil},
		{"none", nil, ours.pool, now, clientcert.ErrMissing},
		{"other authority", parse(t, theirs.client), ours.pool, now, clientcert.ErrUntrusted},
		{"no authority", parse(t, ours.client), x509.NewCertPool(), now, clientcert.ErrUntrusted},
		{"a server's", parse(t, ours.server), ours.pool, now, clientcert.ErrUsage},
		{"expired", parse(t, ours.client), ours.pool, now.Add(pki.Lifetime + time.Hour), clientcert.ErrTime},
		{"not yet good", parse(t, ours.client), ours.pool, now.Add(-48 * time.Hour), clientcert.ErrTime},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			verifier := clientcert.NewVerifier(test.roots)
			var want pin.Pin
			if test.err == nil {
				want = pin.Of(test.certificate)
			}
			for _, when := range []string{"first", "again", "once more"} {
				if got, err := verifier.Verify(test.certificate, test.now); !errors.Is(err, test.err) || got != want {
					t.Errorf("Verifier, %s: %v, %v, want %v, %v", when, got, err, want, test.err)
				}
			}
		})
	}
}

// TestVerifierRemembers shows what it does not remember: that it is later now, and what
// was said about other certificates.
func TestVerifierRemembers(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	verifier, now := clientcert.NewVerifier(ours.pool), time.Now()
	same := parse(t, ours.client)
	for _, test := range []struct {
		name        string
		certificate *x509.Certificate
		now         time.Time
		err         error
	}{
		{"good", parse(t, ours.client), now, nil},
		{"good still", parse(t, ours.client), now.Add(time.Hour), nil},
		{"expired meanwhile", parse(t, ours.client), now.Add(pki.Lifetime + time.Hour), clientcert.ErrTime},
		{"other authority", parse(t, theirs.client), now, clientcert.ErrUntrusted},
		{"a server's", parse(t, ours.server), now, clientcert.ErrUsage},
		{"good again", parse(t, ours.client), now, nil},
		{"the same object", same, now, nil},
		{"the same object, once more", same, now.Add(time.Hour), nil},
		{"the same object, expired meanwhile", same, now.Add(pki.Lifetime + time.Hour), clientcert.ErrTime},
		{"the same object, not yet good", same, now.Add(-48 * time.Hour), clientcert.ErrTime},
	} {
		if _, err := verifier.Verify(test.certificate, test.now); !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v", test.name, err, test.err)
		}
	}
}

func TestBelongsTo(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	mobile, other := pin.Of(parse(t, a.client)), pin.Of(parse(t, a.server))
	registered := []string{string(other), string(mobile)}
	if err := clientcert.BelongsTo(mobile, registered); err != nil {
		t.Errorf("registered: %v", err)
	}
	if err := clientcert.BelongsTo(mobile, registered[:1]); !errors.Is(err, clientcert.ErrOther) {
		t.Errorf("of another app: %v", err)
	}
	if err := clientcert.BelongsTo(mobile, nil); !errors.Is(err, clientcert.ErrOther) {
		t.Errorf("app without certificates: %v", err)
	}
	if err := clientcert.BelongsTo("", registered); !errors.Is(err, clientcert.ErrMissing) {
		t.Errorf("no certificate: %v", err)
	}
}

// TestPresent shows the certificate to a server that names another authority, which is
// when crypto/tls on its own would send none.
func TestPresent(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	pair, err := clientcert.Load(ours.client.Certificate, ours.client.Key)
	if err != nil {
		t.Fatal(err)
	}
	serverPair, err := ours.server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: ours.pool, ServerName: "localhost"}
	clientcert.Present(config, pair)

	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	server := tls.Server(there, &tls.Config{
		Certificates: []tls.Certificate{serverPair}, ClientAuth: tls.RequestClientCert, ClientCAs: theirs.pool,
	})
	failed := make(chan error, 1)
	go func() { failed <- tls.Client(here, config).HandshakeContext(context.Background()) }()
	if err := server.HandshakeContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	if shown := server.ConnectionState().PeerCertificates; len(shown) != 1 || !shown[0].Equal(parse(t, ours.client)) {
		t.Errorf("%d certificates were shown", len(shown))
	}
	here.Close()
	<-failed
}

func TestLoadRefusesWrongKey(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	if _, err := clientcert.Load(a.client.Certificate, a.server.Key); err == nil {
		t.Error("a certificate was loaded with the key of another")
	}
}

// The certificate of RFC 9440, appendix A.
const rfcCertificate = `-----BEGIN CERTIFICATE-----
MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBB
dXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAx
MTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p
5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIw
ADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMC
BsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1w
bGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMje
SkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=
-----END CERTIFICATE-----
`

// rfcField is the field for it, as the appendix prints it, without the line breaks.
var rfcField = ":" + strings.NewReplacer(
	"-----BEGIN CERTIFICATE-----", "", "-----END CERTIFICATE-----", "", "\n", "",
).Replace(rfcCertificate) + ":"

func TestFieldVector(t *testing.T) {
	t.Parallel()
	block, _ := pem.Decode([]byte(rfcCertificate))
	if got := clientcert.Encode(block.Bytes); got != rfcField {
		t.Errorf("Encode = %s", got)
	}
	certificate, err := clientcert.Decode(rfcField)
	if err != nil {
		t.Fatal(err)
	}
	if certificate.Subject.CommonName != "BC" || certificate.SerialNumber.Int64() != 7 {
		t.Errorf("Decode read the certificate of %s, serial number %v", certificate.Subject, certificate.SerialNumber)
	}
}

func TestFieldRefused(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"empty":             "",
		"one colon":         ":",
		"empty sequence":    "::",
		"no colons":         strings.Trim(rfcField, ":"),
		"open":              rfcField[:len(rfcField)-1],
		"parameter":         rfcField + ";a=1",
		"list":              rfcField + ", " + rfcField,
		"URL-safe alphabet": strings.ReplaceAll(rfcField, "/", "_"),
		"line break":        rfcField[:20] + "\n" + rfcField[20:],
		"cut short":         rfcField[:80] + ":",
		"not a certificate": ":aGVsbG8=:",
		"too long":          ":" + strings.Repeat("A", 1<<20) + ":",
	} {
		if _, err := clientcert.Decode(value); !errors.Is(err, clientcert.ErrField) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestForward(t *testing.T) {
	t.Parallel()
	genuine := parse(t, newAuthority(t).client)
	header := http.Header{}
	header.Add(clientcert.Field, rfcField) // by the client
	header.Add(clientcert.ChainField, rfcField)
	clientcert.Forward(header, genuine)
	if got, err := clientcert.FromHeader(header); err != nil || !got.Equal(genuine) {
		t.Errorf("the server reads %v, %v", got, err)
	}
	if header.Get(clientcert.ChainField) != "" {
		t.Error("the client's chain was passed on")
	}
	clientcert.Forward(header, nil)
	if got, err := clientcert.FromHeader(header); got != nil || err != nil {
		t.Errorf("without a certificate the server reads %v, %v", got, err)
	}
	header[clientcert.Field] = []string{rfcField, rfcField}
	if _, err := clientcert.FromHeader(header); !errors.Is(err, clientcert.ErrField) {
		t.Errorf("two fields: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(rfcField)
	f.Add("::")
	f.Add(" :aGVsbG8=: ")
	f.Fuzz(func(t *testing.T, value string) {
		certificate, err := clientcert.Decode(value)
		if (certificate == nil) != errors.Is(err, clientcert.ErrField) {
			t.Fatalf("Decode = %v, %v", certificate, err)
		}
		if err != nil {
			return
		}
		again, err := clientcert.Decode(clientcert.Encode(certificate.Raw))
		if err != nil || !again.Equal(certificate) {
			t.Fatalf("a certificate did not survive: %v", err)
		}
	})
}
