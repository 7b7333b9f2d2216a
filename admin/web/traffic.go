package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

const (
	trafficRowsShown = 150
	liveWait         = 20 * time.Second
)

// trafficData is what the traffic page shows.
type trafficData struct {
	Stages  catalog.Set // to choose from
	Stage   string      // chosen; empty: all
	Records []record    // newest first
	Last    uint64      // the script asks for what comes after
	Older   int         // records that are not shown
}

func (s *Server) trafficPage(c echo.Context) error {
	stage := c.QueryParam("stage")
	if _, ok := s.cfg.Stages.Lookup(stage); !ok {
		stage = ""
	}
	data := trafficData{Stages: s.cfg.Stages.Built(), Stage: stage}
	data.Records, data.Last = s.hub.since(0, stage)
	if n := len(data.Records); n > trafficRowsShown {
		data.Older = n - trafficRowsShown
		data.Records = data.Records[data.Older:]
	}
	slices.Reverse(data.Records)
	return render(c, http.StatusOK, trafficView(s.page(c, "Traffic", "/traffic"), data))
}

// trafficRows waits for what comes after a record and answers with rows for the list.
func (s *Server) trafficRows(c echo.Context) error {
	after, err := strconv.ParseUint(c.QueryParam("after"), 10, 64)
	if err != nil {
		return echo.NewHTTPError(http.StatusBadRequest, "after is not a number.")
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), liveWait)
	defer cancel()
	defer context.AfterFunc(s.stopped, cancel)()
	records, last := s.hub.await(ctx, after, c.QueryParam("stage"))
	if n := len(records); n > trafficRowsShown {
		records = records[n-trafficRowsShown:]
	}
	slices.Reverse(records)
	c.Response().Header().Set("Traffic-Last", strconv.FormatUint(last, 10))
	return render(c, http.StatusOK, trafficRowsView(records))
}

// messageData is what the page of one message shows.
type messageData struct {
	record
	BodyView    bodyView
	Tokens      []tokenView
	Credentials []credentialView
	Sealed      []sealedView
	Exchange    []record // all records of the exchange, this one too
	Stage       *catalog.Stage
}

func (s *Server) messagePage(c echo.Context) error {
	id, err := strconv.ParseUint(c.Param("id"), 10, 64)
	if err != nil {
		return echo.ErrNotFound
	}
	found, ok := s.hub.get(id)
	if !ok {
		return echo.NewHTTPError(http.StatusNotFound, "This message is not kept any more: only the latest are, and a restart or “Clear” drops them all.")
	}
	data := messageData{record: found, BodyView: viewBody(found.Body, found.Size)}
	data.Tokens = findTokens(found.Head, string(found.Body))
	data.Sealed = findSealed(found.Head, string(found.Body))
	if wholeSealed(data.BodyView.Text) {
		data.BodyView.How = "JSON Web Encryption"
	}
	proofs := found.Head
	if found.Kind == traffic.Bytes { // in clear text, a head is among them
		proofs += "\n" + data.BodyView.Text
	}
	data.Credentials = findCredentials(proofs)
	data.Head, data.BodyView.Text = masked(found.Head), masked(data.BodyView.Text)
	if found.Exchange != "" {
		all, _ := s.hub.since(0, "")
		data.Exchange = slices.DeleteFunc(all, func(r record) bool { return r.Exchange != found.Exchange })
	}
	if stage, ok := s.cfg.Stages.Lookup(found.Message.Stage); ok {
		data.Stage = &stage
	}
	return render(c, http.StatusOK, messageView(s.page(c, found.Summary, "/traffic"), data))
}

func (s *Server) clearTraffic(c echo.Context) error {
	err := s.act(c, "clear the traffic", "all programs", "The traffic was cleared.", func() error {
		return s.dropTraffic(c.Request().Context())
	})
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/traffic")
}

// dropTraffic clears the records of the programs, and our own last, so that nothing old
// is heard again.
func (s *Server) dropTraffic(ctx context.Context) error {
	var first error
	for _, program := range s.hub.programs {
		if err := program.quick(ctx, http.MethodPost, "/traffic/clear", nil, nil); err != nil && first == nil {
			first = err
		}
	}
	s.hub.clear()
	return first
}

// lanes in the order of the columns.
var lanes = []traffic.Lane{traffic.App, traffic.Network, traffic.Server}
