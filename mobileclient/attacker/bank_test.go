package attacker

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/scatter"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/lab/testbank"
)

const (
	clientID        = "harbour-mobile"
	appPackage      = "com.harbourbank.app" // and the scheme of its links
	reference       = "ref-attack"          // of the attacker's own transfers
	victimReference = "ref-victim"          // of the payments that the victim makes
)

// bank is Harbour Bank, with one stage that may be changed.
type bank struct {
	*testbank.Bank
	t     *testing.T
	stage catalog.Stage
	taken []string // what was taken from the victim: codes and tokens
}

// stage is one of the catalog, with changes to its policies.
func stage(t *testing.T, slug string, change ...func(*catalog.Policies)) catalog.Stage {
	t.Helper()
	set := catalog.All()
	for _, c := range change {
		set = set.With(slug, c)
	}
	s, ok := set.Lookup(slug)
	if !ok {
		t.Fatalf("no stage %q", slug)
	}
	return s
}

// open starts a bank with the stage as it is given.
func open(t *testing.T, s catalog.Stage, options testbank.Options) *bank {
	t.Helper()
	if options.Stages == nil {
		options.Stages = catalog.All().With(s.Slug, func(p *catalog.Policies) { *p = s.Policies })
	}
	return &bank{Bank: testbank.Start(t, options), t: t, stage: s}
}

// given is what every attack is given. What the attack says must give no secret away.
func (b *bank) given() *attack.Given {
	b.t.Helper()
	g := &attack.Given{
		Stage: b.stage, Plain: b.Plain, TLS: b.TLS, Roots: b.Roots,
		Account: catalog.MalloryAccount, Reference: reference, Dir: b.t.TempDir(), Log: traffic.New("attacker", 4096),
		Say: func(format string, args ...any) {
			line := fmt.Sprintf(format, args...)
			b.t.Log(line)
			for _, secret := range b.secrets() {
				if strings.Contains(line, secret) {
					b.t.Errorf("a step gives a secret away: %s", line)
				}
			}
		},
	}
	if b.stage.Call.UserProof == catalog.AccessToken {
		g.ClientID = clientID
	}
	if b.stage.Call.UserProof != catalog.NoUser {
		g.User, g.Password = "mallory", b.Passwords["mallory"]
		g.SignIn = func(ctx context.Context, d *device.Device, app *device.App, user, password string) (device.Screen, error) {
			return person.Person{Name: user, Password: password}.SignIn(ctx, d, app)
		}
	}
	if b.stage.Call.Grant.InAgent() {
		g.Auth, g.RedirectURI = b.AuthURL, protect.RedirectURI(appPackage)
		g.Authorize = func(ctx context.Context, transport http.RoundTripper, authorizationURL, redirectURI, user, password string) (string, error) {
			return person.Person{Name: user, Password: password}.Authorize(ctx, transport, authorizationURL, redirectURI)
		}
	}
	return g
}

// secrets are those of the bank and those that arrived there.
func (b *bank) secrets() []string {
	all := append([]string{b.Secret(clientID), b.ClientSecret(clientID), "-----BEGIN"}, b.taken...)
	for _, password := range b.Passwords {
		all = append(all, password)
	}
	for _, call := range b.Arrived() {
		if scheme, session, _ := strings.Cut(call.Header.Get("Authorization"), " "); scheme == "Session" || scheme == "Bearer" {
			all = append(all, session)
		}
		if guid := call.Header.Get("Device-Guid"); guid != "" {
			all = append(all, guid)
		}
	}
	return all
}

// breakDown has the bank answer everything with an error of its own.
func (b *bank) breakDown() {
	b.Answer(func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		problem.New(http.StatusInternalServerError, "internal", "Something went wrong", "").Write(w)
		return true
	})
}

// tell has the bank's administrator do something.
func (b *bank) tell(path string) {
	b.t.Helper()
	if _, err := manage.Post[any](context.Background(), b.Manage(), path, nil); err != nil {
		b.t.Error(err)
	}
}

