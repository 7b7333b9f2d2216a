package traffic

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

const (
	trafficRowsShown = 150
	liveWait         = 20 * time.Second
)

// Traffic is what was heard, and its pages.
type Traffic struct {
	hub     *hub
	gate    *access.Gate
	stages  catalog.Set
	stopped context.Context

	// Stolen are the texts that attacks at a stage have stolen at that time; nil: none are known.
	Stolen func(stage string, at time.Time) []string
}

// New makes the traffic of these programs. Nothing is heard before [Traffic.Run]. Pages stop
// to wait for messages when ctx ends.
func New(ctx context.Context, stages catalog.Set, of ...programs.Remote) *Traffic {
	return &Traffic{hub: newHub(of...), stages: stages, stopped: ctx}
}

// Mount adds the routes.
func (t *Traffic) Mount(e *echo.Echo, gate *access.Gate) {
	t.gate = gate
	e.GET("/traffic", t.trafficPage, gate.SignedIn)
	e.GET("/traffic/rows", t.trafficRows, gate.SignedInQuietly)
	e.GET("/traffic/:id", t.messagePage, gate.SignedIn)
	e.POST("/traffic/clear", t.clearTraffic, gate.SignedIn)
}

// Run hears all programs until ctx ends.
func (t *Traffic) Run(ctx context.Context) { t.hub.run(ctx) }

// Down are the programs that did not answer when they were asked last.
func (t *Traffic) Down() []ui.Absent {
	var down []ui.Absent
	for _, name := range t.hub.down() {
		down = append(down, ui.Absent{Program: string(name), Title: programs.Title(name), WhatToDo: programs.WhatToDo(name)})
	}
	return down
}

// Latest is the latest traffic of a stage as a sequence diagram: that of a run from one time
// to another or, where calls were made after the run had ended, these.
func (t *Traffic) Latest(stage string, from, to, ended time.Time) Diagram {
	records, _ := t.hub.since(0, stage)
	later := slices.IndexFunc(records, func(r record) bool { return r.Kind == traffic.Request && r.At.After(ended) })
	if later >= 0 {
		return layOut(records[later:], nil)
	}
	return layOut(slices.DeleteFunc(records, func(r record) bool { return r.At.Before(from) || r.At.After(to) }), nil)
}

// Of is the traffic of an attack as a sequence diagram, with its steps, what it has stolen and
// what it has booked.
func (t *Traffic) Of(cell manage.Cell) Diagram {
	records, _ := t.hub.since(0, cell.Stage)
	d := layOut(slices.DeleteFunc(records, func(r record) bool { return r.At.Before(cell.From) || r.At.After(cell.To) }), cell.StepsAt)
	d.mark(cell.Stolen)
	d.book(cell.Booked)
	return d
}

// Message is the page of the latest answer at a stage that has a text in its body, as a server
// recorded it; empty: none that is kept has.
func (t *Traffic) Message(stage, text string) string {
	records, _ := t.hub.since(0, stage)
	for _, r := range slices.Backward(records) {
		if r.Lane == traffic.Server && r.Kind == traffic.Response && bytes.Contains(r.Body, []byte(text)) {
			return "/traffic/" + strconv.FormatUint(r.ID, 10)
		}
	}
	return ""
}

// trafficData is what the traffic page shows.
type trafficData struct {
	Stages  catalog.Set // to choose from
	Stage   string      // chosen; empty: all
	Records []record    // newest first
	Last    uint64      // the script asks for what comes after
	Older   int         // records that are not shown
}

func (t *Traffic) trafficPage(c echo.Context) error {
	stage := c.QueryParam("stage")
	if _, ok := t.stages.Lookup(stage); !ok {
		stage = ""
	}
	data := trafficData{Stages: t.stages.Built(), Stage: stage}
	data.Records, data.Last = t.hub.since(0, stage)
	if n := len(data.Records); n > trafficRowsShown {
		data.Older = n - trafficRowsShown
		data.Records = data.Records[data.Older:]
	}
	slices.Reverse(data.Records)
	return ui.Render(c, http.StatusOK, trafficView(t.gate.Page(c, "Traffic", "/traffic"), data))
}

