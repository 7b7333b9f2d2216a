package httpsig

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// The two fields (RFC 9421, section 4). Both are dictionaries with a member per signature.
const (
	FieldInput     = "Signature-Input"
	FieldSignature = "Signature"
)

// MaxLength is how long the two fields may be together, in bytes.
const MaxLength = 4096

// Parameters are what a signature says about itself (RFC 9421, section 2.3). A parameter that is empty is not there.
type Parameters struct {
	Created   time.Time // in whole seconds
	Expires   time.Time // in whole seconds: from then on it is worth nothing
	Nonce     string    // made up for this signature
	Algorithm string
	KeyID     string
	Tag       string // what the signature is for
}

// Signature is one signature of a message.
type Signature struct {
	Label      string
	Components []Component
	Parameters Parameters
	Value      []byte

	identifiers []string // of the components, with their parameters in the signer's order
	params      string   // the list of components with the parameters, as the base has it
	member      string   // of FieldSignature, where it was read
}

// list is what a signer covers, as a structured field.
func (s *Signature) list() (string, error) {
	var list strings.Builder
	s.writeIdentifiers(&list)
	p := s.Parameters
	for _, instant := range [...]struct {
		name string
		at   time.Time
	}{{"created", p.Created}, {"expires", p.Expires}} {
		if !instant.at.IsZero() {
			writeParameter(&list, instant.name, strconv.FormatInt(instant.at.Unix(), 10))
		}
	}
	for _, text := range [...]struct{ name, value string }{{"nonce", p.Nonce}, {"alg", p.Algorithm}, {"keyid", p.KeyID}, {"tag", p.Tag}} {
		if text.value == "" {
			continue
		}
		if !quotable(text.value) {
			return "", fmt.Errorf("%w: %s", ErrParameter, text.name)
		}
		writeParameter(&list, text.name, quote(text.value))
	}
	return list.String(), nil
}

func writeParameter(list *strings.Builder, name, value string) {
	list.WriteByte(';')
	list.WriteString(name)
	list.WriteByte('=')
	list.WriteString(value)
}

// writeIdentifiers writes the identifiers of what is covered, as an inner list.
func (s *Signature) writeIdentifiers(list *strings.Builder) {
	list.Grow(512) // holds what is usual, with the parameters
	list.WriteByte('(')
	for i, identifier := range s.identifiers {
		if i > 0 {
			list.WriteByte(' ')
		}
		list.WriteString(identifier)
	}
	list.WriteByte(')')
}

// Read reads the signature with a label; others are left alone. Nothing of it is verified. Its errors
// are [ErrMissing] and those that wrap [ErrMalformed].
//
//keyladder:code httpsig-read
func Read(header http.Header, label string) (*Signature, error) {
	inputs, values := header.Values(FieldInput), header.Values(FieldSignature)
	length := 0
	for _, field := range slices.Concat(inputs, values) {
		length += len(field)
	}
	if length > MaxLength {
		return nil, fmt.Errorf("%w: %d bytes, and %d are the most", ErrTooLong, length, MaxLength)
	}
	if len(inputs) == 1 && len(values) == 1 {
		if s, ok := readUsual(inputs[0], values[0], label); ok {
			return s, nil
		}
	}
	return readAny(inputs, values, label)
}

// readAny reads the two fields however they are written.
//
//keyladder:code httpsig-read-any
func readAny(inputs, values []string, label string) (*Signature, error) {
	input, err := httpsfv.UnmarshalDictionary(inputs)
	value, err2 := httpsfv.UnmarshalDictionary(values)
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	covered, found := input.Get(label)
	signed, found2 := value.Get(label)
	if !found && !found2 {
		return nil, ErrMissing
	}
	list, ok := covered.(httpsfv.InnerList)
	item, ok2 := signed.(httpsfv.Item)
	bytes, ok3 := item.Value.([]byte)
	if !ok || !ok2 || !ok3 {
		return nil, ErrSyntax
	}
	s := &Signature{Label: label, Value: bytes}
	if s.member, err = marshalMember(item); err != nil {
		return nil, err
	}
	s.Components, s.identifiers = make([]Component, 0, len(list.Items)), make([]string, 0, len(list.Items))
	return s, s.read(list)
}

// read reads what a signer covers. Its order stays the signer's, down to the parameters of components.
func (s *Signature) read(list httpsfv.InnerList) error {
	for _, item := range list.Items {
		c, err := readComponent(item)
		if err != nil {
			return err
		}
		identifier := ""
		if len(item.Params.Names()) > 1 { // in the signer's order
			if identifier, err = marshalMember(item); err != nil {
				return err
			}
		}
		if err := s.cover(c, identifier); err != nil {
			return err
		}
	}
	var text strings.Builder
	s.writeIdentifiers(&text)
	var err error
	s.Parameters, err = readParameters(list.Params, &text)
	s.params = text.String()
	return err
}

