package guard_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/tokens"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/forwarded"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
)

const (
	forwardedStage = "extended-mediator"
	gatewayURL     = "https://gateway.harbourbank.test/"
	insideURL      = "https://inside.harbourbank.test/"
)

var forwardingKey = token.Key{ID: "gateway", Secret: token.Secret(strings.Repeat("g", 32))}

// withGateway are the stages at which nobody is asked for proofs of the sender.
func withGateway() catalog.Set {
	return slices.DeleteFunc(catalog.All(), func(s catalog.Stage) bool { return s.Call.Sender != catalog.AnySender })
}

// forward has a call come from the gateway, which says who makes it, but for what is changed.
func (w *world) forward(r *http.Request, who as, change func(key *token.Key, claims *forwarded.Claims)) {
	w.Helper()
	over(guard.Inside, nil)(r)
	stage, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	at, key := w.clock.Now().Truncate(time.Second), forwardingKey
	claims := forwarded.Claims{
		Issuer: gatewayURL + stage, Audience: insideURL + stage, ClientID: who.app, Subject: who.user, Device: "phone", UsersOn: "phone",
		Scope:  "rates:read accounts:read transfers:write accounts:freeze",
		Method: r.Method, Path: forwarded.Path(r), Issued: at, Expires: at.Add(forwarded.Lifetime), ID: token.NewID(),
	}
	if change != nil {
		change(&key, &claims)
	}
	text, err := forwarded.Sign(key, claims)
	if err != nil {
		w.Fatal(err)
	}
	forwarded.Set(r.Header, text)
	r.Header.Set(echo.HeaderXForwardedFor, "203.0.113.9")
}

// TestBehindTheGateway: where calls lead through the gateway, the API serves what the gateway says
// about this very call, once, and nothing else, whatever else is good about a call.
func TestBehindTheGateway(t *testing.T) {
	t.Parallel()
	type change = func(*token.Key, *forwarded.Claims)
	said := func(c change) func(*world, *http.Request) {
		return func(w *world, r *http.Request) { w.forward(r, as{mobile, "alice"}, c) }
	}
	on := func(listener guard.Listener) func(*world, *http.Request) {
		return func(w *world, r *http.Request) {
			said(nil)(w, r)
			over(listener, nil)(r)
		}
	}
	for name, test := range map[string]struct {
		spoil  func(*world, *http.Request)
		status int
	}{
		"a good one":                     {said(nil), 200},
		"over the app's listener":        {on(guard.TLS), 403},
		"over a terminator":              {on(guard.Terminated), 403},
		"over plain HTTP":                {on(guard.Plain), 403},
		"over no listener that is known": {on("another"), 403},
		"with the app's tokens alone":    {func(w *world, r *http.Request) { directly(w, r); over(guard.TLS, nil)(r) }, 403},
		"these over the gateway's way":   {func(w *world, r *http.Request) { directly(w, r); over(guard.Inside, nil)(r) }, 403},
		"nothing said":                   {func(w *world, r *http.Request) { said(nil)(w, r); r.Header.Del(forwarded.Field) }, 403},
		"said twice": {func(w *world, r *http.Request) {
			said(nil)(w, r)
			r.Header.Add(forwarded.Field, r.Header.Get(forwarded.Field))
		}, 403},
		"an access token in its place": {func(w *world, r *http.Request) {
			said(nil)(w, r)
			forwarded.Set(r.Header, w.token(forwardedStage, as{mobile, "alice"}, "accounts:read"))
		}, 403},
		"expired": {said(func(_ *token.Key, c *forwarded.Claims) {
			c.Issued, c.Expires = c.Issued.Add(-forwarded.Lifetime), c.Issued
		}), 403},
		"good for longer": {said(func(_ *token.Key, c *forwarded.Claims) { c.Expires = c.Expires.Add(time.Second) }), 403},
		"from the future": {said(func(_ *token.Key, c *forwarded.Claims) {
			c.Issued, c.Expires = c.Issued.Add(7*time.Second), c.Expires.Add(7*time.Second)
		}), 403},
		"by another gateway":                     {said(func(_ *token.Key, c *forwarded.Claims) { c.Issuer = "https://elsewhere/" + forwardedStage }), 403},
		"for another API":                        {said(func(_ *token.Key, c *forwarded.Claims) { c.Audience = insideURL + "another" }), 403},
		"with another secret":                    {said(func(k *token.Key, _ *forwarded.Claims) { k.Secret = token.Secret(strings.Repeat("x", 32)) }), 403},
		"with a key of another name":             {said(func(k *token.Key, _ *forwarded.Claims) { k.ID = "another" }), 403},
		"for another path":                       {said(func(_ *token.Key, c *forwarded.Claims) { c.Path += "/1/transfers" }), 403},
		"for another method":                     {said(func(_ *token.Key, c *forwarded.Claims) { c.Method = http.MethodPost }), 403},
		"with a user's token of another device":  {said(func(_ *token.Key, c *forwarded.Claims) { c.UsersOn = "tablet" }), 403},
		"with a user's token of no device":       {said(func(_ *token.Key, c *forwarded.Claims) { c.UsersOn = "" }), 403},
		"with tokens that both are of no device": {said(func(_ *token.Key, c *forwarded.Claims) { c.Device, c.UsersOn = "", "" }), 403},
		"about an app that is not known":         {said(func(_ *token.Key, c *forwarded.Claims) { c.ClientID = "nobody" }), 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withGateway())
			r := w.request(forwardedStage, http.MethodGet, "/v1/accounts", "")
			test.spoil(w, r)
			answer, verdict := w.do(r)
			if answer.Code != test.status {
				t.Fatalf("%d %s; %+v", answer.Code, answer.Body, verdict)
			}
			if test.status == 200 {
				if got := answer.Body.String(); got != mobile+"|alice|"+forwardedStage+"|0" {
					t.Errorf("it is for %s", got)
				}
				return
			}
			if want := catalog.CheckGateway; verdict.Check != want && name != "over plain HTTP" && name != "over no listener that is known" {
				t.Errorf("refused by %s, want %s", verdict.Check, want)
			}
			open := withGateway().WithoutCheck(forwardedStage, verdict.Check)
			w.config.Stages = open
			w.start()
			r = w.request(forwardedStage, http.MethodGet, "/v1/accounts", "")
			test.spoil(w, r)
			if _, now := w.do(r); now.Check == verdict.Check && !now.Allowed {
				t.Errorf("without the check: %+v", now)
			}
		})
	}
}

