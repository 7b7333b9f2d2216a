// Package deployment knows where the programs of one deployment find their settings,
// keys and certificates.
//
// A deployment is a folder with a sub-folder per role, so that each program can be
// given its own and nobody else's. `stages init` writes them; each holds a manifest,
// deployment.json, that is written last and lists the hash of every other file. So a
// folder that was left half-written, or changed later, is noticed and not used.
package deployment

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"keyladder/internal/pki"
	"keyladder/internal/statefile"
)

const (
	manifestFile = "deployment.json"
	layout       = 8 // version of the files' names and contents
)

// Manifest describes a role's folder.
type Manifest struct {
	ID        string            `json:"id"` // the same in all folders of a deployment
	Layout    int               `json:"layout"`
	CreatedAt time.Time         `json:"created_at"`
	Addresses Addresses         `json:"addresses"`
	Files     map[string]string `json:"files"` // path in the folder → hex SHA-256

	// Next is what files are being replaced with. It is empty but while [Folder.Replace]
	// is at work, or where it was interrupted: then each of them is the old one or this.
	Next map[string]string `json:"next,omitempty"`
}

// BenchFile is the file, in the folder of the role admin, with what `stages bench --keep` has measured. It is
// in no manifest: it says something about the machine, and nothing that a program depends on.
const BenchFile = "bench.json"

// ForwardingKey is the file with the key that gateway and API share: with it the one tells the other
// who calls.
const ForwardingKey = "forwarding.json"

// The attestation service signs client attestations with a key, PKCS #8 in PEM; who authenticates clients
// by them has its public half, SubjectPublicKeyInfo in PEM.
const (
	AttesterKeyFile = "attester-key.pem"
	AttesterFile    = "attester.pem"
)

// Folder is a role's folder that was found to be whole.
type Folder struct {
	Role Role
	Dir  string
	Manifest
}

// Client is what a program shows that is itself a client of OAuth.
type Client struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// Errors of [Open].
var (
	ErrMissing = errors.New("has not been made yet")
	ErrPartial = errors.New("was left half-written")
	ErrChanged = errors.New("was changed after it was made")
)

// Open checks a role's folder under dir and returns it. Files that the manifest does
// not list, such as databases, are left alone. App packages only have to be there: they are
// signed, which whoever opens one verifies (see package release), and they are large.
func Open(dir string, role Role) (*Folder, error) {
	folder := &Folder{Role: role, Dir: filepath.Join(dir, string(role))}
	data, err := os.ReadFile(filepath.Join(folder.Dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(folder.Dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
			return nil, fmt.Errorf("the folder %s %w: run `stages init`", folder.Dir, ErrMissing)
		} else if err != nil {
			return nil, fmt.Errorf("read the deployment: %w", err)
		}
		return nil, fmt.Errorf("the folder %s %w: run `stages init`, which makes it anew", folder.Dir, ErrPartial)
	}
	if err != nil {
		return nil, fmt.Errorf("read the deployment: %w", err)
	}
	if err := json.Unmarshal(data, &folder.Manifest); err != nil {
		return nil, fmt.Errorf("the folder %s %w (%s is not JSON): run `stages reset`", folder.Dir, ErrChanged, manifestFile)
	}
	if folder.Layout != layout {
		return nil, fmt.Errorf("the folder %s was made by another version of this program: run `stages reset`", folder.Dir)
	}
	names := maps.Clone(folder.Files)
	maps.Copy(names, folder.Next)
	for name := range names {
		old, next := folder.Files[name], folder.Next[name]
		if isPackage(name) && next == "" {
			if _, err := os.Stat(folder.Path(name)); err != nil {
				return nil, fmt.Errorf("the folder %s %w (%s can't be read): run `stages reset`", folder.Dir, ErrChanged, name)
			}
			continue
		}
		data, err := os.ReadFile(folder.Path(name))
		if errors.Is(err, fs.ErrNotExist) && old == "" {
			continue // was about to be added
		}
		if err != nil {
			return nil, fmt.Errorf("the folder %s %w (%s can't be read): run `stages reset`", folder.Dir, ErrChanged, name)
		}
		is := hash(data)
		if is != old && is != next {
			return nil, fmt.Errorf("the folder %s %w (%s): run `stages reset`", folder.Dir, ErrChanged, name)
		}
		folder.Files[name] = is
	}
	folder.Next = nil
	return folder, nil
}

// Writer writes one role's folder. Nothing counts until Close has written the
// manifest.
type Writer struct {
	role     Role
	dir      string
	manifest Manifest
}

// NewWriter empties what is left of an unfinished folder and starts to write it.
func NewWriter(dir string, role Role, id string, created time.Time, addresses Addresses) (*Writer, error) {
	w := &Writer{
		role:     role,
		dir:      filepath.Join(dir, string(role)),
		manifest: Manifest{ID: id, Layout: layout, CreatedAt: created, Addresses: addresses, Files: map[string]string{}},
	}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder of the deployment: %w", err)
	}
	entries, err := os.ReadDir(w.dir) // the folder itself may be a mount point, so it stays
	if err != nil {
		return nil, fmt.Errorf("read a folder of the deployment: %w", err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(w.dir, entry.Name())); err != nil {
			return nil, fmt.Errorf("clear what was left half-written: %w", err)
		}
	}
	return w, nil
}