// trafficRows waits for what comes after a record and answers with rows for the list.
func (t *Traffic) trafficRows(c echo.Context) error {
	after, err := strconv.ParseUint(c.QueryParam("after"), 10, 64)
	if err != nil {
		return echo.NewHTTPError(http.StatusBadRequest, "after is not a number.")
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), liveWait)
	defer cancel()
	defer context.AfterFunc(t.stopped, cancel)()
	records, last := t.hub.await(ctx, after, c.QueryParam("stage"))
	if n := len(records); n > trafficRowsShown {
		records = records[n-trafficRowsShown:]
	}
	slices.Reverse(records)
	c.Response().Header().Set(ui.LiveLast, strconv.FormatUint(last, 10))
	return ui.Render(c, http.StatusOK, trafficRowsView(records))
}

// messageData is what the page of one message shows.
type messageData struct {
	record
	BodyView bodyView
	Sections []section
	Exchange []record // all records of the exchange, this one too
	Stolen   []string // texts in it that an attack has stolen
	Stage    *catalog.Stage
}

func (t *Traffic) messagePage(c echo.Context) error {
	id, err := strconv.ParseUint(c.Param("id"), 10, 64)
	if err != nil {
		return echo.ErrNotFound
	}
	found, ok := t.hub.get(id)
	if !ok {
		return echo.NewHTTPError(http.StatusNotFound, "This message is not kept any more: only the latest are, and a restart or “Clear” drops them all.")
	}
	data := messageData{record: found, BodyView: viewBody(found.Body, found.Size)}
	if wholeSealed(data.BodyView.Text) {
		data.BodyView.How = "JSON Web Encryption"
	}
	if found.Exchange != "" {
		all, _ := t.hub.since(0, "")
		data.Exchange = slices.DeleteFunc(all, func(r record) bool { return r.Exchange != found.Exchange })
	}
	data.Sections = takeApart(found.text(), found.Kind, verdictOf(data.Exchange))
	linkTokens(found.ID, data.Sections)
	data.Sections = append(data.Sections, signatureBases(data.Exchange)...)
	data.Head, data.BodyView.Text = masked(found.Head), masked(data.BodyView.Text)
	if t.Stolen != nil {
		data.Stolen = t.Stolen(found.Message.Stage, found.At)
	}
	if stage, ok := t.stages.Lookup(found.Message.Stage); ok {
		data.Stage = &stage
	}
	return ui.Render(c, http.StatusOK, messageView(t.gate.Page(c, found.Summary, "/traffic"), data))
}

// verdictOf is the server's verdict about the call of an exchange.
func verdictOf(exchange []record) *traffic.Verdict {
	for _, r := range exchange {
		if r.Lane == traffic.Server && r.Verdict != nil {
			return r.Verdict
		}
	}
	return nil
}

func (t *Traffic) clearTraffic(c echo.Context) error {
	err := t.gate.Act(c, "clear the traffic", "all programs", "The traffic was cleared.", func() error {
		return t.Drop(c.Request().Context())
	})
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/traffic")
}

// Drop clears the records of the programs, and our own last, so that nothing old
// is heard again.
func (t *Traffic) Drop(ctx context.Context) error {
	var first error
	for _, program := range t.hub.programs {
		if err := program.Quick(ctx, http.MethodPost, "/traffic/clear", nil, nil); err != nil && first == nil {
			first = err
		}
	}
	t.hub.clear()
	return first
}

// lanes in the order of the columns.
var lanes = []traffic.Lane{traffic.App, traffic.Network, traffic.Server}

func laneWords(l traffic.Lane) string {
	switch l {
	case traffic.App:
		return "What the app sees"
	case traffic.Network:
		return "What the network sees"
	case traffic.Server:
		return "What the server sees"
	}
	return string(l)
}
