package traffic

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyladder/admin/ui"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/httpsig"
)

// messageSignatures are the two fields of RFC 9421, of requests and of answers.
var messageSignatures = decoder{
	Checks: []catalog.Check{catalog.CheckSignature, catalog.CheckProofNew},
	Decode: func(seen text) []section {
		header := http.Header{}
		for _, field := range signatureField.FindAllStringSubmatch(seen.Head, maxSections) {
			header.Add(field[1], field[2])
		}
		var found []section
		for _, label := range httpsig.Labels(header) {
			s, err := httpsig.Read(header, label)
			if err != nil {
				unread := credential("Signature-Input", label, nil)
				unread.Note = err.Error()
				found = append(found, unread)
				continue
			}
			found = append(found, credential("Signature-Input", label, signatureAttributes(s)))
		}
		return found
	},
}

var signatureField = regexp.MustCompile(`(?im)^(signature|signature-input):[ \t]*(\S[^\r\n]*?)[ \t]*\r?$`)

func signatureAttributes(s *httpsig.Signature) []attribute {
	var covered []string
	for _, c := range s.Components {
		covered = append(covered, c.String())
	}
	all := []attribute{{"covers", strings.Join(covered, " "), "the parts of the message that the signature is over"}}
	p := s.Parameters
	for _, instant := range []struct {
		name, words string
		at          time.Time
	}{{"created", "when it was made", p.Created}, {"expires", "from when on it is worth nothing", p.Expires}} {
		if !instant.at.IsZero() {
			all = append(all, attribute{instant.name, strconv.FormatInt(instant.at.Unix(), 10), instant.words + ": " + ui.Stamp(instant.at) + " UTC"})
		}
	}
	for _, a := range []attribute{
		{"nonce", p.Nonce, "made up for this message, and good once"},
		{"alg", p.Algorithm, "which the verifier compares with what the key is for"},
		{"keyid", p.KeyID, "thumbprint of the key (RFC 7638)"},
		{"tag", p.Tag, "what the signature is for"},
	} {
		if a.Value != "" {
			all = append(all, a)
		}
	}
	return append(all, attribute{"signature", fmt.Sprintf("%d bytes", len(s.Value)), "ECDSA on P-256: r and s, of 32 bytes each, over the SHA-256 of the signature base"})
}

// signatureBases compares the text that the app says it has signed with the one that the server has built
// out of what arrived. None: nothing in the exchange is signed.
func signatureBases(exchange []record) []section {
	ofApp, ofServer := baseIn(exchange, traffic.App), baseIn(exchange, traffic.Server)
	s := section{Kind: "bases", Title: "Signature base"}
	switch {
	case ofApp == "" && ofServer == "":
		return nil
	case ofApp == "":
		s.Note = "as the server has built it; the sender does not say what it has signed"
		s.Parts = []part{{Text: ofServer}}
	case ofServer == "":
		s.Note = "as the app has signed it; it did not come to a text at the server"
		s.Parts = []part{{Text: ofApp}}
	default:
		lines, differing, all := compareBases(ofApp, ofServer)
		s.Note = "✓ the same text at both ends"
		advice := "Where the signature is refused all the same, another key has made it."
		if differing > 0 {
			s.Note = fmt.Sprintf("✕ the two ends have different texts: %d of %d lines", differing, all)
			advice = "The signature is over the whole text. One other character in it, and the signature no longer matches."
		}
		s.Parts = []part{{Attributes: lines, Lines: []string{advice + " Neither text travels: both ends make it of the message."}}}
	}
	return []section{s}
}

// baseIn is the base of the request as it was seen in a lane; empty: there is none.
func baseIn(exchange []record, lane traffic.Lane) string {
	for _, r := range exchange {
		if r.Lane == lane && r.Kind == traffic.Request && len(r.Base) > 0 {
			return masked(string(r.Base))
		}
	}
	return ""
}

// compareBases lays two texts side by side, line by line, and counts those that differ, and all.
func compareBases(ofApp, ofServer string) (lines []attribute, differing, all int) {
	app, server := baseLines(ofApp), baseLines(ofServer)
	all = len(app)
	add := func(name, value, words string) { lines = append(lines, attribute{name, value, words}) }
	for _, line := range app {
		at := slices.IndexFunc(server, func(other [2]string) bool { return other[0] == line[0] })
		switch {
		case at < 0:
			add(line[0], line[1], "✕ the app has signed it, and the server does not have it")
			differing++
		case server[at][1] == line[1]:
			add(line[0], line[1], "✓")
		default:
			add(line[0], line[1], "✕ as the app has signed it")
			add(line[0], server[at][1], "✕ as it arrived at the server")
			differing++
		}
	}
	for _, line := range server {
		if !slices.ContainsFunc(app, func(other [2]string) bool { return other[0] == line[0] }) {
			add(line[0], line[1], "✕ the server has it, and the app has not signed it")
			differing, all = differing+1, all+1
		}
	}
	return lines, differing, all
}

// baseLines are a base's lines, each with its component and the value of that.
func baseLines(base string) (lines [][2]string) {
	for line := range strings.SplitSeq(base, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		lines = append(lines, [2]string{name, value})
	}
	return lines
}
