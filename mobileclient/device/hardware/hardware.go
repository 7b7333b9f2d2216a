package hardware

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"keyladder/internal/statefile"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
)

// Made is what the factory puts into a device.
type Made struct {
	Device evidence.Device `json:"device"`
	System pin.Pin         `json:"system"` // of the key with which the maker signs systems
	Key    []byte          `json:"key"`    // the device's: PKCS #8 in DER
	Chain  [][]byte        `json:"chain"`  // its certificate, and those that lead to the maker's root, in DER
}

// The files in the hardware's folder.
const (
	madeFile = "made.json"
	keysFile = "keys.json"
)

// Write puts what the factory has made into a folder, which becomes a device's hardware.
func (m Made) Write(dir string) error {
	data, err := json.Marshal(m)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, madeFile), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("make secure hardware: %w", err)
	}
	return nil
}

// Exists says whether a folder is secure hardware.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, madeFile))
	return err == nil
}

// App is who asks, as the system has started and measured it.
type App struct {
	Name        string                  `json:"name"`   // of its package
	Signer      pin.Pin                 `json:"signer"` // of its package
	Measurement attestation.Measurement `json:"sha256"` // of its package, when it was started
}

// MakersSystem is what devices are shipped with, as their boot loader says it.
func MakersSystem(locked bool) evidence.System {
	return evidence.System{Name: "KeelOS", Version: "1", Locked: locked}
}

// Errors of the hardware.
var (
	errBooted    = errors.New("the boot loader has spoken already")
	errNotBooted = errors.New("the boot loader has not said yet what it has started")
	errDigest    = errors.New("what is signed has to be a SHA-256, of 32 bytes")
	errApp       = errors.New("it does not say which app is asking")
)

// system is what the boot loader says that it has started, and what keys belong to.
type system = evidence.System

// appKey is an app's key, as it is kept.
type appKey struct {
	Name   string  `json:"name"`
	Signer pin.Pin `json:"signer"`
	Key    []byte  `json:"key"` // PKCS #8 in DER
}

// kept is what the hardware remembers when it has no power.
type kept struct {
	System system   `json:"system"` // for which the keys were made
	Keys   []appKey `json:"keys"`
}

// owner is whose a key is.
type owner struct {
	name   string
	signer pin.Pin
}

// part is the hardware itself. Its methods are for those who speak to it by net/rpc.
type part struct {
	dir   string
	made  Made
	key   *ecdsa.PrivateKey
	chain []*x509.Certificate
	now   func() time.Time

	mu     sync.Mutex
	booted bool
	system system
	keys   map[owner]*ecdsa.PrivateKey
}

// open reads what the factory has made.
func open(dir string) (*part, error) {
	p := &part{dir: dir, now: time.Now, keys: map[owner]*ecdsa.PrivateKey{}}
	data, err := os.ReadFile(filepath.Join(dir, madeFile))
	if err == nil {
		err = json.Unmarshal(data, &p.made)
	}
	if err == nil {
		p.key, err = private(p.made.Key)
	}
	for _, der := range p.made.Chain {
		certificate, fault := x509.ParseCertificate(der)
		p.chain, err = append(p.chain, certificate), errors.Join(err, fault)
	}
	if err != nil {
		return nil, fmt.Errorf("secure hardware: %w", err)
	}
	return p, nil
}

func private(der []byte) (*ecdsa.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	own, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("there is a %T in place of a key for ECDSA", key)
	}
	return own, nil
}

