package deploy

import (
	"crypto/ed25519"
	"fmt"
	"path/filepath"

	"keyladder/internal/deployment"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/build"
)

// withPackages are the roles that find the app's packages in their folder.
var withPackages = []deployment.Role{deployment.Attestation, deployment.Phone, deployment.Admin, deployment.Attacker}

// move has a complete deployment follow to other addresses: all folders say the new ones,
// and the apps, which have the API's built in, are packed anew with whatever else they have.
// The offline folder is the last one, so what was interrupted is done again by the next Init.
func move(o Options, offline *deployment.Folder) error {
	developer, err := DeveloperKey(offline)
	if err != nil {
		return err
	}
	anew := map[string][]byte{} // by the hash of the old one: the same package is the same everywhere
	for _, role := range deployment.Roles() {
		folder, err := deployment.Open(o.Dir, role)
		if err != nil {
			return err
		}
		packages := map[string][]byte{}
		for _, path := range folder.Packages() {
			name := filepath.Base(path)
			old := folder.Files[name]
			if anew[old] == nil {
				// Or it would get the developer's signature, whatever it is now.
				if p, err := release.Open(path); err != nil {
					return err
				} else if p.SHA256 != old {
					return fmt.Errorf("the package %s %w: run `stages reset`", path, deployment.ErrChanged)
				}
				if anew[old], err = readdress(path, o.Addresses, developer); err != nil {
					return fmt.Errorf("pack %s anew: %w", path, err)
				}
			}
			packages[name] = anew[old]
		}
		folder.Addresses = o.Addresses
		if err := folder.Replace(packages); err != nil {
			return err
		}
	}
	return nil
}

// readdress is a package with other addresses of the API built in.
func readdress(path string, addresses deployment.Addresses, developer ed25519.PrivateKey) ([]byte, error) {
	program, manifest, assets, err := release.Read(path)
	if err != nil {
		return nil, err
	}
	settings, how, err := shipped(assets)
	if err != nil {
		return nil, err
	}
	setServers(settings, addresses)
	settings.Developer = developer.Public().(ed25519.PublicKey) // which older packages do not name
	if assets, err = build.Bundle(*settings, how); err != nil {
		return nil, err
	}
	return release.Assemble(program, manifest, assets, developer)
}

// setServers tells an app where the servers are.
func setServers(settings *release.Settings, addresses deployment.Addresses) {
	settings.APIPlain, settings.APITLS = addresses.URL(deployment.PlainAPI), addresses.URL(deployment.API)
	settings.AuthServer, settings.Mediator = addresses.URL(deployment.AuthServer), addresses.URL(deployment.MediatorService)
	settings.Attestation, settings.Lite = addresses.URL(deployment.AttestationService), addresses.URL(deployment.LiteServer)
}
