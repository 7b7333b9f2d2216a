package traffic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"keyladder/admin/ui"
)

const maxTokens = 8 // decoded per message

// tokenSection is the kind of sections about them.
const tokenSection = "token"

// webTokens are JSON Web Tokens (RFC 7519).
var webTokens = decoder{
	Decode: func(seen text) []section { return findTokens(seen.Head, seen.Body) },
}

// A compact JWS has three parts, of which the first is a JSON object: {" is eyJ.
var compactJWS = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)

// findTokens decodes whatever looks like a JWT in the texts.
func findTokens(texts ...string) []section { return eachOnce(compactJWS, decodeToken, texts...) }

// eachOnce decodes what a pattern finds in the texts, each once.
func eachOnce(pattern *regexp.Regexp, decode func(string) (section, bool), texts ...string) []section {
	var found []section
	var seen []string
	for _, text := range texts {
		for _, token := range pattern.FindAllString(text, maxTokens) {
			if len(found) >= maxTokens || slices.Contains(seen, token) {
				continue
			}
			if one, ok := decode(token); ok {
				seen, found = append(seen, token), append(found, one)
			}
		}
	}
	return found
}

func decodeToken(token string) (section, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return section{}, false
	}
	var texts [2]string
	for i := range texts {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return section{}, false
		}
		var out bytes.Buffer
		if json.Indent(&out, data, "", "  ") != nil {
			return section{}, false
		}
		texts[i] = out.String()
	}
	payload := part{Title: "Claims", Text: texts[1]}
	var claims map[string]any
	if json.Unmarshal([]byte(texts[1]), &claims) == nil {
		for _, name := range []string{"iat", "nbf", "exp"} {
			if at, ok := claims[name].(float64); ok && at > 0 && at < 1e11 {
				payload.Lines = append(payload.Lines, fmt.Sprintf("%s: %s UTC", name, ui.Stamp(time.Unix(int64(at), 0))))
			}
		}
	}
	return section{
		Kind: tokenSection, Title: "A JSON Web Token, taken apart", token: token,
		Parts: []part{{Title: "Header", Text: texts[0]}, payload, {Title: "Signature", Text: parts[2]}},
	}, true
}

// linkTokens has the sections about tokens lead to the page that takes them apart. The address
// says where a token stands and not what it is: addresses are kept in histories and logs.
func linkTokens(message uint64, sections []section) {
	n := 0
	for i := range sections {
		if sections[i].Kind == tokenSection {
			sections[i].Link = templ.SafeURL(fmt.Sprintf("/take-apart?message=%d&n=%d", message, n))
			n++
		}
	}
}

// Token is one of the tokens in a message, counted from 0, and the stage at which it was sent.
func (t *Traffic) Token(message uint64, n int) (token, stage string, ok bool) {
	found, ok := t.hub.get(message)
	if !ok {
		return "", "", false
	}
	tokens := webTokens.Decode(found.text())
	if n < 0 || n >= len(tokens) {
		return "", "", false
	}
	return tokens[n].token, found.Message.Stage, true
}
