package issuer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"keyladder/backend/authserver/pages"
	"keyladder/backend/codes"
	"keyladder/backend/guard"
	"keyladder/backend/mediator/oauthclient"
	"keyladder/backend/mediator/sessions"
	"keyladder/backend/mediator/signins"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// Errors of the authorization endpoint (RFC 6749, section 4.1.2.1) that an app is told.
const (
	accessDenied = "access_denied"
	serverError  = "server_error"
	unavailable  = "temporarily_unavailable"
)

// refusal is why an app gets no code. It is told the code of it: what went wrong is between the
// mediator and the provider.
type refusal struct{ code, reason string }

func refuse(code, reason string, values ...any) *refusal {
	return &refusal{code, fmt.Sprintf(reason, values...)}
}

// callback takes a provider's answer. Until the sign-in is found that it answers, in the user agent
// in which it was begun, nobody is sent anywhere; from then on it leads back to the app.
//
//keyladder:code mediator-callback
func (s *Server) callback(c echo.Context, caller guard.Caller) error {
	stage := caller.Stage()
	query, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return s.problem(c, catalog.CheckForm, s.badRequest(stage, "The address of this page can't be read."), "the query can't be read")
	}
	if len(query["state"]) != 1 {
		return s.problem(c, catalog.CheckProvider, pages.Outdated(s.site(stage)), fmt.Sprintf("state is there %d times", len(query["state"])))
	}
	answered, err := s.signIns.Answer(c.Request().Context(), caller.At(), stage.Slug, query.Get("state"), knownAgent(c))
	switch {
	case errors.Is(err, signins.ErrUnknown), errors.Is(err, signins.ErrAgent):
		return s.problem(c, catalog.CheckProvider, pages.Outdated(s.site(stage)), err.Error())
	case err != nil:
		return err
	}
	code, refused := s.finish(c, caller, answered, query)
	if refused == nil {
		return s.back(c, stage, answered.Request, "code", code)
	}
	if err := s.back(c, stage, answered.Request, "error", refused.code); err != nil {
		return err
	}
	return &guard.Refusal{Check: catalog.CheckProvider, Reason: refused.reason, Answered: true}
}

// finish looks at a provider's answer to a sign-in that is over now, and makes the code for the app.
func (s *Server) finish(c echo.Context, caller guard.Caller, of signins.SignIn, query url.Values) (code string, refused *refusal) {
	p, refused := s.answering(of, c.Param("provider"), query)
	if refused != nil {
		return "", refused
	}
	// A sign-in that has begun is finished, whether the user agent waits for it or not.
	ctx := context.WithoutCancel(c.Request().Context())
	to := oauthclient.For{Stage: of.Stage, Exchange: traffic.ExchangeOf(c.Request())}
	given, err := s.config.Client.Exchange(ctx, to, p, query.Get("code"), s.verifier(of, p), strings.Fields(of.Scope))
	if err != nil {
		return "", s.failed(err, "exchange a code", p)
	}
	if len(given.Scopes) == 0 {
		return "", refuse(accessDenied, "the user has allowed nothing of %q", of.Scope)
	}
	subject, err := s.config.Client.User(ctx, to, p, given.Access)
	if err != nil {
		return "", s.failed(err, "ask who the user is", p)
	}
	user, err := oauthclient.Customer(p, subject)
	if err != nil {
		return "", refuse(accessDenied, "%v", err)
	}
	session := sessions.Session{
		ID: rand.Text(), Stage: of.Stage, User: user, Subject: subject, Client: of.Client, Device: of.Device, Provider: p.Name,
		Tokens: sessions.Tokens{Access: given.Access, Refresh: given.Refresh}, Expires: given.Expires,
	}
	err = s.writers.Write(ctx, func(tx *gorm.DB) (err error) {
		if err := s.sessions.BeginIn(tx, caller.At(), session); err != nil {
			return err
		}
		code, err = s.codes.IssueIn(tx, caller.At(), codes.Code{
			ID: session.ID, Stage: of.Stage, Client: of.Client, User: user, Scope: strings.Join(given.Scopes, " "), RedirectURI: of.RedirectURI,
			Device: of.Device, Thumbprint: of.Thumbprint, Challenge: of.Challenge, Method: of.Method,
		})
		return err
	})
	if err != nil {
		s.config.Logger.Error("begin a session", "error", err)
		return "", refuse(serverError, "the session can't be written down")
	}
	return code, nil
}

// answering is the provider that has answered a sign-in, if it is the one that was asked, and sends a
// code (RFC 9700, section 4.4; RFC 9207, section 2.4).
//
//keyladder:code mediator-mix-up
func (s *Server) answering(of signins.SignIn, at string, query url.Values) (manage.Provider, *refusal) {
	p, ok := s.config.Providers.Named(of.Chosen, of.Stage)
	switch {
	case at != of.Chosen:
		return p, refuse(serverError, "the sign-in is at %s, and the answer came to the redirect URI of %.40q", of.Chosen, at)
	case !ok || !p.Enabled || p.Version != of.Version:
		return p, refuse(unavailable, "the provider %s was changed meanwhile", of.Chosen)
	}
	for name, values := range query {
		if len(values) > 1 {
			return p, refuse(serverError, "%.40q is there %d times", name, len(values))
		}
	}
	switch iss := query.Get("iss"); {
	case iss != p.Issuer && (iss != "" || p.AnnouncesIss):
		return p, refuse(serverError, "the answer is of the issuer %.200q, and %s is %s", iss, p.Name, p.Issuer)
	case query.Get("error") != "":
		return p, refuse(told(query.Get("error")), "%s says %.80q", p.Name, query.Get("error"))
	case query.Get("code") == "":
		return p, refuse(serverError, "the answer has no code")
	}
	return p, nil
}

// told is what an app is told of a provider's error.
func told(code string) string {
	switch code {
	case accessDenied, unavailable:
		return code
	}
	return serverError
}

// failed is the refusal for what went wrong with a provider.
func (s *Server) failed(err error, what string, p manage.Provider) *refusal {
	s.config.Logger.Error(what, "provider", p.Name, "error", err)
	_, refused := errors.AsType[*oauthclient.RefusedError](err)
	if refused || errors.Is(err, oauthclient.ErrAnswer) || errors.Is(err, oauthclient.ErrUser) {
		return refuse(serverError, "%s: %v", what, err)
	}
	return refuse(unavailable, "%s: %v", what, err)
}
