package workshop

import (
	"net/http"
	"slices"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
	"keyladder/stages/catalog"
)

// identifiersData is what the page of identifiers shows, both ways.
type identifiersData struct {
	Lists   []identifierList
	Stages  catalog.Set
	Attacks []catalog.Attack
}

// identifierList is a list with what is in it.
type identifierList struct {
	Name catalog.List
	Rows []identifierRow
}

// identifierRow is an identifier with what is about it.
type identifierRow struct {
	catalog.Identifier
	Stages  catalog.Set
	Attacks []catalog.Attack
}

func attackPath(attack catalog.Attack) templ.SafeURL { return templ.SafeURL("/attacks/" + attack.Name) }

func (w *Workshop) identifiersPage(c echo.Context) error {
	data := identifiersData{Stages: w.stages, Attacks: catalog.Attacks()}
	for _, i := range catalog.Identifiers() {
		row := identifierRow{Identifier: i}
		for _, stage := range w.stages {
			if slices.Contains(stage.Identifiers(), i) {
				row.Stages = append(row.Stages, stage)
			}
		}
		for _, attack := range data.Attacks {
			if slices.Contains(attack.Identifiers(), i) {
				row.Attacks = append(row.Attacks, attack)
			}
		}
		if n := len(data.Lists); n == 0 || data.Lists[n-1].Name != i.List {
			data.Lists = append(data.Lists, identifierList{Name: i.List})
		}
		last := &data.Lists[len(data.Lists)-1]
		last.Rows = append(last.Rows, row)
	}
	return ui.Render(c, http.StatusOK, identifiersView(w.gate.Page(c, "OWASP identifiers", "/matrix"), data))
}