// Role is whose folder it is.
func (w *Writer) Role() Role { return w.role }

// File writes a file, readable by its owner alone.
func (w *Writer) File(name string, data []byte) error {
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write the deployment: %w", err)
	}
	if err := statefile.Replace(path, data); err != nil {
		return fmt.Errorf("write the deployment: %w", err)
	}
	w.manifest.Files[name] = hash(data)
	return nil
}

// Same has a file be the one that another folder has: under one more name, or as a copy where the
// folders are on different disks.
func (w *Writer) Same(name string, other *Writer) error {
	from := filepath.Join(other.dir, name)
	if err := os.Link(from, filepath.Join(w.dir, name)); err != nil {
		data, err := os.ReadFile(from)
		if err != nil {
			return fmt.Errorf("write the deployment: %w", err)
		}
		return w.File(name, data)
	}
	w.manifest.Files[name] = other.manifest.Files[name]
	return nil
}

// Pair writes a certificate and its key as name.pem and name-key.pem.
func (w *Writer) Pair(name string, pair pki.Pair) error {
	return errors.Join(w.File(name+".pem", pair.Certificate), w.File(name+"-key.pem", pair.Key))
}

// Close writes the manifest: from here on the folder counts.
func (w *Writer) Close() error {
	data, err := json.MarshalIndent(w.manifest, "", "  ")
	if err != nil {
		return err
	}
	// The files are in their places, for good, before the manifest says so.
	folders := map[string]bool{w.dir: true}
	for name := range w.manifest.Files {
		folders[filepath.Dir(filepath.Join(w.dir, name))] = true
	}
	for folder := range folders {
		if err := statefile.Sync(folder); err != nil {
			return fmt.Errorf("write the deployment: %w", err)
		}
	}
	err = errors.Join(statefile.Replace(filepath.Join(w.dir, manifestFile), data), statefile.Sync(w.dir))
	if err != nil {
		return fmt.Errorf("write the deployment: %w", err)
	}
	return nil
}

// Replace writes files of the folder anew, or adds them. A crash in between leaves some
// files old and some new, each of them whole: the folder can be used, and Replace called
// again.
func (f *Folder) Replace(files map[string][]byte) error {
	for _, step := range f.replacing(files) {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// replacing is Replace, step by step: the manifest says what is going to be there, the
// files follow one by one, and the manifest says that they are there.
func (f *Folder) replacing(files map[string][]byte) []func() error {
	w := &Writer{dir: f.Dir, manifest: f.Manifest}
	w.manifest.Files, w.manifest.Next = maps.Clone(f.Files), map[string]string{}
	for name, data := range files {
		w.manifest.Next[name] = hash(data)
	}
	steps := []func() error{w.Close}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		steps = append(steps, func() error { return w.File(name, files[name]) })
	}
	return append(steps, func() error {
		w.manifest.Next = nil
		return w.Close()
	})
}

// Path is where the folder keeps a file.
func (f *Folder) Path(name string) string { return filepath.Join(f.Dir, name) }

// Read reads a file of the manifest.
func (f *Folder) Read(name string) ([]byte, error) {
	data, err := os.ReadFile(f.Path(name))
	if err != nil {
		return nil, fmt.Errorf("read the deployment: %w", err)
	}
	return data, nil
}

// JSON reads a file of the manifest into v.
func (f *Folder) JSON(name string, v any) error {
	data, err := f.Read(name)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("read %s: %w", f.Path(name), err)
	}
	return nil
}

// Pair reads a certificate and its key.
func (f *Folder) Pair(name string) (tls.Certificate, error) {
	certificate, err := f.Read(name + ".pem")
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := f.Read(name + "-key.pem")
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read %s: %w", f.Path(name), err)
	}
	return pair, nil
}

// Pool reads certificates of authorities.
func (f *Folder) Pool(name string) (*x509.CertPool, error) {
	data, err := f.Read(name)
	if err != nil {
		return nil, err
	}
	pool, err := pki.Pool(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Path(name), err)
	}
	return pool, nil
}

// Packages are the paths of the app packages in the folder, in order of their names.
func (f *Folder) Packages() []string {
	var packages []string
	for name := range f.Files {
		if isPackage(name) {
			packages = append(packages, f.Path(name))
		}
	}
	slices.Sort(packages)
	return packages
}

// isPackage tells whether a file is the package of an app.
func isPackage(name string) bool { return filepath.Ext(name) == ".pkg" }

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
