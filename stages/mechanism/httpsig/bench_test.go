package httpsig_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"testing"

	"keyladder/stages/mechanism/httpsig"
)

// The two bare operations are what the others are to be compared with: all that is done beside one
// of them costs a fraction of it.

func BenchmarkECDSASign(b *testing.B) {
	key, sum := testKey(b), sha256.Sum256([]byte(order))
	for b.Loop() {
		if _, err := ecdsa.SignASN1(rand.Reader, key, sum[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkECDSAVerify(b *testing.B) {
	key, sum := testKey(b), sha256.Sum256([]byte(order))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !ecdsa.VerifyASN1(&key.PublicKey, sum[:], signature) {
			b.Fatal("not good")
		}
	}
}

func BenchmarkSignRequest(b *testing.B) {
	key := testKey(b)
	b.ReportAllocs()
	for b.Loop() {
		m := transfer()
		if _, err := httpsig.SignRequest(m, []byte(order), key, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyRequest(b *testing.B) {
	key, m := publicOf(b, testKey(b)), transfer()
	signed(b, m, order)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := httpsig.VerifyRequest(m, []byte(order), key, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignResponse(b *testing.B) {
	key, m := testKey(b), transfer()
	signed(b, m, order)
	received, _, err := httpsig.VerifyRequest(m, []byte(order), publicOf(b, key), noon)
	if err != nil {
		b.Fatal(err)
	}
	by := responder(b, key)
	b.ReportAllocs()
	for b.Loop() {
		header := http.Header{"Content-Type": {"application/json"}}
		if err := received.SignResponse(201, header, []byte(order), by, noon); err != nil {
			b.Fatal(err)
		}
	}
}
