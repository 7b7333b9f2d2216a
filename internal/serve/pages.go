package serve

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
)

// Pages are the patterns of what can be asked for with GET, in alphabetical order.
func Pages(e *echo.Echo) []string {
	var pages []string
	for _, route := range e.Routes() {
		if route.Method == http.MethodGet {
			pages = append(pages, route.Path)
		}
	}
	slices.Sort(pages)
	return slices.Compact(pages)
}
