package usage

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// Pages are those about usage.
type Pages struct {
	Stages   catalog.Set
	Resource programs.Remote
	Gate     *access.Gate
}

// Mount adds the routes.
func (p *Pages) Mount(e *echo.Echo) { e.GET("/callers", p.callersPage, p.Gate.SignedIn) }

// How many callers are listed: of each kind, and where only one kind is.
const (
	callersOfAll = 10
	callersOfOne = 50
)

// callersKind is who called most, of one kind.
type callersKind struct {
	Kind    manage.SourceKind
	Title   string
	What    string // one of them, for the head of the table
	List    manage.SourceList
	Unknown string // why there can be none; empty: there can
	From    int
}

var callerKinds = []callersKind{
	{Kind: manage.ByUser, Title: "Users", What: "User"},
	{Kind: manage.ByAddress, Title: "Addresses", What: "Address"},
	{Kind: manage.ByAgent, Title: "User agents", What: "User-Agent"},
}

// callersData is what the page of the callers shows.
type callersData struct {
	Kinds   []callersKind
	Query   manage.SourceQuery // as it was asked for; a kind is empty where all are shown
	Stages  catalog.Set        // to choose from
	Apps    []manage.App
	Silence string // why they can't be shown
}

func (p *Pages) callersPage(c echo.Context) error {
	ctx := c.Request().Context()
	data := callersData{Stages: p.Stages.Built(), Query: manage.SourceQuery{
		Kind: manage.SourceKind(c.QueryParam("kind")), Days: Days,
		Stage: c.QueryParam("stage"), App: c.QueryParam("app"), Search: strings.TrimSpace(c.QueryParam("search")),
	}}
	q := &data.Query
	q.From, _ = strconv.Atoi(c.QueryParam("from")) // the first, where it is no number
	q.From = max(q.From, 0)
	if _, ok := data.Stages.Lookup(q.Stage); !ok {
		q.Stage = ""
	}
	var err error
	data.Apps, err = p.Resource.Apps(ctx)
	for _, kind := range callerKinds {
		if q.Kind != "" && kind.Kind != q.Kind || err != nil {
			continue
		}
		if kind.Kind == manage.ByUser {
			kind.Unknown = data.noUsers()
		}
		asked := *q
		asked.Kind, asked.Limit = kind.Kind, callersOfOne
		if q.Kind == "" {
			asked.From, asked.Limit = 0, callersOfAll
		}
		kind.From = asked.From
		kind.List, err = p.Resource.Callers(ctx, asked)
		data.Kinds = append(data.Kinds, kind)
	}
	if err != nil {
		data.Kinds, data.Silence = nil, ui.InWords(err)
	}
	return ui.Render(c, http.StatusOK, callersView(p.Gate.Page(c, "Callers", "/apps"), data))
}

// noUsers says why the chosen stage can't count users.
func (d callersData) noUsers() string {
	stage, chosen := d.Stages.Lookup(d.Query.Stage)
	if !chosen || stage.HasUsers() {
		return ""
	}
	text := "The API can't know them here: at “" + stage.Title + "” a call says which app is calling, and not who uses it."
	for _, later := range d.Stages {
		if later.HasUsers() {
			return text + " From “" + later.Title + "” on it does."
		}
	}
	return text
}

// firstWithUsers is the first stage at which users are known; false: there is none.
func (d callersData) firstWithUsers() (catalog.Stage, bool) {
	for _, stage := range d.Stages {
		if stage.HasUsers() {
			return stage, true
		}
	}
	return catalog.Stage{}, false
}

// path is this page for one kind, from a place in its list on.
func (d callersData) path(kind manage.SourceKind, from int) string {
	q := url.Values{"kind": {string(kind)}}
	for name, value := range map[string]string{"stage": d.Query.Stage, "app": d.Query.App, "search": d.Query.Search} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if from > 0 {
		q.Set("from", strconv.Itoa(from))
	}
	return "/callers?" + q.Encode()
}
