package attacker

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/session"
)

// signedWith is a request as it lies in the memory of the program that made it.
func signedWith(t testing.TB, secret, method, target string, body []byte) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "https://127.0.0.1:8443"+target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	client := hawk.Client{Credentials: hawk.Credentials{ID: "harbour-mobile", Key: secret}, Host: "127.0.0.1", Port: 8443}
	if _, err := client.Sign(request, body, "", time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	return head(method+" "+target+" HTTP/1.1", "Host: 127.0.0.1:8443", request.Header)
}

func TestSecretsAreProven(t *testing.T) {
	t.Parallel()
	get := signedWith(t, fakeSecret, http.MethodGet, "/hmac/v1/accounts", nil)
	post := signedWith(t, fakeSecret, http.MethodPost, "/hmac/v1/transfers", []byte(`{"amount":1}`))
	escaped := strings.NewReplacer("\r\n", `\r\n`, `"`, `\"`).Replace(get)
	decoys := strings.Repeat("\x00runtime.gopanic\x00AAAAAAAAAAAAAAAAAAAAAAAA\x000123456789abcdef0123456789abcdef\x00", 3)
	tests := []struct {
		name, memory string
		found        bool
	}{
		{"a string", decoys + get + "\x00" + fakeSecret + "\x00", true},
		{"in JSON, and the request as well", escaped + `{"x":"` + fakeSecret + `"}`, true},
		{"a request with a body", post + "\x00" + fakeSecret + "\x00", true},
		{"garbage behind it", get + "\x00" + fakeSecret + "Zq9\x00", true},
		{"garbage on both sides", get + "\x00aB3" + fakeSecret + "Zq9\x00", true},
		{"another secret", decoys + get + "\x00" + strings.ToLower(fakeSecret) + "\x00", false},
		{"no request", fakeSecret, false},
		{"a request that was written over", "GET /x HTTP/1.1\r\n" + get[strings.Index(get, "Content"):] + "\x00" + fakeSecret, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var l loot
			candidates := texts{}
			l.search([]byte(test.memory))
			candidates.collect([]byte(test.memory))
			got := candidates.prove("127.0.0.1", 8443, l.signatures)
			if (got == fakeSecret) != test.found || (got != "" && !test.found) {
				t.Errorf("found: %v, want %v", got != "", test.found)
			}
		})
	}
}

func TestProvingIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("a million trials, one after the other")
	}
	t.Parallel()
	var l loot
	l.search([]byte(signedWith(t, fakeSecret, http.MethodGet, "/hmac/v1/accounts", nil)))
	candidates := texts{}
	for i := range 40 {
		candidates.collect([]byte(strings.Repeat(fmt.Sprintf("aB%dcD+eF/gH9iJ8kL7mN", i), 300)))
	}
	begin := time.Now()
	if got := candidates.prove("127.0.0.1", 8443, l.signatures); got != "" {
		t.Error("a secret that is not there was found")
	}
	if took := time.Since(begin); took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
}

func TestLootOfSignedRequests(t *testing.T) {
	t.Parallel()
	key := session.NewKey()
	request := strings.TrimSuffix(signedWith(t, fakeSecret, http.MethodGet, "/user-session/v1/accounts?x=1", nil), "\r\n")
	request = strings.Replace(request, "Authorization: Hawk", "App-Authorization: Hawk", 1) +
		"\r\nAuthorization: Session " + string(key) + "\r\nDevice-Guid: the-guid-of-it\r\nDevice-Id: the-device\r\n\r\n"
	for name, memory := range map[string]string{
		"as sent": request,
		"in JSON": strings.NewReplacer("\r\n", `\r\n`, `"`, `\"`).Replace(request),
		"twice":   request + "\x00" + request,
	} {
		var l loot
		l.search([]byte(memory))
		if !slices.Equal(l.keys, []string{"harbour-mobile"}) || !slices.Equal(l.sessions, []session.Key{key}) ||
			!slices.Equal(l.devices, []installation{{"the-device", "the-guid-of-it"}}) {
			t.Errorf("%s: %q, %d sessions, %q", name, l.keys, len(l.sessions), l.devices)
		}
		if len(l.signatures) != 1 || l.signatures[0].method != "GET" || l.signatures[0].target != "/user-session/v1/accounts?x=1" {
			t.Errorf("%s: %+v", name, l.signatures)
		}
	}
}

