package attestation

import (
	"fmt"
	"math"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
	"keyladder/internal/manage"
)

// answersData is what the page of good and failing answers shows.
type answersData struct {
	frame
	Found []manage.Latencies
}

func (p *Pages) answersPage(c echo.Context) error {
	found, err := p.Service.Answers(c.Request().Context())
	data := answersData{Found: found}
	data.frame = p.frame(c, answersPath, "Good and failing answers", err)
	return ui.Render(c, http.StatusOK, answersView(data))
}

// The histogram's measures, in units of its view box.
const (
	histogramWidth  = 460
	histogramHeight = 190
	histogramLeft   = 50
	histogramTop    = 16
	histogramFloor  = 156
)

// histogram is how long good and failing answers took, laid out: by the share of their kind that
// took as long.
type histogram struct {
	Level         string
	Columns       []column // the fastest first
	Top           float64  // share at the upper line
	Good, Failing int64    // answers
}

// column is the answers that took about as long.
type column struct {
	Up            string // to how many milliseconds, in words
	Good, Failing int64
	X, Width      int // of both bars
	GoodY         int // upper edges
	FailingY      int
}

// Words are how long the answers of a column took.
func (c column) Words() string { return c.Up + " ms" }

// drawLatencies lays out how long answers took, without columns at either end that have none.
func drawLatencies(l manage.Latencies) histogram {
	h := histogram{Level: string(l.Level), Good: sum(l.Good), Failing: sum(l.Failing), Top: 0.1}
	first, last := len(l.Good), -1
	for i := range l.Good {
		if l.Good[i]+at(l.Failing, i) > 0 {
			first, last = min(first, i), i
		}
	}
	for i := first; i <= last; i++ {
		up := "more"
		if i < len(l.Bounds) {
			up = "to " + number(l.Bounds[i])
		}
		h.Columns = append(h.Columns, column{Up: up, Good: l.Good[i], Failing: at(l.Failing, i)})
		h.Top = max(h.Top, part(l.Good[i], h.Good), part(at(l.Failing, i), h.Failing))
	}
	h.Top = math.Ceil(10*h.Top) / 10
	if len(h.Columns) == 0 {
		return h
	}
	step := (histogramWidth - histogramLeft - 8) / len(h.Columns)
	step = min(step, 60)
	for i := range h.Columns {
		c := &h.Columns[i]
		c.X, c.Width = histogramLeft+i*step+2, max(2, (step-4)/2)
		c.GoodY, c.FailingY = h.edge(c.Good, h.Good), h.edge(c.Failing, h.Failing)
	}
	return h
}

// edge is the upper edge of a bar; a column with answers never looks like one without.
func (h histogram) edge(count, of int64) int {
	if count == 0 {
		return histogramFloor
	}
	return histogramFloor - max(2, int(part(count, of)/h.Top*(histogramFloor-histogramTop)))
}

// Labelled says whether there is room for the words of a column.
func (h histogram) Labelled(i int) bool { return i%max(1, (len(h.Columns)+5)/6) == 0 }

func at(counts []int64, i int) int64 {
	if i < len(counts) {
		return counts[i]
	}
	return 0
}

func sum(counts []int64) (total int64) {
	for _, count := range counts {
		total += count
	}
	return total
}

// part is a share of a whole, from 0 to 1.
func part(count, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(count) / float64(of)
}

// number is a time with as many digits as say something.
func number(ms float64) string {
	switch {
	case ms < 1:
		return fmt.Sprintf("%.2f", ms)
	case ms < 10:
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

// fewest are how many answers of a kind it takes to compare their times.
const fewest = 20

// apart is the largest distance between the two distributions, and how large it can be by chance
// though both are one (the two-sample Kolmogorov-Smirnov statistic, and its limit at 5 %). Both are
// shares, from 0 to 1.
func apart(l manage.Latencies) (distance, chance float64) {
	good, failing := sum(l.Good), sum(l.Failing)
	if good == 0 || failing == 0 {
		return 0, 1
	}
	var goodSoFar, failingSoFar int64
	for i := range l.Good {
		goodSoFar += l.Good[i]
		failingSoFar += at(l.Failing, i)
		distance = max(distance, math.Abs(part(goodSoFar, good)-part(failingSoFar, failing)))
	}
	return distance, 1.358 * math.Sqrt(float64(good+failing)/(float64(good)*float64(failing)))
}

// verdict is what the times of a level show, in a sentence.
func verdict(l manage.Latencies) string {
	good, failing := sum(l.Good), sum(l.Failing)
	if good < fewest || failing < fewest {
		return fmt.Sprintf("It takes %d answers of each kind to say whether their times differ: there are %s good ones and %s failing ones.",
			fewest, ui.Thousands(good), ui.Thousands(failing))
	}
	distance, chance := apart(l)
	numbers := fmt.Sprintf("Up to any time, the shares of good and of failing answers that are done differ by %.1f points of 100 at most. With so many answers %.1f points come about by chance", 100*distance, 100*chance)
	if distance <= chance {
		return numbers + ": how long an answer takes does not tell which kind it is."
	}
	return numbers + ", so there is a difference: how long an answer takes may tell which kind it is. Were they answers at the same time, to apps of the same size?"
}

// shapesVerdict is what the shapes of answers show, in a sentence.
func shapesVerdict(l manage.Latencies) string {
	both, one := 0, 0
	for _, shape := range l.Shapes {
		if shape.Good > 0 && shape.Failing > 0 {
			both++
		} else {
			one++
		}
	}
	switch {
	case both == 0 && one == 0:
		return "No answer was given yet."
	case both == 0:
		return "No shape has occurred with both kinds yet: attest with a genuine app and with a changed one on devices whose names are equally long."
	case one == 0:
		return "Every shape has occurred with both kinds: status, fields, lengths and the token's header do not tell which kind an answer is."
	}
	return fmt.Sprintf("%s occurred with both kinds. The others differ in length alone, by what the app said of itself, such as the name of its device, and by the digits of a time.", ui.Plural(both, "shape has", "shapes have"))
}
