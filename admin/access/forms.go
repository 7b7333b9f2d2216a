package access

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// checkForm wants the token that our own form for this cookie carries.
func checkForm(c echo.Context, cookie string) error {
	err := c.Request().ParseForm()
	if err == nil {
		err = c.Request().ParseMultipartForm(maxUpload)
	}
	if err != nil && !errors.Is(err, http.ErrNotMultipart) { // which a form without a file is
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return echo.NewHTTPError(http.StatusRequestEntityTooLarge, fmt.Sprintf("The form that you sent is too long: %d KiB at most.", large.Limit>>10))
		}
		return echo.NewHTTPError(http.StatusBadRequest, "Your browser did not send a form.")
	}
	if !formTokenFits(cookie, c.Request().PostForm.Get("csrf")) {
		return echo.NewHTTPError(http.StatusForbidden, "This form is out of date, for example because you signed in again since. Nothing was done. Open the page anew and try again.")
	}
	return nil
}

func cookieValue(c echo.Context, name string) string {
	cookie, err := c.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// setCookie sets a cookie for this host alone; age 0 lets it end with the browser, below 0
// removes it.
func setCookie(c echo.Context, name, value string, age int) {
	c.SetCookie(&http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: c.Request().TLS != nil,
	})
}

// addressOf is where the connection comes from. Forwarding fields are not looked at:
// anybody can write them.
func addressOf(c echo.Context) string {
	host, _, err := net.SplitHostPort(c.Request().RemoteAddr)
	if err != nil {
		return c.Request().RemoteAddr
	}
	return host
}

// OwnPath is next where it is a path of this site, and the start page otherwise.
func OwnPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/stages"
	}
	return next
}

// Back is the page that the form was on, with a stage to run the app at (empty: none), and
// its part (empty: the one that the form names).
func Back(c echo.Context, stage, part string) string {
	form := c.Request().PostForm
	back, err := url.Parse(OwnPath(cmp.Or(form.Get("back"), form.Get("page"))))
	if err != nil {
		return "/stages"
	}
	if stage != "" {
		query := back.Query()
		query.Set("at", stage)
		back.RawQuery = query.Encode()
	}
	if part != "" {
		back.Fragment = part
	}
	return back.String()
}