// directly dresses a call as the app does for the gateway.
func directly(w *world, r *http.Request) {
	r.Header.Del(forwarded.Field)
	issued, err := w.tokens.Issue(w.Context(), w.clock.Now(), tokens.Grant{
		Stage: forwardedStage, User: "alice", Client: mobile, Scope: "rates:read accounts:read transfers:write", Device: "phone",
	})
	if err != nil {
		w.Fatal(err)
	}
	token.Set(r.Header, issued.Text)
	integrity.Set(r.Header, w.attestedAt(forwardedStage, mobile, func(_ *token.Key, c *integrity.Claims) { c.Device = "phone" }))
}

// TestForwardedOnce: what the gateway says is good for one call, also where it is sent again by whoever
// has seen it.
func TestForwardedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withGateway())
	r := w.request(forwardedStage, http.MethodGet, "/v1/accounts", "")
	if answer, verdict := w.do(r.Clone(r.Context())); answer.Code != 200 {
		t.Fatalf("%d; %+v", answer.Code, verdict)
	}
	w.clock.advance(2 * time.Second)
	if answer, verdict := w.do(r); answer.Code != 403 || verdict.Check != catalog.CheckGateway {
		t.Errorf("again: %d; %+v", answer.Code, verdict)
	}
}

// TestRightsBehindTheGateway are for the API to look at: those of app, user and token, in what the
// gateway says.
func TestRightsBehindTheGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withGateway())
	for name, test := range map[string]struct {
		method, path string
		who          as
		scope        string
		status       int
	}{
		"all may":                    {http.MethodPost, "/v1/transfers", as{mobile, "alice"}, "transfers:write", 200},
		"the app may not":            {http.MethodPost, "/v1/transfers", as{kiosk, "alice"}, "transfers:write", 403},
		"the token is not for it":    {http.MethodPost, "/v1/transfers", as{mobile, "alice"}, "accounts:read", 403},
		"nobody is signed in":        {http.MethodGet, "/v1/accounts", as{mobile, ""}, "", 403},
		"public data, and nobody":    {http.MethodGet, "/v1/rates", as{mobile, ""}, "", 200},
		"something that there isn't": {http.MethodGet, "/v1/unknown", as{mobile, "alice"}, "accounts:read", 404},
	} {
		r := w.request(forwardedStage, test.method, test.path, "")
		w.forward(r, test.who, func(_ *token.Key, c *forwarded.Claims) { c.Scope = test.scope })
		if answer, verdict := w.do(r); answer.Code != test.status || test.status == 403 && verdict.Check != catalog.CheckScope {
			t.Errorf("%s: %d; %+v", name, answer.Code, verdict)
		}
	}
}

// TestGatewayHasNoOtherBusiness: its way into the API is for the stages that lead through it. It is
// no way around what others ask, nor around the proofs of partners.
func TestGatewayHasNoOtherBusiness(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withGateway())
	for _, target := range [][2]string{{"tls", "/v1/rates"}, {"mediated", "/v1/accounts"}, {forwardedStage, "/partner/v1/settlements"}} {
		r := w.request(target[0], http.MethodGet, target[1], "")
		w.forward(r, as{mobile, "alice"}, nil)
		if answer, verdict := w.do(r); answer.Code != 403 || verdict.Check != catalog.CheckTransport {
			t.Errorf("%v: %d; %+v", target, answer.Code, verdict)
		}
	}
}

