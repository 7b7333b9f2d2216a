package scene

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/deploy"
)

// attestedApp is an app of the bank for an attestation service, and what that has given it.
type attestedApp struct {
	*deploy.App
	held protect.Attested
}

// equip gives a caller the app that it makes the calls of, on a phone of its own, where that has to be
// attested.
func (p *prober) equip(by *caller, path string) (err error) {
	if !proven(p.policies) {
		return nil
	}
	phone := filepath.Join(p.dir, rand.Text())
	if err := p.plant.Make(phone); err != nil {
		return err
	}
	app, err := deploy.OpenApp(path, p.identifier(), phone)
	if err != nil {
		return err
	}
	p.apps, by.app = append(p.apps, app), &attestedApp{App: app}
	by.Caller, err = app.Equip(by.Caller)
	return err
}

// elsewhere is the customers' app at another stage at which it is attested; nil: there is none.
func (s *Station) elsewhere(p *prober, stage catalog.Stage) (*caller, error) {
	for _, other := range s.stages.Built() {
		if !proven(p.policies) || other.Slug == stage.Slug || !proven(other.Policies) {
			continue
		}
		settings, err := deploy.Shipped(s.packageFile(other))
		if err != nil {
			return nil, err
		}
		there, err := s.newCaller(other, "HarbourBank/1.0", settings)
		if err != nil {
			return nil, err
		}
		return there, p.equip(there, s.packageFile(other))
	}
	return nil, nil
}

// attested asks for a client integrity token, at a stage that may be another than the one that is
// probed.
func (p *prober) attested(ctx context.Context, by *protect.Caller, app *attestedApp, evidence protect.Evidence) (protect.Attested, error) {
	attester, err := app.Attester(by)
	if err != nil {
		return protect.Attested{}, err
	}
	return attester.Attest(ctx, p.patient(by), evidence)
}

// soon is what has to be left of a client integrity token for a probe. Whole seconds are in it, so that
// one of them can be missing.
const soon = 2 * time.Second

// prove has the apps show client integrity tokens that are good for a while.
func (p *prober) prove(ctx context.Context) error {
	return p.proveAll(ctx, p.bank, p.staff)
}

func (p *prober) proveAll(ctx context.Context, callers ...*caller) error {
	for _, by := range callers {
		if by.app == nil || time.Now().Before(by.app.held.RenewAt) && time.Until(by.app.held.ExpiresAt) > soon {
			continue
		}
		held, err := p.attested(ctx, by.Caller, by.app, by.app.Evidence(attestation.Findings{}))
		if err != nil {
			return fmt.Errorf("attest the app: %w", err)
		}
		by.app.held = held
		if err := by.show(held.Show); err != nil {
			return err
		}
	}
	return nil
}

func proven(p catalog.Policies) bool { return p.Call.AppProof == catalog.IntegrityToken }

// brings is what an attestation has brought that a probe shows.
type brings func(context.Context, *prober) (protect.Attested, error)

// shown is the customers' app with that in place of what it has.
func (b brings) shown(ctx context.Context, p *prober) (*caller, error) {
	held, err := b(ctx, p)
	if err != nil {
		return nil, err
	}
	by, err := p.bank.As(held.Show)
	return &caller{Caller: by, redirectURI: p.bank.redirectURI}, err
}

// nothing is what an app has that was not attested.
func nothing(context.Context, *prober) (protect.Attested, error) { return protect.Attested{}, nil }

// failing is what an app gets whose attestation has failed: it has shown another package than its own.
func failing(ctx context.Context, p *prober) (protect.Attested, error) {
	honest, other := p.bank.app.Evidence(attestation.Findings{}), p.staff.app.Evidence(attestation.Findings{})
	return p.attested(ctx, p.bank.Caller, p.bank.app, func(c attestation.Challenge) (attestation.Evidence, error) {
		if c.ForDevice() {
			return other(c)
		}
		evidence, err := honest(c)
		evidence.Measurement = p.staff.app.Measured.Measurement
		return evidence, err
	})
}

// ofAnotherStage is good there.
func ofAnotherStage(ctx context.Context, p *prober) (protect.Attested, error) {
	if p.other == nil {
		return protect.Attested{}, errNoProbe
	}
	err := p.proveAll(ctx, p.other)
	return p.other.app.held, err
}

// longestWait is how long a probe waits for a token to expire. Where they live longer, that is for
// other tests.
const longestWait = 10 * time.Second

// expired was good a moment ago.
func expired(ctx context.Context, p *prober) (protect.Attested, error) {
	held := p.bank.app.held
	return held, outlive(ctx, held.ExpiresAt)
}

// outlive waits until what expires then is no good any more.
func outlive(ctx context.Context, expires time.Time) error {
	left := time.Until(expires)
	if left > longestWait {
		return errNoProbe
	}
	return pause(ctx, max(left, 0)+time.Second) // whole seconds are in a token
}

// integrityProbes are calls whose client integrity token is wrong.
var integrityProbes = []probe{
	{"rates without a client integrity token", proven, catalog.CheckIntegrity, 401, ratesAs(func(_ *prober, as *protect.Identity) {
		as.Integrity = ""
	})},
	{"rates with the client integrity token of a failed attestation", proven, catalog.CheckIntegrity, 401, ratesWith(failing)},
	{"rates with a client integrity token that has expired", proven, catalog.CheckIntegrity, 401, ratesWith(expired)},
	{"rates with the client integrity token of another stage", proven, catalog.CheckIntegrity, 401, ratesWith(ofAnotherStage)},
	{"rates with an access token in the place of the client integrity token", proven, catalog.CheckIntegrity, 401, func(ctx context.Context, p *prober, users people) (reply, error) {
		return p.send(ctx, draft{by: p.bank, Call: ratesCall, as: func(as *protect.Identity) { as.Integrity = users.alice.Token }})
	}},
}

