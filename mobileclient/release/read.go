package release

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// The signature block, the last bytes of a package. The signature is over the magic and the
// SHA-256 of everything before the signature: program, assets, length and signer. Ed25519
// alone would hash all of that once to verify it and twice to sign it, with SHA-512, and the
// package is measured with SHA-256 anyway.
//
//	8 bytes   length of the program, big endian
//	32 bytes  Ed25519 public key of the signer
//	64 bytes  Ed25519 signature (RFC 8032)
//	16 bytes  magic
const (
	magic     = "Keyladder pkg 2\n"
	blockSize = 8 + ed25519.PublicKeySize + ed25519.SignatureSize + len(magic)
	tailSize  = ed25519.SignatureSize + len(magic) // what is not signed
)

// toSign is what the signature of a package is made over.
func toSign(sha256 []byte) []byte { return append([]byte(magic), sha256...) }

// Packages come from strangers: bounds on what they can make a reader hold.
const (
	maxPackage = 256 << 20 // bytes of the whole file
	maxAssets  = 16 << 20  // bytes of all assets
	maxCount   = 1000      // number of assets
)

// sign fills in the block at the end of data, where pack has reserved its place.
func sign(data []byte, program int, key ed25519.PrivateKey) []byte {
	block := data[len(data)-blockSize:]
	binary.BigEndian.PutUint64(block, uint64(program))
	copy(block[8:], key.Public().(ed25519.PublicKey))
	signed := data[:len(data)-tailSize]
	sum := sha256.Sum256(signed)
	copy(data[len(signed):], ed25519.Sign(key, toSign(sum[:])))
	copy(data[len(data)-len(magic):], magic)
	return data
}

// Open reads a package and verifies that its signature, by whomever, fits. It returns
// [ErrUnsigned], [ErrSignature] or [ErrMalformed] where it is not as it should be.
func Open(path string) (*Package, error) {
	data := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(data)
	data.Reset()
	if err := readFile(path, data); err != nil {
		return nil, err
	}
	p, err := Verify(data.Bytes())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	p.Path = path
	return p, nil
}

// buffers are what packages of 10 MB are read into, where nothing of them is kept.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Verify is Open for a package in memory, which has no path.
func Verify(data []byte) (*Package, error) {
	r, size := bytes.NewReader(data), int64(len(data))
	signer, sum, err := Measure(r, size)
	if err != nil {
		return nil, err
	}
	// Only now is the rest looked at: a parser that has not been given to a stranger
	// can't be attacked by one.
	program, _, err := block(r, size)
	if err != nil {
		return nil, err
	}
	m, _, err := archive(r, size, program)
	if err != nil {
		return nil, err
	}
	return &Package{Manifest: m, Size: size, SHA256: sum, Signer: signer}, nil
}

// Measure reads a package of that size from front to back, once: who has signed it, and its
// SHA-256, in hex. Its error is [ErrUnsigned], [ErrSignature] or [ErrMalformed] where the signature
// is not as it should be. The assets are not looked at.
//
//keyladder:code package-open
func Measure(pkg io.ReaderAt, size int64) (signer ed25519.PublicKey, sha256sum string, err error) {
	_, signer, err = block(pkg, size)
	if err != nil {
		return nil, "", err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(pkg, 0, size-int64(tailSize))); err != nil {
		return nil, "", fmt.Errorf("read the package: %w", err)
	}
	tail := make([]byte, tailSize)
	if _, err := pkg.ReadAt(tail, size-int64(tailSize)); err != nil {
		return nil, "", fmt.Errorf("read the signature: %w", err)
	}
	if !ed25519.Verify(signer, toSign(hash.Sum(nil)), tail[:ed25519.SignatureSize]) {
		return nil, "", ErrSignature
	}
	hash.Write(tail) // the measurement is of the whole package
	return signer, hex.EncodeToString(hash.Sum(nil)), nil
}

// Read takes a package apart without looking at its signature, as anybody can.
func Read(path string) (program []byte, m Manifest, assets map[string][]byte, err error) {
	var data bytes.Buffer
	if err := readFile(path, &data); err != nil {
		return nil, Manifest{}, nil, err
	}
	program, m, assets, err = read(data.Bytes())
	if err != nil {
		return nil, Manifest{}, nil, fmt.Errorf("read %s: %w", path, err)
	}
	return program, m, assets, nil
}

