package digest

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/dunglas/httpsfv"
)

// Field is the header field.
const Field = "Content-Digest"

// MaxLength is how long the field may be, in bytes.
const MaxLength = 1024

// Errors of [Verify].
var (
	// ErrMissing means that there is no field.
	ErrMissing = errors.New("there is no " + Field)
	// ErrMalformed means that the field is no dictionary of byte sequences, or too long.
	ErrMalformed = errors.New("malformed " + Field)
	// ErrAlgorithm means that it has no hash by an algorithm that is good enough: sha-256 or sha-512.
	ErrAlgorithm = errors.New(Field + " has neither sha-256 nor sha-512")
	// ErrMismatch means that the content is another one.
	ErrMismatch = errors.New("the content does not have the hash that " + Field + " says")
)

// Of is the field's value for a content, by sha-256.
func Of(content []byte) string {
	sum := sha256.Sum256(content)
	text := append(make([]byte, 0, 64), "sha-256=:"...)
	return string(append(base64.StdEncoding.AppendEncode(text, sum[:]), ':'))
}

// Set puts the field for a content into a header, in place of what is there.
func Set(header http.Header, content []byte) { header.Set(Field, Of(content)) }

// algorithms are those that are good enough (RFC 9530, section 5).
var algorithms = []struct {
	name string
	sum  func([]byte) []byte
}{
	{"sha-256", func(content []byte) []byte { sum := sha256.Sum256(content); return sum[:] }},
	{"sha-512", func(content []byte) []byte { sum := sha512.Sum512(content); return sum[:] }},
}

// Verify computes the hashes of a content anew, and compares each with what the field says.
//
//keyladder:code digest-verify
func Verify(header http.Header, content []byte) error {
	fields := header.Values(Field)
	if len(fields) == 0 {
		return ErrMissing
	}
	length := 0
	for _, field := range fields {
		length += len(field)
	}
	if length > MaxLength {
		return fmt.Errorf("%w: it has %d bytes, and %d are the most", ErrMalformed, length, MaxLength)
	}
	said, err := httpsfv.UnmarshalDictionary(fields)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	compared := 0
	for _, algorithm := range algorithms {
		member, found := said.Get(algorithm.name)
		if !found {
			continue
		}
		item, _ := member.(httpsfv.Item)
		sum, ok := item.Value.([]byte)
		if !ok {
			return fmt.Errorf("%w: %s is no byte sequence", ErrMalformed, algorithm.name)
		}
		if !bytes.Equal(sum, algorithm.sum(content)) { // nothing secret is compared
			return fmt.Errorf("%w: %s", ErrMismatch, algorithm.name)
		}
		compared++
	}
	if compared == 0 {
		return ErrAlgorithm
	}
	return nil
}
