package loot

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/session"
)

// signedWith is a request as it lies in the memory of the program that made it.
func signedWith(t testing.TB, key, method, target string, body []byte) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "https://127.0.0.1:8443"+target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	client := hawk.Client{Credentials: hawk.Credentials{ID: "harbour-mobile", Key: key}, Host: "127.0.0.1", Port: 8443}
	if _, err := client.Sign(request, body, "", time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	var sent bytes.Buffer
	if err := request.Write(&sent); err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(sent.String(), "\r\n\r\n")
	return head + "\r\n"
}

func TestSecretsAreProven(t *testing.T) {
	t.Parallel()
	get := signedWith(t, secret, http.MethodGet, "/hmac/v1/accounts", nil)
	post := signedWith(t, secret, http.MethodPost, "/hmac/v1/transfers", []byte(`{"amount":1}`))
	escaped := strings.NewReplacer("\r\n", `\r\n`, `"`, `\"`).Replace(get)
	decoys := strings.Repeat("\x00runtime.gopanic\x00AAAAAAAAAAAAAAAAAAAAAAAA\x000123456789abcdef0123456789abcdef\x00", 3)
	tests := []struct {
		name, memory string
		found        bool
	}{
		{"a string", decoys + get + "\x00" + secret + "\x00", true},
		{"in JSON, and the request as well", escaped + `{"x":"` + secret + `"}`, true},
		{"a request with a body", post + "\x00" + secret + "\x00", true},
		{"garbage behind it", get + "\x00" + secret + "Zq9\x00", true},
		{"garbage on both sides", get + "\x00aB3" + secret + "Zq9\x00", true},
		{"another secret", decoys + get + "\x00" + strings.ToLower(secret) + "\x00", false},
		{"no request", secret, false},
		{"a request that was written over", "GET /x HTTP/1.1\r\n" + get[strings.Index(get, "Content"):] + "\x00" + secret, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var l Loot
			candidates := Texts{}
			l.Search([]byte(test.memory))
			candidates.Collect([]byte(test.memory))
			got := candidates.Prove("127.0.0.1", 8443, l.Secrets.Signed)
			if (got == secret) != test.found || (got != "" && !test.found) {
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
	var l Loot
	l.Search([]byte(signedWith(t, secret, http.MethodGet, "/hmac/v1/accounts", nil)))
	candidates := Texts{}
	for i := range 40 {
		candidates.Collect([]byte(strings.Repeat(fmt.Sprintf("aB%dcD+eF/gH9iJ8kL7mN", i), 300)))
	}
	begin := time.Now()
	if got := candidates.Prove("127.0.0.1", 8443, l.Secrets.Signed); got != "" {
		t.Error("a secret that is not there was found")
	}
	if took := time.Since(begin); took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
}

func TestLootOfSignedRequests(t *testing.T) {
	t.Parallel()
	key := session.NewKey()
	request := strings.TrimSuffix(signedWith(t, secret, http.MethodGet, "/user-session/v1/accounts?x=1", nil), "\r\n")
	request = strings.Replace(request, "Authorization: Hawk", "App-Authorization: Hawk", 1) +
		"\r\nAuthorization: Session " + string(key) + "\r\nDevice-Guid: the-guid-of-it\r\nDevice-Id: the-device\r\n\r\n"
	for name, memory := range map[string]string{
		"as sent": request,
		"in JSON": strings.NewReplacer("\r\n", `\r\n`, `"`, `\"`).Replace(request),
		"twice":   request + "\x00" + request,
	} {
		var l Loot
		l.Search([]byte(memory))
		if !slices.Equal(l.ClientIDs, ClientIDs{"harbour-mobile"}) || !slices.Equal(l.Sessions, Sessions{key}) ||
			!slices.Equal(l.Installations, Installations{{Identifier: "the-device", GUID: "the-guid-of-it"}}) {
			t.Errorf("%s: %q, %d sessions, %q", name, l.ClientIDs, len(l.Sessions), l.Installations)
		}
		if len(l.Secrets.Signed) != 1 || l.Secrets.Signed[0].Method != "GET" || l.Secrets.Signed[0].Target != "/user-session/v1/accounts?x=1" {
			t.Errorf("%s: %+v", name, l.Secrets.Signed)
		}
	}
}

func TestKeysAreFoundAsNumbers(t *testing.T) {
	t.Parallel()
	own, ownKey := newPair(t, "app", false)
	number, err := ownKey.Bytes()
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
		keys := NewScalars([]*x509.Certificate{own})
		keys.Search(test.memory)
		if (len(keys.Found) == 1) != test.found {
			t.Errorf("%s: %d keys found", test.name, len(keys.Found))
			continue
		}
		if test.found && !keys.Found[0].Equal(ownKey) {
			t.Errorf("%s: another key", test.name)
		}
	}
}

func FuzzMemory(f *testing.F) {
	f.Add([]byte(signedWith(f, secret, http.MethodGet, "/hmac/v1/accounts", nil)))
	f.Add([]byte("Device-Guid: aaaaaaaa\r\nDevice-Id: b\r\n\x30\x82\x00\x05\x30\x82\x00\x05\xa0\x03\x02\x01\x02"))
	f.Add([]byte(`POST /x HTTP/1.1\r\nAuthorization: Hawk id=\"a\", ts=\"1\", nonce=\"c\", mac=\"d\"\r\n`))
	own, _ := newPair(f, "app", false)
	f.Fuzz(func(t *testing.T, data []byte) {
		var l Loot
		l.Search(data)
		for range Decoded(data) {
		}
		for _, s := range l.Secrets.Signed {
			if fits := s.trial("127.0.0.1", 8443); fits != nil && fits("not the secret") {
				t.Errorf("any secret fits %+v", s)
			}
		}
		candidates := Texts{}
		candidates.Collect(data)
		for text := range candidates {
			if len(text) < minSecret || len(text) > maxText {
				t.Errorf("a text of %d bytes", len(text))
			}
		}
		keys := NewScalars([]*x509.Certificate{own})
		keys.Search(data)
	})
}

func BenchmarkScalars(b *testing.B) {
	own, _ := newPair(b, "app", false)
	keys := NewScalars([]*x509.Certificate{own})
	var number [scalarSize]byte
	for i := range uint64(b.N) {
		binary.BigEndian.PutUint64(number[:], (i+1)*0x9e3779b97f4a7c15)
		keys.try(number)
	}
}
