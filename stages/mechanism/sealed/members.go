package sealed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Errors of [Key.OpenMembers], beside those of [Key.Open].
var (
	// ErrClear means that a member which has to be sealed is in the clear.
	ErrClear = errors.New("a member that has to be sealed is in the clear")
	// ErrMember means that a sealed portion holds a member that does not belong there.
	ErrMember = errors.New("the sealed portion holds another member")
)

// Portion is the member that holds the sealed ones of its object.
const Portion = "sealed"

// maxDepth is how deep objects and lists may lie in each other.
const maxDepth = 16

// SealMembers seals a portion of a JSON text: in each object, the members with these names.
// They become one object, which is sealed as [Key.Seal] does it, so that none can be
// exchanged for another's. Everything else stays readable and in its order. It says
// whether there was anything to seal.
//
//keyladder:code sealed-members
func (k Key) SealMembers(content []byte, names []string) (out []byte, some bool, err error) {
	out, err = eachObject(content, maxDepth, func(all []member) ([]member, error) {
		var clear, secret []member
		for _, m := range all {
			switch {
			case slices.Contains(names, m.name):
				secret = append(secret, m)
			case m.name == Portion:
				return nil, ErrMalformed
			default:
				clear = append(clear, m)
			}
		}
		if len(secret) == 0 {
			return all, nil
		}
		some = true
		sealed, err := k.Seal(object(secret), "application/json")
		if err != nil {
			return nil, err
		}
		return append(clear, member{Portion, json.RawMessage(`"` + string(sealed) + `"`)}), nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("seal a portion: %w", err)
	}
	return out, some, nil
}

// OpenMembers opens what SealMembers has sealed, and refuses a member of these names that is
// not sealed. Verify the signature over the text first.
func (k Key) OpenMembers(content []byte, names []string) (out []byte, some bool, err error) {
	out, err = eachObject(content, maxDepth, func(all []member) ([]member, error) {
		var opened []member
		for _, m := range all {
			if slices.Contains(names, m.name) {
				return nil, ErrClear
			}
			if m.name != Portion {
				opened = append(opened, m)
				continue
			}
			some = true
			secret, err := k.portion(m.value)
			if err != nil {
				return nil, err
			}
			for _, s := range secret {
				if !slices.Contains(names, s.name) {
					return nil, ErrMember
				}
			}
			opened = append(opened, secret...)
		}
		return opened, nil
	})
	if err != nil {
		return nil, false, err
	}
	return out, some, nil
}

func (k Key) portion(value json.RawMessage) ([]member, error) {
	var sealed string
	if json.Unmarshal(value, &sealed) != nil {
		return nil, ErrMalformed
	}
	content, _, err := k.Open([]byte(sealed))
	if err != nil {
		return nil, err
	}
	return members(content)
}

// member is one of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// eachObject replaces the members of all objects in a JSON text, from the inside out.
func eachObject(text json.RawMessage, depth int, change func([]member) ([]member, error)) (json.RawMessage, error) {
	if depth == 0 {
		return nil, ErrMalformed
	}
	switch first, _ := firstByte(text); first {
	case '{':
		all, err := members(text)
		if err != nil {
			return nil, err
		}
		for i := range all {
			if all[i].value, err = eachObject(all[i].value, depth-1, change); err != nil {
				return nil, err
			}
		}
		if all, err = change(all); err != nil {
			return nil, err
		}
		return object(all), nil
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(text, &list) != nil {
			return nil, ErrMalformed
		}
		for i := range list {
			var err error
			if list[i], err = eachObject(list[i], depth-1, change); err != nil {
				return nil, err
			}
		}
		return json.Marshal(list)
	}
	if !json.Valid(text) {
		return nil, ErrMalformed
	}
	return text, nil
}

func firstByte(text []byte) (byte, bool) {
	text = bytes.TrimLeft(text, " \t\r\n")
	if len(text) == 0 {
		return 0, false
	}
	return text[0], true
}

// members are those of a JSON object, in their order, none twice: a reader that takes the
// first of two, and one that takes the last, must not read different things.
func members(text []byte) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, ErrMalformed
	}
	var all []member
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok || slices.ContainsFunc(all, func(m member) bool { return m.name == name }) {
			return nil, ErrMalformed
		}
		m := member{name: name}
		if decoder.Decode(&m.value) != nil {
			return nil, ErrMalformed
		}
		all = append(all, m)
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, ErrMalformed
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrMalformed
	}
	return all, nil
}

// object is the JSON object that has the members.
func object(all []member) json.RawMessage {
	text := []byte{'{'}
	for i, m := range all {
		if i > 0 {
			text = append(text, ',')
		}
		name, _ := json.Marshal(m.name) // of a string, it can't fail
		text = append(append(append(text, name...), ':'), m.value...)
	}
	return append(text, '}')
}
