package attack

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/loot"
	"keyladder/mobileclient/attacker/network"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// PublicUserAgent is what the genuine app calls itself. It is no secret: every server
// that a phone with the app ever talked to has seen it.
const PublicUserAgent = "HarbourBank/1.0"

// Program is an HTTP client that takes the app's place. The form of the app's calls,
// which it copies, is public: it stands in the bank's own description of its API (package protect).
// The identity is not. The program shows nothing that is not in it; a device and a session
// it gets for itself.
type Program struct {
	g      *Given
	Caller *protect.Caller
	Hasty  bool // does not wait when told to
	Client *http.Client

	own      bool             // it has signed in the attacker
	evidence protect.Evidence // with which it was attested; nil: it was not
}

// Caller makes calls as the stage wants them, with an identity. Where tokens are bound to keys, and the
// identity has none, it has one of the attacker's own: anybody can make a key.
func (g *Given) Caller(as protect.Identity) (*protect.Caller, error) {
	if as.UserAgent == "" {
		as.UserAgent = PublicUserAgent
	}
	if as.Key == nil && g.Stage.Call.Binding == catalog.TokenOfKey {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		as.Key = own
	}
	return protect.New(g.Stage.Call, protect.API{
		Stage: g.Stage.Slug, Plain: g.Plain, TLS: g.TLS, Auth: g.Auth, Attestation: g.Attestation, Mediator: g.Mediator, Lite: g.Lite,
	}, as)
}

// Lacks tells whether a caller has no such thing, and its calls need one.
func Lacks(caller *protect.Caller, what string) bool { return slices.Contains(caller.Lacks(), what) }

// Identities are those that are worth trying at the stage.
func (g *Given) Identities(finders ...loot.Finder) ([]protect.Identity, error) {
	nobody, err := g.Caller(protect.Identity{})
	if err != nil {
		return nil, err
	}
	return loot.Identities(nobody, finders...), nil
}

// Uplink is how tools on the network go on to the API, with a client certificate, if there
// is one: they trust what every device trusts.
func (g *Given) Uplink(certificate *tls.Certificate) (network.Uplink, error) {
	caller, err := g.Caller(protect.Identity{Certificate: certificate})
	if err != nil {
		return network.Uplink{}, err
	}
	return network.Uplink{Routes: g.Routes, TLS: caller.TLS(g.Roots), Record: g.Record}, nil
}

// NewProgram starts a program. Close it.
func NewProgram(g *Given, as protect.Identity) (*Program, error) {
	caller, err := g.Caller(as)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:         g.Routes.Dial(network.Dialer),
		TLSClientConfig:     caller.TLS(g.Roots),
		MaxIdleConnsPerHost: 64, // or a flood would be busy with handshakes
	}
	return &Program{g: g, Caller: caller, Client: &http.Client{
		Transport: transport,
		Timeout:   network.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}, nil
}

func (p *Program) Close() { p.Client.CloseIdleConnections() }

// Call makes a call and returns the answer, with a [*Refusal] where a protection stopped
// it. A call that only came too early is made again when the API said that it might.
func (p *Program) Call(ctx context.Context, call protect.Call) (protect.Answer, error) {
	early, stale := 3, 1
	for {
		dressed, err := p.Caller.Dress(call)
		if err != nil {
			return protect.Answer{}, err
		}
		response, body, err := p.Send(ctx, dressed)
		if err != nil {
			return protect.Answer{}, err
		}
		if wait, limited := retryAfter(response); limited && early > 0 && !p.Hasty {
			early--
			if err := pause(ctx, wait); err != nil {
				return protect.Answer{}, err
			}
			continue
		}
		// An attacker takes what comes, authentic or not; what can't be opened stays sealed.
		got, _ := dressed.Check(response, body)
		if (got.ToldTime || got.ToldNonce) && stale > 0 {
			stale--
			continue
		}
		return got, Judge(got.Status, got.Media, got.Body)
	}
}

