package attacker

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"keyladder/stages/catalog"
)

func TestLootKeys(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, data string
		want       []string
	}{
		{"JSON", `{"CLIENT_ID": "harbour-mobile"}`, []string{"harbour-mobile"}},
		{"compact JSON", `{"CLIENT_ID":"harbour-mobile","X":1}`, []string{"harbour-mobile"}},
		{"assignment", "CLIENT_ID=harbour-mobile\n", []string{"harbour-mobile"}},
		{"a request", "GET / HTTP/1.1\r\nAuthorization: key harbour-mobile\r\n\r\n", []string{"harbour-mobile"}},
		{"a request with small letters", "authorization: key harbour-mobile\r\n", []string{"harbour-mobile"}},
		{"twice", "CLIENT_ID=abc\nCLIENT_ID=abc\nCLIENT_ID=def\n", []string{"abc", "def"}},
		{"another scheme", "Authorization: Bearer abcdef\r\n", nil},
		{"a tag in a program", "json:\"CLIENT_ID\"json:\"X\"", nil},
		{"a tag, and the value where a window ends", `json:"CLIENT_ID"` + strings.Repeat(".", 224) + `"CLIENT_ID": "harbour-mobile"`, []string{"harbour-mobile"}},
		{"nothing", "", nil},
	}
	for _, test := range tests {
		var l loot
		l.search([]byte(test.data))
		if !slices.Equal(l.keys, test.want) {
			t.Errorf("%s: %q, want %q", test.name, l.keys, test.want)
		}
	}
}

func TestLootClientCertificates(t *testing.T) {
	t.Parallel()
	own, err := selfSignedClient("app")
	if err != nil {
		t.Fatal(err)
	}
	other, err := selfSignedClient("other")
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})
	pkcs8, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(own.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := x509.MarshalPKCS8PrivateKey(other.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	inJSON, err := json.Marshal(map[string]string{"certificate": string(certificate), "key": string(key)})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		data []byte
		want int
	}{
		{"PEM", slices.Concat(certificate, key), 1},
		{"PEM in JSON", inJSON, 1},
		{"PEM, the key in the other form", slices.Concat(certificate, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})), 1},
		{"the key in DER, PKCS #8", slices.Concat(certificate, []byte("…"), pkcs8, []byte("…")), 1},
		{"the key in DER, SEC 1", slices.Concat(certificate, []byte("…"), sec1), 1},
		{"found twice", slices.Concat(certificate, key, pkcs8, certificate, inJSON), 1},
		{"somebody else's key", slices.Concat(certificate, foreign), 0},
		{"certificate alone", certificate, 0},
		{"cut off", slices.Concat(certificate, pkcs8[:100]), 0},
	}
	for _, test := range tests {
		var l loot
		l.search(test.data)
		if got := len(l.clientCertificates()); got != test.want {
			t.Errorf("%s: %d pairs, want %d", test.name, got, test.want)
		}
	}
}

func TestLootTellsNoSecrets(t *testing.T) {
	t.Parallel()
	l := loot{keys: []string{"harbour-mobile", "b", "c", "d", "e"}}
	if text := l.String(); strings.Contains(text, "harbour-mobile") || !strings.Contains(text, "more of the same") {
		t.Error(text)
	}
	for _, as := range l.identities(catalog.Call{}) {
		if text := as.String(); strings.Contains(text, "harbour-mobile") {
			t.Error(text)
		}
	}
}

func FuzzLoot(f *testing.F) {
	f.Add([]byte(`{"CLIENT_ID": "harbour-mobile"}`))
	f.Add([]byte("Authorization: key a\r\n-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----"))
	f.Add(bytes.Clone(derPrivateKeys[0].start))
	f.Fuzz(func(t *testing.T, data []byte) {
		var l loot
		l.search(data)
		if len(l.identities(catalog.Call{})) > maxTries {
			t.Error("too many tries")
		}
	})
}

func FuzzAnnounced(f *testing.F) {
	f.Add(`"address";q=60;w=3`, `"address";r=59;t=3`)
	f.Fuzz(func(t *testing.T, policy, state string) {
		for _, l := range announced(map[string][]string{"Ratelimit-Policy": {policy}, "Ratelimit": {state}}) {
			if l.quota < 0 || l.window < 0 || l.left < 0 {
				t.Errorf("%+v", l)
			}
		}
	})
}
