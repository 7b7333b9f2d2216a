package catalog

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// Snippet is a declaration in the source that a narrative points at. It is cut out of
// the source by `stages snippets`, at the marker comment
//
//	//keyladder:code NAME
//
// in front of the declaration, so that a narrative never shows stale code.
type Snippet struct {
	File string `json:"file"` // path in the repository
	Name string `json:"name"` // of the declaration: Guard.transport
	Code string `json:"code"`
}

//go:embed snippets.json
var snippetsJSON []byte

// Snippets are the snippets by their markers. They are for all, so nobody changes them.
//
// They are read in here, and not by a variable, so that programs that ask for none do not carry
// them: the app's, in which nothing is to be found.
func Snippets() map[string]Snippet {
	snippetsOnce.Do(func() {
		if err := json.Unmarshal(snippetsJSON, &snippets); err != nil {
			panic(fmt.Sprintf("catalog: snippets.json is broken, run `go run ./stages snippets`: %v", err))
		}
	})
	return snippets
}

var (
	snippetsOnce sync.Once
	snippets     map[string]Snippet
)

var reference = regexp.MustCompile(`\[\[code:([a-z0-9-]+)\]\]`)

// Markers are the snippets that the stage's narrative points at, in order.
func (s Stage) Markers() []string {
	var markers []string
	for _, found := range reference.FindAllStringSubmatch(s.text(), -1) {
		markers = append(markers, found[1])
	}
	return markers
}

// withCode turns the references of a narrative into links to the snippets, which it
// appends as a last section.
func withCode(text string) string {
	snippets := Snippets()
	var order []string
	seen := map[string]bool{}
	text = reference.ReplaceAllStringFunc(text, func(found string) string {
		marker := reference.FindStringSubmatch(found)[1]
		snippet, ok := snippets[marker]
		if !ok {
			return "`" + marker + "`"
		}
		if !seen[marker] {
			seen[marker] = true
			order = append(order, marker)
		}
		return fmt.Sprintf("[`%s`](#%s) in `%s`", snippet.Name, marker, snippet.File)
	})
	if len(order) == 0 {
		return text
	}
	var b strings.Builder
	b.WriteString(strings.TrimSpace(text) + "\n\n## The code\n")
	for _, marker := range order {
		snippet := snippets[marker]
		fmt.Fprintf(&b, "\n### %s {#%s}\n\n`%s`\n\n```go\n%s\n```\n", snippet.Name, marker, snippet.File, snippet.Code)
	}
	return b.String()
}