// payments are those with a reference that the bank has booked.
func (b *bank) payments(reference string) []manage.Transfer {
	b.t.Helper()
	booked, err := b.Manage().Transfers(b.t.Context(), reference)
	if err != nil {
		b.t.Error(err)
	}
	return booked
}

// robbed fails the test unless the attack booked its own transfer, or did not.
func (b *bank) robbed(want bool) {
	b.t.Helper()
	got := b.payments(reference)
	to := catalog.MalloryAccount
	if len(got) > 0 && got[0].From == to {
		to = attack.SomeAccount // from the attacker's own account
	}
	if booked := len(got) == 1 && got[0].To == to; booked != want || len(got) > 1 {
		b.t.Errorf("booked for the attacker: %v, want %v", got, want)
	}
}

// refused are the checks of the bank's that refused calls, in order.
func (b *bank) refused() (checks []catalog.Check) {
	messages := append(b.Log.After(0), b.AuthLog.After(0)...)
	slices.SortStableFunc(messages, func(x, y traffic.Message) int { return x.At.Compare(y.At) })
	for _, m := range messages {
		if m.Verdict != nil && !m.Verdict.Allowed {
			checks = append(checks, m.Verdict.Check)
		}
	}
	return checks
}

// stoppedBy is what stopped an attack: what the attacker alone can tell, or else the check
// that refused the last of its calls.
func (b *bank) stoppedBy(result attack.Result) catalog.Check {
	refused := b.refused()
	switch {
	case result.Claim:
		return ""
	case result.Check == "" && len(refused) > 0:
		return refused[len(refused)-1]
	}
	return result.Check
}

// pack makes a package with the bank's secrets, for attacks that don't run it.
func (b *bank) pack(change func(*release.Settings)) string {
	b.t.Helper()
	program := filepath.Join(b.t.TempDir(), "program")
	write(b.t, program, []byte("ELF… json:\"CLIENT_ID\" HarbourBank/1.0 (…"))
	return b.publish(program, change)
}

