package forwarded_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/stages/mechanism/forwarded"
	"keyladder/stages/mechanism/token"
)

var (
	now      = time.Unix(1_790_000_000, 0)
	key      = token.Key{ID: "gateway", Secret: token.Secret(strings.Repeat("k", 32))}
	verifier = forwarded.Verifier{Issuer: "https://gateway.test/s", Audience: "https://api.test/s/v1", Key: key, Leeway: 5 * time.Second}
)

func claims() forwarded.Claims {
	return forwarded.Claims{
		Issuer: verifier.Issuer, Audience: verifier.Audience, ClientID: "harbour-mobile", Subject: "alice", Scope: "accounts:read", Device: "phone", UsersOn: "phone",
		Method: http.MethodGet, Path: "/s/v1/accounts", Issued: now, Expires: now.Add(forwarded.Lifetime), ID: "one",
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*forwarded.Claims){
		"a user": func(*forwarded.Claims) {},
		"nobody": func(c *forwarded.Claims) { c.Subject, c.Scope, c.Device, c.UsersOn = "", "", "", "" },
	} {
		want := claims()
		change(&want)
		text, err := forwarded.Sign(key, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := verifier.Verify(text, want.Method, want.Path, now.Add(forwarded.Lifetime-1))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	good, err := forwarded.Sign(key, claims())
	if err != nil {
		t.Fatal(err)
	}
	signed := func(change func(*forwarded.Claims)) string {
		c := claims()
		change(&c)
		text, err := forwarded.Sign(key, c)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	raw := func(kind string, change func(map[string]any)) string {
		all := map[string]any{
			"iss": verifier.Issuer, "aud": verifier.Audience, "client_id": "harbour-mobile", "htm": "GET", "htu": "/s/v1/accounts",
			"iat": now.Unix(), "exp": now.Unix() + 10, "jti": "one",
		}
		change(all)
		text, err := key.SignAs(kind, all)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, test := range map[string]struct {
		text, method, path string
		at                 time.Duration
		want               error
	}{
		"expired":                {good, "GET", "/s/v1/accounts", forwarded.Lifetime, token.ErrExpired},
		"from the future":        {good, "GET", "/s/v1/accounts", -6 * time.Second, token.ErrNotYet},
		"another method":         {good, "POST", "/s/v1/accounts", 0, forwarded.ErrCall},
		"another path":           {good, "GET", "/s/v1/accounts/1", 0, forwarded.ErrCall},
		"a longer life":          {signed(func(c *forwarded.Claims) { c.Expires = c.Expires.Add(time.Second) }), "GET", "/s/v1/accounts", 0, forwarded.ErrLife},
		"another issuer":         {signed(func(c *forwarded.Claims) { c.Issuer += "x" }), "GET", "/s/v1/accounts", 0, token.ErrIssuer},
		"another audience":       {signed(func(c *forwarded.Claims) { c.Audience += "x" }), "GET", "/s/v1/accounts", 0, token.ErrAudience},
		"no app":                 {signed(func(c *forwarded.Claims) { c.ClientID = "" }), "GET", "/s/v1/accounts", 0, token.ErrClaims},
		"another kind":           {raw(token.Type, func(map[string]any) {}), "GET", "/s/v1/accounts", 0, token.ErrType},
		"no expiry":              {raw(forwarded.Type, func(c map[string]any) { delete(c, "exp") }), "GET", "/s/v1/accounts", 0, token.ErrClaims},
		"an expiry that is null": {raw(forwarded.Type, func(c map[string]any) { c["exp"] = nil }), "GET", "/s/v1/accounts", 0, token.ErrClaims},
		"a user that is empty":   {raw(forwarded.Type, func(c map[string]any) { c["sub"] = "" }), "GET", "/s/v1/accounts", 0, token.ErrClaims},
		"a user that is a list":  {raw(forwarded.Type, func(c map[string]any) { c["sub"] = []string{"alice"} }), "GET", "/s/v1/accounts", 0, token.ErrClaims},
		"audiences":              {raw(forwarded.Type, func(c map[string]any) { c["aud"] = []string{verifier.Audience} }), "GET", "/s/v1/accounts", 0, token.ErrClaims},
		"no token":               {"alice", "GET", "/s/v1/accounts", 0, token.ErrForm},
	} {
		if _, err := verifier.Verify(test.text, test.method, test.path, now.Add(test.at)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	for name, v := range map[string]forwarded.Verifier{
		"the zero value": {}, "without a key": {Issuer: verifier.Issuer, Audience: verifier.Audience}, "without names": {Key: key},
		"with another key": {Issuer: verifier.Issuer, Audience: verifier.Audience, Key: token.Key{ID: "gateway", Secret: token.Secret(strings.Repeat("x", 32))}},
	} {
		if _, err := v.Verify(good, "GET", "/s/v1/accounts", now); err == nil {
			t.Errorf("%s lets it pass", name)
		}
	}
	if _, err := forwarded.Sign(token.Key{ID: "gateway", Secret: token.Secret("short")}, claims()); err == nil {
		t.Error("a short secret signs")
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	header := http.Header{}
	if _, err := forwarded.From(header); !errors.Is(err, forwarded.ErrMissing) {
		t.Error(err)
	}
	forwarded.Set(header, "a")
	if text, err := forwarded.From(header); err != nil || text != "a" {
		t.Error(text, err)
	}
	header.Add("forwarded-caller", "b")
	if _, err := forwarded.From(header); !errors.Is(err, forwarded.ErrTwice) {
		t.Error(err)
	}
	forwarded.Strip(header)
	if _, err := forwarded.From(header); !errors.Is(err, forwarded.ErrMissing) {
		t.Error(err)
	}
	if got := forwarded.Path(httptest.NewRequest(http.MethodGet, "/s/v1/a%2Fb?c=d", nil)); got != "/s/v1/a%2Fb" {
		t.Error(got)
	}
}

func FuzzVerify(f *testing.F) {
	good, _ := forwarded.Sign(key, claims())
	f.Add(good)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := verifier.Verify(text, "GET", "/s/v1/accounts", now); err == nil && (c.ClientID == "" || text != good) {
			t.Errorf("%q says %+v", text, c)
		}
	})
}