// sessionProbes are evidence for attestation sessions that do not wait for it.
var sessionProbes = []probe{
	{"evidence for an attestation session that was answered", proven, catalog.CheckAttestation, 409, func(ctx context.Context, p *prober, _ people) (reply, error) {
		sent, session, err := p.opened(ctx, p.bank)
		if err != nil {
			return reply{}, err
		}
		evidence, err := p.bank.app.Evidence(attestation.Findings{})(session.Challenge)
		if err != nil {
			return reply{}, err
		}
		if _, err := session.Answer(ctx, evidence); err != nil {
			return reply{}, err
		}
		_, _ = session.Answer(ctx, evidence) // is refused
		return sent.latest, nil
	}},
	{"evidence for an attestation session of another stage", proven, catalog.CheckAttestation, 404, func(ctx context.Context, p *prober, _ people) (reply, error) {
		if p.other == nil {
			return reply{}, errNoProbe
		}
		_, there, err := p.opened(ctx, p.other)
		if err != nil {
			return reply{}, err
		}
		sent, session, err := p.opened(ctx, p.bank)
		if err != nil {
			return reply{}, err
		}
		evidence, err := p.bank.app.Evidence(attestation.Findings{})(session.Challenge)
		if err != nil {
			return reply{}, err
		}
		session.Location = session.Location[:strings.LastIndex(session.Location, "/")+1] + path.Base(there.Location)
		_, _ = session.Answer(ctx, evidence) // is refused
		return sent.latest, nil
	}},
}

// opened is an attestation session that waits, and what its requests are sent with.
func (p *prober) opened(ctx context.Context, by *caller) (*browser, *protect.AttestationSession, error) {
	attester, err := by.app.Attester(by.Caller)
	if err != nil {
		return nil, nil, err
	}
	sent := p.browser(by)
	session, err := attester.Open(ctx, &http.Client{Transport: sent, Timeout: probeTime})
	return sent, session, err
}

// mediated says whether a mediator looks at client integrity tokens, too.
func mediated(p catalog.Policies) bool {
	return p.Call.ClientAuth.Attested() && !byAttestation(p)
}

// mediatedProbes are requests for tokens whose client integrity token is wrong. The code is looked at
// by nobody, so any will do.
var mediatedProbes = []probe{
	{"a token request without a client integrity token", mediated, catalog.CheckIntegrity, 401, exchangeWith(nothing)},
	{"a token request with the client integrity token of a failed attestation", mediated, catalog.CheckIntegrity, 401, exchangeWith(failing)},
	{"a token request with a client integrity token that has expired", mediated, catalog.CheckIntegrity, 401, exchangeWith(expired)},
	{"a token request with the client integrity token of another stage", mediated, catalog.CheckIntegrity, 401, exchangeWith(ofAnotherStage)},
	{"a token request with an access token in the place of the client integrity token", mediated, catalog.CheckIntegrity, 401, func(ctx context.Context, p *prober, users people) (reply, error) {
		return exchangeWith(func(context.Context, *prober) (protect.Attested, error) {
			return protect.Attested{Token: users.alice.Token}, nil
		})(ctx, p, users)
	}},
}

// exchangeWith trades a code with what an attestation has brought.
func exchangeWith(shows brings) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, _ people) (reply, error) {
		by, err := shows.shown(ctx, p)
		if err != nil {
			return reply{}, err
		}
		return p.exchanged(ctx, by, noCode())
	}
}

// ratesWith asks for the rates with what an attestation has brought.
func ratesWith(shows brings) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, _ people) (reply, error) {
		by, err := shows.shown(ctx, p)
		if err != nil {
			return reply{}, err
		}
		return p.send(ctx, draft{by: by, Call: ratesCall})
	}
}

// userProbes are calls whose access token is wrong, where the app is proven by a token of its own.
var userProbes = []probe{
	{"accounts without an access token", proven, catalog.CheckToken, 401, accounts(func(*protect.Identity, people) {}, nil)},
	{"accounts with a client integrity token in the place of the access token", proven, catalog.CheckToken, 401, accounts(func(as *protect.Identity, _ people) {
		as.Token = as.Integrity
	}, nil)},
	{"accounts with an access token that has expired", proven, catalog.CheckToken, 401, func(ctx context.Context, p *prober, users people) (reply, error) {
		if err := outlive(ctx, users.alice.ExpiresAt); err != nil {
			return reply{}, err
		}
		if err := p.prove(ctx); err != nil { // which may have expired meanwhile, too
			return reply{}, err
		}
		return accounts(func(as *protect.Identity, users people) { users.alice.Show(as) }, nil)(ctx, p, users)
	}},
	{"accounts with the access token of another stage", proven, catalog.CheckToken, 401, func(ctx context.Context, p *prober, users people) (reply, error) {
		if p.other == nil {
			return reply{}, errNoProbe
		}
		if err := p.proveAll(ctx, p.other); err != nil { // a mediator may ask for it
			return reply{}, err
		}
		opened, err := p.signIn(ctx, p.other, victimsName, users.password, "")
		if err != nil {
			return reply{}, err
		}
		return accounts(func(as *protect.Identity, _ people) { opened.Show(as) }, nil)(ctx, p, users)
	}},
}