// publish packs a program with the bank's secrets, signed by the bank's developer.
func (b *bank) publish(program string, change func(*release.Settings)) (path string) {
	b.t.Helper()
	settings := b.Settings(clientID)
	settings.Stages[b.stage.Slug] = b.stage.Call
	if change != nil {
		change(&settings)
	}
	bundle := release.BundleClear // which takes whatever the test made of the settings
	if b.stage.Package.Secrets == catalog.HiddenSecrets {
		bundle = scatter.Bundle
	}
	assets, err := bundle(settings)
	if err != nil {
		b.t.Fatal(err)
	}
	path = filepath.Join(b.t.TempDir(), "app.pkg")
	manifest := release.Manifest{Name: appPackage, Label: "Harbour Bank", Release: 1, Schemes: []string{appPackage}}
	if err := release.Pack(path, program, manifest, assets, b.Developer); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// newDevice makes a phone on which the bank's app can be installed.
func (b *bank) newDevice(owner string, log *traffic.Log) (*device.Device, error) {
	dir := b.t.TempDir()
	b.Equip(dir)
	return device.New(device.Config{
		Dir: dir, Owner: owner, Roots: b.Roots, Log: log,
		Developers: []ed25519.PublicKey{b.Developer.Public().(ed25519.PublicKey)},
	})
}

// customer is alice, who pays bob with a program that does what the app does, seen from the
// network.
type customer struct {
	b           *bank
	accessPoint string
	trusting    bool // accepts any server certificate
}

func (c *customer) victim() *attack.Victim {
	return &attack.Victim{Join: func(accessPoint string) { c.accessPoint = accessPoint }, Pay: c.pay}
}

var victimsPayment = protect.Call{
	Method: http.MethodPost, Path: "/v1/transfers",
	Body: []byte(`{"from":"HB-1001","to":"HB-2001","amount":100,"currency":"EUR","reference":"` + victimReference + `"}`),
}

// app is what takes the place of the customer's app, ready to pay.
func (c *customer) app(ctx context.Context) (*attack.Program, error) {
	as := c.b.Identity(clientID)
	as.Pins = nil // whom it trusts is said by the test
	p, err := attack.NewProgram(&attack.Given{
		Stage: c.b.stage, Plain: c.b.Plain, TLS: c.b.TLS, Roots: c.b.Roots, User: "alice", Password: c.b.Passwords["alice"],
	}, as)
	if err != nil {
		return nil, err
	}
	transport := p.Client.Transport.(*http.Transport)
	transport.DialContext = c.dial
	transport.TLSClientConfig.InsecureSkipVerify = c.trusting
	if err := p.Enter(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (c *customer) pay(ctx context.Context) (device.Screen, error) {
	var got protect.Answer
	p, err := c.app(ctx)
	if err == nil {
		defer p.Close()
		got, err = p.Call(ctx, victimsPayment)
	}
	var invalid *tls.CertificateVerificationError
	switch {
	case errors.As(err, &invalid):
		return device.Screen{Check: catalog.CheckTLS, Error: "The server can't be trusted."}, nil
	case err != nil && got.Status == 0:
		return device.Screen{Error: err.Error()}, nil
	}
	return device.Screen{OK: got.Status == http.StatusCreated, Status: got.Status, Body: got.Body}, nil
}

// dial is the phone's modem.
func (c *customer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if c.accessPoint == "" {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, c.accessPoint)
	if err == nil {
		_, err = io.WriteString(conn, address+"\n")
	}
	return conn, err
}

// terminator is a machine of the bank's on which TLS ends, in the attacker's hands.
type terminator struct {
	c       *customer
	calls   []attack.Captured
	rewrite func(*attack.Captured)
	hold    func(attack.Captured) bool
}

func (x *terminator) inside() *attack.Inside {
	return &attack.Inside{
		Calls:   func() []attack.Captured { return x.calls },
		Send:    x.send,
		Rewrite: func(f func(*attack.Captured)) { x.rewrite = f },
		Hold:    func(f func(attack.Captured) bool) { x.hold = f },
		VictimPays: func(ctx context.Context) error {
			call, err := x.payment(ctx)
			if err != nil {
				return err
			}
			if x.rewrite != nil {
				x.rewrite(&call)
			}
			x.calls = append(x.calls, call)
			if x.hold != nil && x.hold(call) {
				return &attack.Unpaid{Screen: device.Screen{Status: http.StatusBadGateway, Error: "The bank does not answer."}}
			}
			status, body, err := x.send(ctx, call)
			if err == nil && status != http.StatusCreated {
				err = &attack.Unpaid{Screen: device.Screen{Status: status, Body: body, Error: "It was not paid."}}
			}
			return err
		},
	}
}

// payment is the victim's, as it arrives behind the end of TLS.
func (x *terminator) payment(ctx context.Context) (attack.Captured, error) {
	p, err := x.c.app(ctx)
	if err != nil {
		return attack.Captured{}, err
	}
	defer p.Close()
	call, err := p.Caller.Dress(victimsPayment)
	if err != nil {
		return attack.Captured{}, err
	}
	return attack.Captured{
		Method: call.Method, Target: call.URL.RequestURI(), Header: call.Header, Body: call.Body,
		Certificate: p.Caller.Identity().Certificate.Certificate[0],
	}, nil
}

func (x *terminator) send(ctx context.Context, call attack.Captured) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, call.Method, x.c.b.TLS+call.Target, bytes.NewReader(call.Body))
	if err != nil {
		return 0, nil, err
	}
	request.Header = call.Header.Clone()
	caller, err := (&attack.Given{Stage: stage(x.c.b.t, "pinned-mtls"), TLS: x.c.b.TLS}).Caller(protect.Identity{Certificate: x.c.b.Identity(clientID).Certificate})
	if err != nil {
		return 0, nil, err
	}
	transport := &http.Transport{TLSClientConfig: caller.TLS(x.c.b.Roots)}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}
