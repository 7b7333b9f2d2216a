package server

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"keyladder/attestsvc/level"
	"keyladder/attestsvc/makers"
	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/jwk"
)

// errOld means that a deployment lacks what a stage needs.
var errOld = errors.New("the deployment does not know makers of devices: run `stages reset`")

// knowMakers reads which devices are believed, and the key for client attestations. A stage whose apps
// are looked at by their devices can't do without.
func (s *Server) knowMakers(ctx context.Context) error {
	folder := s.config.Folder
	var known makers.Known
	roots, err := folder.Read(makers.RootsFile)
	missing := errors.Is(err, fs.ErrNotExist)
	if missing && slices.ContainsFunc(s.config.Stages.Built(), func(stage catalog.Stage) bool {
		looked, _ := level.Of(stage.Attestation.Level)
		return looked.Device
	}) {
		return errOld
	}
	if !missing {
		if err != nil {
			return err
		}
		if err := folder.JSON(makers.KnownFile, &known); err != nil {
			return err
		}
		certificates, err := pki.Certificates(roots)
		if err != nil {
			return fmt.Errorf("read %s: %w", folder.Path(makers.RootsFile), err)
		}
		s.trust.Roots = x509.NewCertPool()
		for _, root := range certificates {
			s.trust.Roots.AddCert(root)
			known.Roots = append(known.Roots, makers.Of(root))
		}
		if s.attester, err = attesterOf(folder); err != nil {
			return err
		}
	}
	if s.makers, err = makers.Open(ctx, s.db, known, s.config.Now); err != nil {
		return err
	}
	s.trust.Revoked, s.trust.Accepts = s.makers.Revoked, s.makers.Accepts
	return nil
}

func attesterOf(folder *deployment.Folder) (crypto.Signer, error) {
	data, err := folder.Read(deployment.AttesterKeyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("read %s: no PEM in it", folder.Path(deployment.AttesterKeyFile))
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", folder.Path(deployment.AttesterKeyFile), err)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read %s: a %T in it", folder.Path(deployment.AttesterKeyFile), key)
	}
	if _, err := jwk.OfSigner(signer); err != nil {
		return nil, fmt.Errorf("read %s: %w", folder.Path(deployment.AttesterKeyFile), err)
	}
	return signer, nil
}

// confirmed is the key that an app's tokens are bound to: the one that it says is its own, whether that
// is believed or not, so that a token which is good nowhere looks like all others. Evidence that names
// none gets a token for a key that nobody has.
func confirmed(text string) (jwk.Key, error) {
	if key, err := evidence.KeyOf(text); err == nil {
		return key, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return jwk.Key{}, fmt.Errorf("make a key: %w", err)
	}
	return jwk.OfSigner(key)
}

// holder is the key that a token names, for the result; nil: it names none.
func holder(said integrity.Claims) *jwk.Key {
	if said.Key == (jwk.Key{}) {
		return nil
	}
	return &said.Key
}

// attestClient makes a client attestation that says of the app what its client integrity token says, for
// authorization servers, which need not know these. It makes both kinds, so that it takes the same time,
// and returns the one that is due.
//
//keyladder:code attestation-client
func (s *Server) attestClient(said integrity.Claims, good bool) (string, error) {
	key, err := jwk.OfSigner(s.attester)
	if err != nil {
		return "", err
	}
	claims := clientattestation.Claims{
		ClientID: said.ClientID, Issued: said.Issued, Expires: said.Expires, Key: said.Key, Device: said.Device, Release: said.Release,
	}
	failing, err := clientattestation.Fail(key.Thumbprint(), claims)
	if err != nil {
		return "", err
	}
	right, err := clientattestation.Sign(s.attester, key.Thumbprint(), claims)
	if err != nil || !good {
		return failing, err
	}
	return right, nil
}
