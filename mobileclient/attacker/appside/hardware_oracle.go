package appside

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/device"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/protect"
)

// HardwareOracle leaves the key where it is and uses it there. The owner of a phone can unlock its boot
// loader, and the system is theirs then: it tells the secure hardware that the genuine app is asking where it is
// a program of the attacker's own. So that gets evidence, tokens and proofs in the app's name, with a real
// phone's certificate. The system can't change what the boot loader has told the hardware before it ran.
//
//keyladder:code attack-hardware-oracle
func HardwareOracle(ctx context.Context, g *attack.Given) (attack.Result, error) {
	phone, err := g.Open(ctx, g.Package, func(d *device.Device) error { return d.Unlock(true) })
	if err != nil {
		return attack.Result{}, err
	}
	defer phone.Close()
	g.Say("Unlocked the boot loader of our own phone, so that its system is ours, and installed the genuine app.")
	impostor, err := phone.Device.Impersonate(phone.Package)
	if err != nil {
		return attack.Result{}, err
	}
	key, err := impostor.Key()
	if err != nil {
		return attack.Result{}, fmt.Errorf("ask the phone's secure hardware: %w", err)
	}
	g.Say("Told its secure hardware that the app is asking, from a program of our own: it signs with the app's key for us.")
	own := protect.Identity{ClientID: g.ClientID, Key: borrowed{impostor, key}}
	result, err := g.RobAttested(ctx, own, protect.DeviceEvidence(impostor.Evidence, attestation.Findings{}))
	if err != nil || result.Claim {
		return result, err
	}
	g.Say("Refused: %s. Have the genuine app make the calls, on the same phone.", result.Obstacle)
	if err := phone.SignIn(ctx); err != nil {
		return attack.Stopped(err)
	}
	payment, err := phone.Payment(ctx, attack.Pittance)
	if err != nil {
		return attack.Stopped(err)
	}
	if _, err := attack.Shown(phone.App.Transfer(ctx, payment)); err != nil {
		return attack.Stopped(err)
	}
	g.Say("Transferred %d minor units with the app, on a phone that is unlocked.", payment.Amount)
	return attack.Result{Claim: true}, nil
}

// borrowed is a key that others keep.
type borrowed struct {
	keeper *device.Impostor
	public jwk.Key
}

// Public is its public half.
func (b borrowed) Public() crypto.PublicKey { return b.public.Public() }

// Sign has a SHA-256 signed. Random numbers are the hardware's.
func (b borrowed) Sign(_ io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	if options == nil || options.HashFunc() != crypto.SHA256 {
		return nil, errors.New("the phone's secure hardware signs SHA-256 and nothing else")
	}
	return b.keeper.Sign(digest)
}
