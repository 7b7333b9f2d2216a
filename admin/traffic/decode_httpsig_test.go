package traffic

import (
	"strings"
	"testing"

	"keyladder/internal/traffic"
)

func TestMessageSignatures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ head, want string }{
		"a request": {
			"GET / HTTP/1.1\nSignature-Input: device=(\"@method\" \"content-digest\");created=1795780800;expires=1795780815;nonce=\"n\";keyid=\"k\";tag=\"keyladder\"\r\nSignature: device=:AAAA:\r\n",
			"device covers created expires nonce keyid tag signature",
		},
		"in small letters, and two": {
			"signature-input: a=();created=1\nsignature-input: b=(\"@path\")\nsignature: a=:AAAA:, b=:AAAA:",
			"a covers created signature b covers signature",
		},
		"one that can't be read": {"Signature-Input: a=(\"@host\");created=1\nSignature: a=:AAAA:", "a"},
		"no signature beside it": {"Signature-Input: a=();created=1", "a"},
		"nothing that is one":    {"Signature-Input: <script>\nSignature: x", ""},
		"a signature alone":      {"Signature: a=:AAAA:", ""},
	} {
		var got []string
		for _, s := range takeApart(text{Head: test.head}, traffic.Request, nil) {
			got = append(got, s.Scheme)
			for _, a := range s.Parts[0].Attributes {
				got = append(got, a.Name)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, want %q", name, strings.Join(got, " "), test.want)
		}
	}
}

func TestSignatureBases(t *testing.T) {
	t.Parallel()
	const base = "\"@method\": POST\n\"content-digest\": sha-256=:AAAA:\n\"@signature-params\": (\"@method\" \"content-digest\");created=1"
	changed := strings.Replace(base, "AAAA", "BBBB", 1)
	less := strings.Replace(base, "\"content-digest\": sha-256=:AAAA:\n", "", 1)
	in := func(lane traffic.Lane, kind traffic.Kind, base string) record {
		return record{Message: traffic.Message{Lane: lane, Kind: kind, Base: []byte(base)}}
	}
	for name, test := range map[string]struct {
		exchange []record
		note     string
		lines    []string // that differ
	}{
		"not signed":              {[]record{in(traffic.App, traffic.Request, ""), in(traffic.Server, traffic.Request, "")}, "", nil},
		"the same":                {[]record{in(traffic.App, traffic.Request, base), in(traffic.Network, traffic.Bytes, ""), in(traffic.Server, traffic.Request, base), in(traffic.Server, traffic.Request, "")}, "✓ the same text at both ends", nil},
		"changed on the way":      {[]record{in(traffic.App, traffic.Request, base), in(traffic.Server, traffic.Request, changed)}, "✕ the two ends have different texts: 1 of 3 lines", []string{"sha-256=:AAAA: ✕ as the app has signed it", "sha-256=:BBBB: ✕ as it arrived at the server"}},
		"the server has less":     {[]record{in(traffic.App, traffic.Request, base), in(traffic.Server, traffic.Request, less)}, "✕ the two ends have different texts: 1 of 3 lines", []string{"sha-256=:AAAA: ✕ the app has signed it, and the server does not have it"}},
		"the app has less":        {[]record{in(traffic.App, traffic.Request, less), in(traffic.Server, traffic.Request, base)}, "✕ the two ends have different texts: 1 of 3 lines", []string{"sha-256=:AAAA: ✕ the server has it, and the app has not signed it"}},
		"the sender says nothing": {[]record{in(traffic.Server, traffic.Request, base)}, "as the server has built it; the sender does not say what it has signed", nil},
		"it did not come to that": {[]record{in(traffic.App, traffic.Request, base), in(traffic.Server, traffic.Request, "")}, "as the app has signed it; it did not come to a text at the server", nil},
	} {
		found := signatureBases(test.exchange)
		if test.note == "" {
			if len(found) > 0 {
				t.Errorf("%s: %+v", name, found)
			}
			continue
		}
		if len(found) != 1 || found[0].Note != test.note {
			t.Errorf("%s: %+v", name, found)
			continue
		}
		var lines []string
		for _, a := range found[0].Parts[0].Attributes {
			if strings.HasPrefix(a.Words, "✕") {
				lines = append(lines, a.Value+" "+a.Words)
			}
		}
		if strings.Join(lines, "\n") != strings.Join(test.lines, "\n") {
			t.Errorf("%s: %q", name, lines)
		}
	}
}
