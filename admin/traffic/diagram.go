package traffic

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"keyladder/admin/ui"
	"keyladder/internal/traffic"
)

// The sequence diagram's measures, in units of its view box.
const (
	firstX      = 120 // of the leftmost lifeline
	partyGap    = 270 // between two lifelines
	headHeight  = 56
	diagramTop  = 16
	arrowRow    = 46
	boxRow      = 42
	verdictRow  = 38
	letterWidth = 9
	boxWidth    = 330
	fitting     = 6  // lifelines that can be read in a column of a page
	mostRows    = 80 // enough for a sign-in on pages and what follows
)

// Diagram is a sequence diagram, laid out.
type Diagram struct {
	Parties       []party
	Width, Height int
	Items         []diagramItem
	Cut           bool     // messages are left out
	Booked        []string // transfers that came of it
}

// Has says whether messages of a step are in the diagram.
func (d Diagram) Has(step int) bool {
	return slices.ContainsFunc(d.Items, func(i diagramItem) bool { return i.Step == step })
}

// diagramItem is an arrow, a piece on the network's line, or a note.
type diagramItem struct {
	record
	More     int // further pieces in the same direction, drawn as one
	Attacker bool
	Stolen   string // what to say about a text in it that the attack has stolen; empty: there is none
	Step     int    // of the attack, where this is its first message; 0: none
	Y        int
	X1, X2   int // of an arrow; both 0: a box on a lifeline
	BoxX     int // middle of the box
	Label    string
	Badge    badge // what the server decided; zero: nothing
}

// badge says what came of a call.
type badge struct {
	Text        string
	Pass        bool
	X, Y, Width int
}

func (i diagramItem) arrow() bool { return i.X1 != i.X2 }

// layOut draws the latest of the records, which are in order of time. An
// attack's steps come at the given times; a message belongs to the step that is written down
// after it.
func layOut(records []record, steps []time.Time) Diagram {
	all := len(records)
	records = slices.DeleteFunc(records, func(r record) bool { return r.gap })
	items := merge(records)
	d := Diagram{Cut: len(records) < all}
	if len(items) > mostRows {
		d.Cut = true
		items = items[len(items)-mostRows:]
		for i, item := range items { // begin with a call, not in the middle of one
			if item.Kind == traffic.Request && item.Lane == traffic.App {
				items = items[i:]
				break
			}
		}
	}
	shown := make([]record, len(items))
	for i, item := range items {
		shown[i] = item.record
	}
	d.Parties = lifelines(shown)
	d.Width = firstX*2 + (len(d.Parties)-1)*partyGap
	theirs, y, step := ofAttackers(records), diagramTop, 0
	for _, item := range items {
		item.Attacker = attacks(item.From) || attacks(item.To) || theirs[item.Exchange]
		if at := stepOf(item.At, steps); at > step {
			item.Step, step = at, at
		}
		from, to, isArrow := d.run(item.record)
		if isArrow {
			y += arrowRow
			item.X1, item.X2 = from, to
		} else {
			y += boxRow
			item.BoxX = from
		}
		item.Y = y
		item.Label = item.label(from, to, d.x(item.To) < d.x(networkParty))
		if item.Attacker && !d.atAttacker(from) && !d.atAttacker(to) {
			item.Label = ui.Cut("attacker: "+item.Label, room(from, to))
		}
		if item.Verdict != nil {
			y += verdictRow
			item.Badge = badge{Text: "✕ " + string(item.Verdict.Check), Y: y - 8}
			if item.Verdict.Allowed {
				item.Badge.Pass, item.Badge.Text = true, passed(item.record)
			}
			item.Badge.Width = 34 + letterWidth*len([]rune(item.Badge.Text))
			item.Badge.X = min(max(from, to), d.Width-item.Badge.Width/2-8)
		}
		d.Items = append(d.Items, item)
	}
	d.Height = y + 48
	return d
}

// stepOf is the number of the step that a message belongs to, or 0.
func stepOf(at time.Time, steps []time.Time) int {
	i, _ := slices.BinarySearchFunc(steps, at, time.Time.Compare)
	if i == len(steps) {
		return 0
	}
	return i + 1
}

// run is where a message runs: from one lifeline to another, or all on one. At its end a
// party sees what it has to do with the network only.
func (d Diagram) run(r record) (from, to int, arrow bool) {
	asker, asked := ends(r)
	near := asker
	if r.Lane == traffic.Server && asked != networkParty { // else a server asks another
		near = asked
	} else if r.Lane == traffic.Network {
		near = networkParty
		if attacks(r.From) || attacks(r.To) { // somebody on the path has it in clear text
			near = r.To
			if attacks(r.From) {
				near = r.From
			}
		}
	}
	x, network := d.x(near), d.x(networkParty)
	if r.Kind == traffic.Note || r.Kind == traffic.Bytes || x == network {
		if r.Kind == traffic.Bytes {
			x = network
		}
		return x, x, false
	}
	if r.From == near {
		return x, network, true
	}
	return network, x, true
}

