package scene

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
)

// probe is a call that a stage must refuse. But for what is wrong about it, it is made as
// the bank's apps make theirs, so that there is one check to refuse it.
//
// Which probes there are goes by the stages' numbers: from which stage on the API must
// refuse the call is what the ladder says, whatever the stage's policy has become.
type probe struct {
	what     string
	from, to int           // numbers of stages
	check    catalog.Check // of the guard, that must refuse it
	status   int           // that it must answer
	send     func(context.Context, *prober, people) (reply, error)
}

// people are the sessions that probes need, from the stage on that knows users.
type people struct {
	alice      session.Key // opened with the customers' app
	aliceStaff session.Key // opened with the staff's
	carol      session.Key // with the customers' app, although she works for the bank
	password   string      // alice's
	elsewhere  installation
}

// probes are all probes, in the order of the ladder. The last one uses up an app's limit.
var probes = []probe{
	{"rates in a browser", 1, 6, catalog.CheckUserAgent, 403, rates(func(p *prober, d *draft) { d.agent = "Mozilla/5.0 (X11; Linux x86_64)" })},
	{"rates under an invented key", 1, 3, catalog.CheckAppKey, 401, rates(func(p *prober, d *draft) { d.key = rand.Text() })},
	{"a freeze with an app that lacks the scope", 1, 6, catalog.CheckScope, 403, func(ctx context.Context, p *prober, users people) (reply, error) {
		return p.freeze(ctx, p.bank, users.alice)
	}},
	{"rates over plain HTTP", 2, 6, catalog.CheckTransport, 403, rates(func(p *prober, d *draft) { d.base = p.plain })},
	{"rates with the key in the URL", 2, 6, catalog.CheckKeyInURL, 400, rates(func(p *prober, d *draft) { d.inURL = true })},
	{"rates without a client certificate", 3, 6, catalog.CheckClientCert, 403, rates(func(p *prober, d *draft) { d.certificate = nil })},
	{"rates with the client certificate of another app", 3, 6, catalog.CheckClientCert, 403, rates(func(p *prober, d *draft) { d.certificate = p.staff.certificate })},
	{"rates signed with another secret", 4, 6, catalog.CheckHawk, 401, rates(func(p *prober, d *draft) { d.secret = rand.Text() })},
	{"rates without a device", 4, 6, catalog.CheckDevice, 403, rates(func(p *prober, d *draft) { d.device = installation{} })},
	{"rates asked for with one nonce twice", 5, 6, catalog.CheckNonce, 401, twice},
	{"a signed transfer in the clear", 5, 6, catalog.CheckSealedBody, 400, func(ctx context.Context, p *prober, users people) (reply, error) {
		d := p.draft(p.bank, http.MethodPost, "/v1/transfers", struct{}{}) // of nothing, in case it gets through
		d.session, d.clear = users.alice, true
		return p.send(ctx, d)
	}},
	{"a sign-in with a wrong password", 6, 6, catalog.CheckSignIn, 401, func(ctx context.Context, p *prober, users people) (reply, error) {
		d := p.draft(p.bank, http.MethodPost, "/v1/session", nil)
		d.user, d.password = victimsName, users.password+"-not"
		return p.send(ctx, d)
	}},
	{"accounts without a session", 6, 6, catalog.CheckSession, 401, accounts(func(*prober, *draft, people) {})},
	{"accounts with a session of another app", 6, 6, catalog.CheckBinding, 401, accounts(func(p *prober, d *draft, users people) { d.session = users.aliceStaff })},
	{"accounts with a session of another device", 6, 6, catalog.CheckBinding, 401, accounts(func(p *prober, d *draft, users people) {
		d.session, d.device = users.alice, users.elsewhere
	})},
	{"a signed call with another user's session put into it", 6, 6, catalog.CheckSignedFields, 401, accounts(func(p *prober, d *draft, users people) {
		d.session = users.alice
		d.changed = func(r *http.Request) { session.SetKey(r.Header, users.carol) }
	})},
	{"a freeze by staff, with the customers' app", 6, 6, catalog.CheckScope, 403, func(ctx context.Context, p *prober, users people) (reply, error) {
		return p.freeze(ctx, p.bank, users.carol)
	}},
	{"a freeze by a customer, with the staff's app", 6, 6, catalog.CheckScope, 403, func(ctx context.Context, p *prober, users people) (reply, error) {
		return p.freeze(ctx, p.staff, users.aliceStaff)
	}},
	{"more calls at once than the app may make", 1, 6, catalog.CheckAppLimit, 429, tooMany},
}