// TestNoAddressLimitBehindTheGateway: it has counted addresses, and has but one itself. Everybody else
// is counted, though they are refused.
func TestNoAddressLimitBehindTheGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withGateway())
	w.config.Address = guard.Limit{PerSecond: 0.001, Burst: 2}
	w.start()
	for range 5 {
		if answer, verdict := w.do(w.request(forwardedStage, http.MethodGet, "/v1/accounts", "")); answer.Code != 200 {
			t.Fatalf("%d; %+v", answer.Code, verdict)
		}
	}
	var checks []catalog.Check
	for range 3 {
		r := w.request(forwardedStage, http.MethodGet, "/v1/accounts", "")
		over(guard.TLS, nil)(r)
		_, verdict := w.do(r)
		checks = append(checks, verdict.Check)
	}
	if want := []catalog.Check{catalog.CheckGateway, catalog.CheckGateway, catalog.CheckAddressLimit}; !slices.Equal(checks, want) {
		t.Errorf("refused by %s, want %s", checks, want)
	}
}

// TestGuardOfTheGateway asks for the proofs that the API asks for elsewhere, without its databases:
// tokens for the gateway, both of one device.
func TestGuardOfTheGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withGateway())
	w.rotate(servers(mobile))
	config := guard.Config{
		Stages: w.stages, Gateway: true, Issued: w.config.Issued, Attested: w.config.Attested, Usage: guard.Uncounted{}, Log: w.log, Now: w.clock.Now,
	}
	for name, test := range map[string]struct {
		path   string
		spoil  func(*http.Request)
		status int
		check  catalog.Check
	}{
		"a good one":          {"/v1/accounts", func(*http.Request) {}, 200, ""},
		"public data":         {"/v1/rates", func(r *http.Request) { r.Header.Del("Authorization") }, 200, ""},
		"at the gateway":      {"/v1/own", func(*http.Request) {}, 200, ""},
		"there, no right":     {"/v1/frozen", func(*http.Request) {}, 403, catalog.CheckScope},
		"there, no app":       {"/v1/own", func(r *http.Request) { r.Header.Del(integrity.Field) }, 401, catalog.CheckIntegrity},
		"no access token":     {"/v1/accounts", func(r *http.Request) { r.Header.Del("Authorization") }, 401, catalog.CheckToken},
		"no integrity token":  {"/v1/accounts", func(r *http.Request) { r.Header.Del(integrity.Field) }, 401, catalog.CheckIntegrity},
		"no app's user agent": {"/v1/accounts", func(r *http.Request) { r.Header.Set("User-Agent", "curl/8") }, 403, catalog.CheckUserAgent},
		"of another device": {"/v1/accounts", func(r *http.Request) {
			integrity.Set(r.Header, w.attestedAt(forwardedStage, mobile, func(_ *token.Key, c *integrity.Claims) { c.Device = "tablet" }))
		}, 401, catalog.CheckBinding},
		"of no device": {"/v1/accounts", func(r *http.Request) { integrity.Set(r.Header, w.attestedAt(forwardedStage, mobile, nil)) }, 401, catalog.CheckBinding},
		"a token of no device": {"/v1/accounts", func(r *http.Request) {
			token.Set(r.Header, w.token(forwardedStage, as{mobile, "alice"}, "accounts:read"))
		}, 401, catalog.CheckBinding},
		"over plain HTTP": {"/v1/accounts", over(guard.Plain, nil), 403, catalog.CheckTransport},
	} {
		g, err := guard.New(config)
		if err != nil {
			t.Fatal(err)
		}
		w.guard, w.echo = g, echo.New()
		w.echo.HTTPErrorHandler = problem.Handler(func(error) {})
		w.echo.Use(g.Middleware)
		for _, route := range []guard.Route{
			{Path: "/v1/accounts", Scope: "accounts:freeze"}, // which is for the API to ask for
			{Path: "/v1/rates", Scope: "accounts:freeze", User: guard.NobodyNeeded},
			{Path: "/v1/own", Scope: "rates:read", User: guard.NobodyNeeded, AtGateway: true},
			{Path: "/v1/frozen", Scope: "accounts:freeze", User: guard.NobodyNeeded, AtGateway: true},
		} {
			route.Method = http.MethodGet
			g.Handle(w.echo, route, func(c echo.Context, caller guard.Caller) error {
				return c.String(http.StatusOK, caller.App()+"|"+caller.User()+"|"+caller.Scope()+"|"+caller.Attested().Device)
			})
		}
		r := w.request(forwardedStage, http.MethodGet, test.path, "")
		over(guard.TLS, nil)(r)
		directly(w, r)
		test.spoil(r)
		answer, verdict := w.do(r)
		if answer.Code != test.status || test.status != 200 && verdict.Check != test.check {
			t.Errorf("%s: %d; %+v", name, answer.Code, verdict)
		}
		if want := mobile + "|alice|rates:read accounts:read transfers:write|phone"; name == "a good one" && answer.Body.String() != want {
			t.Errorf("it is for %s", answer.Body)
		}
		// At other stages nothing leads through the gateway.
		if answer, verdict := w.do(w.request("mediated", http.MethodGet, test.path, "")); answer.Code != 404 {
			t.Errorf("at another stage: %d; %+v", answer.Code, verdict)
		}
	}
	config.Issued.Tokens = nil
	if _, err := guard.New(config); err == nil {
		t.Error("a guard was made that knows no access tokens")
	}
}