// Send sends a request and records both ways.
func (p *Program) Send(ctx context.Context, dressed *protect.Dressed) (*http.Response, []byte, error) {
	request, err := dressed.HTTP(ctx)
	if err != nil {
		return nil, nil, err
	}
	exchange := rand.Text()
	request.Header.Set("Accept", protect.JSON)
	request.Header.Set(traffic.Header, exchange)
	summary := request.Method + " " + request.URL.RequestURI()
	p.g.Record(traffic.Message{
		Exchange: exchange, Kind: traffic.Request, From: network.Party, To: "resource",
		Summary: summary, Head: network.Head(summary+" HTTP/1.1", "Host: "+request.URL.Host, request.Header), Body: dressed.Body, Size: len(dressed.Body), Base: dressed.Base,
	})
	response, err := p.Client.Do(request)
	if err != nil {
		err = p.alerted(ctx, err)
		p.g.Record(traffic.Message{
			Exchange: exchange, Kind: traffic.Note, From: "resource", To: network.Party,
			Summary: "no response: " + err.Error(),
		})
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, network.MaxBody))
	if err != nil {
		return nil, nil, fmt.Errorf("read the API's answer: %w", err)
	}
	p.g.Record(traffic.Message{
		Exchange: exchange, Kind: traffic.Response, From: "resource", To: network.Party,
		Summary: response.Status, Head: network.Head("HTTP/1.1 "+response.Status, "", response.Header), Body: body, Size: len(body),
	})
	return response, body, nil
}

func (g *Given) Record(m traffic.Message) {
	if m.Lane == "" {
		m.Lane = traffic.App
	}
	m.Stage = g.Stage.Slug
	g.Log.Add(m)
}

// Show puts something into the identity with which the program calls from now on.
func (p *Program) Show(change func(*protect.Identity)) (err error) {
	p.Caller, err = p.Caller.As(change)
	return err
}

// Register makes the program an installation of its own, where the stage tells
// installations apart and it is none. Everybody who has the app can do that.
func (p *Program) Register(ctx context.Context) error {
	if p.g.Stage.Call.Devices == catalog.NoDevices || p.Caller.Identity().Device != (protect.Installation{}) {
		return nil
	}
	identifier := p.g.newIdentifier()
	got, err := p.Call(ctx, protect.RegisterCall(identifier))
	if err != nil {
		return err
	}
	device, err := protect.ReadInstallation(got.Body, identifier)
	if err != nil {
		return err
	}
	return p.Show(func(as *protect.Identity) { as.Device = device })
}

// SignIn gets what stands for a user: a session or an access token.
func (p *Program) SignIn(ctx context.Context, user, password string) (protect.Answer, error) {
	if p.g.Stage.Call.Grant.InAgent() {
		return protect.Answer{}, p.signInOnPages(ctx, user, password)
	}
	call, err := p.Caller.SignInCall(user, password)
	if err != nil {
		return protect.Answer{}, err
	}
	got, err := p.Call(ctx, call)
	if err != nil {
		return got, err
	}
	opened, err := p.Caller.ReadSignIn(user, got.Body)
	if err != nil {
		return got, err
	}
	return got, p.Show(opened.Show)
}

// Enter does what the app does before it can be used: it registers, and signs in the
// attacker, who is a customer, too, unless it has what stands for somebody. Nobody issues a
// token to a program that does not even say which client it is, or does not prove it where
// clients authenticate.
func (p *Program) Enter(ctx context.Context) error {
	if err := p.Register(ctx); err != nil {
		return err
	}
	as, policy := p.Caller.Identity(), p.g.Stage.Call
	switch {
	case policy.UserProof == catalog.NoUser, as.Session != "", as.Token != "",
		policy.UserProof == catalog.AccessToken && as.ClientID == "",
		policy.ClientAuth == catalog.ClientSecret && as.Secret == "":
		return nil
	case as.Refresh != "":
		return p.Renew(ctx)
	}
	_, err := p.SignIn(ctx, p.g.User, p.g.Password)
	p.own = err == nil
	return err
}
