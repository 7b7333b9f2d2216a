package server

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/attestsvc/level"
	"keyladder/attestsvc/references"
	"keyladder/attestsvc/results"
	"keyladder/backend/clients"
	"keyladder/backend/devices"
	"keyladder/backend/guard"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
)

// open opens a session for whoever says that it is a client's app. Whether it is will be looked at
// when it answers, so that what it is asked does not depend on that.
//
//keyladder:code attestation-open
func (s *Server) open(c echo.Context, caller guard.Caller) error {
	opening, err := readOpening(caller.Body())
	if err != nil {
		return err
	}
	stage, at := caller.Stage(), caller.At()
	if s.clients.Health().Heard.IsZero() { // for a moment, when it starts
		return problem.New(http.StatusServiceUnavailable, "not-ready", "Nobody can attest yet", "Try again in a second.").With(echo.HeaderRetryAfter, "1")
	}
	key := s.clients.ServersKey(opening.ClientID)
	if key == nil {
		return unknownClient("there is no client %q with a key that servers share", opening.ClientID)
	}
	about, _, err := s.references.Challenged(opening.ClientID, opening.Release, opening.Size)
	if errors.Is(err, references.ErrNone) {
		return unknownClient("%v: %q", err, opening.ClientID)
	}
	if err != nil {
		return err
	}
	looked, _ := level.Of(stage.Attestation.Level)
	asked := session{stage: stage.Slug, level: looked, opening: opening, about: about, key: key.ID, opened: at, expires: at.Add(s.config.AnswerWithin)}
	if looked.Device {
		asked.challenge = attestation.NewNonce()
	}
	if looked.Challenged {
		if asked.challenge, err = attestation.NewChallenge(about.Size, s.config.Ranges, s.config.RangeBytes); err != nil {
			return err
		}
	}
	opened := s.sessions.open(asked)
	c.Response().Header().Set(echo.HeaderLocation, "/"+stage.Slug+attestation.SessionsPath+"/"+opened.id)
	return c.JSON(http.StatusCreated, opened.show(""))
}

// show is a session as its app sees it.
func (s *session) show(reference string) attestation.Session {
	shown := attestation.Session{State: attestation.Complete, Expires: s.expires.UTC().Truncate(time.Second)} // so that all are equally long
	if reference == "" {
		shown.State, shown.Challenge = attestation.Waiting, s.challenge
	}
	return shown
}

// readOpening reads what an app says about itself.
func readOpening(body []byte) (o attestation.Opening, err error) {
	bad := func(format string, values ...any) error {
		return problem.New(http.StatusBadRequest, "bad-request", "The request can't be read", fmt.Sprintf(format, values...))
	}
	if err := level.Decode(body, &o); err != nil {
		return o, bad("Its body has to be the JSON of an opening: %v.", err)
	}
	switch {
	case o.ClientID == "" || len(o.ClientID) > 64:
		return o, bad("client_id has to name the client.")
	case o.Release < 1 || o.Release > math.MaxInt32:
		return o, bad("release has to be the number of the app's release, from 1 on.")
	case o.Size < 0:
		return o, bad("size has to be that of the app's package, in bytes.")
	case o.Device != "" && !devices.ValidIdentifier(o.Device):
		return o, bad("device: %v.", devices.ErrIdentifier)
	}
	return o, nil
}

// unknownClient is said to whoever names a client that has nothing to attest with.
func unknownClient(reason string, values ...any) error {
	return refuse(http.StatusBadRequest, "unknown-client", "That client can't attest", "Name the client whose app it is.", reason, values...)
}

func refuse(status int, kind, title, detail, reason string, values ...any) error {
	return &guard.Refusal{Check: catalog.CheckAttestation, Problem: problem.New(status, kind, title, detail), Reason: fmt.Sprintf(reason, values...)}
}

// notWaiting refuses what is about no session that waits.
func notWaiting(err error) error {
	const whatToDo = "Open a session, and answer it once and in time."
	if errors.Is(err, errNoSession) {
		return refuse(http.StatusNotFound, "no-such-session", "There is no such session", whatToDo, "%v", err)
	}
	return refuse(http.StatusConflict, "session-over", "The session can't be answered", whatToDo, "%v", err)
}

// show answers how far a session is.
func (s *Server) show(c echo.Context, caller guard.Caller) error {
	found, reference, err := s.sessions.find(caller.Stage().Slug, c.Param("id"))
	if err != nil {
		return notWaiting(err)
	}
	return c.JSON(http.StatusOK, found.show(reference))
}

