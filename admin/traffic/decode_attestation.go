package traffic

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"keyladder/admin/ui"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
)

// attestations are the messages between an app and its attestation service.
var attestations = decoder{
	Checks: []catalog.Check{catalog.CheckAttestation},
	Decode: func(seen text) []section {
		data := []byte(strings.TrimSpace(seen.Body))
		var known struct {
			attestation.Opening
			attestation.Session
			attestation.Evidence
		}
		if len(data) == 0 || data[0] != '{' || json.Unmarshal(data, &known) != nil {
			return nil
		}
		switch {
		case known.Measurement != "" || known.ByDevice != "":
			return appraised(append(attested("An app answers the attestation service", evidenceOf(known.Evidence)), byDevice(known.ByDevice)...))
		case known.State != "" && !known.Session.Expires.IsZero():
			return attested("The attestation service answers", sessionOf(known.Session))
		case known.ClientID != "" && known.Release != 0:
			return attested("An app asks to be attested", []attribute{
				{"client_id", known.ClientID, "which app it says that it is"},
				{"release", fmt.Sprint(known.Release), "in which release"},
				{"device", known.Device, "the installation, as its device names it"},
			})
		}
		return nil
	},
}

func attested(title string, attributes []attribute) []section {
	return []section{{Kind: "credential", Scheme: "attestation", Title: title, Parts: []part{{Attributes: attributes}}}}
}

// appraised says that the service's answer does not tell what became of evidence: it is the same for all.
func appraised(sections []section) []section {
	for i := range sections {
		sections[i].Note = "as it was sent; what the service found out, its result says"
	}
	return sections
}

func evidenceOf(e attestation.Evidence) []attribute {
	var all []attribute
	if e.Measurement != "" {
		all = append(all, attribute{"measurement", string(e.Measurement), "SHA-256 of its package, as it says"})
	}
	if e.ByDevice != "" {
		all = append(all, attribute{"evidence", e.ByDevice, "an Entity Attestation Token: what the device's secure hardware says of the device and the app, signed with a key that the maker has certified"})
	}
	if len(e.Answer) > 0 {
		all = append(all, attribute{"answer", base64.StdEncoding.EncodeToString(e.Answer), "a digest over the bytes that it was asked for and over what it has found, keyed with the nonce"})
	}
	if e.Findings != nil {
		all = append(all, attribute{"findings", found(*e.Findings), "what it says of its surroundings"})
	}
	return all
}

// byDevice takes apart what a device's secure hardware has said: as it was sent, and not verified here.
func byDevice(text string) []section {
	header, body, _, err := token.Split(text, jwk.MaxLength)
	if err != nil {
		return nil
	}
	said, err := token.Members(body)
	if err != nil {
		return nil
	}
	claims := claimsOf(text, evidenceWords)
	if model, err := said.Text("hwmodel"); err == nil {
		if name, err := base64.RawURLEncoding.DecodeString(model); err == nil {
			for i := range claims {
				if claims[i].Name == "hwmodel" {
					claims[i].Words += ": " + string(name)
				}
			}
		}
	}
	parts := []part{{Title: "Header", Attributes: evidenceHeader(header)}, {Title: "Claims", Attributes: claims}}
	if boot, err := token.Members(said["boot"]); err == nil {
		parts = append(parts, part{Title: "Claims, boot", Attributes: membersOf(boot, bootWords)})
	}
	if measured := measuredIn(said["measurements"]); measured != nil {
		parts = append(parts, part{Title: "Claims, measurements", Attributes: membersOf(measured, measuredWords)})
	}
	if key, err := evidence.KeyOf(text); err == nil {
		parts = append(parts, part{Title: "Claims, cnf", Attributes: []attribute{{"jkt", key.Thumbprint(), "the key's thumbprint (RFC 7638), by which access tokens name it"}}})
	}
	return []section{{Kind: "credential", Scheme: evidence.Type, Title: "What the device's secure hardware says", Parts: parts}}
}

// evidenceHeader lays out a header, with the certificates that are in it.
func evidenceHeader(header []byte) []attribute {
	var known struct {
		Alg, Typ string
		X5C      []string
	}
	if json.Unmarshal(header, &known) != nil {
		return nil
	}
	all := []attribute{
		{"alg", known.Alg, "how it is signed, with the key of the first certificate"},
		{"typ", known.Typ, "that it is an Entity Attestation Token (RFC 9711) in a JWT"},
	}
	for i, encoded := range known.X5C[:min(len(known.X5C), maxSections)] {
		name := fmt.Sprintf("x5c %d", i+1)
		der, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			all = append(all, attribute{name, encoded, "it is not in base64"})
			continue
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			all = append(all, attribute{name, encoded, "it is no certificate"})
			continue
		}
		words := fmt.Sprintf("serial number %s, certified by %s, good until %s UTC", evidence.Serial(certificate), certificate.Issuer.CommonName, ui.Stamp(certificate.NotAfter))
		if device := certificate.Subject.SerialNumber; device != "" {
			words += ", for the device " + device
		}
		all = append(all, attribute{name, certificate.Subject.CommonName, words})
	}
	return all
}

