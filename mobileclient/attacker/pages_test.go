package attacker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

// onPages has users sign in on pages of the authorization server. Whatever is exchanged there
// afterwards, the client only says which it is.
func onPages(grant catalog.Grants) func(*catalog.Policies) {
	return func(p *catalog.Policies) {
		p.Call.Grant, p.Auth.Grants, p.Auth.Issuer = grant, grant, catalog.AuthServer
		p.Auth.Requests, p.Auth.Redirects, p.Auth.Responses = catalog.RequestsInURL, catalog.ExactRedirects, catalog.NamedResponses
		if grant == catalog.CodeAndRefresh {
			p.Call.UserKey, p.Auth.TokenLife, p.Auth.Rotation = catalog.UserKeyInStorage, catalog.ShortLivedTokens, catalog.Rotated
		}
	}
}

// withSecret has the app prove itself with a client secret, there and with each call.
func withSecret(p *catalog.Policies) {
	p.Call.ClientAuth, p.Auth.ClientAuth = catalog.ClientSecret, catalog.ClientSecret
	p.Call.AppProof, p.Call.KeyPlace = catalog.Hawk, catalog.NoKeySent
	p.Call.Nonces, p.Call.Binding = catalog.NoncesRemembered, catalog.TokenOfCall
	p.API.SecretOverlap = catalog.Decide(time.Hour)
}

// took notes what a redirect brings the victim: no step may give it away.
func (b *bank) took(link string) {
	u, err := url.Parse(link)
	if err != nil {
		b.t.Error(err)
		return
	}
	if code := u.Query().Get("code"); code != "" {
		b.taken = append(b.taken, code)
	}
	var found loot.Loot
	found.Search([]byte(link))
	b.taken = append(b.taken, found.Tokens...)
}

// spied is alice, who signs in with a program that does what the app does. Where it does not use
// what the redirect brings, it has crashed meanwhile.
func (b *bank) spied(uses bool) *attack.Spied {
	return &attack.Spied{SignsIn: func(ctx context.Context) (addresses []string, err error) {
		g := b.given()
		g.User, g.Password = aCustomer, b.Passwords[aCustomer]
		authorize := g.Authorize
		g.Authorize = func(ctx context.Context, transport http.RoundTripper, authorizationURL, redirectURI, user, password string) (string, error) {
			link, err := authorize(ctx, transport, authorizationURL, redirectURI, user, password)
			addresses = append(addresses, authorizationURL, link)
			b.took(link)
			return link, err
		}
		p, err := attack.NewProgram(g, b.IdentityAt(b.stage.Call, clientID))
		if err != nil {
			return nil, err
		}
		defer p.Close()
		if uses {
			err = p.Enter(ctx)
			return addresses, err
		}
		oauth, err := p.Caller.OAuth(g.RedirectURI)
		if err != nil {
			return nil, err
		}
		_, err = g.Authorize(ctx, p.Client.Transport, oauth.Draft().URL, g.RedirectURI, g.User, g.Password)
		return addresses, err
	}}
}

func TestAgentSpy(t *testing.T) {
	t.Parallel()
	public := stage(t, "password-grant", onPages(catalog.CodeGrant))
	tests := []struct {
		name  string
		stage catalog.Stage
		lost  bool // the app does not use what it gets
		spied *attack.Spied
		claim bool
		by    catalog.Check
		err   string
	}{
		{name: "a token", stage: stage(t, "password-grant", onPages(catalog.ImplicitGrant)), claim: true},
		{name: "a code that was used", stage: public, by: catalog.CheckCode},
		{name: "a code that nobody used", stage: public, lost: true, claim: true},
		{name: "a code of a client with a secret", stage: stage(t, "password-grant", onPages(catalog.CodeGrant), withSecret), by: catalog.CheckClient},
		{name: "the same, that nobody used", stage: stage(t, "password-grant", onPages(catalog.CodeGrant), withSecret), lost: true, by: catalog.CheckClient},
		{name: "a code that refresh tokens come with", stage: stage(t, "password-grant", onPages(catalog.CodeAndRefresh), withSecret), by: catalog.CheckClient},
		{name: "nobody signs in", stage: public, err: "no address leads back", spied: &attack.Spied{
			SignsIn: func(context.Context) ([]string, error) { return []string{"https://evil.example/?code=1"}, nil },
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, test.stage, testbank.Options{})
			g := b.given()
			g.Spied = test.spied
			if g.Spied == nil {
				g.Spied = b.spied(!test.lost)
			}
			result := run(t, "agent-spy", g, test.err)
			if by := b.stoppedBy(result); test.err == "" && (result.Claim != test.claim || by != test.by || !slices.Equal(result.Stolen[len(result.Stolen)-1:], b.taken)) {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			b.robbed(test.claim)
		})
	}
}

