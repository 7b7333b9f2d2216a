package workshop

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// narrative is a stage's text as HTML, and its headings. The section with the code that
// it points at comes apart, as code wants wider lines than text.
type narrative struct {
	HTML     string
	Code     string
	Headings []heading
}

// Lines of a console wrap between words. Browsers also do it after a hyphen, which none of what
// is typed there means as the end of a word.
const consoleTag = `<code class="language-console">`

var (
	consoles = regexp.MustCompile("(?s)" + consoleTag + ".*?</code>")
	hyphened = regexp.MustCompile(`[^\s<>]*[^\s<>-]-[^\s<>]+`)
)

const codeSection = `<h2 id="the-code">`

// bareCode is the code without its heading, for pages that have one of their own.
func (n narrative) bareCode() string {
	_, code, _ := strings.Cut(n.Code, "</h2>")
	return code
}

type heading struct {
	Link, Text string
}

// renderNarrative makes HTML of Markdown. Raw HTML in it is left out. Headings get an
// anchor; the first-level one goes, as the page has its own. Links to the code lead to the page
// that shows it.
func renderNarrative(markdown, codePage string) (narrative, error) {
	var n narrative
	source := []byte(markdown)
	md := goldmark.New(
		goldmark.WithExtensions(extension.GFM),
		goldmark.WithParserOptions(
			parser.WithAutoHeadingID(),
			parser.WithAttribute(), // ## Title {#id}
			parser.WithASTTransformers(util.Prioritized(&anchors{narrative: &n}, 100)),
		),
	)
	var out bytes.Buffer
	if err := md.Convert(source, &out); err != nil {
		return narrative{}, fmt.Errorf("render a narrative: %w", err)
	}
	// Code scrolls sideways, which a keyboard does only where it can stop.
	html := strings.ReplaceAll(out.String(), "<pre><code", `<pre tabindex="0"><code`)
	html = consoles.ReplaceAllStringFunc(html, func(console string) string {
		text := strings.TrimPrefix(console, consoleTag)
		return consoleTag + hyphened.ReplaceAllString(text, `<span class="whole">$0</span>`)
	})
	text, code, found := strings.Cut(html, codeSection)
	n.HTML = text
	if found {
		n.Code = codeSection + code
		n.linkCode(codePage)
	}
	return n, nil
}

// linkCode has the text link to a page with the code.
func (n *narrative) linkCode(page string) {
	var links []string
	for _, id := range elementID.FindAllStringSubmatch(n.Code, -1) {
		link := "#" + id[1]
		links = append(links, `href="`+link+`"`, `href="`+page+link+`"`)
		for i := range n.Headings {
			if n.Headings[i].Link == link {
				n.Headings[i].Link = page + link
			}
		}
	}
	n.HTML = strings.NewReplacer(links...).Replace(n.HTML)
}

var elementID = regexp.MustCompile(`<h\d id="([^"]+)"`)

type anchors struct{ narrative *narrative }

func (a *anchors) Transform(doc *ast.Document, reader text.Reader, _ parser.Context) {
	var title []ast.Node
	for node := doc.FirstChild(); node != nil; node = node.NextSibling() {
		h, ok := node.(*ast.Heading)
		if !ok {
			continue
		}
		if h.Level == 1 {
			title = append(title, h)
			continue
		}
		value, ok := h.AttributeString("id")
		id, isBytes := value.([]byte)
		if !ok || !isBytes {
			continue
		}
		words := plainText(h, reader.Source())
		if h.Level == 2 {
			a.narrative.Headings = append(a.narrative.Headings, heading{Link: "#" + string(id), Text: words})
		}
		link := ast.NewLink()
		link.Destination = append([]byte("#"), id...)
		link.SetAttributeString("class", []byte("anchor"))
		link.SetAttributeString("tabindex", []byte("-1")) // the list of contents has the same
		link.SetAttributeString("aria-label", []byte("Link to “"+words+"”"))
		link.AppendChild(link, ast.NewString([]byte("#")))
		h.AppendChild(h, link)
	}
	for _, node := range title {
		doc.RemoveChild(doc, node)
	}
}

func plainText(node ast.Node, source []byte) string {
	var out bytes.Buffer
	_ = ast.Walk(node, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			out.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return out.String()
}
