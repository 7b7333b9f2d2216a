package issuer

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"keyladder/backend/grants"
	"keyladder/backend/mediator/oauthclient"
	"keyladder/backend/mediator/secrets"
	"keyladder/backend/mediator/sessions"
	"keyladder/backend/oauth"
	"keyladder/backend/refresh"
	"keyladder/internal/problem"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// refreshing is the refresh token grant. Where the provider's own access token has expired, the
// provider is asked first whether the user is still signed in there.
func (s *Server) refreshing() grants.Grant {
	grant := grants.Refresh(s.families, customer, s.end)
	claim := grant.Claim
	grant.Claim = func(ctx context.Context, r grants.Request, mint grants.Mint) (string, error) {
		presented := refresh.Presented{
			Stage: r.Caller.Stage().Slug, Text: r.Form["refresh_token"], Client: r.Client.ID,
			Device: r.Caller.Attested().Device, Thumbprint: r.Caller.Thumbprint(),
		}
		family, err := s.families.Peek(ctx, r.Caller.At(), presented)
		if err != nil {
			return "", err
		}
		if family != nil { // else there is nothing to renew, and the claim says why
			if err := s.renew(context.WithoutCancel(ctx), traffic.ExchangeOf(r.HTTP), r.Caller.At(), family.Origin); err != nil {
				return "", err
			}
		}
		return claim(ctx, r, mint)
	}
	return grant
}

// renew renews a session at its provider, if its access token there has expired. The provider's
// tokens take the place of the old ones before anybody is answered. Where it says that the user's
// sign-in is over, the family ends.
//
//keyladder:code mediator-renew
func (s *Server) renew(ctx context.Context, exchange string, at time.Time, id string) error {
	session, err := s.sessions.Claim(ctx, at, id, secrets.New())
	switch {
	case errors.Is(err, sessions.ErrBusy):
		return later("the session is being renewed")
	case errors.Is(err, sessions.ErrNone):
		return s.over(ctx, id, "there is no session at a provider behind it any more")
	case err != nil:
		return err
	case session == nil:
		return nil
	}
	p, ok := s.config.Providers.Named(session.Provider, session.Stage)
	switch {
	case !ok || !p.Enabled:
		return errors.Join(s.sessions.Release(ctx, id, sessions.Answered), later("the provider "+session.Provider+" is switched off"))
	case session.Tokens.Refresh == "":
		return s.over(ctx, id, "the access token of "+session.Provider+" has expired, and it gives no refresh tokens")
	}
	to := oauthclient.For{Stage: session.Stage, Exchange: exchange}
	given, err := s.config.Client.Refresh(ctx, to, p, session.Tokens.Refresh, session.RenewalKey)
	refused, isRefusal := errors.AsType[*oauthclient.RefusedError](err)
	switch {
	case isRefusal && refused.InvalidGrant() && session.Lost:
		s.config.Logger.Warn("a session goes on without its provider, whose answer got lost", "provider", p.Name, "session", id)
		return s.sessions.Alone(ctx, *session, at.Add(aloneLife))
	case isRefusal && refused.InvalidGrant():
		return s.over(ctx, id, session.Provider+" has ended the sign-in")
	case err != nil:
		s.config.Logger.Error("renew a session", "provider", p.Name, "error", err)
		outcome := sessions.Answered
		switch {
		case isRefusal:
			outcome = sessions.NotTaken
		case errors.Is(err, oauthclient.ErrNoAnswer):
			outcome = sessions.Unanswered
		}
		return errors.Join(s.sessions.Release(ctx, id, outcome), later(session.Provider+" does not renew the sign-in"))
	}
	return s.sessions.Renewed(ctx, at, *session, sessions.Tokens{Access: given.Access, Refresh: given.Refresh}, given.Expires)
}

// mostResumed is how many sessions are looked at in one go.
const mostResumed = 100

// resume renews the sessions that a mediator was renewing when it died: while their providers still
// know that request.
func (s *Server) resume(ctx context.Context) error {
	ids, err := s.sessions.Abandoned(ctx, s.config.Now(), mostResumed)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.renew(ctx, "", s.config.Now(), id); err != nil && ctx.Err() == nil {
			s.config.Logger.Error("renew a session that was being renewed", "session", id, "error", err)
		}
	}
	return nil
}

// later refuses for now: the refresh token was not used.
func later(reason string) error {
	return oauth.Refuse(catalog.CheckProvider, problem.New(http.StatusServiceUnavailable, "try-later", "Tokens can't be had at the moment",
		"Try again after the time in Retry-After, in seconds.").With("Retry-After", "1"), "%s", reason)
}

// over ends the family of a session that is over at the provider.
func (s *Server) over(ctx context.Context, id, reason string) error {
	if _, err := s.sessions.End(ctx, s.config.Now(), sessions.ProviderEnded, id); err != nil {
		return err
	}
	if err := s.endFamilies(ctx, id); err != nil {
		return err
	}
	return oauth.Refuse(catalog.CheckProvider, problem.New(http.StatusBadRequest, "invalid-grant", "That is not good, or not any more", ""), "%s", reason)
}

// end ends what came of codes and families that turned out to be in two hands.
func (s *Server) end(ctx context.Context, sources ...string) error {
	if err := s.endFamilies(ctx, sources...); err != nil {
		return err
	}
	return s.endSessions(ctx, sessions.CopyCame, sources...)
}

// givenBack ends the session of a family that its app has given back.
func (s *Server) givenBack(ctx context.Context, family refresh.Family) error {
	return s.endSessions(ctx, sessions.GivenBack, family.Origin)
}

// endFamilies ends the families that came of these codes, and the access tokens that came of them or
// of the families that are named themselves.
func (s *Server) endFamilies(ctx context.Context, sources ...string) error {
	for _, source := range slices.Clone(sources) {
		families, err := s.families.RevokeOf(ctx, source)
		if err != nil {
			return err
		}
		sources = append(sources, families...)
	}
	_, err := s.config.Tokens.RevokeOf(ctx, sources...)
	return err
}

// endSessions ends sessions, whose tokens are given back afterwards.
func (s *Server) endSessions(ctx context.Context, reason string, ids ...string) error {
	_, err := s.sessions.End(ctx, s.config.Now(), reason, ids...)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return err
}

// mostReturned is how many sessions are looked at in one go.
const mostReturned = 100

// returnTokens gives back to the providers what sessions that have ended had (RFC 7009). A token that can't
// be given back now is tried again later, also where a provider wants to know the mediator in another
// way: what is described of it may follow.
//
//keyladder:code mediator-give-back
func (s *Server) returnTokens(ctx context.Context) error {
	ended, err := s.sessions.Ended(ctx, mostReturned)
	if err != nil {
		return err
	}
	var faults []error
	for _, session := range ended {
		err := s.returnOf(ctx, session)
		refused, isRefusal := errors.AsType[*oauthclient.RefusedError](err)
		if err == nil || isRefusal && refused.Code != "invalid_client" { // which it would be again
			err = errors.Join(err, s.sessions.Returned(ctx, session.ID))
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func (s *Server) returnOf(ctx context.Context, session sessions.Session) error {
	p, ok := s.config.Providers.Named(session.Provider, session.Stage)
	if !ok || p.RevocationURL == "" {
		return nil // there is nobody to give it to
	}
	to := oauthclient.For{Stage: session.Stage}
	if session.Tokens.Refresh != "" {
		if err := s.config.Client.Revoke(ctx, to, p, session.Tokens.Refresh, "refresh_token"); err != nil {
			return err
		}
	}
	return s.config.Client.Revoke(ctx, to, p, session.Tokens.Access, "access_token")
}
