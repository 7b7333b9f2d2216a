package upkeep

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
)

func (u *Upkeep) resetPage(c echo.Context) error {
	return ui.Render(c, http.StatusOK, resetView(u.Gate.Page(c, "Reset", "/reset"), ""))
}

func (u *Upkeep) reset(c echo.Context) error {
	if c.Request().PostForm.Get("confirm") != "RESET" {
		return ui.Render(c, http.StatusUnprocessableEntity, resetView(u.Gate.Page(c, "Reset", "/reset"),
			"Nothing was reset. To confirm, type RESET in capital letters."))
	}
	ctx := c.Request().Context()
	err := u.Gate.Act(c, "reset", "ledger, apps, clients, providers, sessions, tokens, devices, attestations, usage and traffic", "Ledger, apps, clients, providers, releases, what is enforced and usage are as they were seeded. Sessions, consents, tokens, devices and attestations are forgotten, and the traffic is cleared.", func() error {
		for _, server := range slices.Backward(u.Servers) { // what comes of another one's goes first
			if err := server.Quick(ctx, http.MethodPost, "/reset", nil, nil); err != nil {
				return err
			}
		}
		return u.DropTraffic(ctx)
	})
	if err != nil {
		return err
	}
	u.Runner.Changed()
	return c.Redirect(http.StatusSeeOther, "/stages")
}
