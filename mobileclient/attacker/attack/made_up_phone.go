package attack

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"keyladder/mobileclient/attacker/network"
	"keyladder/mobileclient/device/hardware"
	"keyladder/mobileclient/release"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
)

// RobOnMadeUpPhone is [Given.RobAttested] where the attestation service asks the phone, and not the app: the
// program makes up a phone on which the genuine package runs. A real phone, on which the app has been
// attested, shows what one says.
//
//keyladder:code attack-made-up-phone
func (g *Given) RobOnMadeUpPhone(ctx context.Context, real *Phone, static protect.Identity) (Result, error) {
	sent, err := real.SentEvidence(ctx)
	if err != nil {
		return Result{}, err
	}
	phone, err := g.makeUpPhone(sent.ByDevice)
	if err != nil {
		return Result{}, err
	}
	defer phone.line.Close()
	if static.Key, err = phone.line.Signer(phone.asking); err != nil {
		return Result{}, err
	}
	g.Say("The service asks the phone, and not the app. Made a phone up that says what a real one says: this package runs, the boot loader is locked, nothing debugs it. Its certificate is from a maker of our own.")
	return g.RobAttested(ctx, static, protect.DeviceEvidence(phone.evidence, attestation.Findings{}))
}

// madeUpPhone is a phone that is none: secure hardware as anybody can build it, which runs within the
// attacker's program and believes whatever that says about the package, the system and the boot loader. Its
// certificate comes from a maker of the attacker's own, whom nobody knows.
type madeUpPhone struct {
	line   *hardware.Client
	asking hardware.App
}

// makeUpPhone makes one on which the genuine package is installed, as far as it says. Of its system it says
// what stands in a real phone's evidence, which is no secret.
func (g *Given) makeUpPhone(real string) (*madeUpPhone, error) {
	system, err := systemIn(real)
	if err != nil {
		return nil, fmt.Errorf("read what a real phone says: %w", err)
	}
	maker, err := network.NewAuthority()
	if err != nil {
		return nil, err
	}
	ueid := append([]byte{1}, make([]byte, 16)...) // a random one (RFC 9711, section 4.2.1.1)
	rand.Read(ueid[1:])                            // never fails
	chain, key, err := maker.Device(base64.RawURLEncoding.EncodeToString(ueid))
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	made := hardware.Made{
		Device: evidence.Device{UEID: ueid, OEMID: evidence.ExamplePEN, Model: "Keel 1"},
		System: system, Key: der, Chain: chain,
	}
	p, dir := &madeUpPhone{}, filepath.Join(g.Dir, "made-up-phone")
	if err := made.Write(dir); err != nil {
		return nil, err
	}
	if p.asking, err = measured(g.Package); err != nil {
		return nil, err
	}
	p.line, err = hardware.Within(dir, hardware.MakersSystem(true))
	return p, err
}

// evidence is what it says.
func (p *madeUpPhone) evidence(nonce, bound []byte) (string, error) {
	return p.line.Evidence(hardware.Asked{App: p.asking, Nonce: nonce, Bound: bound, Debug: evidence.DebugDisabled})
}

// measured is the app of a package as a phone says it that has started it.
func measured(path string) (hardware.App, error) {
	manifest, _, err := release.Assets(path)
	if err != nil {
		return hardware.App{}, err
	}
	file, err := os.Open(path)
	if err != nil {
		return hardware.App{}, fmt.Errorf("read the package: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return hardware.App{}, err
	}
	developer, sum, err := release.Measure(file, info.Size())
	if err != nil {
		return hardware.App{}, err
	}
	signer, err := pin.OfKey(developer)
	return hardware.App{Name: manifest.Name, Signer: signer, Measurement: attestation.Measurement(sum)}, err
}

// systemIn is the pin of the key with which the system is signed, in evidence.
func systemIn(text string) (pin.Pin, error) {
	_, body, _, err := token.Split(text, jwk.MaxLength)
	if err != nil {
		return "", err
	}
	var said struct {
		Boot struct{ Key pin.Pin } `json:"boot"`
	}
	err = json.Unmarshal(body, &said)
	return said.Boot.Key, err
}
