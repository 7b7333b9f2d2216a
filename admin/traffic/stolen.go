package traffic

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"keyladder/internal/manage"
	"keyladder/internal/traffic"
)

// bookedRow is the height of a line about what was booked, in units of the view box.
const bookedRow = 44

// attackersProgram is who calls with what was stolen. The app on the attacker's own phone is
// where it may have been stolen from.
const attackersProgram = "attacker"

// mark notes which messages hold a text that was stolen, and which of these the attacker's
// program has sent.
func (d *Diagram) mark(stolen []string) {
	own := map[string]bool{}
	for _, item := range d.Items {
		if asker, _ := ends(item.record); item.Lane == traffic.App && asker == attackersProgram {
			own[item.Exchange] = true
		}
	}
	for i := range d.Items {
		item := &d.Items[i]
		if !slices.ContainsFunc(stolen, func(text string) bool {
			return strings.Contains(item.Head, text) || bytes.Contains(item.Body, []byte(text))
		}) {
			continue
		}
		item.Stolen = "stolen"
		if own[item.Exchange] {
			item.Stolen = "stolen, used"
		}
	}
}

// book adds a line for each transfer that came of it.
func (d *Diagram) book(booked []manage.Transfer) {
	for _, b := range booked {
		d.Booked = append(d.Booked, fmt.Sprintf("booked: %s %d.%02d from %s to %s", b.Currency, b.Amount/100, b.Amount%100, b.From, b.To))
	}
	d.Height += bookedRow * len(booked)
}

// stolenWidth is the width of the sign for it.
func stolenWidth(item diagramItem) int { return 14 + 7*len(item.Stolen) }

// stolenTop is above the line of an arrow, or across the lower edge of a box.
func stolenTop(item diagramItem) int {
	if item.arrow() {
		return item.Y - 5
	}
	return item.Y + 1
}

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
