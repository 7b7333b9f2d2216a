package loot

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/binary"
	"math/bits"
	"slices"
)

const maxScalars = 1 << 18 // numbers that could be private keys, which take ten microseconds each

// Scalars finds private keys of elliptic curves in memory as the bare numbers that they
// are, 32 bytes in either order, by computing the public key of everything that could
// be one.
type Scalars struct {
	wanted map[string]*x509.Certificate // by the uncompressed point of the public key
	tried  map[[scalarSize]byte]struct{}

	Found []*ecdsa.PrivateKey
}

const scalarSize = 32 // bytes, of P-256

// NewScalars makes a search for the keys of the certificates.
func NewScalars(certificates []*x509.Certificate) *Scalars {
	s := &Scalars{wanted: map[string]*x509.Certificate{}, tried: map[[scalarSize]byte]struct{}{}}
	for _, certificate := range certificates {
		if key, ok := certificate.PublicKey.(*ecdsa.PublicKey); ok && key.Curve == elliptic.P256() && !certificate.IsCA {
			if point, err := key.Bytes(); err == nil {
				s.wanted[string(point)] = certificate
			}
		}
	}
	return s
}

// Search tries every place of a piece of memory at which a program would put a number:
// addresses that words have.
func (s *Scalars) Search(data []byte) {
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

// Tried is how many numbers were tried.
func (s *Scalars) Tried() int { return len(s.tried) }

func (s *Scalars) try(number [scalarSize]byte) {
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
		s.Found = append(s.Found, key)
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