// measuredIn is what was measured: JSON in base64url, in a pair with its media type. Nil: it can't be read.
func measuredIn(raw json.RawMessage) token.Object {
	var measurements [][]json.RawMessage
	var text string
	if json.Unmarshal(raw, &measurements) != nil || len(measurements) != 1 || len(measurements[0]) != 2 || json.Unmarshal(measurements[0][1], &text) != nil {
		return nil
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	members, err := token.Members(data)
	if err != nil {
		return nil
	}
	return members
}

// membersOf are the members of an object that there are words for.
func membersOf(object token.Object, known []claimWord) []attribute {
	var all []attribute
	for _, member := range known {
		if value, there := object[member.name]; there {
			all = append(all, attribute{member.name, strings.Trim(string(value), `"`), member.words})
		}
	}
	return all
}

// evidenceWords say what the claims are, with their sections of RFC 9711.
var evidenceWords = []claimWord{
	{"eat_profile", "which claims there have to be, and what they mean (4.3.2)"},
	{"iat", "when it was made, by the device's clock (4.3.1)"},
	{"eat_nonce", "the session's nonce, and a hash of what the app reports along with it (4.1)"},
	{"ueid", "which device it is, as its certificate says, too (4.2.1)"},
	{"oemid", "its maker, by its Private Enterprise Number (4.2.3)"},
	{"hwmodel", "its model, in base64url (4.2.4)"},
	{"swname", "its operating system (4.2.6)"},
	{"swversion", "and the version of that (4.2.7)"},
	{"oemboot", "whether it has started a system of its maker's and of nobody else's (4.2.8)"},
	{"boot", "of this profile: what the boot loader has started"},
	{"dbgstat", "whether something debugs the app (4.2.9)"},
	{"measurements", "the package that the app was started from, in base64url (4.2.16)"},
	{"cnf", "the app's key, which the hardware keeps (RFC 7800)"},
}

var bootWords = []claimWord{
	{"locked", "whether the boot loader starts no system but one that is signed with the key"},
	{"key", "the pin of the key that the system is signed with"},
}

var measuredWords = []claimWord{
	{"name", "the package"},
	{"sha256", "its hash, as the device has measured it when it started the app"},
	{"signer", "the pin of the key that has signed it"},
}

// found names what an app has found out about its surroundings.
func found(f attestation.Findings) string {
	var names []string
	for _, finding := range []struct {
		there bool
		name  string
	}{
		{f.Traced, "traced by a debugger"},
		{f.Injected, "code of somebody else's is in it"},
		{f.Unlocked, "its device is unlocked"},
		{f.OtherSigner, "its package is signed by somebody else"},
		{f.Intercepted, "a server was not one that it knows by its key"},
	} {
		if finding.there {
			names = append(names, finding.name)
		}
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

func sessionOf(s attestation.Session) []attribute {
	all := []attribute{
		{"state", string(s.State), map[attestation.State]string{attestation.Waiting: "for evidence", attestation.Complete: "it was answered, whatever came of it"}[s.State]},
		{"expiry", s.Expires.UTC().Format(time.RFC3339), "until then it can be answered, once: " + ui.Stamp(s.Expires) + " UTC"},
	}
	if len(s.Nonce) > 0 {
		var bytes int64
		for _, r := range s.Ranges {
			bytes += r.Length
		}
		if s.ForDevice() {
			return append(all, attribute{"nonce", base64.StdEncoding.EncodeToString(s.Nonce), "what the device has to sign, new for each session"})
		}
		all = append(all,
			attribute{"nonce", base64.StdEncoding.EncodeToString(s.Nonce), "the key of the digest, new for each challenge"},
			attribute{"ranges", fmt.Sprintf("%d of them, %d bytes", len(s.Ranges), bytes), "which bytes of the package the digest is over"})
	}
	if s.Result != nil {
		all = append(all,
			attribute{"token", s.Result.Token, "a client integrity token. It looks the same whether it is good or not"},
			attribute{"expires_in", fmt.Sprint(s.Result.ExpiresIn), "seconds for which it lasts"},
			attribute{"reference", s.Result.Reference, "by which an admin finds out what was found"})
		if s.Result.ClientAttestation != "" {
			all = append(all, attribute{"client_attestation", s.Result.ClientAttestation, "the same for an authorization server, as OAuth has it. It looks the same whether it is good or not"})
		}
	}
	return all
}
