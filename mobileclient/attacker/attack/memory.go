package attack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"keyladder/mobileclient/attacker/debugger"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/protect"
)

// Hook starts the genuine app on the attacker's own phone, uses it, and searches its
// memory. The search knows what keys, signed requests and certificates look like, and
// not where they are, what they are called, or how the package hides them. The caller
// closes the phone.
func (g *Given) Hook(ctx context.Context) (*Phone, *loot.Loot, error) {
	p, err := g.Open(ctx, g.Package, nil)
	if err != nil {
		return nil, nil, err
	}
	found, err := p.Hook(ctx)
	if err != nil {
		p.Close()
		return nil, nil, err
	}
	return p, found, nil
}

// Hook signs in, uses the app that is open, and searches its memory.
func (p *Phone) Hook(ctx context.Context) (*loot.Loot, error) {
	if err := p.SignIn(ctx); err != nil {
		return nil, err
	}
	if _, err := Shown(p.App.Accounts(ctx)); err != nil {
		return nil, err
	}
	p.g.Say("Started the genuine app on our own phone and had it show the accounts.")
	nobody, err := p.g.Caller(protect.Identity{})
	if err != nil {
		return nil, err
	}
	signed := p.g.Stage.Call.AppProof.Signs()
	found, candidates := &loot.Loot{}, loot.Texts{}
	searched, err := debugger.EachWritable(ctx, p.App.PID(), func(_ uint64, data []byte) {
		found.Search(data)
		if signed {
			candidates.Collect(data)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the app's memory: %w", err)
	}
	p.g.Say("Searched %d MiB of its memory.", searched>>20)
	switch {
	case signed:
		if err := p.proveSecret(found, candidates); err != nil {
			return nil, err
		}
	case p.g.Stage.Call.UserProof == catalog.AccessToken:
		found.Secrets.Values = slices.Clone(found.Secrets.Shown) // what has a name alone may be a decoy
	}
	found.ClientIDs.Add(p.g.ClientID) // which everybody knows, where users sign in on pages
	if Lacks(nobody, protect.ClientCertificate) && len(found.Certificates.Pairs()) == 0 {
		if err := p.FindKey(ctx, found); err != nil {
			return nil, err
		}
	}
	p.g.Say("Found in it: %s.", found)
	return found, nil
}

// sentEvidence is what an app sends to the attestation service: what it has measured itself, or what its
// device says.
var sentEvidence = regexp.MustCompile(`\{"measurement":"[0-9a-f]{64}"[^{}]{0,128}(?:\{[^{}]{0,256}\})?\}|\{"findings":\{[^{}]{0,256}\},"evidence":"eyJ[A-Za-z0-9._-]+"\}`)

// SentEvidence is what the app has sent to the attestation service: it lies in its memory.
func (p *Phone) SentEvidence(ctx context.Context) (sent attestation.Evidence, err error) {
	found := false
	_, err = debugger.EachWritable(ctx, p.App.PID(), func(_ uint64, data []byte) {
		for _, text := range sentEvidence.FindAll(data, -1) {
			var evidence attestation.Evidence
			if json.Unmarshal(text, &evidence) == nil {
				sent, found = evidence, true
			}
		}
	})
	switch {
	case err != nil:
		return sent, fmt.Errorf("read the app's memory: %w", err)
	case !found:
		return sent, errors.New("what the app has sent to the attestation service was not found in its memory")
	}
	return sent, nil
}

// proveSecret tries all texts against the signed requests that lay in the same memory.
func (p *Phone) proveSecret(found *loot.Loot, candidates loot.Texts) error {
	host, port, err := hawk.HostPort(p.g.TLS)
	if err != nil {
		return err
	}
	secrets := &found.Secrets
	secrets.Values = slices.Clone(secrets.Shown) // what has a name may be a decoy; what was shown to a server is none
	p.g.Say("%d signed requests lay there, and %d texts that could be a secret.", len(secrets.Signed), len(candidates))
	if secret := candidates.Prove(host, port, secrets.Signed); secret != "" {
		if !slices.Contains(secrets.Values, secret) {
			secrets.Values = append(secrets.Values, secret)
		}
		p.g.Say("One of the texts makes the same MAC: it is the secret (%s).", loot.Fingerprint(secret))
	}
	return nil
}

// FindKey looks for the private key of a certificate that the app has, as a number.
func (p *Phone) FindKey(ctx context.Context, found *loot.Loot) error {
	keys := loot.NewScalars(found.Certificates.All)
	p.g.Say("No private key stands there as a file would have it. Trying every number in memory that looks random against the certificates that are there, too.")
	if _, err := debugger.EachWritable(ctx, p.App.PID(), func(_ uint64, data []byte) { keys.Search(data) }); err != nil {
		return fmt.Errorf("read the app's memory: %w", err)
	}
	for _, key := range keys.Found {
		found.Certificates.AddKey(key)
	}
	p.g.Say("Tried %d numbers: %d of them is the private key of a certificate.", keys.Tried(), len(keys.Found))
	return nil
}
