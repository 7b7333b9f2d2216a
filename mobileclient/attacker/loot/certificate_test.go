package loot

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"

	"keyladder/internal/testenv"
)

// newPair makes a certificate, of a client or of an authority, and its private key.
func newPair(t testing.TB, name string, authority bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: authority, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	own, ownKey := newPair(t, "app", false)
	_, othersKey := newPair(t, "other", false)
	ca, caKey := newPair(t, "CA", true)
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	pkcs8 := func(key *ecdsa.PrivateKey) []byte { return testenv.Must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key)) }
	sec1 := testenv.Must[[]byte](t)(x509.MarshalECPrivateKey(ownKey))
	certificate, key := block("CERTIFICATE", own.Raw), block("PRIVATE KEY", pkcs8(ownKey))
	inJSON := testenv.Must[[]byte](t)(json.Marshal(map[string]string{"certificate": string(certificate), "key": string(key)}))
	tests := []struct {
		name string
		data []byte
		want int
	}{
		{"PEM", slices.Concat(certificate, key), 1},
		{"PEM in JSON", inJSON, 1},
		{"PEM, the key in the other form", slices.Concat(certificate, block("EC PRIVATE KEY", sec1)), 1},
		{"the key in DER, PKCS #8", slices.Concat(certificate, []byte("…"), pkcs8(ownKey), []byte("…")), 1},
		{"the key in DER, SEC 1", slices.Concat(certificate, []byte("…"), sec1), 1},
		{"found twice", slices.Concat(certificate, key, pkcs8(ownKey), certificate, inJSON), 1},
		{"somebody else's key", slices.Concat(certificate, pkcs8(othersKey)), 0},
		{"an authority's", slices.Concat(ca.Raw, pkcs8(caKey)), 0},
		{"certificate alone", certificate, 0},
		{"cut off", slices.Concat(certificate, pkcs8(ownKey)[:100]), 0},
	}
	for _, test := range tests {
		var l Loot
		l.Search(test.data)
		if got := len(l.Certificates.Pairs()); got != test.want {
			t.Errorf("%s: %d pairs, want %d", test.name, got, test.want)
		}
	}
}

func TestCertificatesInMemory(t *testing.T) {
	t.Parallel()
	server, _ := newPair(t, "127.0.0.1", false)
	ca, _ := newPair(t, "CA", true)
	var l Loot
	memory := slices.Concat([]byte("…"), server.Raw, []byte("…"), ca.Raw, server.Raw)
	l.Search(memory)
	if len(l.Certificates.All) != 2 {
		t.Errorf("%d certificates, want 2", len(l.Certificates.All))
	}
	l = Loot{}
	l.Search(memory[:len(server.Raw)-3])
	if len(l.Certificates.All) != 0 {
		t.Error("a certificate that is cut off was read")
	}
}
