package authserver

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/authserver/pages"
	"keyladder/backend/consents"
	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/backend/users"
	"keyladder/stages/catalog"
)

// fieldInteraction is the hidden field that says which sign-in a form belongs to.
const fieldInteraction = "interaction"

// askToSignIn shows the page that asks for name and password. It is this server's, so that no
// client sees them (RFC 6749, section 1).
func (s *Server) askToSignIn(c echo.Context, stage catalog.Stage, i *interaction, name string, failed pages.Failure) error {
	page := pages.SignIn{Site: s.site(stage), Form: s.form(stage, "/sign-in", i), Name: name, Failed: failed}
	redirectURI := ""
	if i.client != nil {
		redirectURI = i.request.redirectURI
		page.Client = &pages.Client{Name: i.client.Name(), ID: i.client.ID, RedirectURI: redirectURI}
	}
	status := http.StatusOK
	if failed.Wait() > 0 {
		status = http.StatusTooManyRequests
		c.Response().Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(failed.Wait().Seconds()))))
	}
	return s.show(c, status, redirectURI, pages.SignInPage(page))
}

// form is one of the forms of a sign-in.
func (s *Server) form(stage catalog.Stage, path string, i *interaction) pages.Form {
	return pages.Form{Action: "/" + stage.Slug + path, Hidden: []pages.Hidden{{Name: fieldInteraction, Value: i.id}}}
}

// signIn proves the user. The form comes from the browser in which the page was shown.
//
//keyladder:code authorize-sign-in
func (s *Server) signIn(c echo.Context, caller guard.Caller) error {
	stage := caller.Stage()
	form, i, err := s.posted(c, caller)
	if err != nil {
		return err
	}
	if form[pages.FieldDecision] == pages.Deny && i.client != nil {
		return s.denied(c, stage, i)
	}
	user, err := s.users.SignIn(c.Request().Context(), caller.At(), users.Origin{Address: caller.Address()}, form[pages.FieldName], form[pages.FieldPassword])
	if err != nil {
		failed, known := failure(err, caller.At())
		if !known {
			return err
		}
		if err := s.askToSignIn(c, stage, i, form[pages.FieldName], failed); err != nil {
			return err
		}
		return &guard.Refusal{Check: catalog.CheckSignIn, Reason: err.Error(), Answered: true}
	}
	if i.client == nil {
		next := s.underWay.signedIn(i, user, nil)
		if next == nil {
			return s.sentTwice(c, stage)
		}
		return c.Redirect(http.StatusSeeOther, "/"+stage.Slug+"/consents?"+fieldInteraction+"="+next.id)
	}
	scope := slices.DeleteFunc(slices.Clone(i.request.scope), func(scope string) bool { return !user.May(scope) })
	if len(scope) == 0 {
		if !s.underWay.end(i) {
			return s.sentTwice(c, stage)
		}
		return s.refuse(c, stage, i.request, refusal{catalog.CheckWanted, invalidScope, "The user may do none of that.", user.Name + " may do nothing of what the client asks for"})
	}
	next := s.underWay.signedIn(i, user, scope)
	if next == nil {
		return s.sentTwice(c, stage)
	}
	granted, err := s.consents.Granted(c.Request().Context(), consents.Party{Stage: stage.Slug, User: user.Name, Client: i.client.ID})
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(scope, func(scope string) bool { return !slices.Contains(granted, scope) }) {
		s.underWay.end(next)
		return s.allowed(c, caller, next)
	}
	return c.Redirect(http.StatusSeeOther, "/"+stage.Slug+"/consent?"+fieldInteraction+"="+next.id)
}

// failure is what the page says of a sign-in that did not work; false: that was not the user's
// doing.
func failure(err error, at time.Time) (pages.Failure, bool) {
	var throttled *users.ThrottledError
	switch {
	case errors.As(err, &throttled):
		return pages.Throttled(throttled.Until.Sub(at)), true
	case errors.Is(err, users.ErrUnknown), errors.Is(err, users.ErrPassword):
		return pages.WrongCredentials, true // one text for both
	case errors.Is(err, users.ErrBusy):
		return pages.Throttled(time.Second), true
	}
	return pages.Failure{}, false
}

// posted reads a form of a page, and finds the sign-in that it belongs to.
func (s *Server) posted(c echo.Context, caller guard.Caller) (oauth.Form, *interaction, error) {
	form, err := oauth.ReadForm(c.Request(), caller.Body())
	if err != nil {
		return nil, nil, s.problem(c, catalog.CheckForm, s.badRequest(caller.Stage(), "The form can't be read."), err.Error())
	}
	if err := crossOrigin.Check(c.Request()); err != nil {
		return nil, nil, s.problem(c, catalog.CheckForm, s.badRequest(caller.Stage(), "The form was sent by a page of another site."), err.Error())
	}
	i := s.underWay.find(c.Request(), caller.Stage().Slug, form[fieldInteraction])
	if i == nil {
		return nil, nil, s.problem(c, catalog.CheckForm, pages.Outdated(s.site(caller.Stage())), "there is no such sign-in in this browser, or no longer")
	}
	return form, i, nil
}

// crossOrigin refuses forms that pages of other sites have browsers send.
var crossOrigin = http.NewCrossOriginProtection()
