package traffic

import (
	"bytes"
	"encoding/json"
)

// text is what strangers wrote. JSON makes six bytes of one that is no UTF-8, or that controls
// a terminal, and loses the first kind. So text in which there is much of it is sent as base64.
type text string

// textBytes is how long the JSON of a text of n bytes is at most.
func textBytes(n int) int { return n + n/3 + 20 }

func (t text) MarshalJSON() ([]byte, error) {
	plain, err := json.Marshal(string(t))
	if err != nil {
		return nil, err
	}
	if len(plain) <= textBytes(len(t)) && !bytes.Contains(plain, replaced) {
		return plain, nil
	}
	return json.Marshal(encodedText{[]byte(t)})
}

type encodedText struct {
	Base64 []byte `json:"base64"`
}

// replaced is what JSON makes of a byte that is no UTF-8.
var replaced = []byte(`\ufffd`)

func (t *text) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte("{")) {
		var encoded encodedText
		err := json.Unmarshal(data, &encoded)
		*t = text(encoded.Base64)
		return err
	}
	return json.Unmarshal(data, (*string)(t))
}

// wire is a message as it is sent: its own fields, and over them those with strangers' text.
type wire struct {
	plainMessage
	Summary text         `json:"summary"`
	Head    text         `json:"head,omitempty"`
	Base    text         `json:"base,omitempty"`
	Verdict *wireVerdict `json:"verdict,omitempty"`
}

type (
	plainMessage Message
	plainVerdict Verdict
)

type wireVerdict struct {
	plainVerdict
	Reason text `json:"reason"`
}

// MarshalJSON implements [json.Marshaler].
func (m Message) MarshalJSON() ([]byte, error) {
	w := wire{plainMessage: plainMessage(m), Summary: text(m.Summary), Head: text(m.Head), Base: text(m.Base)}
	if m.Verdict != nil {
		w.Verdict = &wireVerdict{plainVerdict(*m.Verdict), text(m.Verdict.Reason)}
	}
	return json.Marshal(w)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (m *Message) UnmarshalJSON(data []byte) error {
	var w wire
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*m = Message(w.plainMessage)
	m.Summary, m.Head = string(w.Summary), string(w.Head)
	if m.Base = nil; w.Base != "" {
		m.Base = []byte(w.Base)
	}
	if w.Verdict != nil {
		verdict := Verdict(w.Verdict.plainVerdict)
		verdict.Reason = string(w.Verdict.Reason)
		m.Verdict = &verdict
	}
	return nil
}

// weight is the size of a message's JSON, or something above it.
func (m *Message) weight() int {
	size := 400 + base64Bytes(len(m.Body)) + textBytes(len(m.Summary)) + textBytes(len(m.Head)) + textBytes(len(m.Base)) +
		6*(len(m.Program)+len(m.Stage)+len(m.Exchange)+len(m.From)+len(m.To))
	if m.Verdict != nil {
		size += 50 + 6*len(m.Verdict.Check) + textBytes(len(m.Verdict.Reason))
	}
	if m.HTTP != (HTTP{}) {
		size += m.HTTP.weight()
	}
	return size
}

func base64Bytes(n int) int { return (n + 2) / 3 * 4 }
