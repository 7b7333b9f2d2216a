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
	"strconv"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/internal/route"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/scatter"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
)

// What stages add to the calls of apps, by the stages' numbers.
const (
	fromTLS      = 2
	fromMutual   = 3
	fromHawk     = 4
	fromHidden   = 5
	fromSessions = 6
	lastProbed   = 6 // whoever builds the next stage says what it must refuse
)

// prober makes calls as the bank's apps do at a stage, with what is in their packages. How
// they do it goes by the stage's number, and not by its policy, which is under test.
type prober struct {
	stage       catalog.Stage
	plain, tls  string // base URLs
	routes      route.Table
	roots       []byte
	bank, staff *caller // the customers' app, and the staff's
	clients     map[*tls.Certificate]*http.Client
}

// caller is an app of the bank, on a phone of its own.
type caller struct {
	agent       string
	key, secret string
	certificate *tls.Certificate
	seals       sealed.Keys
	device      installation
}

type installation struct{ identifier, guid string }

// draft is a call before it is sent. Probes spoil it.
type draft struct {
	base        string
	method      string
	path        string
	body        any // nil: none
	agent       string
	key, secret string
	inURL       bool // the key goes into the URL, too
	certificate *tls.Certificate
	device      installation
	session     session.Key
	user        string // who signs in; empty: nobody
	password    string
	clear       bool                // the body is not sealed
	changed     func(*http.Request) // when it has been signed already
}

// reply is what became of a call.
type reply struct {
	status   int
	exchange string // its Traffic-Id
	header   http.Header
	body     []byte
}

func (s *Station) newProber(stage catalog.Stage) (*prober, error) {
	if stage.Number > lastProbed {
		return nil, fmt.Errorf("nobody has said yet what stage %d must refuse", stage.Number)
	}
	p := &prober{
		stage: stage, plain: s.folder.Addresses.URL(deployment.PlainAPI), tls: s.folder.Addresses.URL(deployment.API), roots: s.roots,
		routes:  s.folder.Addresses.Routes(),
		clients: map[*tls.Certificate]*http.Client{},
	}
	own, err := settingsOf(s.packageFile(stage))
	if err != nil {
		return nil, err
	}
	if p.bank, err = newCaller("HarbourBank/1.0", own); err != nil {
		return nil, err
	}
	for _, path := range s.folder.Packages() {
		other, err := settingsOf(path)
		if err != nil {
			return nil, err
		}
		if other.ClientID == own.ClientID {
			continue
		}
		if p.staff, err = newCaller("HarbourOps/1.0", other); err != nil {
			return nil, err
		}
		return p, nil
	}
	return nil, errors.New("there is no package of another app")
}

// settingsOf reads what an app was shipped with out of its package.
func settingsOf(path string) (*release.Settings, error) {
	_, assets, err := release.Assets(path)
	if err != nil {
		return nil, err
	}
	if settings, err := scatter.Unbundle(assets); err == nil {
		return settings, nil
	}
	return release.UnbundleClear(assets)
}

func newCaller(agent string, settings *release.Settings) (*caller, error) {
	c := &caller{agent: agent, key: settings.ClientID, secret: settings.SharedSecret}
	certificate, err := clientcert.Load([]byte(settings.ClientCertificate), []byte(settings.ClientKey))
	if err != nil {
		return nil, err
	}
	c.certificate = &certificate
	c.seals, err = sealed.DeriveKeys(c.secret)
	return c, err
}

// close ends the connections.
func (p *prober) close() {
	for _, client := range p.clients {
		client.CloseIdleConnections()
	}
}

// draft is a good call by an app, as long as it needs no user.
func (p *prober) draft(by *caller, method, path string, body any) draft {
	d := draft{
		base: p.plain, method: method, path: path, body: body,
		agent: by.agent, key: by.key, secret: by.secret, device: by.device,
	}
	if p.stage.Number >= fromTLS {
		d.base = p.tls
	}
	if p.stage.Number >= fromMutual {
		d.certificate = by.certificate
	}
	return d
}

