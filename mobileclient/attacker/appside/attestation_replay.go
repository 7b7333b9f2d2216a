package appside

import (
	"context"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/mechanism/attestation"
)

// AttestationReplay sends again what the genuine app has sent to the attestation service: the
// evidence lies in the memory of the app on the attacker's own phone. A hash is the same each time, so
// it is as good the second time. An answer to a challenge is one to that challenge, and what a device says
// is about that challenge, too.
//
//keyladder:code attack-attestation-replay
func AttestationReplay(ctx context.Context, g *attack.Given) (attack.Result, error) {
	phone, static, err := g.Static(ctx)
	if err != nil {
		return attack.Stopped(err)
	}
	defer phone.Close()
	sent, err := phone.SentEvidence(ctx)
	if err != nil {
		return attack.Result{}, err
	}
	g.Say("In the app's memory: the evidence that it has sent to the attestation service a moment ago. Send it again, as it is.")
	return g.RobAttested(ctx, static, func(attestation.Challenge) (attestation.Evidence, error) { return sent, nil })
}
