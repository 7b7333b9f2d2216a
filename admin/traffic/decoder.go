package traffic

import (
	"slices"

	"github.com/a-h/templ"

	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// decoder lays out what one mechanism puts into messages.
type decoder struct {
	Checks []catalog.Check // of the server, which verify it
	Decode func(text) []section
}

// decoders in the order in which a page shows what they find. A new mechanism adds a file
// with its own, and a line here.
var decoders = []decoder{
	appKeys, hawkFields, messageSignatures, integrityTokens, forwardedCallers, basicFields, sessionKeys, bearerTokens, possessionProofs, authorizations, grantForms, tokenAnswers, attestations,
	deviceFields, clientCertificates, sealedBodies, webTokens, tlsHellos,
}

// text is what a decoder looks at.
type text struct {
	Head string // start line and fields; clear text of the network, too
	Body string
}

// section is something in a message, laid out.
type section struct {
	Kind   string // for tests and styles: "credential", "sealed", "token"
	Scheme string // of a credential
	Title  string
	Note   string // who has verified it, or why it can't be read
	Parts  []part

	token string        // of a tokenSection
	Link  templ.SafeURL // to what can be done with it; empty: nothing
}

// part of a section: attributes, or a text as it is.
type part struct {
	Title      string
	Attributes []attribute
	Text       string
	Lines      []string // about the text
}

// attribute is a name with its value.
type attribute struct {
	Name, Value string
	Words       string // what it is
}

// maxSections are laid out per message and decoder, and maxAttributes of each.
const (
	maxSections   = 6
	maxAttributes = 12
)

// credential is a section about a field in which somebody proves something.
func credential(field, scheme string, attributes []attribute) section {
	return section{Kind: "credential", Scheme: scheme, Title: field + ": " + scheme, Parts: []part{{Attributes: attributes}}}
}

// takeApart lays out what all decoders find in a message. The verdict is the server's about
// the call that the message belongs to, where there is one.
func takeApart(seen text, kind traffic.Kind, verdict *traffic.Verdict) []section {
	var all []section
	for _, d := range decoders {
		found := d.Decode(seen)
		found = found[:min(len(found), maxSections)]
		for _, s := range found {
			if s.Note == "" {
				s.Note = d.verified(kind, verdict)
			}
			all = append(all, s)
		}
	}
	return all
}

// verified says who has verified what a decoder finds. This page never does.
func (d decoder) verified(kind traffic.Kind, verdict *traffic.Verdict) string {
	switch {
	case kind == traffic.Response:
		return "for the app to verify"
	case verdict == nil || len(d.Checks) == 0:
		return "as it was sent; this page verifies nothing"
	case verdict.Allowed:
		return "✓ verified by the server"
	case slices.Contains(d.Checks, verdict.Check):
		return "✕ refused by the server's check " + string(verdict.Check)
	}
	return "the server refused the call by another check: " + string(verdict.Check)
}

// text is what decoders look at in a record.
func (r record) text() text {
	seen := text{Head: r.Head, Body: string(r.Body)}
	if r.Kind == traffic.Bytes { // in clear text, a head is among them
		seen.Head += "\n" + viewBody(r.Body, r.Size).Text
	}
	return seen
}