// x is where the lifeline of a party is; the network's, where it has none.
func (d Diagram) x(name string) int {
	x := 0
	for _, p := range d.Parties {
		if p.Name == name {
			return p.X
		}
		if p.Name == networkParty {
			x = p.X
		}
	}
	return x
}

// merge makes one of neighbouring pieces on the network that go the same way.
func merge(records []record) []diagramItem {
	var items []diagramItem
	for _, r := range records {
		if n := len(items); n > 0 {
			last := &items[n-1]
			if last.Lane == traffic.Network && r.Lane == traffic.Network && last.Kind == traffic.Bytes && r.Kind == traffic.Bytes &&
				last.From == r.From && last.To == r.To && last.Exchange == r.Exchange && last.Verdict == nil && r.Verdict == nil {
				last.More++
				last.Size += r.Size
				continue
			}
		}
		items = append(items, diagramItem{record: r})
	}
	return items
}

// label is what stands at a message between two lifelines, or on one, where it says whether
// the message runs back to who asked.
func (i diagramItem) label(from, to int, back bool) string {
	text, room := i.Summary, room(from, to)
	if from != to || i.Kind == traffic.Note {
		return ui.Cut(text, room)
	}
	direction, more := "→ ", ""
	if back {
		direction = "← "
	}
	if i.More > 0 {
		more = fmt.Sprintf(" +%d more", i.More)
	}
	return direction + ui.Cut(text, room-len(more)) + more
}

// room is how many letters fit between two lifelines, or into a box on one.
func room(from, to int) int {
	if from == to {
		return (boxWidth - 20) / letterWidth
	}
	return max(from-to, to-from) / letterWidth
}

// atAttacker says whether an attacker's lifeline is there: what begins or ends at one needs no
// label that says whose it is.
func (d Diagram) atAttacker(x int) bool {
	return slices.ContainsFunc(d.Parties, func(p party) bool { return p.Attacker && p.X == x })
}

// boxLeft keeps a box inside the picture.
func (d Diagram) boxLeft(middle int) int {
	return min(max(middle-boxWidth/2, 8), d.Width-boxWidth-8)
}

func arrowHead(item diagramItem) string {
	x, y := item.X2, item.Y
	if item.X2 > item.X1 {
		return fmt.Sprintf("%d,%d %d,%d %d,%d", x-2, y, x-14, y-6, x-14, y+6)
	}
	return fmt.Sprintf("%d,%d %d,%d %d,%d", x+2, y, x+14, y-6, x+14, y+6)
}

// networkParty is who carries the bytes. Messages are seen up to the network and from there
// on, so it stands in the middle.
const networkParty = "network"

// attacks says whether a party is an attacker: "attacker", "attacker's app".
func attacks(party string) bool { return strings.HasPrefix(party, "attacker") }

// party is a lifeline.
type party struct {
	Name     string
	X        int
	Attacker bool
}

// lifelines are the parties that occur: those who ask, attackers, the network, those who
// are asked; among these in the order in which they come.
func lifelines(records []record) []party {
	var askers, attackers, asked []string
	add := func(list *[]string, name string) {
		if name != "" && !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	for _, r := range records { // who is asked by somebody is a server, whomever it asks in turn
		if r.Lane == traffic.Network || r.Kind == traffic.Note {
			continue
		}
		if _, to := ends(r); !attacks(to) && to != networkParty {
			add(&asked, to)
		}
	}
	for _, r := range records {
		for _, name := range []string{r.From, r.To} {
			switch {
			case attacks(name):
				add(&attackers, name)
			case name != networkParty && !slices.Contains(asked, name):
				add(&askers, name)
			}
		}
	}
	var list []party
	for _, name := range slices.Concat(askers, attackers, []string{networkParty}, asked) {
		list = append(list, party{Name: name, X: firstX + len(list)*partyGap, Attacker: attacks(name)})
	}
	return list
}

// ends are who asks and who is asked in the exchange that a record is of.
func ends(r record) (asker, asked string) {
	if r.Kind == traffic.Response {
		return r.To, r.From
	}
	return r.From, r.To
}

// ofAttackers are the exchanges that an attacker's program has begun: what the network and
// the server see of them is the attacker's, too.
func ofAttackers(records []record) map[string]bool {
	exchanges := map[string]bool{}
	for _, r := range records {
		if asker, _ := ends(r); r.Lane == traffic.App && r.Exchange != "" && attacks(asker) {
			exchanges[r.Exchange] = true
		}
	}
	return exchanges
}
