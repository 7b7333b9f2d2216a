package web

import (
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

var errWrongPassword = errors.New("wrong password")

// signInForm is the sign-in page and what it says after a try.
type signInForm struct {
	Next    string
	Failure string
}

func (s *Server) signInPage(c echo.Context) error {
	if _, ok, err := s.vault.find(cookieValue(c, sessionCookie), false); err != nil {
		return err
	} else if ok {
		return c.Redirect(http.StatusSeeOther, ownPath(c.QueryParam("next")))
	}
	return s.showSignIn(c, http.StatusOK, signInForm{Next: ownPath(c.QueryParam("next"))})
}

func (s *Server) showSignIn(c echo.Context, status int, form signInForm) error {
	cookie := cookieValue(c, formCookie)
	if len(cookie) != 64 {
		cookie = randomToken()
		setCookie(c, formCookie, cookie, 0)
	}
	p := s.page(c, "Sign in", "")
	p.CSRF = formToken(cookie)
	return render(c, status, signInView(p, form))
}

func (s *Server) signIn(c echo.Context) error {
	if err := checkForm(c, cookieValue(c, formCookie)); err != nil {
		return err
	}
	form := signInForm{Next: ownPath(c.Request().PostForm.Get("next"))}
	address := addressOf(c)
	if wait, ok := s.throttle.try(address, s.now()); !ok {
		seconds := max(1, int(math.Ceil(wait.Seconds())))
		c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
		form.Failure = "Too many tries. Wait " + plural(seconds, "second", "seconds") + ", then try again: the account is not locked."
		return s.showSignIn(c, http.StatusTooManyRequests, form)
	}
	entry, err := s.audit.begin("nobody yet", address, "sign in", "")
	if err != nil {
		return err
	}
	fits, err := s.vault.check(c.Request().PostForm.Get("password"))
	if err != nil {
		return errors.Join(err, s.audit.end(entry, err))
	}
	if !fits {
		if err := s.audit.end(entry, errWrongPassword); err != nil {
			return err
		}
		form.Failure = "That is not the password. It is the one in ADMIN_PASSWORD, or the one that was printed when the admin UI was first started."
		return s.showSignIn(c, http.StatusForbidden, form)
	}
	s.throttle.succeeded(address, s.now())
	if old, ok, err := s.vault.find(cookieValue(c, sessionCookie), false); err == nil && ok {
		if err := s.vault.end(old); err != nil {
			return errors.Join(err, s.audit.end(entry, err))
		}
	}
	token, opened, err := s.vault.open(address)
	if err != nil {
		return errors.Join(err, s.audit.end(entry, err))
	}
	entry.Who = visitor{session: opened}.who()
	if err := s.db.Model(entry).Update("who", entry.Who).Error; err != nil {
		return err
	}
	if err := s.audit.end(entry, nil); err != nil {
		return err
	}
	setCookie(c, sessionCookie, token, int(absoluteTime.Seconds()))
	setCookie(c, formCookie, "", -1)
	return c.Redirect(http.StatusSeeOther, form.Next)
}

func (s *Server) signOut(c echo.Context) error {
	v := visitorOf(c)
	entry, err := s.audit.begin(v.who(), addressOf(c), "sign out", "")
	if err != nil {
		return err
	}
	failure := s.vault.end(v.session)
	if err := s.audit.end(entry, failure); err != nil || failure != nil {
		return errors.Join(failure, err)
	}
	setCookie(c, sessionCookie, "", -1)
	return c.Redirect(http.StatusSeeOther, "/sign-in")
}
