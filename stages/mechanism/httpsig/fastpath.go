package httpsig

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// readUsual reads the two fields where they hold one signature, with nothing but names for components, and
// are written in the one way in which structured fields are serialized (RFC 9651, section 4.1). Most signers
// send that, with each call, and then what they say is in the base as it is. Anything else is not ok, be it
// good or not: [Read] has a parser for it.
func readUsual(input, signature, label string) (s *Signature, ok bool) {
	text := usual(input)
	ok = text.skip(label + "=")
	member, ok2 := strings.CutPrefix(signature, label+"=")
	s = &Signature{Label: label, params: string(text), member: member}
	if !ok || !ok2 || !s.readValue() || !text.skip("(") {
		return nil, false
	}
	s.Components, s.identifiers = make([]Component, 0, usualNumber), make([]string, 0, usualNumber)
	for !text.skip(")") {
		if len(s.Components) > 0 && !text.skip(" ") {
			return nil, false
		}
		name, ok := text.quoted()
		if !ok || s.cover(Component{Name: name}, "") != nil {
			return nil, false
		}
	}
	for seen := make([]string, 0, 8); text != ""; {
		name, said, number, ok := text.parameter()
		if !ok || slices.Contains(seen, name) || !s.Parameters.set(name, said, number) {
			return nil, false
		}
		seen = append(seen, name)
	}
	return s, true
}

// readValue reads a byte sequence.
func (s *Signature) readValue() bool {
	text, ok := strings.CutPrefix(s.member, ":")
	text, ok2 := strings.CutSuffix(text, ":")
	value, err := base64.StdEncoding.Strict().DecodeString(text) // which leaves out line feeds
	s.Value = value
	return ok && ok2 && err == nil && !strings.ContainsAny(text, "\r\n")
}

// usual is the rest of such a text, which has not been read yet.
type usual string

// skip takes away what it begins with.
func (u *usual) skip(beginning string) bool {
	rest, ok := strings.CutPrefix(string(*u), beginning)
	*u = usual(rest)
	return ok
}

// quoted takes away a string in which nothing is escaped.
func (u *usual) quoted() (content string, ok bool) {
	if !u.skip(`"`) {
		return "", false
	}
	content, rest, ok := strings.Cut(string(*u), `"`)
	*u = usual(rest)
	return content, ok && quotable(content) && strings.IndexByte(content, '\\') < 0
}

// parameter takes away one whose value is a string, which is not empty, or a number.
func (u *usual) parameter() (name, said string, number int64, ok bool) {
	if !u.skip(";") {
		return "", "", 0, false
	}
	name, rest, ok := strings.Cut(string(*u), "=")
	*u = usual(rest)
	if ok && strings.HasPrefix(rest, `"`) {
		said, ok = u.quoted()
		return name, said, 0, ok && said != ""
	}
	digits, _, _ := strings.Cut(rest, ";")
	*u = (*u)[len(digits):]
	number, err := strconv.ParseInt(digits, 10, 64)
	return name, "", number, ok && err == nil && len(digits) <= 15 && digits[0] >= '1' && digits[0] <= '9'
}
