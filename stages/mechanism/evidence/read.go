package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/mechanism/token"
)

// Bounds of RFC 9711.
const (
	leastNonce, mostNonce = 8, 64   // bytes, of which base64url makes at most 88 characters (section 4.1)
	leastUEID, mostUEID   = 7, 33   // bytes, with the one that says which kind it is (section 4.2.1)
	mostModel             = 32      // bytes (section 4.2.4)
	latest                = 1 << 40 // seconds since 1970, which is far enough
)

// digests are SHA-256 in hexadecimal digits, small letters.
var digests = regexp.MustCompile(`^[0-9a-f]{64}$`)

// read reads the claims: each that the profile requires, once and with its type.
//
//keyladder:code evidence-read
func read(said token.Object) (c Claims, err error) {
	r := reader{from: said}
	if profile := r.text("eat_profile"); len(r.faults) == 0 && profile != Profile {
		return Claims{}, fmt.Errorf("%w: eat_profile is %q", ErrProfile, profile)
	}
	var issued *int64 // never with a fraction (RFC 9711, section 4.3.1)
	r.member("iat", &issued, func() bool { return issued != nil && *issued >= 0 && *issued < latest })
	var nonces []string
	r.member("eat_nonce", &nonces, func() bool { return len(nonces) == 2 })
	c.Device = Device{UEID: r.bytes("ueid"), Model: string(r.bytes("hwmodel"))}
	var oemID *int
	r.member("oemid", &oemID, func() bool { return oemID != nil && *oemID > 0 })
	c.System.Name = r.text("swname")
	var version []string // with a name of its scheme, or without
	r.member("swversion", &version, func() bool { return (len(version) == 1 || len(version) == 2) && version[0] != "" })
	var oem *bool
	r.member("oemboot", &oem, func() bool { return oem != nil })
	c.Debug = Debug(r.text("dbgstat"))
	boot, cnf := r.object("boot"), r.object("cnf")
	var locked *bool
	boot.member("locked", &locked, func() bool { return locked != nil })
	var system string
	boot.member("key", &system, func() bool { c.System.Key, err = pin.Parse(system); return err == nil })
	cnf.member("jwk", &c.Key, func() bool { return c.Key != jwk.Key{} })
	c.Package = r.measured()
	if err := errors.Join(slices.Concat(r.faults, boot.faults, cnf.faults)...); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", token.ErrClaims, err)
	}

	c.Issued, c.Device.OEMID, c.System.Version = time.Unix(*issued, 0), *oemID, version[0]
	c.System.OEM, c.System.Locked = *oem, *locked
	c.Nonce, err = text64(nonces[0])
	bound, err2 := text64(nonces[1])
	c.Bound = bound
	outside := func(n, least, most int) bool { return n < least || n > most }
	switch {
	case err != nil || err2 != nil || outside(len(c.Nonce), leastNonce, mostNonce) || outside(len(bound), leastNonce, mostNonce):
		err = fmt.Errorf("eat_nonce is not %d to %d bytes each, in base64url", leastNonce, mostNonce)
	case outside(len(c.Device.UEID), leastUEID, mostUEID):
		err = fmt.Errorf("ueid has %d bytes", len(c.Device.UEID))
	case outside(len(c.Device.Model), 1, mostModel):
		err = fmt.Errorf("hwmodel has %d bytes", len(c.Device.Model))
	case !slices.Contains([]Debug{DebugEnabled, DebugDisabled, DebugDisabledSinceBoot, DebugDisabledPermanently, DebugDisabledFully}, c.Debug):
		err = fmt.Errorf("dbgstat is %q", c.Debug)
	}
	if err != nil {
		return Claims{}, fmt.Errorf("%w: %w", token.ErrClaims, err)
	}
	return c, nil
}

// reader reads members of an object by their names, exactly as they are written, and collects what is
// wrong.
type reader struct {
	from   token.Object
	faults []error
}

func (r *reader) fault(name string) {
	r.faults = append(r.faults, fmt.Errorf("%s is missing or not of its type", name))
}

// member reads a member into a variable, after which it has to be right.
func (r *reader) member(name string, into any, right func() bool) {
	if json.Unmarshal(r.from[name], into) != nil || !right() {
		r.fault(name)
	}
}

func (r *reader) text(name string) (text string) {
	r.member(name, &text, func() bool { return text != "" })
	return text
}

// bytes is a member in base64url.
func (r *reader) bytes(name string) (data []byte) {
	var text string
	r.member(name, &text, func() (ok bool) {
		var err error
		data, err = text64(text)
		return err == nil
	})
	return data
}

func (r *reader) object(name string) *reader {
	members, err := token.Members(r.from[name])
	if err != nil {
		r.fault(name)
	}
	return &reader{from: members}
}

// measured is the one measurement: that of the package.
func (r *reader) measured() (p Package) {
	const name = "measurements"
	var measurements [][]json.RawMessage
	r.member(name, &measurements, func() bool { return len(measurements) == 1 && len(measurements[0]) == 2 })
	if len(r.faults) > 0 {
		return p
	}
	var kind int
	var text string
	if json.Unmarshal(measurements[0][0], &kind) != nil || json.Unmarshal(measurements[0][1], &text) != nil || kind != measuredAs {
		r.fault(name)
		return p
	}
	data, err := text64(text)
	members, err2 := token.Members(data)
	if err != nil || err2 != nil {
		r.fault(name)
		return p
	}
	in := reader{from: members}
	p.Name, p.Measurement = in.text("name"), attestation.Measurement(in.text("sha256"))
	signer, err := pin.Parse(in.text("signer"))
	if p.Signer = signer; err != nil || len(in.faults) > 0 || !digests.MatchString(string(p.Measurement)) {
		r.fault(name)
	}
	return p
}
