package workshop

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
	"keyladder/stages/catalog"
	"keyladder/stages/catalog/exposure"
)

// exposureData is what the page of exposure shows: what was measured when this version was made.
type exposureData struct {
	Stages    catalog.Set
	Positions []exposedPosition
	Table     exposure.Table
}

// exposedPosition is a position with what can be stolen there.
type exposedPosition struct {
	Name   catalog.Position
	Thefts []exposure.Theft
}

func (w *Workshop) exposurePage(c echo.Context) error {
	data := exposureData{Stages: w.stages, Table: exposure.Measured()}
	at := map[catalog.Position]int{}
	for _, theft := range exposure.Thefts() {
		i, ok := at[theft.Position]
		if !ok {
			i = len(data.Positions)
			at[theft.Position] = i
			data.Positions = append(data.Positions, exposedPosition{Name: theft.Position})
		}
		data.Positions[i].Thefts = append(data.Positions[i].Thefts, theft)
	}
	return ui.Render(c, http.StatusOK, exposureView(w.gate.Page(c, "Exposure", "/matrix"), data))
}
