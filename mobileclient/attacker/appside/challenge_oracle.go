package appside

import (
	"context"
	"fmt"
	"io"
	"os"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/protect"
)

// ChallengeOracle has a program of the attacker's own answer challenges out of the genuine package
// file, which lies beside it. The service learns that whoever answers has the package, and nothing
// about what is running. The program says of its surroundings whatever it likes.
//
//keyladder:code attack-challenge-oracle
func ChallengeOracle(ctx context.Context, g *attack.Given) (attack.Result, error) {
	phone, static, err := g.Static(ctx)
	if err != nil {
		return attack.Stopped(err)
	}
	defer phone.Close()
	if g.Stage.Attestation.Level == catalog.DeviceEvidence { // and not the app's, which could look anything up
		return g.RobOnMadeUpPhone(ctx, phone, static)
	}
	file, err := os.Open(g.Package)
	if err != nil {
		return attack.Result{}, fmt.Errorf("read the package: %w", err)
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return attack.Result{}, fmt.Errorf("read the package: %w", err)
	}
	genuine, err := protect.Measure(file, size)
	if err != nil {
		return attack.Result{}, err
	}
	g.Say("Opened the genuine package, %d bytes, to look up in it whatever we are asked for.", size)
	nothingWrong := genuine.Evidence(attestation.Findings{})
	return g.RobAttested(ctx, static, func(c attestation.Challenge) (attestation.Evidence, error) {
		if len(c.Nonce) > 0 {
			g.Say("The service asks for %d ranges. Computed the digest over those bytes of the file, and over no findings.", len(c.Ranges))
		}
		return nothingWrong(c)
	})
}