// browser is how a customer's browser gets to the bank.
func (b *bank) browser() http.RoundTripper {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b.Roots)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	b.t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func TestRedirectSwap(t *testing.T) {
	t.Parallel()
	t.Run("at the bank", func(t *testing.T) {
		t.Parallel()
		for _, grant := range []catalog.Grants{catalog.ImplicitGrant, catalog.CodeGrant} {
			b := open(t, stage(t, "password-grant", onPages(grant)), testbank.Options{})
			result := run(t, "redirect-swap", b.given(), "")
			if by := b.stoppedBy(result); result.Claim || by != catalog.CheckRedirect {
				t.Errorf("%s: %+v, stopped by %q", grant, result, by)
			}
			refused := b.refused()
			others := slices.DeleteFunc(slices.Clone(refused), func(check catalog.Check) bool { return check == catalog.CheckRedirect })
			if len(refused) < 15 || len(others) > 0 {
				t.Errorf("%s: %d refusals, %q among them", grant, len(refused), others)
			}
		}
	})

	for _, test := range []struct {
		name    string
		change  []func(*catalog.Policies)
		immune  bool // the victim follows no link
		by      catalog.Check
		wantErr string
	}{
		{name: "a token", change: []func(*catalog.Policies){onPages(catalog.ImplicitGrant)}},
		{name: "a code of a public client", change: []func(*catalog.Policies){onPages(catalog.CodeGrant)}},
		{name: "a code of a client with a secret", change: []func(*catalog.Policies){onPages(catalog.CodeGrant), withSecret}, by: catalog.CheckClient},
		{name: "an immune victim", change: []func(*catalog.Policies){onPages(catalog.ImplicitGrant)}, immune: true, wantErr: "was not led to the attacker's web site"},
	} {
		t.Run("without the check: "+test.name, func(t *testing.T) {
			t.Parallel()
			s := stage(t, "password-grant", test.change...)
			b := open(t, s, testbank.Options{
				Stages: catalog.All().With(s.Slug, func(p *catalog.Policies) { *p = s.Policies }).WithoutCheck(s.Slug, catalog.CheckRedirect),
			})
			g := b.given()
			g.Lured = &attack.Lured{Follows: func(ctx context.Context, link, origin string) (string, error) {
				if test.immune {
					return "", nil
				}
				location, err := person.Person{Name: aCustomer, Password: b.Passwords[aCustomer]}.Authorize(ctx, b.browser(), link, origin+"/")
				b.took(location)
				return location, err
			}}
			result := run(t, "redirect-swap", g, test.wantErr)
			claim := test.by == "" && test.wantErr == ""
			if by := b.stoppedBy(result); test.wantErr == "" && (result.Claim != claim || by != test.by || !slices.Equal(result.Stolen[len(result.Stolen)-1:], b.taken)) {
				t.Errorf("%+v, stopped by %q", result, by)
			}
			b.robbed(claim)
		})
	}

	const registered = "com.harbourbank.app:/callback"
	scheme := func(uri string) string { before, _, _ := strings.Cut(uri, ":"); return before }
	one := func(compare func(uri string) bool) func([]string) bool {
		return func(uris []string) bool { return len(uris) == 1 && compare(uris[0]) }
	}
	tests := []struct {
		name    string
		accepts func(uris []string) bool
		careful bool
	}{
		{name: "byte for byte", accepts: one(func(uri string) bool { return uri == registered }), careful: true},
		{name: "whatever it is", accepts: one(func(string) bool { return true })},
		{name: "how it begins", accepts: one(func(uri string) bool { return strings.HasPrefix(uri, registered) })},
		{name: "how it ends", accepts: one(func(uri string) bool { return strings.HasSuffix(uri, registered) })},
		{name: "what it contains", accepts: one(func(uri string) bool { return strings.Contains(uri, registered) })},
		{name: "without case", accepts: one(func(uri string) bool { return strings.EqualFold(uri, registered) })},
		{name: "without spaces", accepts: one(func(uri string) bool { return strings.TrimSpace(uri) == registered })},
		{name: "without a slash at the end", accepts: one(func(uri string) bool { return strings.TrimSuffix(uri, "/") == registered })},
		{name: "without a query", accepts: one(func(uri string) bool { before, _, _ := strings.Cut(uri, "?"); return before == registered })},
		{name: "without a fragment", accepts: one(func(uri string) bool { before, _, _ := strings.Cut(uri, "#"); return before == registered })},
		{name: "up to a zero byte", accepts: one(func(uri string) bool { before, _, _ := strings.Cut(uri, "\x00"); return before == registered })},
		{name: "the scheme", accepts: one(func(uri string) bool { return scheme(uri) == scheme(registered) })},
		{name: "the path", accepts: one(func(uri string) bool { u, err := url.Parse(uri); return err == nil && u.Path == "/callback" })},
		{name: "decoded again", accepts: one(func(uri string) bool {
			decoded, err := url.PathUnescape(uri)
			return err == nil && strings.TrimSuffix(decoded, "/") == registered
		})},
		{name: "loopback addresses", accepts: one(func(uri string) bool { u, err := url.Parse(uri); return err == nil && u.Hostname() == "127.0.0.1" })},
		{name: "the first of several", accepts: func(uris []string) bool { return uris[0] == registered }},
		{name: "the last of several", accepts: func(uris []string) bool { return uris[len(uris)-1] == registered }},
	}
	for _, test := range tests {
		t.Run("compared: "+test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if uris := r.URL.Query()["redirect_uri"]; len(uris) == 0 || !test.accepts(uris) {
					http.Error(w, "This address is not registered.", http.StatusBadRequest)
				}
			}))
			defer server.Close()
			wantErr := "for an address of the app's, and no web site of ours is there"
			if test.careful {
				wantErr = ""
			}
			result := run(t, "redirect-swap", &attack.Given{
				Stage: stage(t, "password-grant", onPages(catalog.CodeGrant)), ClientID: clientID, RedirectURI: registered,
				TLS: server.URL, Auth: server.URL, Say: t.Logf,
				Roots: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			}, wantErr)
			if result.Claim {
				t.Errorf("%+v", result)
			}
		})
	}
}
