package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"unicode/utf8"

	"keyladder/internal/problem"
)

// member is a member of a JSON object: its name, and a pointer to where it goes.
type member struct {
	name string
	into any
}

// decode reads a flat JSON object that has exactly these members.
//
// It is stricter than [json.Unmarshal], which takes the last of two members of one
// name, takes "AMOUNT" for "amount", takes null for nothing and ignores what it does
// not know. Each of these lets two programs read one message in two ways, and a proof
// over a message is worth nothing when what it says depends on the reader.
//
// A body that is not one JSON object is a bad request (400); one that says the wrong things
// can't be processed (422).
func decode(body []byte, members ...member) error {
	if !utf8.Valid(body) {
		return badRequest("The body is not UTF-8.")
	}
	if bytes.HasPrefix(body, []byte("\uFEFF")) { // RFC 8259, section 8.1: senders must not add one
		return badRequest("The body begins with a byte order mark (U+FEFF). Send the JSON without one.")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if token, err := decoder.Token(); err != nil {
		return malformed(err)
	} else if token != json.Delim('{') {
		return badRequest("The body must be a JSON object.")
	}
	var seen []string
	var wrong error // syntax comes first: what follows may be broken
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return malformed(err)
		}
		name, ok := token.(string)
		if !ok {
			return badRequest("The body is not JSON.")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return malformed(err)
		}
		if slices.Contains(seen, name) {
			return badRequest("The member %q is there twice.", name)
		}
		seen = append(seen, name)
		if err := assign(members, name, value); err != nil && wrong == nil {
			wrong = err
		}
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return malformed(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return badRequest("Something follows the JSON object.")
	}
	if wrong != nil {
		return wrong
	}
	for _, m := range members {
		if !slices.Contains(seen, m.name) {
			return unprocessable("The member %q is missing.", m.name)
		}
	}
	return nil
}

func assign(members []member, name string, value json.RawMessage) error {
	i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
	if i < 0 {
		return unprocessable("There is no member %q.", name)
	}
	if string(value) == "null" || json.Unmarshal(value, members[i].into) != nil {
		return unprocessable("The member %q must be %s.", name, typeName(members[i].into))
	}
	return nil
}

func typeName(into any) string {
	switch into.(type) {
	case *string:
		return "a string"
	case *bool:
		return "true or false"
	case *int64:
		return "a whole number without a fraction or an exponent"
	default:
		return fmt.Sprintf("%T", into)
	}
}

func malformed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return badRequest("The body ends before its JSON does.")
	}
	return badRequest("The body is not JSON: %v.", err)
}

func badRequest(format string, values ...any) error {
	return problem.New(http.StatusBadRequest, "bad-request", "The request can't be read", fmt.Sprintf(format, values...))
}

func unprocessable(format string, values ...any) error {
	return problem.New(http.StatusUnprocessableEntity, "unprocessable", "The request can't be carried out", fmt.Sprintf(format, values...))
}