// Boot is what the boot loader says, once, before the system runs. Where the pin of a key is empty, the
// system is the maker's. Keys that belong to another system, or to this one while the boot loader was in
// its other state, are erased.
//
//keyladder:code hardware-boot
func (p *part) Boot(started system, _ *struct{}) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.booted {
		return errBooted
	}
	if started.Key == "" {
		started.Key = p.made.System
	}
	started.OEM = started.Locked && started.Key == p.made.System
	p.system = started
	data, err := os.ReadFile(filepath.Join(p.dir, keysFile))
	if errors.Is(err, fs.ErrNotExist) {
		p.booted = true
		return nil
	}
	var before kept
	if err == nil {
		err = json.Unmarshal(data, &before)
	}
	if err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	if before.System.Key != started.Key || before.System.Locked != started.Locked {
		before.Keys = nil
		if err := p.save(); err != nil {
			return err
		}
	}
	for _, k := range before.Keys {
		key, err := private(k.Key)
		if err != nil {
			return fmt.Errorf("read the key of %s: %w", k.Name, err)
		}
		p.keys[owner{k.Name, k.Signer}] = key
	}
	p.booted = true
	return nil
}

// save writes the keys; the caller holds p.mu.
func (p *part) save() error {
	all := kept{System: p.system, Keys: []appKey{}}
	for whose, key := range p.keys {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		all.Keys = append(all.Keys, appKey{Name: whose.name, Signer: whose.signer, Key: der})
	}
	data, err := json.Marshal(all)
	if err == nil {
		err = statefile.Write(filepath.Join(p.dir, keysFile), data)
	}
	if err != nil {
		return fmt.Errorf("keep the keys: %w", err)
	}
	return nil
}

// of is the key of an app, which is made where there is none.
//
//keyladder:code hardware-key
func (p *part) of(app App) (*ecdsa.PrivateKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.booted {
		return nil, errNotBooted
	}
	if app.Name == "" || app.Signer == "" {
		return nil, errApp
	}
	whose := owner{app.Name, app.Signer}
	if key := p.keys[whose]; key != nil {
		return key, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	p.keys[whose] = key
	if err := p.save(); err != nil {
		delete(p.keys, whose) // or it would be another one after the next start
		return nil, err
	}
	return key, nil
}

// Key answers with the public half of an app's key.
func (p *part) Key(app App, public *jwk.Key) error {
	key, err := p.of(app)
	if err == nil {
		*public, err = jwk.Of(&key.PublicKey)
	}
	return err
}

// Signing is what an app wants to have signed.
type Signing struct {
	App    App    `json:"app"`
	Digest []byte `json:"digest"`
}

// Sign signs a SHA-256 with an app's key.
func (p *part) Sign(what Signing, signature *[]byte) error {
	if len(what.Digest) != sha256.Size {
		return errDigest
	}
	key, err := p.of(what.App)
	if err == nil {
		*signature, err = key.Sign(rand.Reader, what.Digest, crypto.SHA256)
	}
	return err
}

// Asked is what evidence is asked for.
type Asked struct {
	App   App            `json:"app"`
	Nonce []byte         `json:"nonce"` // the verifier's
	Bound []byte         `json:"bound"` // of what the app reports along with it
	Debug evidence.Debug `json:"debug"` // of the app, as the system sees it
}

// Evidence answers with evidence about the device and an app.
//
//keyladder:code hardware-evidence
func (p *part) Evidence(asked Asked, text *string) error {
	key, err := p.of(asked.App)
	if err != nil {
		return err
	}
	public, err := jwk.Of(&key.PublicKey)
	if err != nil {
		return err
	}
	*text, err = evidence.Sign(p.key, p.chain, evidence.Claims{
		Issued: p.now(), Nonce: asked.Nonce, Bound: asked.Bound, Device: p.made.Device, System: p.system, Debug: asked.Debug,
		Package: evidence.Package{Name: asked.App.Name, Measurement: asked.App.Measurement, Signer: asked.App.Signer}, Key: public,
	})
	return err
}

// Erase erases the keys of all apps of a name.
func (p *part) Erase(name string, _ *struct{}) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.booted {
		return errNotBooted
	}
	before := len(p.keys)
	for whose := range p.keys {
		if whose.name == name {
			delete(p.keys, whose)
		}
	}
	if len(p.keys) == before {
		return nil
	}
	return p.save()
}
