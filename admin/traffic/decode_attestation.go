package traffic

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"keyladder/admin/ui"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
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
			return attested("An app answers the attestation service", evidenceOf(known.Evidence))
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
