package jwk

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"
)

// TestASN1 writes signatures as package ecdsa has them, and reads them again: also such whose numbers begin
// with zeros, or would be negative.
func TestASN1(t *testing.T) {
	t.Parallel()
	number := func(from ...byte) []byte { return append(make([]byte, coordinate-len(from)), from...) }
	largest := bytes.Repeat([]byte{0xff}, coordinate)
	for _, r := range [][]byte{number(), number(1), number(0x7f), number(0x80), number(1, 0), largest} {
		for _, s := range [][]byte{number(), number(2), number(0xff, 0), largest} {
			signature := append(bytes.Clone(r), s...)
			if got, err := raw(inASN1(signature)); err != nil || !bytes.Equal(got, signature) {
				t.Errorf("%x becomes %x, %v", signature, got, err)
			}
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte("signed"))
	for range 600 { // one in 128 has a number that begins with a zero
		signature, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
		if err != nil {
			t.Fatal(err)
		}
		both, err := raw(signature)
		if err != nil || !bytes.Equal(inASN1(both), signature) {
			t.Fatalf("%x becomes %x, %v", signature, inASN1(both), err)
		}
	}
}
