package traffic

import (
	"fmt"

	"keyladder/admin/ui"
	"keyladder/internal/traffic"
)

// The sequence diagram's measures, in units of its view box.
const (
	diagramWidth = 1080
	appX         = 150
	networkX     = 540
	serverX      = 930
	diagramTop   = 64
	arrowRow     = 46
	boxRow       = 42
	verdictRow   = 38
	labelLetters = 40
	boxWidth     = 380
	badgeWidth   = 230
	latestRows   = 40 // of the latest of all
	betweenRows  = 80 // of a time that was chosen
)

// Diagram is a sequence diagram, laid out.
type Diagram struct {
	Height int
	Items  []diagramItem
	Cut    bool // older messages are left out
}

// diagramItem is an arrow, a piece on the network's line, or a note.
type diagramItem struct {
	record
	More   int // further pieces in the same direction, drawn as one
	Y      int
	X1, X2 int // of an arrow; both 0: a box on the lane's line
	BoxX   int // middle of the box
	Label  string
	BadgeX int // middle of the verdict's badge
	BadgeY int
}

func (i diagramItem) arrow() bool { return i.X1 != i.X2 }

// toServer says in which direction the message went.
func toServer(r record) bool {
	switch r.Kind {
	case traffic.Request:
		return true
	case traffic.Response:
		return false
	}
	return r.From != "resource" && r.To != "app" && r.To != "attacker"
}

// layOut draws the latest of the records, which are in order of time, in so many rows.
func layOut(records []record, rows int) Diagram {
	items := merge(records)
	var d Diagram
	if len(items) > rows {
		d.Cut = true
		items = items[len(items)-rows:]
		for i, item := range items { // begin with a call, not in the middle of one
			if item.Kind == traffic.Request && item.Lane == traffic.App {
				items = items[i:]
				break
			}
		}
	}
	y := diagramTop
	for _, item := range items {
		if item.Lane == traffic.Network || item.Kind == traffic.Note || item.Kind == traffic.Bytes {
			y += boxRow
			item.BoxX = laneX(item.Lane)
		} else {
			y += arrowRow
			item.X1, item.X2 = appX, networkX
			if item.Lane == traffic.Server {
				item.X1, item.X2 = networkX, serverX
			}
			if !toServer(item.record) {
				item.X1, item.X2 = item.X2, item.X1
			}
		}
		item.Y = y
		item.Label = label(item)
		if item.Verdict != nil {
			y += verdictRow
			item.BadgeX, item.BadgeY = min(laneX(item.Lane), diagramWidth-badgeWidth/2-8), y-8
		}
		d.Items = append(d.Items, item)
	}
	d.Height = y + 48
	return d
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

func label(item diagramItem) string {
	text := item.Summary
	if item.From == "attacker" || item.To == "attacker" {
		text = "attacker: " + text
	}
	if !item.arrow() && item.Kind != traffic.Note {
		direction := "→ "
		if !toServer(item.record) {
			direction = "← "
		}
		more := ""
		if item.More > 0 {
			more = fmt.Sprintf(" +%d more", item.More)
		}
		return direction + ui.Cut(text, labelLetters-len(more)) + more
	}
	return ui.Cut(text, labelLetters)
}

func laneX(l traffic.Lane) int {
	switch l {
	case traffic.App:
		return appX
	case traffic.Network:
		return networkX
	}
	return serverX
}

// boxLeft keeps a box inside the picture.
func boxLeft(middle int) int { return min(max(middle-boxWidth/2, 8), diagramWidth-boxWidth-8) }

func arrowHead(item diagramItem) string {
	x, y := item.X2, item.Y
	if item.X2 > item.X1 {
		return fmt.Sprintf("%d,%d %d,%d %d,%d", x-2, y, x-14, y-6, x-14, y+6)
	}
	return fmt.Sprintf("%d,%d %d,%d %d,%d", x+2, y, x+14, y-6, x+14, y+6)
}