// request is the draft as it is sent.
func (p *prober) request(ctx context.Context, d draft) (*http.Request, error) {
	var body []byte
	if d.body != nil {
		var err error
		if body, err = json.Marshal(d.body); err != nil {
			return nil, err
		}
	}
	media := "application/json"
	if p.stage.Number >= fromHidden && len(body) > 0 && !d.clear {
		keys, err := sealed.DeriveKeys(d.secret)
		if err != nil {
			return nil, err
		}
		if body, err = keys.Requests.Seal(body, media); err != nil {
			return nil, err
		}
		media = sealed.MediaType
	}
	r, err := http.NewRequestWithContext(ctx, d.method, d.base+"/"+p.stage.Slug+d.path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", d.agent)
	if len(body) > 0 {
		r.Header.Set("Content-Type", media)
	}
	if d.inURL {
		appkey.SetQuery(r, d.key)
	}
	if d.device != (installation{}) {
		deviceid.Set(r.Header, d.device.identifier, d.device.guid)
	}
	switch {
	case d.user != "":
		err = session.SetBasic(r.Header, d.user, d.password)
	case d.session != "":
		session.SetKey(r.Header, d.session)
	}
	if err != nil {
		return nil, err
	}
	if p.stage.Number < fromHawk {
		appkey.Set(r, d.key)
	} else if err := p.sign(r, d, body); err != nil {
		return nil, err
	}
	if d.changed != nil {
		d.changed(r)
	}
	return r, nil
}

func (p *prober) sign(r *http.Request, d draft, body []byte) error {
	signer, err := hawk.NewClient(hawk.Credentials{ID: d.key, Key: d.secret}, p.tls)
	if err != nil {
		return err
	}
	signer.Field = p.stage.Call.AppProofField()
	covered := ""
	if p.stage.Number >= fromSessions {
		if covered, err = session.Covered(r.Header); err != nil {
			return err
		}
	}
	_, err = signer.Sign(r, body, covered, time.Now())
	return err
}

// send makes a call. One that only came too soon is made again when the API says.
func (p *prober) send(ctx context.Context, d draft) (reply, error) {
	for tries := 0; ; tries++ {
		r, err := p.request(ctx, d)
		if err != nil {
			return reply{}, err
		}
		got, err := p.do(r, d.certificate)
		if err != nil || got.status != http.StatusTooManyRequests || tries == 3 {
			return got, err
		}
		if err := wait(ctx, got); err != nil {
			return reply{}, err
		}
	}
}

// do sends a request as it is.
func (p *prober) do(r *http.Request, certificate *tls.Certificate) (reply, error) {
	client, err := p.client(certificate)
	if err != nil {
		return reply{}, err
	}
	got := reply{exchange: rand.Text()}
	r.Header.Set(traffic.Header, got.exchange)
	response, err := client.Do(r)
	if err != nil {
		return got, err
	}
	defer response.Body.Close()
	got.status, got.header = response.StatusCode, response.Header
	got.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return got, err
}

// client keeps connections open on which that certificate is shown; nil: none is.
func (p *prober) client(certificate *tls.Certificate) (*http.Client, error) {
	if client := p.clients[certificate]; client != nil {
		return client, nil
	}
	roots, err := pki.Pool(p.roots)
	if err != nil {
		return nil, fmt.Errorf("read roots.pem: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if certificate != nil {
		clientcert.Present(config, *certificate)
	}
	p.clients[certificate] = &http.Client{
		Timeout:   probeTime,
		Transport: &http.Transport{TLSClientConfig: config, DialContext: p.routes.Dial(nil)},
	}
	return p.clients[certificate], nil
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

// made sends a call that makes something, and reads the answer.
func (p *prober) made(ctx context.Context, by *caller, d draft, into any) error {
	got, err := p.send(ctx, d)
	if err != nil {
		return err
	}
	if got.header.Get("Content-Type") == sealed.MediaType {
		if got.body, _, err = by.seals.Responses.Open(got.body); err != nil {
			return err
		}
	}
	if got.status != http.StatusCreated {
		return fmt.Errorf("%s %s: the API answers %d %s", d.method, d.path, got.status, bytes.TrimSpace(got.body))
	}
	return json.Unmarshal(got.body, into)
}

// register makes a phone known to the API, with an app on it.
func (p *prober) register(ctx context.Context, by *caller) (installation, error) {
	var answer struct{ GUID string }
	made := installation{identifier: rand.Text()}
	err := p.made(ctx, by, p.draft(by, http.MethodPost, "/v1/devices", map[string]string{"identifier": made.identifier}), &answer)
	made.guid = answer.GUID
	return made, err
}

// signIn opens a session of a user with an app.
func (p *prober) signIn(ctx context.Context, by *caller, user, password string) (session.Key, error) {
	d := p.draft(by, http.MethodPost, "/v1/session", nil)
	d.user, d.password = user, password
	var answer struct {
		Key session.Key `json:"session_key"`
	}
	err := p.made(ctx, by, d, &answer)
	return answer.Key, err
}

// announced are the names of the rate limits on an answer, and their quotas.
func announced(header http.Header) map[string]int {
	quotas := map[string]int{}
	for _, field := range header.Values("RateLimit-Policy") {
		var name string
		var quota, window int
		if n, _ := fmt.Sscanf(field, "%q;q=%d;w=%d", &name, &quota, &window); n == 3 {
			quotas[name] = quota
		}
	}
	return quotas
}
