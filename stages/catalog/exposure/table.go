package exposure

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"keyladder/stages/catalog"
)

// Any is a number of calls: as many as the rate limits let through.
const Any = -1

// Cell is what a theft at a stage buys.
type Cell struct {
	Stage string `json:"stage"`
	Theft string `json:"theft"`
	Calls int    `json:"calls"` // 0: none; [Any]
	// Seconds is for how long. Where that is a lifetime that a deployment declares, it is that of a
	// new deployment. 0: no call was served, or nothing ended it within the time that was measured:
	// it is good until somebody takes it back.
	Seconds int64 `json:"seconds"`
	// Check is what refused the first call, or the one after the last; empty: nothing did.
	Check catalog.Check `json:"check"`
}

// Lasts is for how long; 0: see [Cell.Seconds].
func (c Cell) Lasts() time.Duration { return time.Duration(c.Seconds) * time.Second }

// Endless says whether nothing ended it.
func (c Cell) Endless() bool { return c.Calls != 0 && c.Seconds == 0 }

// Short is the cell in a table: 0, ∞, 30 d, or 1 in 15 s.
func (c Cell) Short() string {
	text := "∞"
	switch {
	case c.Calls == 0:
		return "0"
	case !c.Endless():
		text = short(c.Lasts())
	}
	if c.Calls != Any {
		return fmt.Sprintf("%d in %s", c.Calls, text)
	}
	return text
}

// Words say the same in a sentence.
func (c Cell) Words() string {
	calls := "any number of calls"
	switch c.Calls {
	case 0:
		return fmt.Sprintf("no call: refused by %s", c.Check)
	case 1:
		calls = "one call"
	case Any:
	default:
		calls = fmt.Sprintf("%d calls", c.Calls)
	}
	if c.Endless() {
		return calls + ", until it is taken back"
	}
	return fmt.Sprintf("%s within %s, then refused by %s", calls, catalog.Lasting(c.Lasts()), c.Check)
}

func short(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if d%unit.length == 0 {
			return fmt.Sprintf("%d %s", d/unit.length, unit.name)
		}
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// Table is what was measured, stage by stage and in the order of [Thefts].
type Table []Cell

// At is the cell of a theft at a stage, if it was measured.
func (t Table) At(stage, theft string) (Cell, bool) {
	i := slices.IndexFunc(t, func(c Cell) bool { return c.Stage == stage && c.Theft == theft })
	if i < 0 {
		return Cell{}, false
	}
	return t[i], true
}

// HasStage says whether anything was measured at a stage.
func (t Table) HasStage(slug string) bool {
	return slices.ContainsFunc(t, func(c Cell) bool { return c.Stage == slug })
}

// HasTheft says whether a theft was measured.
func (t Table) HasTheft(name string) bool {
	return slices.ContainsFunc(t, func(c Cell) bool { return c.Theft == name })
}

// Check compares what was measured with what the catalog expects of the attacks: the loot of one that
// succeeds buys a call at least, and one that is blocked buys none, by the check that blocks it.
func (t Table) Check(stages catalog.Set) error {
	var errs []error
	for _, cell := range t {
		attack, ok := catalog.LookupAttack(cell.Theft)
		stage, known := stages.Lookup(cell.Stage)
		if !ok || !known {
			continue
		}
		outcome, by := catalog.Succeeds, catalog.Check("")
		if cell.Calls == 0 {
			outcome, by = catalog.Blocked, cell.Check
		}
		if !attack.AsExpected(stage, outcome, by) {
			errs = append(errs, fmt.Errorf("%s at %s: %s, and the attack is expected to be %s %s", cell.Theft, cell.Stage, cell.Words(), attack.Expected(stage), attack.BlockedBy(stage)))
		}
	}
	return errors.Join(errs...)
}

// File is where the table is that is embedded, from the repository's root.
const File = "stages/catalog/exposure/measured.json"

// JSON is the table as [File] has it, a cell a line.
func (t Table) JSON() []byte {
	text := []byte("[")
	for i, cell := range t {
		if i > 0 {
			text = append(text, ',')
		}
		line, err := json.Marshal(cell)
		if err != nil {
			panic(err) // texts and numbers
		}
		text = append(append(text, '\n'), line...)
	}
	return append(text, "\n]\n"...)
}

//go:embed measured.json
var measured []byte

// Measured is the table that was measured last, with the settings of a new deployment.
func Measured() Table {
	var table Table
	if err := json.Unmarshal(measured, &table); err != nil {
		panic(err) // a command has written it, and tests read it
	}
	return table
}
