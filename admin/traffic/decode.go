package traffic

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"keyladder/admin/ui"
)

const (
	dumpBytes = 2 << 10 // of a body that is no text
	maxTokens = 8       // decoded per message
)

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

// tokenView is a JSON Web Token, taken apart and not verified.
type tokenView struct {
	Header, Claims string
	Times          []string // exp, nbf, iat in words
	Signature      string
}

// A compact JWS has three parts, of which the first is a JSON object: {" is eyJ.
var compactJWS = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)

// findTokens decodes whatever looks like a JWT (RFC 7519) in the texts.
func findTokens(texts ...string) []tokenView {
	var views []tokenView
	var seen []string
	for _, text := range texts {
		for _, token := range compactJWS.FindAllString(text, maxTokens) {
			if len(views) >= maxTokens || slices.Contains(seen, token) {
				continue
			}
			if view, ok := decodeToken(token); ok {
				seen, views = append(seen, token), append(views, view)
			}
		}
	}
	return views
}

func decodeToken(token string) (tokenView, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return tokenView{}, false
	}
	var texts [2]string
	for i := range texts {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return tokenView{}, false
		}
		var out bytes.Buffer
		if json.Indent(&out, data, "", "  ") != nil {
			return tokenView{}, false
		}
		texts[i] = out.String()
	}
	view := tokenView{Header: texts[0], Claims: texts[1], Signature: parts[2]}
	var claims map[string]any
	if json.Unmarshal([]byte(texts[1]), &claims) == nil {
		for _, name := range []string{"iat", "nbf", "exp"} {
			if at, ok := claims[name].(float64); ok && at > 0 && at < 1e11 {
				view.Times = append(view.Times, fmt.Sprintf("%s: %s UTC", name, ui.Stamp(time.Unix(int64(at), 0))))
			}
		}
	}
	return view, true
}
