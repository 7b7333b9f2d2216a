package loot

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"keyladder/stages/mechanism/dpop"
)

// What is bound to a key, as it lies in memory: in requests as package http writes them, in records of
// them, and in answers.
func TestBound(t *testing.T) {
	t.Parallel()
	const a, b = "eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl", "eyJhbGciOiJFUzI1NiJ9.eyJhIjoyfQ.c2lnbmF0dXJl"
	tests := []struct {
		name, data                   string
		tokens, attestations, proofs []string
	}{
		{name: "a call", data: "GET / HTTP/1.1\r\nAuthorization: DPoP " + a + "\r\nDpop: " + b + "\r\n\r\n", tokens: []string{a}, proofs: []string{b}},
		{name: "in a record", data: `"Authorization: DPoP ` + a + `\r\nDpop: ` + b + `\r\n"`, tokens: []string{a}, proofs: []string{b}},
		{name: "a request for a token", data: "Oauth-Client-Attestation: " + a + "\r\nDpop: " + b + "\r\n", attestations: []string{a}, proofs: []string{b}},
		{name: "an answer", data: `{"token":"x","client_attestation":"` + a + `"}`, attestations: []string{a}},
		{name: "the latest is first", data: "Dpop: " + a + "\r\nDpop: " + b + "\r\nDpop: " + a + "\r\n", proofs: []string{b, a}},
		{name: "a proof of an attestation", data: "Oauth-Client-Attestation-Pop: " + a + "\r\n"},
		{name: "a challenge", data: `Www-Authenticate: DPoP algs="ES256"` + "\r\nDpop-Nonce: " + a + "\r\n"},
		{name: "cut off", data: "Dpop: " + a},
		{name: "written over in part", data: "Dpop: eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ\r\nDpop: eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.c2ln.bmF0dXJl\r\nDpop: eyJhbGciOiJFUzI1NiJ9.a" + a[20:] + "\r\n"},
	}
	for _, test := range tests {
		var l Loot
		l.Search([]byte(test.data))
		if !slices.Equal(l.Tokens, test.tokens) || !slices.Equal(l.Attestations, test.attestations) || !slices.Equal(l.Proofs, test.proofs) {
			t.Errorf("%s: %q, %q, %q", test.name, l.Tokens, l.Attestations, l.Proofs)
		}
	}
}

func TestProofsForAURL(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const accounts = "https://localhost:8447/device-bound/v1/accounts"
	proof, err := dpop.Sign(key, dpop.Request{Method: "GET", URL: accounts}, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for want, proofs := range map[string]Proofs{proof: {"eyJ.eyJ.a", "none", proof}, "": {"eyJ.eyJ.a", "none"}} {
		if got := proofs.For(accounts); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := (Proofs{proof}).For(accounts + "/HB-1001"); got != "" {
		t.Errorf("another URL has %q", got)
	}
}
