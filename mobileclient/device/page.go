package device

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Page is what the user agent shows. It has what was read out of the HTML, text and
// addresses, and no markup.
type Page struct {
	Number int    // of the pages that this user agent has shown, from 1 on
	URL    string // where it came from, with the fragment
	Status int    // HTTP
	Title  string
	Text   string // what there is to read besides links and forms: a line for each block, spaces folded
	Forms  []Form
	Links  []Link

	// Wait is what the server asks for before another try (Retry-After); 0: nothing.
	Wait time.Duration

	// App is the package of the app that the URL was handed to: then there is no page.
	App string

	// Unclaimed is whether the URL is one for an app, and no app on the phone claims it.
	Unclaimed bool

	stage string
}

// Link is a link of a page.
type Link struct {
	Text string
	URL  string // absolute
}

// Form is a form of a page.
type Form struct {
	Method  string // GET or POST
	Action  string // absolute
	Fields  []Field
	Buttons []Button
}

// Kind is what a field takes.
type Kind string

// The kinds of fields. A kind that this user agent does not know takes text, as in browsers.
const (
	Text     Kind = "text"
	Password Kind = "password"
	Area     Kind = "area" // text of several lines
	Hidden   Kind = "hidden"
	Checkbox Kind = "checkbox"
	Radio    Kind = "radio" // one of several fields of that name
	Choice   Kind = "choice"
)

// Field is a field of a form.
type Field struct {
	Name     string
	Kind     Kind
	Label    string // what the page calls it
	Value    string // that the page has put into it; of Checkbox and Radio: what is sent when it is chosen
	Chosen   bool   // of Checkbox and Radio
	Required bool
	Options  []Option // of Choice
}

// Option is something that a field offers for choice.
type Option struct{ Value, Label string }

// Button sends a form, and itself if it has a name.
type Button struct{ Name, Value, Label string }

func (f *Form) has(name string) bool {
	return slices.ContainsFunc(f.Fields, func(field Field) bool { return field.Name == name })
}

// preset is what is sent where nobody fills in anything.
func (f *Form) preset() url.Values {
	values := url.Values{}
	for _, field := range f.Fields {
		if field.Kind != Checkbox && field.Kind != Radio || field.Chosen {
			values.Add(field.Name, field.Value)
		}
	}
	return values
}

// read takes from a page what there is to see and to fill in.
func (p *Page) read(contentType string, body []byte, base *url.URL) {
	if media, _, err := mime.ParseMediaType(contentType); err != nil || media != "text/html" {
		p.Text = strings.TrimSpace(strings.ToValidUTF8(string(body), "\uFFFD"))
		return
	}
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return // it never fails on text in memory
	}
	labels := labelsFor(root)
	for node := range root.Descendants() {
		if node.Type != html.ElementNode || insideUnseen(node) {
			continue
		}
		switch node.DataAtom {
		case atom.Title:
			if p.Title == "" {
				p.Title = folded(node)
			}
		case atom.A:
			if href, ok := attribute(node, "href"); ok {
				if link, err := base.Parse(href); err == nil {
					p.Links = append(p.Links, Link{Text: folded(node), URL: link.String()})
				}
			}
		case atom.Form:
			if form, err := readForm(node, base, labels); err == nil {
				p.Forms = append(p.Forms, form)
			}
		}
	}
	p.Text = text(root)
}

// text is what there is to read, a line for each block.
func text(root *html.Node) string {
	var lines, line []string
	end := func() {
		if len(line) > 0 {
			lines, line = append(lines, strings.Join(line, " ")), nil
		}
	}
	var walk func(*html.Node)
	walk = func(node *html.Node) {
		if node.Type == html.TextNode {
			line = append(line, strings.Fields(node.Data)...)
			return
		}
		if node.Type == html.ElementNode && (unseen(node) || slices.Contains(ofForms, node.DataAtom)) {
			return
		}
		block := node.Type == html.ElementNode && !slices.Contains(inLine, node.DataAtom)
		if block {
			end()
		}
		for child := range node.ChildNodes() {
			walk(child)
		}
		if block {
			end()
		}
	}
	walk(root)
	end()
	return strings.Join(lines, "\n")
}

// Elements whose text belongs to a form, and those that do not begin a new line.
var (
	ofForms = []atom.Atom{atom.Label, atom.Button, atom.Option, atom.Select, atom.Textarea, atom.Title}
	inLine  = []atom.Atom{
		atom.A, atom.Abbr, atom.B, atom.Cite, atom.Code, atom.Em, atom.I, atom.Kbd, atom.Mark, atom.Q, atom.S,
		atom.Small, atom.Span, atom.Strong, atom.Sub, atom.Sup, atom.Time, atom.U, atom.Var,
	}
)

// unseen is whether an element holds nothing for people.
func unseen(node *html.Node) bool {
	_, hidden := attribute(node, "hidden")
	return hidden || slices.Contains([]atom.Atom{atom.Script, atom.Style, atom.Noscript, atom.Template, atom.Iframe}, node.DataAtom)
}

func insideUnseen(node *html.Node) bool {
	for around := range node.Ancestors() {
		if around.Type == html.ElementNode && unseen(around) {
			return true
		}
	}
	return unseen(node)
}

// folded is the text inside an element, spaces folded.
func folded(node *html.Node) string {
	var words []string
	for inside := range node.Descendants() {
		if inside.Type == html.TextNode && !unseen(inside.Parent) {
			words = append(words, strings.Fields(inside.Data)...)
		}
	}
	return strings.Join(words, " ")
}

