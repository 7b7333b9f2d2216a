package attestation

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
)

// Measurement is the SHA-256 of a package, in hexadecimal digits: small letters.
type Measurement string

// Measure reads a package.
//
//keyladder:code attestation-measure
func Measure(pkg io.Reader) (Measurement, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, pkg); err != nil {
		return "", fmt.Errorf("measure the package: %w", err)
	}
	return Measurement(hex.EncodeToString(hash.Sum(nil))), nil
}

// Equal compares a measurement that was reported with that of a release. It takes the same time
// wherever they differ.
func Equal(reported, reference Measurement) bool {
	return len(reference) == hex.EncodedLen(sha256.Size) && subtle.ConstantTimeCompare([]byte(reported), []byte(reference)) == 1
}
