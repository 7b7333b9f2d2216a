package scene

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"keyladder/internal/deployment"
	"keyladder/internal/route"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/factory"
	"keyladder/mobileclient/person"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/deploy"
)

// prober makes calls as the bank's apps do at a stage, with what is in their packages. How
// they do it goes by the policies that the ladder declares, and not by those that the stage
// has got, which are under test.
type prober struct {
	policies    catalog.Policies
	plain       *url.URL // of the API over HTTP
	routes      route.Table
	roots       []byte
	bank, staff *caller  // the customers' app, and the staff's
	other       *caller  // the customers' app at another stage that attests it; nil: there is none
	unused      struct { // what a redirect brought; nobody has redeemed it
		response protect.Response
		since    time.Time
	}
	apps       []*deploy.App
	plant      *factory.Plant // that makes their phones; nil: they have no secure hardware
	dir        string         // of these
	pkg        string         // the customers' app's
	identifier func() string
	direct     string // where the API is at the stage, past any gateway
	clients    map[*tls.Certificate]*http.Client
}

// caller is an app of the bank, on a phone of its own.
type caller struct {
	*protect.Caller
	redirectURI string       // where its users come back to
	app         *attestedApp // nil: nobody asks it to be attested
}

// show changes who is calling, from now on.
func (c *caller) show(change func(*protect.Identity)) (err error) {
	c.Caller, err = c.As(change)
	return err
}

// draft is a call before it is dressed. Probes spoil it.
type draft struct {
	protect.Call
	by *caller
	as func(*protect.Identity) // who it says that it is; nil: who it is
}

// number is a member of an answer in JSON; 0: it has none.
func (r reply) number(name string) int64 {
	members := map[string]any{}
	_ = json.Unmarshal(r.body, &members) // then there is none
	value, _ := members[name].(float64)
	return int64(value)
}

// reply is what became of a call.
type reply struct {
	status   int
	told     bool   // it was refused for its nonce, and brought another
	exchange string // its Traffic-Id
	header   http.Header
	body     []byte
}

func (s *Station) newProber(stage catalog.Stage) (_ *prober, err error) {
	p := &prober{policies: stage.Declared(), pkg: s.packageFile(stage), routes: s.folder.Addresses.Routes(), roots: s.roots, plant: s.plant, identifier: s.installations.maker(stage.Slug), clients: map[*tls.Certificate]*http.Client{}, direct: s.folder.Addresses.Stage(deployment.API, stage.Slug)}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.plain, err = url.Parse(s.folder.Addresses.URL(deployment.PlainAPI)); err != nil {
		return nil, err
	}
	if p.dir, err = os.MkdirTemp("", "keyladder-probes-"); err != nil {
		return nil, err
	}
	own, err := deploy.Shipped(p.pkg)
	if err != nil {
		return nil, err
	}
	if p.bank, err = s.newCaller(stage, "HarbourBank/1.0", own); err != nil {
		return nil, err
	}
	if err := p.equip(p.bank, p.pkg); err != nil {
		return nil, err
	}
	if p.other, err = s.elsewhere(p, stage); err != nil {
		return nil, err
	}
	for _, path := range s.folder.Packages() {
		other, err := deploy.Shipped(path)
		if err != nil {
			return nil, err
		}
		sameRelease := strings.HasSuffix(path, fmt.Sprintf("-%d.pkg", stage.Package.Release))
		if other.App == own.App || !sameRelease {
			continue
		}
		if p.staff, err = s.newCaller(stage, "HarbourOps/1.0", other); err != nil {
			return nil, err
		}
		return p, p.equip(p.staff, path)
	}
	return nil, errors.New("there is no package of another app")
}

func (s *Station) newCaller(stage catalog.Stage, agent string, settings *release.Settings) (*caller, error) {
	identity := protect.Identity{UserAgent: agent, ClientID: settings.ClientID, Secret: settings.Secret(stage.Declared().Call)}
	if settings.ClientCertificate != "" {
		certificate, err := clientcert.Load([]byte(settings.ClientCertificate), []byte(settings.ClientKey))
		if err != nil {
			return nil, err
		}
		identity.Certificate = &certificate
	}
	api := protect.API{
		Stage: stage.Slug, Plain: s.folder.Addresses.URL(deployment.PlainAPI), TLS: s.folder.Addresses.URL(deployment.API),
		Auth: settings.AuthServer, Attestation: settings.Attestation, Mediator: settings.Mediator, Lite: settings.Lite, Answers: settings.AnswerKeys,
	}
	made, err := protect.New(stage.Declared().Call, api, identity)
	return &caller{Caller: made, redirectURI: deploy.RedirectURIOf(settings.App)}, err
}

// close ends the connections, and throws the phones away.
func (p *prober) close() {
	for _, app := range p.apps {
		app.Close()
	}
	os.RemoveAll(p.dir)
	for _, client := range p.clients {
		client.CloseIdleConnections()
	}
}

