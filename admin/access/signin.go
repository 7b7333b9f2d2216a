package access

import (
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
)

var errWrongPassword = errors.New("wrong password")

// signInForm is the sign-in page and what it says after a try.
type signInForm struct {
	Next    string
	Failure string
}

func (g *Gate) signInPage(c echo.Context) error {
	if _, ok, err := g.vault.find(cookieValue(c, sessionCookie), false); err != nil {
		return err
	} else if ok {
		return c.Redirect(http.StatusSeeOther, OwnPath(c.QueryParam("next")))
	}
	return g.showSignIn(c, http.StatusOK, signInForm{Next: OwnPath(c.QueryParam("next"))})
}

func (g *Gate) showSignIn(c echo.Context, status int, form signInForm) error {
	cookie := cookieValue(c, formCookie)
	if len(cookie) != 64 {
		cookie = randomToken()
		setCookie(c, formCookie, cookie, 0)
	}
	p := g.Page(c, "Sign in", "")
	p.CSRF = formToken(cookie)
	return ui.Render(c, status, signInView(p, form))
}

func (g *Gate) signIn(c echo.Context) error {
	if err := checkForm(c, cookieValue(c, formCookie)); err != nil {
		return err
	}
	form := signInForm{Next: OwnPath(c.Request().PostForm.Get("next"))}
	address := addressOf(c)
	if wait, ok := g.throttle.try(address, g.cfg.Now()); !ok {
		seconds := max(1, int(math.Ceil(wait.Seconds())))
		c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
		form.Failure = "Too many tries. Wait " + ui.Plural(seconds, "second", "seconds") + ", then try again: the account is not locked."
		return g.showSignIn(c, http.StatusTooManyRequests, form)
	}
	entry, err := g.Begin(c, "sign in", "")
	if err != nil {
		return err
	}
	fits, err := g.vault.check(c.Request().PostForm.Get("password"))
	if err != nil {
		return errors.Join(err, g.audit.end(entry, err))
	}
	if !fits {
		if err := g.audit.end(entry, errWrongPassword); err != nil {
			return err
		}
		form.Failure = "That is not the password. It is the one in ADMIN_PASSWORD, or the one that was printed when the admin UI was first started."
		return g.showSignIn(c, http.StatusForbidden, form)
	}
	g.throttle.succeeded(address, g.cfg.Now())
	if old, ok, err := g.vault.find(cookieValue(c, sessionCookie), false); err == nil && ok {
		if err := g.vault.end(old); err != nil {
			return errors.Join(err, g.audit.end(entry, err))
		}
	}
	token, opened, err := g.vault.open(address)
	if err != nil {
		return errors.Join(err, g.audit.end(entry, err))
	}
	entry.Who = visitor{session: opened}.who()
	if err := g.cfg.DB.Model(entry).Update("who", entry.Who).Error; err != nil {
		return err
	}
	if err := g.audit.end(entry, nil); err != nil {
		return err
	}
	setCookie(c, sessionCookie, token, int(g.cfg.Sessions.Absolute.Seconds()))
	setCookie(c, formCookie, "", -1)
	return c.Redirect(http.StatusSeeOther, form.Next)
}

func (g *Gate) signOut(c echo.Context) error {
	v := visitorOf(c)
	entry, err := g.audit.begin(v.who(), addressOf(c), "sign out", "")
	if err != nil {
		return err
	}
	failure := g.vault.end(v.session)
	if err := g.audit.end(entry, failure); err != nil || failure != nil {
		return errors.Join(failure, err)
	}
	setCookie(c, sessionCookie, "", -1)
	return c.Redirect(http.StatusSeeOther, "/sign-in")
}
