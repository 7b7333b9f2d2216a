package deploy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"

	"keyladder/attestsvc/makers"
	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/mobileclient/factory"
	"keyladder/stages/mechanism/pin"
)

// maker makes the devices of a deployment. It has a plant for the phones that people use, and one for
// those of the workshop's scenes, so that the one can be revoked without the other.
type maker struct {
	root           *pki.CA
	phones, scenes *pki.CA
	system         *ecdsa.PrivateKey // with which it signs systems
}

func newMaker() (m maker, err error) {
	m.root, err = pki.NewRoot("Keel Devices")
	if err == nil {
		m.phones, err = m.root.Intermediate("Keel Devices, plant 1")
	}
	if err == nil {
		m.scenes, err = m.root.Intermediate("Keel Devices, plant 2")
	}
	if err == nil {
		m.system, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return m, err
}

// writePlant gives a program one of the plants.
func (m maker) writePlant(w *deployment.Writer, plant *pki.CA) error {
	system, err := pin.OfKey(m.system.Public())
	if err != nil {
		return err
	}
	return errors.Join(w.Pair(factory.PairFile, plant.Pair), w.File(factory.SystemFile, []byte(system)))
}

// writeKnown tells the attestation service which devices to believe, and which systems are the maker's.
func (m maker) writeKnown(w *deployment.Writer) error {
	system, err := pin.OfKey(m.system.Public())
	if err != nil {
		return err
	}
	known, err := json.MarshalIndent(makers.Known{
		Intermediates: []makers.Certificate{makers.Of(m.phones.X509()), makers.Of(m.scenes.X509())},
		Systems:       []makers.System{{Key: system, Name: "KeelOS, by Keel Devices"}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(w.File(makers.RootsFile, m.root.Certificate), w.File(makers.KnownFile, known))
}

// writeOffline keeps what no program needs.
func (m maker) writeOffline(w *deployment.Writer) error {
	key, _, err := keyFiles(m.system)
	return errors.Join(err, w.Pair("maker", m.root.Pair), w.File("system-key.pem", key))
}

// keyFiles are a key, as PKCS #8, and its public half, in PEM.
func keyFiles(key *ecdsa.PrivateKey) (private, public []byte, err error) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), err
}
