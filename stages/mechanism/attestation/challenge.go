package attestation

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
)

const (
	nonceBytes = 32
	mostRanges = 4096
	mostBytes  = 64 << 20 // in all ranges
	version    = "keyladder attestation 1\n"
)

// Range is a part of a package. One that goes past the end goes on at the beginning.
type Range struct {
	Offset int64 `json:"offset"` // of the first byte, from 0 on
	Length int64 `json:"length"` // in bytes
}

// Challenge is what is asked for.
type Challenge struct {
	Nonce  []byte  `json:"nonce,omitempty"` // base64 in JSON
	Ranges []Range `json:"ranges,omitempty"`
}

// ErrChallenge means that a challenge can't be made, or not be answered.
var ErrChallenge = errors.New("that is no challenge")

// NewChallenge asks for count ranges of length bytes each of a package of size bytes. Every
// byte of it has the same chance to be asked for.
//
//keyladder:code attestation-challenge
func NewChallenge(size, count, length int64) (Challenge, error) {
	if size < 1 || count < 1 || length < 1 || count > mostRanges || length > mostBytes/count {
		return Challenge{}, fmt.Errorf("%w: %d ranges of %d bytes out of %d", ErrChallenge, count, length, size)
	}
	c := Challenge{Nonce: make([]byte, nonceBytes), Ranges: make([]Range, count)}
	rand.Read(c.Nonce) // never fails
	for i := range c.Ranges {
		offset, err := rand.Int(rand.Reader, big.NewInt(size))
		if err != nil {
			return Challenge{}, fmt.Errorf("make a challenge: %w", err)
		}
		c.Ranges[i] = Range{Offset: offset.Int64(), Length: min(length, size)}
	}
	return c, nil
}

// NewNonce is a challenge for a device, which measures packages by itself: a nonce without ranges.
func NewNonce() Challenge {
	c := Challenge{Nonce: make([]byte, nonceBytes)}
	rand.Read(c.Nonce) // never fails
	return c
}

// ForDevice says whether it is the device that is asked, and not the app.
func (c Challenge) ForDevice() bool { return len(c.Nonce) > 0 && len(c.Ranges) == 0 }

// Missed is the probability that count ranges of length bytes each miss a certain byte of a
// package of size bytes.
func Missed(size, count, length int64) float64 {
	return math.Pow(1-float64(min(length, size))/float64(size), float64(count))
}

// check refuses what could not be made by [NewChallenge] for a package of that size.
func (c Challenge) check(size int64) error {
	if len(c.Nonce) != nonceBytes || len(c.Ranges) == 0 || len(c.Ranges) > mostRanges {
		return fmt.Errorf("%w: a nonce of %d bytes and %d ranges", ErrChallenge, len(c.Nonce), len(c.Ranges))
	}
	var sum int64
	for _, r := range c.Ranges {
		if r.Offset < 0 || r.Offset >= size || r.Length < 1 || r.Length > size {
			return fmt.Errorf("%w: %d bytes from %d on, out of %d", ErrChallenge, r.Length, r.Offset, size)
		}
		if sum += r.Length; sum > mostBytes {
			return fmt.Errorf("%w: more than %d bytes", ErrChallenge, mostBytes)
		}
	}
	return nil
}

// Findings are what an app finds out about its surroundings. They are as good as the app is: one
// that was changed, or is told lies by its device, reports what its owner likes.
type Findings struct {
	Traced      bool `json:"traced"`       // a debugger traces it
	Injected    bool `json:"injected"`     // code was loaded into it that is not its own
	Unlocked    bool `json:"unlocked"`     // the device says that its owner can change its system
	OtherSigner bool `json:"other_signer"` // its package is signed by somebody else than its developer
	Intercepted bool `json:"intercepted"`  // a server showed a certificate whose key is not a pinned one
}

// Code is the findings in a byte: traced 1, injected 2, unlocked 4, other signer 8, intercepted 16.
func (f Findings) Code() byte {
	var code byte
	for i, found := range []bool{f.Traced, f.Injected, f.Unlocked, f.OtherSigner, f.Intercepted} {
		if found {
			code |= 1 << i
		}
	}
	return code
}

// Answer is the digest over a package of size bytes and what was found. Both sides compute it:
// the app over the package that it is, the verifier over the one that was published. It reads
// the ranges and nothing else.
//
//keyladder:code attestation-answer
func (c Challenge) Answer(pkg io.ReaderAt, size int64, found Findings) ([]byte, error) {
	if err := c.check(size); err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, c.Nonce)
	io.WriteString(mac, version) // a hash takes whatever it is given
	numbers := binary.BigEndian.AppendUint64(nil, uint64(len(c.Ranges)))
	for _, r := range c.Ranges {
		numbers = binary.BigEndian.AppendUint64(numbers, uint64(r.Offset))
		numbers = binary.BigEndian.AppendUint64(numbers, uint64(r.Length))
	}
	mac.Write(append(numbers, found.Code()))
	buffer := make([]byte, bufferBytes)
	for _, r := range c.Ranges {
		for at, left := r.Offset, r.Length; left > 0; {
			part := buffer[:min(left, size-at, bufferBytes)]
			if n, err := pkg.ReadAt(part, at); n < len(part) {
				return nil, fmt.Errorf("read %d bytes of the package: %d, %w", len(part), n, errors.Join(err, io.ErrUnexpectedEOF))
			}
			mac.Write(part)
			left -= int64(len(part))
			if at += int64(len(part)); at == size {
				at = 0
			}
		}
	}
	return mac.Sum(nil), nil
}

// bufferBytes is how much of a package is in memory at once.
const bufferBytes = 16 << 10

// Fits says whether an answer is the one over that package and those findings.
func (c Challenge) Fits(answer []byte, pkg io.ReaderAt, size int64, found Findings) (bool, error) {
	right, err := c.Answer(pkg, size, found)
	if err != nil {
		return false, err
	}
	return EqualAnswers(answer, right), nil
}

// EqualAnswers compares an answer with the right one, in a time that does not depend on where they
// differ.
func EqualAnswers(answer, right []byte) bool { return hmac.Equal(answer, right) }
