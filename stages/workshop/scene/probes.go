package scene

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
)

// probe is a call that a stage must refuse. But for what is wrong about it, it is made as
// the bank's apps make theirs, so that there is one check to refuse it.
type probe struct {
	what string

	// applies says whether a stage must refuse it, by the policies that the ladder declares
	// for it, whatever the stage's policies have become.
	applies func(catalog.Policies) bool

	check  catalog.Check // of the guard, that must refuse it
	status int           // that it must answer
	send   func(context.Context, *prober, people) (reply, error)
}

// people are who is signed in, at stages that know users.
type people struct {
	alice      protect.SignedIn // with the customers' app
	aliceStaff protect.SignedIn // with the staff's
	carol      protect.SignedIn // with the customers' app, although she works for the bank
	password   string           // alice's
	elsewhere  protect.Installation

	narrow  protect.SignedIn // alice's token for a part of what she may do
	revoked protect.SignedIn // one that she gave back
}

// Which stages probes apply to.
func registeredAgents(p catalog.Policies) bool {
	return p.API.UserAgents == catalog.RegisteredUserAgents
}
func limited(p catalog.Policies) bool { return p.API.RateLimits == catalog.LimitedRates }
func noKeysInURLs(p catalog.Policies) bool {
	return p.API.KeyInURL == catalog.KeyInURLRefused
}
func rights(p catalog.Policies) bool { return p.API.Authorization != catalog.NotAuthorized }
func usersRights(p catalog.Policies) bool {
	return p.API.Authorization == catalog.AppAndUser || tokensRights(p)
}
func tokensRights(p catalog.Policies) bool { return p.API.Authorization == catalog.AppUserToken }
func encrypted(p catalog.Policies) bool    { return p.Call.Transport != catalog.PlainHTTP }
func mutualTLS(p catalog.Policies) bool    { return p.Call.Transport == catalog.MutualTLS }
func appKeys(p catalog.Policies) bool      { return p.Call.AppProof == catalog.AppKey }
func signed(p catalog.Policies) bool       { return p.Call.AppProof == catalog.Hawk }
func nonces(p catalog.Policies) bool       { return p.Call.Nonces == catalog.NoncesRemembered }
func sealedBodies(p catalog.Policies) bool { return p.Call.Bodies != catalog.PlainBodies }
func devices(p catalog.Policies) bool      { return p.Call.Devices == catalog.RegisteredDevices }
func sessions(p catalog.Policies) bool     { return p.Call.UserProof == catalog.UserSession }
func users(p catalog.Policies) bool        { return p.Call.UserProof != catalog.NoUser }
func tokens(p catalog.Policies) bool       { return p.Call.UserProof == catalog.AccessToken }
func revocations(p catalog.Policies) bool  { return p.Auth.Revocations == catalog.RevokedRefused }
func byPassword(p catalog.Policies) bool   { return p.Auth.Offers(catalog.PasswordGrant) }
func boundToApp(p catalog.Policies) bool   { return p.Call.Binding != catalog.NotBound }
func boundToCall(p catalog.Policies) bool {
	return p.Call.Binding == catalog.SessionOfCall || p.Call.Binding == catalog.TokenOfCall
}

func boundToDevice(p catalog.Policies) bool {
	return p.Call.Binding == catalog.SessionOfDevice || p.Call.Binding == catalog.SessionOfCall
}

