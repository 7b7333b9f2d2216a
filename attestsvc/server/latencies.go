package server

import (
	"cmp"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// latencies count how long answers took, and what else can be seen of them, the good and the failing
// ones apart.
type latencies struct {
	mu      sync.Mutex
	byLevel map[catalog.Level]*manage.Latencies
}

// latencyBounds are the upper ends of the columns, in milliseconds: each is a quarter longer than
// the one before.
var latencyBounds = func() (bounds []float64) {
	for bound := 0.1; bound < 2000; bound *= 1.25 {
		bounds = append(bounds, bound)
	}
	return bounds
}()

func newLatencies() *latencies { return &latencies{byLevel: map[catalog.Level]*manage.Latencies{}} }

// mostShapes is how many shapes of answers are told apart at a level; further ones are not counted.
const mostShapes = 200

// shapeOf is what can be seen of an answer that was given.
func shapeOf(answer *echo.Response, client, text string) manage.AnswerShape {
	head, _, _ := strings.Cut(text, ".")
	header, _ := base64.RawURLEncoding.DecodeString(head) // we have written it
	return manage.AnswerShape{
		Client: client, Status: answer.Status, Fields: slices.Sorted(maps.Keys(answer.Header())), Body: int(answer.Size), Token: len(text), Header: string(header),
	}
}

func (l *latencies) note(at catalog.Level, good bool, took time.Duration, shape manage.AnswerShape) {
	column, _ := slices.BinarySearch(latencyBounds, float64(took)/float64(time.Millisecond))
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.byLevel[at]
	if of == nil {
		of = &manage.Latencies{Level: at, Bounds: latencyBounds, Good: make([]int64, len(latencyBounds)+1), Failing: make([]int64, len(latencyBounds)+1)}
		l.byLevel[at] = of
	}
	i := slices.IndexFunc(of.Shapes, func(s manage.AnswerShape) bool {
		return s.Client == shape.Client && s.Status == shape.Status && s.Body == shape.Body && s.Token == shape.Token && s.Header == shape.Header &&
			slices.Equal(s.Fields, shape.Fields)
	})
	if i < 0 && len(of.Shapes) < mostShapes {
		i, of.Shapes = len(of.Shapes), append(of.Shapes, shape)
	}
	var unseen manage.AnswerShape
	seen := &unseen
	if i >= 0 {
		seen = &of.Shapes[i]
	}
	if good {
		of.Good[column]++
		seen.Good++
	} else {
		of.Failing[column]++
		seen.Failing++
	}
}

// all are the latencies of the levels that occurred.
func (l *latencies) all() []manage.Latencies {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []manage.Latencies{}
	for _, of := range l.byLevel {
		shown := *of
		shown.Good, shown.Failing, shown.Shapes = slices.Clone(of.Good), slices.Clone(of.Failing), slices.Clone(of.Shapes)
		slices.SortStableFunc(shown.Shapes, func(a, b manage.AnswerShape) int { return cmp.Compare(b.Good+b.Failing, a.Good+a.Failing) })
		all = append(all, shown)
	}
	slices.SortFunc(all, func(a, b manage.Latencies) int { return cmp.Compare(b.Level, a.Level) })
	return all
}
