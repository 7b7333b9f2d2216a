package traffic

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"unicode"
	"unicode/utf8"
)

const dumpBytes = 2 << 10 // of a body that is no text

// bodyView is a body as it is shown.
type bodyView struct {
	How  string // "JSON", "text", "bytes"
	Text string
	Cut  bool // the record, or the dump, holds less than the body
}

func viewBody(body []byte, size int) bodyView {
	v := bodyView{How: "bytes", Cut: size > len(body)}
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		var out bytes.Buffer
		if json.Indent(&out, trimmed, "", "  ") == nil {
			v.How, v.Text = "JSON", out.String()
			return v
		}
	}
	if isText(body) {
		v.How, v.Text = "text", string(body)
		return v
	}
	if len(body) > dumpBytes {
		body, v.Cut = body[:dumpBytes], true
	}
	v.Text = hex.Dump(body)
	return v
}

func isText(body []byte) bool {
	return utf8.Valid(body) && !slices.ContainsFunc([]rune(string(body)), func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t'
	})
}