// readParameters reads the parameters, and writes them again as they are in the base: in the signer's order.
func readParameters(params *httpsfv.Params, text *strings.Builder) (p Parameters, err error) {
	for _, name := range params.Names() {
		value, _ := params.Get(name)
		seconds, isNumber := value.(int64)
		said, isText := value.(string)
		ok := isNumber || isText && said != "" // an empty one would count as absent
		if !ok || !p.set(name, said, seconds) {
			return p, fmt.Errorf("%w: %s", ErrParameter, name)
		}
		written := quote(said)
		if isNumber {
			written = strconv.FormatInt(seconds, 10)
		}
		writeParameter(text, name, written)
	}
	return p, nil
}

// set takes a parameter, whose value is a string or, where that is empty, a number; false: there is none of
// that name with such a value.
func (p *Parameters) set(name, said string, number int64) bool {
	switch isNumber := said == ""; {
	case isNumber && name == "created":
		p.Created = time.Unix(number, 0)
	case isNumber && name == "expires":
		p.Expires = time.Unix(number, 0)
	case isNumber:
		return false
	case name == "nonce":
		p.Nonce = said
	case name == "alg":
		p.Algorithm = said
	case name == "keyid":
		p.KeyID = said
	case name == "tag":
		p.Tag = said
	default:
		return false
	}
	return true
}

// Base is the text that a signature of a message is over (RFC 9421, section 2.5): a line for each
// component that it covers, and one for the list of these with its parameters, without a line feed at
// the end. Signers and verifiers use this one function. Its errors are [ErrAbsent] and [ErrComponent].
//
// No value can hold a line feed, so two messages that differ in what is covered never make one text.
//
//keyladder:code httpsig-base
func (s *Signature) Base(m Message) ([]byte, error) {
	values, length := make([]string, 0, usualNumber), len(s.params)+len(paramsLine)
	for i, c := range s.Components {
		value, err := c.value(m)
		if err != nil {
			return nil, err
		}
		if strings.IndexByte(value, '\n') >= 0 || strings.IndexByte(value, '\r') >= 0 {
			return nil, fmt.Errorf("%w: %s has a line feed", ErrComponent, c)
		}
		values, length = append(values, value), length+len(s.identifiers[i])+len(": ")+len(value)+len("\n")
	}
	base := make([]byte, 0, length)
	for i, value := range values {
		base = append(append(base, s.identifiers[i]...), ": "...)
		base = append(append(base, value...), '\n')
	}
	base = append(base, paramsLine...)
	return append(base, s.params...), nil
}

// paramsLine begins the last line of each base.
const paramsLine = `"` + signatureParams + `": `

// Sign signs a message: it puts both fields into its header, where those of other signatures stay.
// The signature covers its components, with its parameters. It returns the base that was
// signed.
//
//keyladder:code httpsig-sign
func (s *Signature) Sign(m Message, key Signer) (base []byte, err error) {
	own := *s
	own.identifiers = make([]string, 0, usualNumber)
	for i, c := range s.Components {
		identifier, err := c.identifierBeside(s.Components[:i])
		if err != nil {
			return nil, fmt.Errorf("sign a message: %w", err)
		}
		own.identifiers = append(own.identifiers, identifier)
	}
	if own.params, err = own.list(); err != nil {
		return nil, fmt.Errorf("sign a message: %w", err)
	}
	if base, err = own.Base(m); err != nil {
		return nil, fmt.Errorf("sign a message: %w", err)
	}
	if own.Value, err = key.Sign(base); err != nil {
		return nil, fmt.Errorf("sign a message: %w", err)
	}
	value := append(append(make([]byte, 0, 128), s.Label...), "=:"...)
	value = append(base64.StdEncoding.AppendEncode(value, own.Value), ':')
	err = setMember(m.Header, FieldInput, s.Label+"="+own.params)
	err2 := setMember(m.Header, FieldSignature, string(value))
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("sign a message: %w", err)
	}
	*s = own
	return base, nil
}

// cover adds a component that is covered, with its identifier as the signer writes it; empty: as all do.
func (s *Signature) cover(c Component, identifier string) error {
	usual, err := c.identifierBeside(s.Components)
	if err != nil {
		return err
	}
	s.Components, s.identifiers = append(s.Components, c), append(s.identifiers, cmp.Or(identifier, usual))
	return nil
}

// setMember puts a member into a dictionary, as its text, in place of one with its label.
func setMember(header http.Header, field, text string) error {
	if others := header.Values(field); len(others) > 0 {
		all, err := httpsfv.UnmarshalDictionary(append(slices.Clone(others), text)) // the last one counts
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSyntax, err)
		}
		if text, err = httpsfv.Marshal(all); err != nil {
			return fmt.Errorf("%w: %w", ErrSyntax, err)
		}
	}
	header.Set(field, text)
	return nil
}

// covers says whether the signature covers a component.
func (s *Signature) covers(c Component) bool { return slices.Contains(s.Components, c) }

// Labels are those of the signatures that a message carries, in their order; none: it carries none, or
// nothing that can be read.
func Labels(header http.Header) []string {
	inputs, err := httpsfv.UnmarshalDictionary(header.Values(FieldInput))
	if err != nil {
		return nil
	}
	return inputs.Names()
}
