package pages

import (
	"strings"

	"github.com/labstack/echo/v4"
)

// AssetPath is where pages load what they look like.
const AssetPath = "/assets/"

// Middleware keeps answers out of frames (RFC 9700, section 4.16), and the addresses of pages, which
// say which sign-in is under way, from wherever links lead. It serves what is under [AssetPath].
func Middleware(next echo.HandlerFunc) echo.HandlerFunc {
	files := Assets()
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderXFrameOptions, "DENY")
		h.Set(echo.HeaderReferrerPolicy, "no-referrer")
		h.Set(echo.HeaderContentSecurityPolicy, ContentSecurityPolicy(""))
		if path := c.Request().URL.Path; strings.HasPrefix(path, AssetPath) && path != AssetPath {
			files.ServeHTTP(c.Response(), c.Request())
			return nil
		}
		return next(c)
	}
}
