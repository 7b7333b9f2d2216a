package usage

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
)

// Manage adds what was used in the latest days.
func (c *Counter) Manage(routes manage.Routes) {
	routes.GET("/usage", func(ctx echo.Context) error {
		days, err := manage.Number(ctx, "days", 30, 3660)
		if err != nil {
			return err
		}
		usage, err := c.Latest(ctx.Request().Context(), days)
		if err != nil {
			return err
		}
		return ctx.JSON(http.StatusOK, usage)
	})
}
