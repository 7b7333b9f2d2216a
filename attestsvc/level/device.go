package level

import (
	"crypto/x509"
	"encoding/base64"
	"strings"
	"time"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
)

// deviceEvidence has the device's secure hardware say which package the app was started from, which system runs, and
// which key the app has. The findings of the app itself come along, and are signed with it. They are as
// good as the app; what it can't change is that the device measures it.
//
// Whether evidence comes from a device that can be believed belongs to the claim about the instance, as
// in AR4SI (draft-ietf-rats-ar4si, section 2.3.4: "instance-identity"). Where it can't, nothing is known
// about the rest: so each claim that is enforced fails for it.
var deviceEvidence = Level{
	Name:    catalog.DeviceEvidence,
	Device:  true,
	Reports: manage.ClaimNames(),
	complete: func(e incoming) bool {
		return e.Measurement == nil && e.Answer == nil && e.Findings != nil && strings.Count(e.ByDevice, ".") == 2 && len(e.ByDevice) <= jwk.MaxLength
	},
	appraise: appraiseDevice,
}

// Trust is which devices and systems are believed.
type Trust struct {
	Roots   *x509.CertPool
	Revoked func(serial string) bool  // whether a certificate is
	Accepts func(system pin.Pin) bool // whether systems may be signed with a key
}

// clockOff is how wrong the clock of a device may be. The nonce says that evidence is new.
const clockOff = 5 * time.Minute

// Said is what a device has said.
type Said struct {
	Claims   evidence.Claims
	Accepted bool  // the system that it has started is one that is accepted
	Fault    error // why none of it is believed; nil: it is
}

// Shown is what a device has said, for people; nil: nothing of it is believed.
func (s Said) Shown() *manage.DeviceEvidence {
	c := s.Claims
	if s.Fault != nil || len(c.Chain) == 0 {
		return nil
	}
	shown := &manage.DeviceEvidence{
		At: c.Issued.UTC(), Device: base64.RawURLEncoding.EncodeToString(c.Device.UEID), Maker: c.Device.OEMID, Model: c.Device.Model,
		System: c.System.Name, Version: c.System.Version, OEM: c.System.OEM, Locked: c.System.Locked, SystemKey: string(c.System.Key), Accepted: s.Accepted,
		Debug: string(c.Debug), Package: c.Package.Name, Measurement: string(c.Package.Measurement), Signer: string(c.Package.Signer),
	}
	for _, certificate := range c.Chain {
		shown.Certificates = append(shown.Certificates, manage.ChainCertificate{Serial: evidence.Serial(certificate), Name: certificate.Subject.CommonName})
	}
	return shown
}

// Examine looks into what a device says for a session with that nonce, and adds to the evidence what it
// has measured. At other levels there is nothing to look into.
//
//keyladder:code attestation-examine
func (l Level) Examine(e attestation.Evidence, nonce []byte, trust Trust, at time.Time) (attestation.Evidence, Said) {
	if !l.Device {
		return e, Said{}
	}
	verifier := evidence.Verifier{Roots: trust.Roots, Revoked: trust.Revoked, Nonce: nonce, Bound: evidence.Bound(*e.Findings), Within: clockOff}
	claims, err := verifier.Verify(e.ByDevice, at)
	if err != nil {
		return e, Said{Fault: err}
	}
	e.Measurement = claims.Package.Measurement
	return e, Said{Claims: claims, Accepted: trust.Accepts(claims.System.Key)}
}

// appraiseDevice compares what the device says with what is accepted. The package it has measured was
// looked for before.
//
//keyladder:code attestation-appraise-device
func appraiseDevice(v Verdict, e attestation.Evidence, c Case) error {
	const what, believed = "evidence of the device", "evidence of a device that is believed"
	if c.Said.Fault != nil {
		v.add(manage.Instance, what, c.Said.Fault.Error(), believed)
		for _, claim := range []manage.ClaimName{manage.Executables, manage.Runtime, manage.Configuration} {
			v.add(claim, what, "none that is believed", believed)
		}
		return nil
	}
	said := c.Said.Claims
	if said.Debug == evidence.DebugEnabled {
		v.add(manage.Runtime, "debugged, as the device sees it", string(said.Debug), "disabled")
	}
	if !said.System.Locked {
		v.add(manage.Configuration, "boot loader", "unlocked", "locked")
	}
	if !c.Said.Accepted {
		v.add(manage.Configuration, "key of the system "+said.System.Name, string(said.System.Key), "one that is accepted")
	}
	addFindings(v, e)
	return nil
}