// answer takes evidence, and gives a token for it, whatever it is worth. Which of the two kinds it
// is, only who knows the client's secret can tell: both ways are one, and differ in which of two
// tokens goes out.
//
//keyladder:code attestation-answer-session
func (s *Server) answer(c echo.Context, caller guard.Caller) error {
	began, stage, at := s.config.Now(), caller.Stage(), caller.At()
	looked, _ := level.Of(stage.Attestation.Level)
	evidence, err := looked.Read(caller.Body())
	if err != nil {
		return problem.New(http.StatusBadRequest, "bad-request", "The request can't be read", err.Error())
	}
	reference := results.NewReference()
	claimed, err := s.sessions.claim(stage.Slug, c.Param("id"), reference, at)
	if err != nil {
		return notWaiting(err)
	}
	evidence, device := claimed.level.Examine(evidence, claimed.challenge.Nonce, s.trust, at)
	compared := s.compared(claimed, evidence)
	compared.Said = device
	verdict, err := claimed.level.Appraise(evidence, compared)
	if err != nil {
		return err
	}
	policy := s.enforcement.At(stage.Slug)
	claims, good, watched := policy.Judge(verdict)
	lifetime := s.config.TokenLifetime
	said := s.claims(stage, claimed, at, lifetime)
	if claimed.level.Device {
		if said.Key, err = confirmed(evidence.ByDevice); err != nil {
			return err
		}
	}
	text, good, err := s.sign(said, claimed.key, good, at)
	if err != nil {
		return err
	}
	shown := claimed.show(reference)
	shown.Result = &attestation.Result{Token: text, ExpiresIn: int64(lifetime / time.Second), Reference: reference}
	if claimed.level.Device {
		if shown.Result.ClientAttestation, err = s.attestClient(said, good); err != nil {
			return err
		}
	}
	err = s.results.Add(c.Request().Context(), manage.Attestation{
		Reference: reference, At: at, Stage: stage.Slug, Level: claimed.level.Name, Client: claimed.opening.ClientID, Release: claimed.opening.Release,
		Device: claimed.opening.Device, Address: caller.Address().String(), Good: good, Watched: good && watched, Policy: policy.Version,
		Token: said.ID, Issuer: said.Issuer, Audience: said.Audience, Key: claimed.key, ExpiresAt: said.Expires, TookMS: at.Sub(claimed.opened).Milliseconds(), Claims: claims,
		Holder: holder(said), Said: device.Shown(),
	})
	if err != nil {
		return err
	}
	took := s.config.Now().Sub(began)
	if err := c.JSON(http.StatusOK, shown); err != nil {
		return err
	}
	s.latencies.note(claimed.level.Name, good, took, shapeOf(c.Response(), claimed.opening.ClientID, text))
	return nil
}

// compared is what the evidence of a session is compared with.
func (s *Server) compared(claimed *session, evidence attestation.Evidence) level.Case {
	about := claimed.about
	measured, published := s.references.Measured(claimed.opening.ClientID, claimed.opening.Release, evidence.Measurement)
	if published && measured.Size == about.Size {
		about = measured // which of the packages of the release it is, it says only now
	}
	return level.Case{
		Challenge: claimed.challenge, Size: about.Size, Open: func() (level.Package, error) { return about.Open() },
		Expected: s.references.Current(claimed.opening.ClientID, claimed.opening.Release), Published: published,
		Withdrawn: published && measured.Withdrawn, SignerWithdrawn: published && measured.SignerWithdrawn,
		Banned: s.results.Banned(claimed.stage, claimed.opening.ClientID, claimed.opening.Device),
	}
}

// claims are what the token of a session says.
func (s *Server) claims(stage catalog.Stage, claimed *session, at time.Time, lifetime time.Duration) integrity.Claims {
	addresses := s.config.Folder.Addresses
	api := deployment.API
	if stage.Call.Gateway == catalog.ThroughGateway {
		api = deployment.MediatorService
	}
	audience := []string{addresses.Stage(api, stage.Slug) + "/v1"}
	if stage.Call.ClientAuth.Attested() {
		audience = append(audience, addresses.Stage(deployment.MediatorService, stage.Slug))
	}
	return integrity.Claims{
		Issuer: addresses.Stage(deployment.AttestationService, stage.Slug), ClientID: claimed.opening.ClientID, Audience: audience,
		Issued: at, Expires: at.Add(lifetime), ID: token.NewID(), Release: claimed.opening.Release, Device: claimed.opening.Device,
		Level: string(claimed.level.Name),
	}
}

// sign makes both tokens, so that it takes the same time, and returns the one that is due. Where the
// key is gone meanwhile, that is the one that is not good.
func (s *Server) sign(said integrity.Claims, key string, good bool, at time.Time) (text string, signed bool, err error) {
	failing, err := integrity.Fail(key, said)
	if err != nil {
		return "", false, err
	}
	_, found, err := s.clients.LookupServers(key)
	if errors.Is(err, clients.ErrUnknown) || errors.Is(err, clients.ErrRevoked) {
		return failing, false, nil
	}
	if err != nil {
		return "", false, err
	}
	right, err := integrity.Sign(token.Key{ID: key, Secret: token.Secret(found.Signing(at).Text())}, said)
	if err != nil || !good {
		return failing, false, err
	}
	return right, true, nil
}
