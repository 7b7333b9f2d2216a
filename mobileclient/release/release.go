package release

import (
	"context"
	"crypto/ed25519"
	"errors"
)

// Errors of this package.
var (
	// ErrUnsigned means that the file ends without a signature block.
	ErrUnsigned = errors.New("the package is not signed")
	// ErrSignature means that the signature does not fit the package's content.
	ErrSignature = errors.New("the package's signature does not fit its content")
)

// Manifest says what a package is. It is the asset manifest.json.
type Manifest struct {
	Name    string   `json:"name"`    // unique on a device: com.harbourbank.app
	Label   string   `json:"label"`   // for people: Harbour Bank
	Release int      `json:"release"` // 1 to 3
	Schemes []string `json:"schemes"` // URI schemes that it claims
}

// Package is a package whose signature fits.
type Package struct {
	Manifest
	Path   string
	Size   int64             // of the file, in bytes
	SHA256 string            // of the file, in hex
	Signer ed25519.PublicKey // whoever it is
}

var errTODO = errors.New("release: not written yet")

// BuildProgram builds the genuine app's program for this machine into the file dst.
func BuildProgram(ctx context.Context, dst string) error { return errTODO }

// Pack writes a package.
func Pack(dst, program string, m Manifest, assets map[string][]byte, key ed25519.PrivateKey) error {
	return errTODO
}

// Open reads a package and verifies its signature.
func Open(path string) (*Package, error) { return nil, errTODO }

// Read takes a package apart without looking at its signature, as anybody can.
func Read(path string) (program []byte, m Manifest, assets map[string][]byte, err error) {
	return nil, Manifest{}, nil, errTODO
}
