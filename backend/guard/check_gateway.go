package guard

import (
	"net/http"
	"strings"
	"time"

	"keyladder/backend/clients"
	"keyladder/backend/users"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/forwarded"
	"keyladder/stages/mechanism/replay"
	"keyladder/stages/mechanism/token"
)

// Forwarded says which calls of a gateway are good. The zero value accepts none.
type Forwarded struct {
	Issuer   func(stage string) string // the URL of a stage's gateway, which iss has to be
	Audience func(stage string) string // this API behind it, which aud has to be
	Key      token.Key                 // that gateway and API share
	Leeway   time.Duration             // how far the gateway's clock may be ahead
}

func (f Forwarded) verify(stage string, r *http.Request, at time.Time) (forwarded.Claims, error) {
	text, err := forwarded.From(r.Header)
	if err != nil {
		return forwarded.Claims{}, err
	}
	if f.Issuer == nil || f.Audience == nil {
		return forwarded.Claims{}, token.ErrIssuer
	}
	v := forwarded.Verifier{Issuer: f.Issuer(stage), Audience: f.Audience(stage), Key: f.Key, Leeway: f.Leeway}
	return v.Verify(text, r.Method, forwarded.Path(r), at)
}

// newForwarded remembers the calls that a gateway has sent, for as long as they are good. A gateway
// that sends one again makes another token for it.
func newForwarded(config Config) *replay.Cache {
	return replay.New(replay.Config{Skew: forwarded.Lifetime + config.Forwarded.Leeway, Limit: config.nonceLimit()})
}

// gateway checks that a call comes from the gateway, over the listener that nobody else gets to, and
// takes the caller from what the gateway says about this very call. The tokens that prove the caller
// have been looked at there, and do not come along; which installations they are of does, so that here,
// too, both are one's.
//
//keyladder:code guard-gateway
func gateway(says Forwarded, sent *replay.Cache, find func(client string) *clients.App) func(*call) *Refusal {
	return func(c *call) *Refusal {
		if c.listener != Inside {
			return refuse(notForwarded, "the call does not come from the gateway")
		}
		claims, err := says.verify(c.stage.Slug, c.request, c.at)
		if err != nil {
			return refuse(notForwarded, "what the gateway says about the caller: %v", err)
		}
		if err := sent.Add(c.at, claims.Issuer, claims.Issued.Unix(), claims.ID); err != nil {
			return refuse(notForwarded, "what the gateway says about the caller: %v", err)
		}
		if c.stage.Call.Binding.ToDevice() && claims.Subject != "" && (claims.Device == "" || claims.UsersOn != claims.Device) {
			return refuse(notForwarded, "the gateway has let a user's token of the installation %q through on %q", claims.UsersOn, claims.Device)
		}
		app := find(claims.ClientID)
		if app == nil {
			return refuse(notForwarded, "the gateway has let an app through that is not known: %q", claims.ClientID)
		}
		c.forwarded, c.claimed = &claims, app
		if claims.Subject != "" {
			c.user = users.Elsewhere(claims.Subject, strings.Fields(claims.Scope))
		}
		return nil
	}
}

var notForwarded = problem.New(http.StatusForbidden, "gateway-only", "The API is not reached this way", "Send the call to the gateway, which looks at who is calling.")

// forwardedApp is an app that the gateway has let through; nil: it is not known here.
func (c Config) forwardedApp(client string) *clients.App {
	if c.Issued.Clients == nil {
		return nil
	}
	return c.Issued.Clients.App(client)
}

// behind is what the API asks of calls that come through the gateway: that they do, and that app and
// user may do what they want. The gateway has asked for everything else.
func behind(stage catalog.Policies) catalog.Policies {
	var asked catalog.Policies
	asked.Call, asked.API = catalog.NothingAsked()
	asked.Call.Transport, asked.Call.Gateway = stage.Call.Transport, stage.Call.Gateway
	asked.API.RateLimits, asked.API.Authorization = stage.API.RateLimits, stage.API.Authorization
	return asked
}

// before is what the gateway asks of the same calls: what the stage asks, but for what they may do,
// which is the business of the API, as long as that answers.
func (r Route) before(stage catalog.Policies) catalog.Policies {
	stage.Call.Gateway, stage.API.Partners = catalog.Direct, catalog.NoPartners
	if !r.AtGateway {
		stage.API.Authorization = catalog.NotAuthorized
	}
	return stage
}

func isForwarded(p catalog.Policies) bool { return p.Call.Gateway == catalog.ThroughGateway }