// probes are the calls that the API must refuse, in the order of the ladder. The last one uses up
// an app's limit. Those of the authorization server are in probes_auth.go, and come before them.
var probes = []probe{
	{"rates in a browser", registeredAgents, catalog.CheckUserAgent, 403, ratesAs(func(_ *prober, as *protect.Identity) {
		as.UserAgent = "Mozilla/5.0 (X11; Linux x86_64)"
	})},
	{"rates under an invented key", appKeys, catalog.CheckAppKey, 401, ratesAs(func(_ *prober, as *protect.Identity) {
		as.ClientID = rand.Text()
	})},
	{"a freeze with an app that lacks the scope", rights, catalog.CheckScope, 403, func(ctx context.Context, p *prober, users people) (reply, error) {
		return p.freeze(ctx, p.bank, users.alice)
	}},
	{"rates over plain HTTP", encrypted, catalog.CheckTransport, 403, rates(func(p *prober, spoil *protect.Spoiler) {
		spoil.AfterSigning = func(r *protect.Request) { r.URL.Scheme, r.URL.Host = p.plain.Scheme, p.plain.Host }
	})},
	{"rates with the key in the URL", noKeysInURLs, catalog.CheckKeyInURL, 400, rates(func(p *prober, spoil *protect.Spoiler) {
		spoil.BeforeSigning = func(r *protect.Request) { appkey.SetQuery(&http.Request{URL: r.URL}, p.bank.Identity().ClientID) }
	})},
	{"rates without a client certificate", mutualTLS, catalog.CheckClientCert, 403, ratesAs(func(_ *prober, as *protect.Identity) {
		as.Certificate = nil
	})},
	{"rates with the client certificate of another app", mutualTLS, catalog.CheckCertOfApp, 403, ratesAs(func(p *prober, as *protect.Identity) {
		as.Certificate = p.staff.Identity().Certificate
	})},
	{"rates signed with another secret", signed, catalog.CheckHawk, 401, ratesAs(func(_ *prober, as *protect.Identity) {
		as.Secret = rand.Text()
	})},
	{"rates without a device", devices, catalog.CheckDevice, 403, ratesAs(func(_ *prober, as *protect.Identity) {
		as.Device = protect.Installation{}
	})},
	{"rates asked for with one nonce twice", nonces, catalog.CheckNonce, 401, twice},
	{"a signed transfer in the clear", sealedBodies, catalog.CheckSealedBody, 400, func(ctx context.Context, p *prober, users people) (reply, error) {
		d := draft{by: p.bank, Call: protect.Call{
			Method: http.MethodPost, Path: "/v1/transfers", Body: []byte(`{"amount":0}`), Clear: true, // of nothing, in case it gets through
		}}
		d.as = users.alice.Show
		return p.send(ctx, d)
	}},
	{"a sign-in with a wrong password", sessions, catalog.CheckSignIn, 401, wrongPassword},
	{"a token request with a wrong password", byPassword, catalog.CheckSignIn, 400, wrongPassword},
	{"a token request with a client ID twice", byPassword, catalog.CheckForm, 400, tokenRequest(func(body string) string {
		return body + "&client_id=harbour-ops"
	})},
	{"a token request of an unknown client", byPassword, catalog.CheckClient, 400, tokenRequest(func(body string) string {
		return strings.Replace(body, "client_id=", "client_id=not-", 1)
	})},
	{"a token request for another grant", byPassword, catalog.CheckGrant, 400, tokenRequest(func(body string) string {
		return strings.Replace(body, "grant_type=password", "grant_type=client_credentials", 1)
	})},
	{"a token request for what nobody may do", byPassword, catalog.CheckWanted, 400, tokenRequest(func(body string) string {
		return body + "&scope=everything"
	})},
	{"accounts without a session", sessions, catalog.CheckSession, 401, accounts(func(*protect.Identity, people) {}, nil)},
	{"accounts with a token that says more than its issuer signed", tokens, catalog.CheckToken, 401, accounts(func(as *protect.Identity, users people) {
		as.Token = altered(users.alice.Token)
	}, nil)},
	{"accounts with a token that was revoked", revocations, catalog.CheckRevoked, 401, accounts(func(as *protect.Identity, users people) {
		users.revoked.Show(as)
	}, nil)},
	{"accounts as a user who signed in with another app", boundToApp, catalog.CheckBinding, 401, accounts(func(as *protect.Identity, users people) {
		users.aliceStaff.Show(as)
	}, nil)},
	{"accounts with a session of another device", boundToDevice, catalog.CheckBinding, 401, accounts(func(as *protect.Identity, users people) {
		users.alice.Show(as)
		as.Device = users.elsewhere
	}, nil)},
	{"a signed call with another user put into it", boundToCall, catalog.CheckSignedFields, 401, accounts(func(as *protect.Identity, users people) {
		users.alice.Show(as)
	}, func(r *protect.Request, users people) {
		if users.carol.Token != "" {
			token.Set(r.Header, users.carol.Token)
			return
		}
		session.SetKey(r.Header, users.carol.Session)
	})},
	{"accounts with a token for something else", tokensRights, catalog.CheckScope, 403, accounts(func(as *protect.Identity, users people) {
		users.narrow.Show(as)
	}, nil)},
	{"a freeze by staff, with the customers' app", usersRights, catalog.CheckScope, 403, func(ctx context.Context, p *prober, users people) (reply, error) {
		return p.freeze(ctx, p.bank, users.carol)
	}},
	{"a freeze by a customer, with the staff's app", usersRights, catalog.CheckScope, 403, func(ctx context.Context, p *prober, users people) (reply, error) {
		return p.freeze(ctx, p.staff, users.aliceStaff)
	}},
	{"more calls at once than the app may make", limited, catalog.CheckAppLimit, 429, tooMany},
}

// allProbes are all that there are, in their order: the one that uses up a limit is the last.
func allProbes() []probe {
	last := len(probes) - 1
	return slices.Concat(authProbes, pkceProbes, sessionProbes, integrityProbes, mediatedProbes, pushedProbes, keyProbes, probes[:last], userProbes, boundProbes, gatewayProbes, providerProbes, probes[last:])
}

