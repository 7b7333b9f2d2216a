// Package factory is where a maker of devices makes their secure hardware: it gives each a number, and a
// key with a certificate that leads to the maker's root. The owner of a plant can make devices that
// everybody takes for the maker's. So attacks don't have one: their phones come out of it ready-made.
package factory

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/mobileclient/device/hardware"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/pin"
)

// Model is what is made.
const Model = "Keel 1"

// Plant makes devices.
type Plant struct {
	ca     *pki.CA // that the maker's root has certified
	system pin.Pin // of the key that the maker signs systems with
}

// New opens a plant.
func New(ca *pki.CA, system pin.Pin) *Plant { return &Plant{ca, system} }

// The files of a plant in a program's folder: a pair, and the pin of the key that systems are signed
// with.
const (
	PairFile   = "plant"
	SystemFile = "system.pin"
)

// ErrNone means that a deployment has no plant: it was made before there was secure hardware.
var ErrNone = errors.New("there is no plant that makes secure hardware: this deployment is older than that")

// Open opens the plant in a program's folder. Its error wraps [ErrNone] where there is none.
func Open(folder *deployment.Folder) (*Plant, error) {
	system, err := folder.Read(SystemFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	p := &Plant{}
	if p.system, err = pin.Parse(string(system)); err != nil {
		return nil, fmt.Errorf("read %s: %w", folder.Path(SystemFile), err)
	}
	certificate, err := folder.Read(PairFile + ".pem")
	if err != nil {
		return nil, err
	}
	key, err := folder.Read(PairFile + "-key.pem")
	if err != nil {
		return nil, err
	}
	p.ca, err = pki.Load(pki.Pair{Certificate: certificate, Key: key})
	return p, err
}

// ueidBytes is the length of a random UEID; the byte before it says that it is one (RFC 9711, section
// 4.2.1.1).
const (
	ueidBytes  = 16
	ueidRandom = 1
)

// Make makes secure hardware in a folder, unless there is some already. A nil plant makes none.
//
//keyladder:code factory-make
func (p *Plant) Make(folder string) error {
	if p == nil || hardware.Exists(folder) {
		return nil
	}
	ueid := make([]byte, 1+ueidBytes)
	ueid[0] = ueidRandom
	rand.Read(ueid[1:]) // never fails
	certificate, key, err := p.ca.Device("a "+Model, base64.RawURLEncoding.EncodeToString(ueid))
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return hardware.Made{
		Device: evidence.Device{UEID: ueid, OEMID: evidence.ExamplePEN, Model: Model}, System: p.system,
		Key: der, Chain: [][]byte{certificate.Raw, p.ca.X509().Raw},
	}.Write(folder)
}
