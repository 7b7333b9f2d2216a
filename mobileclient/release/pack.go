package release

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Pack writes a package with the program in the file program, the assets and the
// signature of the key. The same input makes the same package.
func Pack(dst, program string, m Manifest, assets map[string][]byte, key ed25519.PrivateKey) error {
	code, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("pack the app: %w", err)
	}
	data, err := Assemble(code, m, assets, key)
	if err != nil {
		return fmt.Errorf("pack the app: %w", err)
	}
	// Written aside and renamed, so that nobody ever sees half a package.
	file, err := os.CreateTemp(filepath.Dir(dst), ".*.partial")
	if err != nil {
		return fmt.Errorf("pack the app: %w", err)
	}
	defer os.Remove(file.Name()) // gone already when all went well
	_, err = file.Write(data)
	if err == nil {
		err = file.Chmod(0o700)
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(file.Name(), dst)
	}
	if err != nil {
		return fmt.Errorf("pack the app: %w", err)
	}
	return nil
}

// Assemble makes a package in memory. Whether the code is a program is not looked at: an
// attacker packs whatever runs.
//
//keyladder:code package-pack
func Assemble(code []byte, m Manifest, assets map[string][]byte, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("the signing key is not an Ed25519 key")
	}
	if len(code) == 0 {
		return nil, fmt.Errorf("the program is empty")
	}
	if err := m.validate(); err != nil {
		return nil, err
	}
	manifest, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}

	var out bytes.Buffer
	out.Grow(len(code) + len(code)/8) // the assets are small
	out.Write(code)
	archive := zip.NewWriter(&out)
	archive.SetOffset(int64(len(code)))
	if err := add(archive, ManifestFile, manifest); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(assets)) {
		if name == ManifestFile || !fs.ValidPath(name) || name == "." {
			return nil, fmt.Errorf("an asset can't be called %q", name)
		}
		if err := add(archive, name, assets[name]); err != nil {
			return nil, err
		}
	}
	// To zip tools the signature block is the archive's comment: reserve the place.
	if err := archive.SetComment(string(make([]byte, blockSize))); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return sign(out.Bytes(), len(code), key), nil
}

// add stores an asset as it is, so that it can be found with no more than `strings`.
func add(archive *zip.Writer, name string, data []byte) error {
	w, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
