package deploy

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"slices"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/jwk"
)

// PackOptions are what goes into the packages of the bank's apps.
type PackOptions struct {
	Programs  build.Programs
	Stages    catalog.Set
	Addresses deployment.Addresses
	Developer ed25519.PrivateKey // signs them

	Credentials map[string]Credentials // by app
	Clients     map[string]pki.Pair    // client certificates, by app
	Servers     []pki.Pair             // whose public keys are pinned: those in use, and the backup
	Answers     jwk.Key                // with which the API signs its answers
}

// Credentials are what an app proves with that it is this app: a key, which it shows, and
// where it signs its calls the secret that belongs to the key. As a client of OAuth it has a
// secret of its own.
type Credentials struct{ Key, Secret, ClientSecret string }

// Ways are how the packages of these stages' releases carry their secrets.
func Ways(stages catalog.Set) []catalog.Secrets {
	var ways []catalog.Secrets
	for _, stage := range stages.Built() {
		if !slices.Contains(ways, stage.Package.Secrets) {
			ways = append(ways, stage.Package.Secrets)
		}
	}
	return ways
}

// Pack makes the packages of all apps, in the releases that the built stages use, by
// their file names.
func Pack(o PackOptions) (map[string][]byte, error) {
	var pins []string
	for _, server := range o.Servers {
		p, err := pinOf(server)
		if err != nil {
			return nil, err
		}
		pins = append(pins, string(p))
	}
	releases := map[int]catalog.Set{} // stages by the release that they use
	for _, stage := range o.Stages.Built() {
		releases[stage.Package.Release] = append(releases[stage.Package.Release], stage)
	}
	packages := map[string][]byte{}
	for _, product := range products {
		for number, stages := range releases {
			data, err := o.pack(product, number, stages, pins)
			if err != nil {
				return nil, fmt.Errorf("pack release %d of %s: %w", number, product.file, err)
			}
			packages[product.fileName(number)] = data
		}
	}
	return packages, nil
}

func (o *PackOptions) pack(p product, number int, stages catalog.Set, pins []string) ([]byte, error) {
	secrets := stages[0].Package.Secrets
	settings := release.Settings{
		App:         p.clientID,
		ClientID:    o.Credentials[p.clientID].Key,
		ServerPins:  pins,
		Developer:   o.Developer.Public().(ed25519.PublicKey),
		TransferCap: catalog.TransferCap,
		Log:         release.LogCalls,
		Stages:      map[string]catalog.Call{},
	}
	if secrets != catalog.NoSecrets {
		settings.SharedSecret = o.Credentials[p.clientID].Secret
		settings.ClientCertificate, settings.ClientKey = string(o.Clients[p.clientID].Certificate), string(o.Clients[p.clientID].Key)
	}
	setServers(&settings, o.Addresses)
	for _, stage := range stages {
		settings.Stages[stage.Slug] = stage.Call
		if stage.Call.ClientAuth == catalog.ClientSecret {
			settings.ClientSecret = o.Credentials[p.clientID].ClientSecret
		}
		if stage.Call.Sender == catalog.SignedMessages {
			settings.AnswerKeys = []jwk.Key{o.Answers}
		}
		if stage.Package.Secrets != secrets {
			return nil, fmt.Errorf("%w: the stage %s wants them %q, and %s wants them %q",
				release.ErrSecrets, stage.Slug, stage.Package.Secrets, stages[0].Slug, secrets)
		}
	}
	assets, err := build.Bundle(settings, secrets)
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(o.Programs[secrets])
	if err != nil {
		return nil, err
	}
	manifest := p.manifest
	manifest.Release = number
	return release.Assemble(program, manifest, assets, o.Developer)
}
