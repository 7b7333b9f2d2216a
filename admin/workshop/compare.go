package workshop

import (
	"net/http"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"keyladder/admin/traffic"
	"keyladder/admin/ui"
	"keyladder/stages/catalog"
)

func comparePath(from, to catalog.Stage) templ.SafeURL {
	return templ.SafeURL("/compare/" + from.Slug + "/" + to.Slug)
}

// side is one of two stages that are compared.
type side struct {
	Stage     catalog.Stage
	Decisions []catalog.Decision
	Diagram   traffic.Diagram
	Narrative narrative
}

// compareData is two stages side by side.
type compareData struct {
	All     catalog.Set
	Sides   [2]side
	Differs map[string]bool // by the field of a policy
}

func (w *Workshop) comparePage(c echo.Context) error {
	data := compareData{All: w.stages, Differs: map[string]bool{}}
	for i, name := range []string{"from", "to"} {
		stage, err := ui.Stage(w.stages, c.Param(name))
		if err != nil {
			return err
		}
		data.Sides[i] = side{
			Stage: stage, Decisions: stage.Decisions(), Diagram: w.latestTraffic(stage.Slug), Narrative: w.narratives[stage.Slug],
		}
	}
	for _, d := range data.Sides[0].Stage.Diff(data.Sides[1].Stage.Policies) {
		data.Differs[d.To.Field] = true
	}
	p := w.gate.Page(c, data.Sides[0].Stage.Title+" and "+data.Sides[1].Stage.Title, "/stages")
	return ui.Render(c, http.StatusOK, compareView(p, data))
}

// acrossData is one attack at all stages.
type acrossData struct {
	catalog.Attack
	Cells []attackRow
}

func (w *Workshop) attackPage(c echo.Context) error {
	attack, err := attackParam(c)
	if err != nil {
		return err
	}
	data := acrossData{Attack: attack}
	for _, stage := range w.stages {
		data.Cells = append(data.Cells, w.attackRow(stage, attack))
	}
	return ui.Render(c, http.StatusOK, acrossView(w.gate.Page(c, attack.Name, "/matrix"), data))
}