// dress dresses a draft, and says with which connections it is sent.
func (p *prober) dress(d draft) (*protect.Dressed, *http.Client, error) {
	by := d.by.Caller
	if d.as != nil {
		var err error
		if by, err = by.As(d.as); err != nil {
			return nil, nil, err
		}
	}
	dressed, err := by.Dress(d.Call)
	return dressed, p.client(by), err
}

// client keeps connections open on which a caller's certificate is shown.
func (p *prober) client(by *protect.Caller) *http.Client {
	certificate := by.Identity().Certificate
	if p.clients[certificate] == nil {
		p.clients[certificate] = &http.Client{
			Timeout:   probeTime,
			Transport: &http.Transport{TLSClientConfig: by.TLS(p.roots), DialContext: p.routes.Dial(nil)},
		}
	}
	return p.clients[certificate]
}

// send makes a call. One that only came too soon, or with an old nonce, is made again as the API says.
func (p *prober) send(ctx context.Context, d draft) (reply, error) {
	for tries := 0; ; tries++ {
		dressed, client, err := p.dress(d)
		if err != nil {
			return reply{}, err
		}
		got, err := do(ctx, client, dressed)
		if err != nil || !got.told && got.status != http.StatusTooManyRequests || tries == 3 {
			return got, err
		}
		if got.told {
			continue
		}
		if err := wait(ctx, got); err != nil {
			return reply{}, err
		}
	}
}

// do sends a request as it is, and opens the answer where that can be done: whether it is
// authentic is for apps to ask.
func do(ctx context.Context, client *http.Client, dressed *protect.Dressed) (reply, error) {
	got := reply{exchange: rand.Text()}
	r, err := dressed.HTTP(ctx)
	if err != nil {
		return got, err
	}
	r.Header.Set(traffic.Header, got.exchange)
	response, err := client.Do(r)
	if err != nil {
		return got, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return got, err
	}
	answer, _ := dressed.Check(response, body)
	got.status, got.header, got.body, got.told = answer.Status, answer.Header, answer.Body, answer.ToldNonce
	return got, nil
}

const (
	probeTime = 20 * time.Second
	patience  = 10 * time.Second // with an API that asks to wait
)

// wait waits for as long as a 429 says.
func wait(ctx context.Context, after reply) error {
	seconds, err := strconv.Atoi(after.header.Get("Retry-After"))
	limit := time.Duration(seconds) * time.Second
	if err != nil || limit > patience {
		return fmt.Errorf("the API wants to be left alone for %q seconds", after.header.Get("Retry-After"))
	}
	return pause(ctx, limit)
}

// made sends a call that makes something, and returns the body of the answer.
func (p *prober) made(ctx context.Context, by *caller, call protect.Call) ([]byte, error) {
	got, err := p.send(ctx, draft{by: by, Call: call})
	if err != nil {
		return nil, err
	}
	if got.status >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s: the API answers %d %s", call.Method, call.Path, got.status, bytes.TrimSpace(got.body))
	}
	return got.body, nil
}

// register makes a phone known to the API, with an app on it.
func (p *prober) register(ctx context.Context, by *caller) (protect.Installation, error) {
	identifier := p.identifier()
	body, err := p.made(ctx, by, protect.RegisterCall(identifier))
	if err != nil {
		return protect.Installation{}, err
	}
	return protect.ReadInstallation(body, identifier)
}

// signIn signs a user in with an app. A scope is asked for where there are tokens; empty: all
// that there is.
func (p *prober) signIn(ctx context.Context, by *caller, user, password, scope string) (protect.SignedIn, error) {
	if p.policies.Call.Grant.InAgent() {
		return p.onPages(ctx, by, user, password, scope)
	}
	call, err := by.SignInCall(user, password)
	if err != nil {
		return protect.SignedIn{}, err
	}
	if scope != "" {
		call.Body = append(call.Body, "&scope="+url.QueryEscape(scope)...)
	}
	body, err := p.made(ctx, by, call)
	if err != nil {
		return protect.SignedIn{}, err
	}
	return by.ReadSignIn(user, body)
}

// onPages signs a user in on the authorization server's pages.
func (p *prober) onPages(ctx context.Context, by *caller, user, password, scope string) (protect.SignedIn, error) {
	oauth, err := by.OAuth(by.redirectURI)
	if err != nil {
		return protect.SignedIn{}, err
	}
	var options []oauth2.AuthCodeOption
	if scope != "" {
		options = append(options, oauth2.SetAuthURLParam("scope", scope))
	}
	return person.Person{Name: user, Password: password}.SignInTo(ctx, oauth, p.patient(by.Caller), by.redirectURI, options...)
}

// announced are the names of the rate limits on an answer, and their quotas.
func announced(header http.Header) map[string]int {
	quotas := map[string]int{}
	for field := range strings.SplitSeq(strings.Join(header.Values("RateLimit-Policy"), ","), ",") {
		var name string
		var quota, window int
		if n, _ := fmt.Sscanf(strings.TrimSpace(field), "%q;q=%d;w=%d", &name, &quota, &window); n == 3 {
			quotas[name] = quota
		}
	}
	return quotas
}