func TestLootOfStorage(t *testing.T) {
	t.Parallel()
	key := session.NewKey()
	tests := []struct {
		name, data        string
		sessions, devices int
	}{
		{"a session", `{"session_key":"` + string(key) + `","user":"alice"}`, 1, 0},
		{"a registration", `{"identifier":"a","guid":"b"}`, 0, 1},
		{"half a registration", `{"guid":"b"}`, 0, 0},
		{"something short", `{"session_key":"abc"}`, 0, 0},
		{"not JSON", "\x00\x01", 0, 0},
		{"other JSON", "[1,2]", 0, 0},
	}
	for _, test := range tests {
		var l loot
		l.searchStored([]byte(test.data))
		if len(l.sessions) != test.sessions || len(l.devices) != test.devices {
			t.Errorf("%s: %d sessions, %d devices", test.name, len(l.sessions), len(l.devices))
		}
	}
}

func TestKeysAreFoundAsNumbers(t *testing.T) {
	t.Parallel()
	own, err := selfSignedClient("app")
	if err != nil {
		t.Fatal(err)
	}
	number, err := own.PrivateKey.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	reversed := slices.Clone(number)
	slices.Reverse(reversed)
	noise := make([]byte, 0, 8<<10) // looks random, and is no key
	for i := range uint64(1 << 10) {
		noise = binary.LittleEndian.AppendUint64(noise, (i+1)*0x9e3779b97f4a7c15)
	}
	pad := make([]byte, 24)
	tests := []struct {
		name   string
		memory []byte
		found  bool
	}{
		{"the high end first", slices.Concat(noise, number, pad), true},
		{"the low end first", slices.Concat(pad, reversed, noise), true},
		{"at an address that numbers don't have", slices.Concat(pad[:3], number, pad), false},
		{"not there", noise, false},
		{"cut off", number[:31], false},
	}
	for _, test := range tests {
		keys := newScalars([]*x509.Certificate{own.Leaf})
		keys.search(test.memory)
		if (len(keys.found) == 1) != test.found {
			t.Errorf("%s: %d keys found", test.name, len(keys.found))
			continue
		}
		if test.found && !keys.found[0].Equal(own.PrivateKey) {
			t.Errorf("%s: another key", test.name)
		}
	}
}

func TestCertificatesAreFoundInMemory(t *testing.T) {
	t.Parallel()
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	var l loot
	memory := slices.Concat([]byte("…"), server.Certificate[0], []byte("…"), ca.certificate.Raw, server.Certificate[0])
	l.search(memory)
	if len(l.certificates) != 2 {
		t.Errorf("%d certificates, want 2", len(l.certificates))
	}
	l = loot{}
	l.search(memory[:len(server.Certificate[0])-3])
	if len(l.certificates) != 0 {
		t.Error("a certificate that is cut off was read")
	}
}

func FuzzMemory(f *testing.F) {
	f.Add([]byte(signedWith(f, fakeSecret, http.MethodGet, "/hmac/v1/accounts", nil)))
	f.Add([]byte("Device-Guid: aaaaaaaa\r\nDevice-Id: b\r\n\x30\x82\x00\x05\x30\x82\x00\x05\xa0\x03\x02\x01\x02"))
	f.Add([]byte(`POST /x HTTP/1.1\r\nAuthorization: Hawk id=\"a\", ts=\"1\", nonce=\"c\", mac=\"d\"\r\n`))
	own, err := selfSignedClient("app")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var l loot
		l.search(data)
		l.searchStored(data)
		for range encodedIn(data) {
		}
		for _, s := range l.signatures {
			if fits := s.trial("127.0.0.1", 8443); fits != nil && fits("not the secret") {
				t.Errorf("any secret fits %+v", s)
			}
		}
		candidates := texts{}
		candidates.collect(data)
		for text := range candidates {
			if len(text) < minSecret || len(text) > maxText {
				t.Errorf("a text of %d bytes", len(text))
			}
		}
		keys := newScalars([]*x509.Certificate{own.Leaf})
		keys.search(data)
		if len(l.identities(catalog.Call{AppProof: catalog.Hawk})) > maxTries {
			t.Error("too many tries")
		}
	})
}

func BenchmarkScalars(b *testing.B) {
	own, err := selfSignedClient("app")
	if err != nil {
		b.Fatal(err)
	}
	keys := newScalars([]*x509.Certificate{own.Leaf})
	var number [scalarSize]byte
	for i := range uint64(b.N) {
		binary.BigEndian.PutUint64(number[:], (i+1)*0x9e3779b97f4a7c15)
		keys.try(number)
	}
}
