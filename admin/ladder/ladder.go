package ladder

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/ui"
	"keyladder/internal/deployment"
	"keyladder/stages/catalog"
)

// Path is where the page is.
const Path = "/ladder"

// Pages is the page.
type Pages struct {
	Folder *deployment.Folder // of the role admin
	Stages catalog.Set
	Gate   *access.Gate
	Now    func() time.Time
}

// Mount adds the route.
func (p *Pages) Mount(e *echo.Echo) { e.GET(Path, p.page, p.Gate.SignedIn) }

func (p *Pages) page(c echo.Context) error {
	measured, err := readCosts(p.Folder)
	data := pictureOf(p.Stages, measured)
	data.Now = p.Now()
	if err != nil {
		data.Unreadable = err.Error()
	}
	return ui.Render(c, http.StatusOK, pictureView(p.Gate.Page(c, "The whole ladder", Path), data))
}

// picture is what the page shows.
type picture struct {
	Stages   catalog.Set
	Chapters []chapter
	Secrets  []secretRow
	Attacks  []attackRow      // that get through somewhere, in the order in which the ladder is done with them
	Stopped  []catalog.Attack // that get through nowhere
	Steps    []step
	Costs    *costs // nil: nothing was measured

	Unreadable string // why what was measured can't be shown
	Now        time.Time
}

// chapter is a part of the ladder.
type chapter struct {
	Number int
	Title  string
	Steps  []step
}

// secretRow is a secret, with a cell a stage.
type secretRow struct {
	Name  string
	Cells []secretCell
}

// secretCell is where a secret is at a stage.
type secretCell struct {
	Stage   catalog.Stage
	Letters string
	Words   string
	Kind    kind
}

// kind is how the easiest of its places is to get at.
type kind string

const (
	nowhere  kind = ""
	open     kind = "open"     // by everybody who has the package, or is on the network
	exposed  kind = "exposed"  // by those who get into the app, its device, or where TLS ends
	hardware kind = "hardware" // by nobody: it can be used there, and not be taken away
	servers  kind = "servers"  // by nobody outside the servers
	bound    kind = "bound"    // whoever gets at it has nothing without the key of the device
)

// attackRow is an attack, with a cell a stage.
type attackRow struct {
	catalog.Attack
	Cells []attackCell
}

// attackCell is what is expected of an attack at a stage.
type attackCell struct {
	Stage  catalog.Stage
	Expect catalog.Outcome
	Falls  bool // it got through at the stage before, and does no more
}

// step is what a stage changes.
type step struct {
	catalog.Stage
	Falls   []catalog.Attack // got through at the stage before
	Returns []catalog.Attack // did not get through at the stage before, but at an earlier one
	Opens   []catalog.Attack // get through for the first time
	Moved   []moved
	Through int   // attacks that get through
	Cost    *cost // nil: not measured
	MoreUS  float64
	Before  bool // the stage before was measured as well
}

// costWords are what the step costs a call.
func (s step) costWords() string {
	words := fmt.Sprintf("%.0f µs longer than without protection", s.Cost.AddedUS)
	if s.Before {
		words += fmt.Sprintf(", %+.0f µs to the stage before", s.MoreUS)
	}
	return words
}

// moved is a secret that is elsewhere than at the stage before.
type moved struct {
	Name string
	At   string // in words; empty: there is no such secret any more
}

func stagePath(stage catalog.Stage) templ.SafeURL { return templ.SafeURL("/stages/" + stage.Slug) }

func attackPath(attack catalog.Attack) templ.SafeURL { return templ.SafeURL("/attacks/" + attack.Name) }

func pictureOf(stages catalog.Set, measured *costs) picture {
	p := picture{Stages: stages, Costs: measured}
	for _, secret := range catalog.AllSecrets() {
		row := secretRow{Name: secret.Name}
		for _, stage := range stages {
			row.Cells = append(row.Cells, secretCellOf(stage, secret))
		}
		if slices.ContainsFunc(row.Cells, func(c secretCell) bool { return c.Kind != nowhere }) {
			p.Secrets = append(p.Secrets, row)
		}
	}
	for _, attack := range catalog.Attacks() {
		row := attackRow{Attack: attack}
		for i, stage := range stages {
			cell := attackCell{Stage: stage, Expect: attack.Expected(stage)}
			cell.Falls = cell.Expect != catalog.Succeeds && i > 0 && row.Cells[i-1].Expect == catalog.Succeeds
			row.Cells = append(row.Cells, cell)
		}
		if row.last() < 0 {
			p.Stopped = append(p.Stopped, attack)
			continue
		}
		p.Attacks = append(p.Attacks, row)
	}
	slices.SortStableFunc(p.Attacks, func(a, b attackRow) int { return a.last() - b.last() })
	for i, stage := range stages {
		p.Steps = append(p.Steps, p.step(i, stage))
		if n := len(p.Chapters); n == 0 || p.Chapters[n-1].Number != stage.Chapter {
			p.Chapters = append(p.Chapters, chapter{Number: stage.Chapter, Title: catalog.Chapters()[stage.Chapter-1]})
		}
		last := &p.Chapters[len(p.Chapters)-1]
		last.Steps = append(last.Steps, p.Steps[i])
	}
	return p
}

func secretCellOf(stage catalog.Stage, secret catalog.Secret) secretCell {
	cell, places := secretCell{Stage: stage}, secret.At(stage.Policies)
	var words []string
	for _, place := range places {
		cell.Letters += place.Letter()
		words = append(words, place.Words())
	}
	cell.Words = strings.Join(words, "; ")
	switch {
	case len(places) == 0:
	case secret.Bound(stage.Policies):
		cell.Kind = bound
		cell.Words += "; worth nothing without the app's device key"
	case places[0] == catalog.OnNetwork || places[0] == catalog.InPackage:
		cell.Kind = open
	case places[0] == catalog.InHardware:
		cell.Kind = hardware
	case cell.Letters == "":
		cell.Kind = servers
	default:
		cell.Kind = exposed
	}
	return cell
}

// last is the index of the last stage at which the attack gets through; -1: it does at none.
func (r attackRow) last() int {
	for i, cell := range slices.Backward(r.Cells) {
		if cell.Expect == catalog.Succeeds {
			return i
		}
	}
	return -1
}

// step is what the stage with that index changes.
func (p picture) step(i int, stage catalog.Stage) step {
	s := step{Stage: stage, Cost: p.Costs.at(stage.Slug)}
	for _, row := range p.Attacks {
		through := func(n int) bool { return row.Cells[n].Expect == catalog.Succeeds }
		if row.Cells[i].Falls {
			s.Falls = append(s.Falls, row.Attack)
		}
		if !through(i) {
			continue
		}
		s.Through++
		earlier := slices.ContainsFunc(row.Cells[:i], func(c attackCell) bool { return c.Expect == catalog.Succeeds })
		switch {
		case !earlier:
			s.Opens = append(s.Opens, row.Attack)
		case !through(i - 1):
			s.Returns = append(s.Returns, row.Attack)
		}
	}
	for _, row := range p.Secrets {
		before := ""
		if i > 0 {
			before = row.Cells[i-1].Words
		}
		if now := row.Cells[i].Words; now != before {
			s.Moved = append(s.Moved, moved{row.Name, now})
		}
	}
	if i > 0 && s.Cost != nil {
		if before := p.Costs.at(p.Stages[i-1].Slug); before != nil {
			s.MoreUS, s.Before = s.Cost.AddedUS-before.AddedUS, true
		}
	}
	return s
}