// ratesCall needs no user.
var ratesCall = protect.Call{Path: "/v1/rates", Public: true}

// rates asks for the rates with a request that is spoilt.
func rates(spoil func(*prober, *protect.Spoiler)) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, _ people) (reply, error) {
		d := draft{by: p.bank, Call: ratesCall}
		spoil(p, &d.Spoil)
		return p.send(ctx, d)
	}
}

// ratesAs asks for the rates as somebody else.
func ratesAs(change func(*prober, *protect.Identity)) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, _ people) (reply, error) {
		return p.send(ctx, draft{by: p.bank, Call: ratesCall, as: func(as *protect.Identity) { change(p, as) }})
	}
}

// accounts asks for the accounts, which needs a user; spoil changes the signed request, and
// may be nil.
func accounts(as func(*protect.Identity, people), spoil func(*protect.Request, people)) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, users people) (reply, error) {
		d := draft{by: p.bank, Call: protect.Call{Path: "/v1/accounts"}, as: func(identity *protect.Identity) { as(identity, users) }}
		if spoil != nil {
			d.Spoil.AfterSigning = func(r *protect.Request) { spoil(r, users) }
		}
		return p.send(ctx, d)
	}
}

// freeze freezes an account that nobody has, in case it gets through.
func (p *prober) freeze(ctx context.Context, by *caller, user protect.SignedIn) (reply, error) {
	d := draft{by: by, Call: protect.Call{
		Method: http.MethodPost, Path: "/v1/accounts/HB-0000/freeze", Body: []byte(`{"frozen":true}`),
	}}
	d.as = user.Show
	return p.send(ctx, d)
}

func wrongPassword(ctx context.Context, p *prober, users people) (reply, error) {
	call, err := p.bank.SignInCall(victimsName, users.password+"-not")
	if err != nil {
		return reply{}, err
	}
	return p.send(ctx, draft{by: p.bank, Call: call})
}

// tokenRequest asks for a token with a form that is spoilt.
func tokenRequest(spoil func(body string) string) func(context.Context, *prober, people) (reply, error) {
	return func(ctx context.Context, p *prober, users people) (reply, error) {
		call, err := p.bank.SignInCall(victimsName, users.password)
		if err != nil {
			return reply{}, err
		}
		call.Body = []byte(spoil(string(call.Body)))
		return p.send(ctx, draft{by: p.bank, Call: call})
	}
}

// altered is a token that says what the original does, and that it is good for all scopes,
// under the original's signature.
func altered(text string) string {
	parts := strings.Split(text, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err != nil || len(parts) != 3 {
		return text // which is served, and so found out
	}
	parts[1] = base64.RawURLEncoding.EncodeToString(bytes.Replace(claims, []byte(`"scope":"`), []byte(`"scope":"accounts:freeze `), 1))
	return strings.Join(parts, ".")
}

// twice sends a good request, and then the same once more.
func twice(ctx context.Context, p *prober, _ people) (reply, error) {
	dressed, client, err := p.dress(draft{by: p.bank, Call: ratesCall})
	if err != nil {
		return reply{}, err
	}
	got, err := patiently(ctx, client, dressed)
	if err != nil || got.status != http.StatusOK {
		return got, err
	}
	return patiently(ctx, client, dressed)
}

// patiently sends a request, and the very same again where it came too soon, and so was not
// looked at.
func patiently(ctx context.Context, client *http.Client, dressed *protect.Dressed) (reply, error) {
	for tries := 0; ; tries++ {
		got, err := do(ctx, client, dressed)
		if err != nil || got.status != http.StatusTooManyRequests || tries == 3 {
			return got, err
		}
		if err := wait(ctx, got); err != nil {
			return got, err
		}
	}
}

// floodable is the highest limit of an app that a probe uses up: with more calls, it would
// meet the limit of its address time and again.
const floodable = 40

// errNoProbe means that there is nothing to be learned from a probe.
var errNoProbe = errors.New("nothing can be learned from this here")

// tooMany uses up the limit of the staff's app, which is the lower one, up to the first
// refusal.
func tooMany(ctx context.Context, p *prober, _ people) (reply, error) {
	for calls := 0; ; {
		dressed, client, err := p.dress(draft{by: p.staff, Call: ratesCall})
		if err != nil {
			return reply{}, err
		}
		got, err := do(ctx, client, dressed)
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
	for _, probe := range allProbes() {
		if !probe.applies(p.policies) {
			continue
		}
		if err := p.prove(ctx); err != nil {
			return nil, err
		}
		if tokens(p.policies) && time.Now().After(users.alice.RenewAt) { // hers is the oldest
			if err := s.signAllIn(ctx, p, &users); err != nil {
				return nil, err
			}
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