// labelsFor are the labels that name their field by its ID.
func labelsFor(root *html.Node) map[string]string {
	labels := map[string]string{}
	for node := range root.Descendants() {
		if id, ok := attribute(node, "for"); ok && node.DataAtom == atom.Label {
			labels[id] = folded(node)
		}
	}
	return labels
}

// label is what a page calls a field: its label's text, or what stands in for one.
func label(field *html.Node, labels map[string]string) string {
	if id, ok := attribute(field, "id"); ok && labels[id] != "" {
		return labels[id]
	}
	for around := range field.Ancestors() {
		if around.DataAtom == atom.Label {
			if text := folded(around); text != "" {
				return text
			}
		}
	}
	for _, name := range []string{"aria-label", "placeholder", "title", "name"} {
		if text, _ := attribute(field, name); strings.TrimSpace(text) != "" {
			return strings.Join(strings.Fields(text), " ")
		}
	}
	return ""
}

func readForm(node *html.Node, base *url.URL, labels map[string]string) (Form, error) {
	form := Form{Method: http.MethodGet}
	if method, _ := attribute(node, "method"); strings.EqualFold(method, http.MethodPost) {
		form.Method = http.MethodPost
	}
	action, _ := attribute(node, "action")
	target, err := base.Parse(action)
	if err != nil {
		return Form{}, err
	}
	target.Fragment = ""
	form.Action = target.String()
	for inside := range node.Descendants() {
		if _, disabled := attribute(inside, "disabled"); disabled {
			continue
		}
		if button, ok := readButton(inside, labels); ok {
			form.Buttons = append(form.Buttons, button)
		} else if field, ok := readField(inside, labels); ok {
			form.Fields = append(form.Fields, field)
		}
	}
	return form, nil
}

// readButton reads what sends a form.
func readButton(node *html.Node, labels map[string]string) (Button, bool) {
	kind, _ := attribute(node, "type")
	kind = strings.ToLower(kind)
	button := Button{}
	button.Name, _ = attribute(node, "name")
	button.Value, _ = attribute(node, "value")
	switch {
	case node.DataAtom == atom.Button && kind != "button" && kind != "reset":
		button.Label = folded(node)
	case node.DataAtom == atom.Input && kind == "submit":
		button.Label = button.Value
	default:
		return Button{}, false
	}
	if button.Label == "" {
		if button.Label = label(node, labels); button.Label == "" {
			button.Label = "Submit" // as browsers write
		}
	}
	return button, true
}

// readField reads what can be filled in, or is sent as it is.
func readField(node *html.Node, labels map[string]string) (Field, bool) {
	field := Field{Kind: Text}
	field.Name, _ = attribute(node, "name")
	if field.Name == "" {
		return Field{}, false
	}
	switch node.DataAtom {
	case atom.Input:
		value, given := attribute(node, "value")
		field.Value = value
		kind, _ := attribute(node, "type")
		switch kind = strings.ToLower(kind); kind {
		case "image", "button", "reset", "file":
			return Field{}, false
		case "password", "hidden":
			field.Kind = Kind(kind)
		case "checkbox", "radio":
			field.Kind = Kind(kind)
			_, field.Chosen = attribute(node, "checked")
			if !given {
				field.Value = "on"
			}
		}
	case atom.Textarea:
		field.Kind = Area
		if node.FirstChild != nil {
			field.Value = node.FirstChild.Data
		}
	case atom.Select:
		field.Kind = Choice
		field.Options, field.Value = options(node)
	default:
		return Field{}, false
	}
	if insideUnseen(node) && field.Kind != Checkbox && field.Kind != Radio {
		field.Kind = Hidden // it is sent, but nobody can fill it in
	}
	if field.Kind != Hidden {
		field.Label = label(node, labels)
		_, field.Required = attribute(node, "required")
	}
	return field, true
}

// options are those of a list, and the value of the chosen one, or of the first.
func options(list *html.Node) (all []Option, chosen string) {
	found := false
	for node := range list.Descendants() {
		if node.DataAtom != atom.Option {
			continue
		}
		option := Option{Label: folded(node)}
		var ok bool
		if option.Value, ok = attribute(node, "value"); !ok {
			option.Value = option.Label
		}
		if _, selected := attribute(node, "selected"); selected && !found {
			chosen, found = option.Value, true
		}
		all = append(all, option)
	}
	if !found && len(all) > 0 {
		chosen = all[0].Value
	}
	return all, chosen
}

func attribute(node *html.Node, name string) (string, bool) {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// ReadPage reads a page that some other user agent has loaded.
func ReadPage(status int, contentType string, body []byte, at *url.URL) *Page {
	page := &Page{URL: at.String(), Status: status}
	page.read(contentType, body, at)
	return page
}

// Filled is what a form sends: what the page has put into it, the given values in their place,
// and the button that was pressed. Its error is [ErrNoField].
func (f *Form) Filled(values url.Values, pressed Button) (url.Values, error) {
	fields := f.preset()
	for name, value := range values {
		if !f.has(name) {
			return nil, fmt.Errorf("fill in %q: %w", name, ErrNoField)
		}
		fields[name] = value
	}
	if pressed.Name != "" {
		fields.Add(pressed.Name, pressed.Value)
	}
	return fields, nil
}