// rates asks for the rates, which needs no user.
func rates(spoil func(*prober, *draft)) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, _ people) (reply, error) {
		d := p.draft(p.bank, http.MethodGet, "/v1/rates", nil)
		spoil(p, &d)
		return p.send(ctx, d)
	}
}

// accounts asks for the accounts, which needs one.
func accounts(spoil func(*prober, *draft, people)) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, users people) (reply, error) {
		d := p.draft(p.bank, http.MethodGet, "/v1/accounts", nil)
		spoil(p, &d, users)
		return p.send(ctx, d)
	}
}

// freeze freezes an account that nobody has, in case it gets through.
func (p *prober) freeze(ctx context.Context, by *caller, as session.Key) (reply, error) {
	d := p.draft(by, http.MethodPost, "/v1/accounts/HB-0000/freeze", map[string]bool{"frozen": true})
	d.session = as
	return p.send(ctx, d)
}

// twice sends a good request, and then the same once more.
func twice(ctx context.Context, p *prober, _ people) (reply, error) {
	var sent *http.Request
	d := p.draft(p.bank, http.MethodGet, "/v1/rates", nil)
	d.changed = func(r *http.Request) { sent = r }
	if got, err := p.send(ctx, d); err != nil || got.status != http.StatusOK {
		return got, err
	}
	return p.do(sent.Clone(ctx), d.certificate)
}

// floodable is the highest limit of an app that a probe uses up: with more calls, it would
// meet the limit of its address time and again.
const floodable = 40

// errNoProbe means that there is nothing to be learned from a probe.
var errNoProbe = errors.New("the app's limit is far above that of an address")

// tooMany uses up the limit of the staff's app, which is the lower one, up to the first
// refusal.
func tooMany(ctx context.Context, p *prober, _ people) (reply, error) {
	d := p.draft(p.staff, http.MethodGet, "/v1/rates", nil)
	for calls := 0; ; {
		r, err := p.request(ctx, d)
		if err != nil {
			return reply{}, err
		}
		got, err := p.do(r, d.certificate)
		if err != nil {
			return got, err
		}
		quota, ofApp := announced(got.header)["app"]
		switch {
		case got.status == http.StatusTooManyRequests && !ofApp: // the address's limit
			if err := wait(ctx, got); err != nil {
				return got, err
			}
			continue
		case got.status != http.StatusOK:
			return got, nil
		case !ofApp:
			return got, errors.New("the API announces no limit of the app")
		case quota > floodable: // somebody has raised it
			return got, errNoProbe
		}
		if calls++; calls > 2*quota {
			return got, nil
		}
	}
}

// probe makes the calls that the stage must refuse.
func (s *Station) probe(ctx context.Context, stage catalog.Stage) ([]manage.Call, error) {
	p, err := s.newProber(stage)
	if err != nil {
		return nil, err
	}
	defer p.close()
	users, err := s.settle(ctx, p)
	if err != nil {
		return nil, err
	}
	var calls []manage.Call
	for _, probe := range probes {
		if stage.Number < probe.from || stage.Number > probe.to {
			continue
		}
		got, err := probe.send(ctx, p, users)
		call := manage.Call{What: probe.what, Status: got.status, Exchange: got.exchange, Check: probe.check}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, errNoProbe):
			continue
		case err != nil:
			call.Error = err.Error()
		case got.status != probe.status:
			call.Error = fmt.Sprintf("the API answers %d, not %d", got.status, probe.status)
		default:
			call.OK = true
		}
		calls = append(calls, call)
	}
	return calls, nil
}

// settle gives the apps phones, and people sessions, where the stage has them.
func (s *Station) settle(ctx context.Context, p *prober) (users people, err error) {
	if p.stage.Number < fromHawk {
		return users, nil
	}
	for _, app := range []*caller{p.bank, p.staff} {
		if app.device, err = p.register(ctx, app); err != nil {
			return users, err
		}
	}
	if p.stage.Number < fromSessions {
		return users, nil
	}
	users.password = s.people[victimsName]
	if users.elsewhere, err = p.register(ctx, p.bank); err != nil {
		return users, err
	}
	for _, signing := range []struct {
		key  *session.Key
		by   *caller
		user string
	}{
		{&users.alice, p.bank, victimsName},
		{&users.aliceStaff, p.staff, victimsName},
		{&users.carol, p.bank, staffsName},
	} {
		if *signing.key, err = p.signIn(ctx, signing.by, signing.user, s.people[signing.user]); err != nil {
			return users, err
		}
	}
	return users, nil
}
