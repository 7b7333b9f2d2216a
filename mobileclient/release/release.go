package release

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// Errors of this package.
var (
	// ErrUnsigned means that the file does not end with a signature block.
	ErrUnsigned = errors.New("the package is not signed")
	// ErrSignature means that the signature does not fit the package's content.
	ErrSignature = errors.New("the package's signature does not fit its content")
	// ErrMalformed means that the file ends like a package, but is none.
	ErrMalformed = errors.New("the file is not a package")
)

// ManifestFile is the asset that holds the [Manifest].
const ManifestFile = "manifest.json"

// Manifest says what a package is.
type Manifest struct {
	Name    string   `json:"name"`    // unique on a device: com.harbourbank.app
	Label   string   `json:"label"`   // for people: Harbour Bank
	Release int      `json:"release"` // from 1
	Schemes []string `json:"schemes"` // URI schemes that it claims
}

// Package is a package whose signature fits.
type Package struct {
	Manifest
	Path   string            `json:"path"`
	Size   int64             `json:"size"`   // of the file, in bytes
	SHA256 string            `json:"sha256"` // of the file, in hex
	Signer ed25519.PublicKey `json:"signer"` // whoever it is
}

var (
	names   = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}(\.[a-z][a-z0-9]{0,31}){1,5}$`)
	schemes = regexp.MustCompile(`^[a-z][a-z0-9.-]{1,63}$`) // RFC 3986, section 3.1, without "+"

	// The schemes that the user agent serves itself, or hands to nobody.
	reserved = []string{"http", "https", "file", "data", "blob", "about", "javascript", "mailto", "tel"}
)

func (m Manifest) validate() error {
	switch {
	case !names.MatchString(m.Name):
		return fmt.Errorf("%w: the name %q is not like com.example.app", ErrMalformed, m.Name)
	case m.Label == "" || len(m.Label) > 64:
		return fmt.Errorf("%w: it has no label, or one of more than 64 bytes", ErrMalformed)
	case m.Release < 1:
		return fmt.Errorf("%w: release %d", ErrMalformed, m.Release)
	case len(m.Schemes) > 16:
		return fmt.Errorf("%w: it claims more than 16 URI schemes", ErrMalformed)
	}
	for _, scheme := range m.Schemes {
		if !schemes.MatchString(scheme) || slices.Contains(reserved, scheme) {
			return fmt.Errorf("%w: it can't claim the URI scheme %q", ErrMalformed, scheme)
		}
	}
	return nil
}
