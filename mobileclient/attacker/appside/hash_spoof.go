package appside

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
)

// HashSpoof has a program of the attacker's own say that it is the genuine package: it reports that
// package's hash. Everybody who has the package can compute it, and nobody can tell from a hash who
// has computed it, and over what. Where the attestation service asks for more, the program has
// nothing but the hash, and makes the rest up.
//
//keyladder:code attack-hash-spoof
func HashSpoof(ctx context.Context, g *attack.Given) (attack.Result, error) {
	phone, static, err := g.Static(ctx)
	if err != nil {
		return attack.Stopped(err)
	}
	defer phone.Close()
	if g.Stage.Attestation.Level == catalog.DeviceEvidence { // a hash is one of the things that a phone says
		return g.RobOnMadeUpPhone(ctx, phone, static)
	}
	measurement, err := measure(g.Package)
	if err != nil {
		return attack.Result{}, err
	}
	g.Say("Computed the hash of the genuine package: %s.", measurement)
	return g.RobAttested(ctx, static, func(c attestation.Challenge) (attestation.Evidence, error) {
		evidence := attestation.Evidence{Measurement: measurement}
		if len(c.Nonce) > 0 {
			g.Say("The service asks for %d ranges of the package as well, and for what was found out. Answered with something of the right length.", len(c.Ranges))
			evidence.Findings, evidence.Answer = &attestation.Findings{}, make([]byte, sha256.Size)
			rand.Read(evidence.Answer) // never fails
		}
		return evidence, nil
	})
}

func measure(path string) (attestation.Measurement, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the package: %w", err)
	}
	defer file.Close()
	return attestation.Measure(file)
}