func read(data []byte) (program []byte, m Manifest, assets map[string][]byte, err error) {
	length, _, err := block(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, Manifest{}, nil, err
	}
	m, assets, err = archive(bytes.NewReader(data), int64(len(data)), length)
	if err != nil {
		return nil, Manifest{}, nil, err
	}
	return data[:length], m, assets, nil
}

// Assets reads manifest and assets, without the program and without looking at the
// signature: what an app does with its own executable, which the device has checked.
func Assets(path string) (Manifest, map[string][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("read the package: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("read the package: %w", err)
	}
	program, _, err := block(file, info.Size())
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("read %s: %w", path, err)
	}
	m, assets, err := archive(file, info.Size(), program)
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("read %s: %w", path, err)
	}
	return m, assets, nil
}

// block reads the signature block of a package of the given size.
func block(r io.ReaderAt, size int64) (program int64, signer ed25519.PublicKey, err error) {
	if size < int64(blockSize) {
		return 0, nil, ErrUnsigned
	}
	b := make([]byte, blockSize)
	if _, err := r.ReadAt(b, size-int64(blockSize)); err != nil {
		return 0, nil, fmt.Errorf("read the signature: %w", err)
	}
	if string(b[blockSize-len(magic):]) != magic {
		return 0, nil, ErrUnsigned
	}
	length := binary.BigEndian.Uint64(b)
	if length == 0 || length > uint64(size)-uint64(blockSize) {
		return 0, nil, fmt.Errorf("%w: a program of %d bytes does not fit into it", ErrMalformed, length)
	}
	return int64(length), ed25519.PublicKey(b[8 : 8+ed25519.PublicKeySize]), nil
}

// archive reads the assets that follow the program.
func archive(r io.ReaderAt, size, program int64) (Manifest, map[string][]byte, error) {
	var m Manifest
	zr, err := zip.NewReader(r, size)
	if err != nil {
		return m, nil, fmt.Errorf("%w: its assets can't be read: %w", ErrMalformed, err)
	}
	if len(zr.File) > maxCount {
		return m, nil, fmt.Errorf("%w: more than %d assets", ErrMalformed, maxCount)
	}
	assets := make(map[string][]byte, len(zr.File))
	var manifest []byte
	total := int64(0)
	for _, file := range zr.File {
		offset, err := file.DataOffset()
		if err != nil || offset < program {
			return m, nil, fmt.Errorf("%w: %q does not lie behind the program", ErrMalformed, file.Name)
		}
		_, twice := assets[file.Name]
		if twice || !fs.ValidPath(file.Name) || file.Name == ManifestFile && manifest != nil {
			return m, nil, fmt.Errorf("%w: the asset name %q is not usable, or there twice", ErrMalformed, file.Name)
		}
		data, err := content(file, maxAssets-total)
		if err != nil {
			return m, nil, fmt.Errorf("%w: %q: %w", ErrMalformed, file.Name, err)
		}
		total += int64(len(data))
		if file.Name == ManifestFile {
			manifest = data
		} else {
			assets[file.Name] = data
		}
	}
	if manifest == nil {
		return m, nil, fmt.Errorf("%w: it has no %s", ErrMalformed, ManifestFile)
	}
	decoder := json.NewDecoder(bytes.NewReader(manifest))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return m, nil, fmt.Errorf("%w: %s: %w", ErrMalformed, ManifestFile, err)
	}
	return m, assets, m.validate()
}

var errTooLarge = errors.New("the assets are too large")

// content reads an asset of at most limit bytes, whatever its header promises.
func content(file *zip.File, limit int64) ([]byte, error) {
	r, err := file.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, errTooLarge
	}
	return data, nil
}

func readFile(path string, into *bytes.Buffer) error {
	file, err := File(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read the package: %w", err)
	}
	into.Grow(int(info.Size()) + bytes.MinRead) // so much more than there is, ReadFrom has to have room for
	if _, err := into.ReadFrom(file); err != nil {
		return fmt.Errorf("read the package: %w", err)
	}
	return nil
}

// File opens a file that can be a package: [ErrMalformed] if it is too large for one, or no file.
func File(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the package: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxPackage {
		return nil, fmt.Errorf("read %s: %w: not a file of at most %d MiB", path, ErrMalformed, maxPackage>>20)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the package: %w", err)
	}
	return file, nil
}
