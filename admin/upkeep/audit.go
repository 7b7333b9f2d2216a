package upkeep

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
)

var auditColumns = []ui.Column{
	{Name: "at", Label: "When", LatestFirst: true},
	{Name: "action", Label: "Action"},
	{Name: "subject", Label: "Of what"},
	{Name: "outcome", Label: "Outcome"},
	{Name: "who", Label: "Who"},
}

// auditOutcomes are the outcomes to choose from.
func auditOutcomes() []ui.NavItem {
	options := []ui.NavItem{{Path: "", Label: "any"}}
	for _, outcome := range access.Outcomes() {
		options = append(options, ui.NavItem{Path: string(outcome), Label: string(outcome)})
	}
	return options
}

func (u *Upkeep) auditPage(c echo.Context) error {
	list := ui.ReadList(c, auditColumns, "-at", "search", "outcome")
	var entries []access.Entry
	err := list.Load(func(part manage.Part) (total int, err error) {
		entries, total, err = u.Gate.Audit(access.AuditQuery{
			Search: list.Filter.Get("search"), Outcome: access.Outcome(list.Filter.Get("outcome")), Part: part,
		})
		return total, err
	})
	if err != nil {
		return err
	}
	return ui.Render(c, http.StatusOK, auditView(u.Gate.Page(c, "Audit", "/audit"), list, entries))
}
