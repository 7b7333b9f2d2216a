// Package customers knows the customers of the rates API by the keys that they send.
package customers

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
)

// Field is where a customer sends its key.
const Field = "Api-Key"

// Key is a customer's, as [File] has it.
type Key struct {
	Customer string `json:"customer"`
	SHA256   string `json:"sha256"` // of the key, in hex: it has 128 random bits and more, so that nobody finds it by its hash
}

// File is the file in the folder of the role rates with the keys of all customers: a list of [Key].
const File = "keys.json"

// Hash is what the server keeps of a key.
func Hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// Errors of [Keys.Customer].
var (
	ErrMissing = errors.New("the request carries no key")
	ErrTwice   = errors.New("the request carries more than one key")
	ErrUnknown = errors.New("nobody has that key")
)

// Keys are those of all customers.
type Keys []Key

// New looks at keys once: later they are only compared.
func New(of []Key) (Keys, error) {
	if len(of) == 0 {
		return nil, errors.New("there are no customers")
	}
	seen := map[string]bool{}
	for _, key := range of {
		if sum, err := hex.DecodeString(key.SHA256); err != nil || len(sum) != sha256.Size || key.Customer == "" {
			return nil, fmt.Errorf("the key of %q: no customer, or no SHA-256 in hex", key.Customer)
		}
		if seen[key.Customer] || seen[key.SHA256] {
			return nil, fmt.Errorf("the key of %q, or the customer, is there twice", key.Customer)
		}
		seen[key.Customer], seen[key.SHA256] = true, true
	}
	return of, nil
}

// Customer is whose key a request carries. It looks at all keys, in a time that says nothing about
// them.
//
//keyladder:code rates-key
func (k Keys) Customer(r *http.Request) (string, error) {
	fields := r.Header.Values(Field)
	switch {
	case len(fields) > 1:
		return "", ErrTwice
	case len(fields) == 0 || fields[0] == "":
		return "", ErrMissing
	}
	shown, found := []byte(Hash(fields[0])), ""
	for _, key := range k {
		if subtle.ConstantTimeCompare(shown, []byte(key.SHA256)) == 1 {
			found = key.Customer
		}
	}
	if found == "" {
		return "", ErrUnknown
	}
	return found, nil
}
