package manage

import (
	"context"
	"net/url"
	"time"
)

// Where the attestation service tells which devices and systems it believes.
const (
	DeviceCertificatesPath = "/makers/certificates" // GET: []DeviceCertificate; ?serial=, several times: those alone. POST CertificateToRevoke: DeviceCertificate
	SystemsPath            = "/makers/systems"      // GET: []AcceptedSystem. POST SystemToAccept: AcceptedSystem
)

// DeviceCertificate is a certificate of a maker of devices, or of a device that was revoked once.
type DeviceCertificate struct {
	Serial    string     `json:"serial"` // hex
	Root      bool       `json:"root"`   // of a maker: it certifies those that certify devices
	Maker     bool       `json:"maker"`  // it is a maker's, and not a device's
	Name      string     `json:"name"`   // for people
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	History   []Event    `json:"history"` // the oldest first
}

// CertificateToRevoke is a certificate with which nobody attests any more, or, restored, does again.
type CertificateToRevoke struct {
	Serial  string `json:"serial"`
	Restore bool   `json:"restore,omitempty"`
}

// DeviceCertificates returns those that the service knows, the makers' first. With serial numbers it
// returns what is known of these; a device's is not known before it is revoked.
func DeviceCertificates(ctx context.Context, d Doer, serials ...string) ([]DeviceCertificate, error) {
	path := DeviceCertificatesPath
	if len(serials) > 0 {
		path += "?" + url.Values{"serial": serials}.Encode()
	}
	return Get[[]DeviceCertificate](ctx, d, path)
}

// RevokeCertificate has all devices fail that a certificate leads to, or, restored, accepts them again.
func RevokeCertificate(ctx context.Context, d Doer, asked CertificateToRevoke) (DeviceCertificate, error) {
	return Post[DeviceCertificate](ctx, d, DeviceCertificatesPath, asked)
}

// AcceptedSystem is a key with which systems of devices are signed.
type AcceptedSystem struct {
	Key         string     `json:"key"`  // pin: "sha256/" + base64
	Name        string     `json:"name"` // for people
	AcceptedAt  time.Time  `json:"accepted_at"`
	WithdrawnAt *time.Time `json:"withdrawn_at,omitempty"`
	History     []Event    `json:"history"` // the oldest first
}

// SystemToAccept is a key whose systems are accepted from now on, or, withdrawn, are not.
type SystemToAccept struct {
	Key      string `json:"key"`
	Name     string `json:"name,omitempty"`
	Withdraw bool   `json:"withdraw,omitempty"`
}

// Systems returns the keys with which systems are signed.
func Systems(ctx context.Context, d Doer) ([]AcceptedSystem, error) {
	return Get[[]AcceptedSystem](ctx, d, SystemsPath)
}

// AcceptSystem has devices pass that have started a system which is signed with a key, or, withdrawn, fail.
func AcceptSystem(ctx context.Context, d Doer, asked SystemToAccept) (AcceptedSystem, error) {
	return Post[AcceptedSystem](ctx, d, SystemsPath, asked)
}
