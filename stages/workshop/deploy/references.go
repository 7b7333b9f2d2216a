package deploy

import (
	"crypto/ed25519"
	"encoding/json"

	"keyladder/attestsvc/references"
	"keyladder/stages/mechanism/pin"
)

// referencesOf says which packages the bank's clients have, and that its developer signs them. The
// attestation service knows apps by it.
func referencesOf(developer ed25519.PrivateKey) ([]byte, error) {
	signer, err := pin.OfKey(developer.Public())
	if err != nil {
		return nil, err
	}
	var known []references.Known
	for _, product := range products {
		known = append(known, references.Known{Client: product.clientID, Package: product.manifest.Name, Signer: string(signer)})
	}
	return json.MarshalIndent(known, "", "  ")
}
