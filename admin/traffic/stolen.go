package traffic

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"keyladder/internal/manage"
)

// bookedRow is the height of a line about what was booked, in units of the view box.
const bookedRow = 44

// mark notes which messages hold a text that was stolen.
func (d *Diagram) mark(stolen []string) {
	for i := range d.Items {
		item := &d.Items[i]
		item.Stolen = slices.ContainsFunc(stolen, func(text string) bool {
			return strings.Contains(item.Head, text) || bytes.Contains(item.Body, []byte(text))
		})
	}
}

// book adds a line for each transfer that came of it.
func (d *Diagram) book(booked []manage.Transfer) {
	for _, b := range booked {
		d.Booked = append(d.Booked, fmt.Sprintf("booked: %s %d.%02d from %s to %s", b.Currency, b.Amount/100, b.Amount%100, b.From, b.To))
	}
	d.Height += bookedRow * len(booked)
}

// stolenWords is what stands at a message with stolen text.
func (i diagramItem) stolenWords() string {
	if i.Attacker {
		return "stolen, used"
	}
	return "stolen"
}

// stolenWidth is the width of the sign for it.
func stolenWidth(item diagramItem) int { return 16 + 8*len(item.stolenWords()) }

// stolenLeft is where it begins: beside the lifeline from which an arrow comes, or at the left of
// a box.
func (d Diagram) stolenLeft(item diagramItem) int {
	switch {
	case !item.arrow():
		return d.boxLeft(item.BoxX) - 6
	case item.X2 > item.X1:
		return item.X1 + 6
	}
	return item.X1 - 6 - stolenWidth(item)
}

// marked is a text as HTML, in which what was stolen stands out.
func marked(text string, stolen []string) string {
	var html strings.Builder
	for text != "" {
		at, found := len(text), ""
		for _, s := range stolen {
			if i := strings.Index(text, s); s != "" && i >= 0 && (i < at || i == at && len(s) > len(found)) {
				at, found = i, s
			}
		}
		html.WriteString(templ.EscapeString(text[:at]))
		if found != "" {
			html.WriteString(`<mark class="stolen" title="an attack has stolen this">` + templ.EscapeString(found) + `</mark>`)
		}
		text = text[at+len(found):]
	}
	return html.String()
}
