package deploy

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
)

// PackOptions are what goes into the packages of the bank's apps.
type PackOptions struct {
	Program   string // path of the app's program; release 2 can have another: see [release.Program]
	Stages    catalog.Set
	Addresses deployment.Addresses
	Developer ed25519.PrivateKey  // signs them
	Secrets   map[string]string   // by key
	Clients   map[string]pki.Pair // client certificates, by client ID
	Servers   []pki.Pair          // whose public keys are pinned: in use, and the backup
}

// Pack makes the packages of all apps and releases, by their file names.
func Pack(o PackOptions) (map[string][]byte, error) {
	var pins []string
	for _, server := range o.Servers {
		p, err := pinOf(server)
		if err != nil {
			return nil, err
		}
		pins = append(pins, string(p))
	}
	folder, err := os.MkdirTemp("", "keyladder-package-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	packages := map[string][]byte{}
	for _, product := range products {
		for _, number := range product.releases {
			settings := release.Settings{
				ClientID:          product.clientID,
				SharedSecret:      o.Secrets[product.clientID],
				ClientCertificate: string(o.Clients[product.clientID].Certificate),
				ClientKey:         string(o.Clients[product.clientID].Key),
				ServerPins:        pins,
				APIPlain:          o.Addresses.Plain,
				APITLS:            o.Addresses.TLS,
				TransferCap:       catalog.TransferCap,
				Stages:            map[string]catalog.Policy{},
			}
			secrets := catalog.ClearSecrets
			for _, stage := range o.Stages.Built() {
				if stage.Release == number {
					settings.Stages[stage.Slug] = stage.Policy
					secrets = stage.Policy.Secrets
				}
			}
			if len(settings.Stages) == 0 {
				continue // no stage uses it yet
			}
			assets, err := release.Bundle(settings, secrets)
			if err != nil {
				return nil, fmt.Errorf("pack release %d of %s: %w", number, product.file, err)
			}
			manifest := product.manifest
			manifest.Release = number
			file := filepath.Join(folder, product.fileName(number))
			if err := release.Pack(file, release.Program(number, o.Program), manifest, assets, o.Developer); err != nil {
				return nil, err
			}
			if packages[product.fileName(number)], err = os.ReadFile(file); err != nil {
				return nil, err
			}
		}
	}
	return packages, nil
}
