package attacker

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/internal/problem"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/scatter"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/protect"
)

const (
	fakeKey   = "harbour-mobile"
	reference = "ref-attack"
)

// What people and apps know. Nothing of it may stand in what an attack says.
const (
	fakeSecret       = "WXYZ234567ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGH23"
	alicesPassword   = "correct horse 7"
	mallorysPassword = "battery staple 9"
)

// bank is an API that protects itself as its stage's policy says, and less where a
// test switches something off.
type bank struct {
	*httptest.Server
	stage  catalog.Stage
	roots  []byte
	pin    pin.Pin          // of the server's key
	client *tls.Certificate // the app's client certificate

	// What a test may change before the first call.
	key        string // the key that is accepted
	limit      int    // calls that are served; 0: no limit
	announce   bool   // the limit, in RateLimit fields
	broken     bool   // answers 500
	onceEach   bool   // a transfer's reference is good once
	sealed     bool   // a changed payment is noticed
	mu         sync.Mutex
	served     int
	booked     []device.Payment
	references map[string]bool

	// From stage 4 on.
	secret    string
	passwords map[string]string // by user
	throttle  int               // sign-ins that fail before all are told to wait; 0: never
	failed    int
	ahead     time.Duration          // of its clock
	devices   map[string]string      // GUIDs by identifier
	sessions  map[session.Key]string // users
	nonces    map[string]bool
	forged    int // payments under a code that was made for something else
}

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

// open starts a bank at a stage.
func open(t *testing.T, s catalog.Stage) *bank {
	t.Helper()
	b := &bank{
		stage: s, key: fakeKey, secret: fakeSecret, references: map[string]bool{}, nonces: map[string]bool{},
		passwords: map[string]string{"alice": alicesPassword, "mallory": mallorysPassword},
		devices:   map[string]string{}, sessions: map[session.Key]string{},
	}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(b.serve))
	b.Config.ErrorLog = nil
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if b.client, err = selfSignedClient("harbour-mobile"); err != nil {
		t.Fatal(err)
	}
	b.roots = ca.pem()
	if b.pin, err = ca.pin(); err != nil {
		t.Fatal(err)
	}
	if s.Call.Transport == catalog.PlainHTTP {
		b.Start()
	} else {
		certificate, err := ca.server("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		clients := x509.NewCertPool()
		clients.AddCert(b.client.Leaf)
		b.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients}
		b.Config.ErrorLog = quiet()
		b.StartTLS()
	}
	t.Cleanup(b.Close)
	return b
}

func (b *bank) given(t *testing.T) *Given {
	t.Helper()
	g := &Given{
		Stage: b.stage, Plain: b.URL, TLS: b.URL, Roots: b.roots,
		Account: "HB-3001", Reference: reference, Dir: t.TempDir(), Log: traffic.New("attacker", 4096),
		Say: func(format string, args ...any) {
			line := fmt.Sprintf(format, args...)
			t.Log(line)
			for _, secret := range append(b.secrets(), "BEGIN") {
				if strings.Contains(line, secret) {
					t.Errorf("a step gives a secret away: %s", line)
				}
			}
		},
	}
	if b.stage.Call.UserProof != catalog.NoUser {
		g.User, g.Password = "mallory", mallorysPassword
		g.SignIn = func(ctx context.Context, d *device.Device, app *device.App, user, password string) (device.Screen, error) {
			return person.Person{Name: user, Password: password}.SignIn(ctx, d, app)
		}
	}
	return g
}

// secrets are all that the bank keeps.
func (b *bank) secrets() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := []string{b.secret, alicesPassword, mallorysPassword}
	for key := range b.sessions {
		all = append(all, string(key))
	}
	return slices.AppendSeq(all, maps.Values(b.devices))
}

func (b *bank) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	answer := httptest.NewRecorder()
	signed := b.answer(answer, r, body)
	if p := b.protect(answer, signed); p != nil {
		p.Write(w)
		return
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// protect seals and signs an answer to a request that was signed.
func (b *bank) protect(answer *httptest.ResponseRecorder, signed *hawk.Received) *problem.Problem {
	if signed == nil {
		return nil
	}
	if b.stage.Call.Bodies == catalog.SealedBodies && answer.Body.Len() > 0 {
		keys, err := sealed.DeriveKeys(b.secret)
		if err != nil {
			return problem.From(err, func(error) {})
		}
		body, err := keys.Responses.Seal(answer.Body.Bytes(), answer.Header().Get("Content-Type"))
		if err != nil {
			return problem.From(err, func(error) {})
		}
		answer.Body = bytes.NewBuffer(body)
		answer.Header().Set("Content-Type", sealed.MediaType)
	}
	if err := signed.SignResponse(answer.Header(), answer.Body.Bytes(), ""); err != nil {
		return problem.From(err, func(error) {})
	}
	return nil
}

func (b *bank) answer(w http.ResponseWriter, r *http.Request, body []byte) *hawk.Received {
	if p := b.refuse(w, r); p != nil {
		p.Write(w)
		return nil
	}
	signed, p := b.verify(r, body)
	if p != nil {
		p.Write(w)
		return signed
	}
	if b.stage.Call.Bodies == catalog.SealedBodies && len(body) > 0 && signed != nil {
		keys, err := sealed.DeriveKeys(b.secret)
		if err == nil {
			body, _, err = keys.Requests.Open(body)
		}
		if err != nil {
			problem.New(http.StatusBadRequest, "bad-request", "The body can't be opened", "").Write(w)
			return signed
		}
	}
	w.Header().Set("Content-Type", "application/json")
	call := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/"+b.stage.Slug)
	switch call {
	case "POST /v1/devices":
		b.register(w, body)
		return signed
	case "POST /v1/session":
		b.signIn(w, r)
		return signed
	}
	user := ""
	if b.stage.Call.UserProof == catalog.UserSession && call != "GET /v1/rates" {
		key, _ := session.KeyFrom(r.Header)
		b.mu.Lock()
		user = b.sessions[key]
		b.mu.Unlock()
		if user == "" {
			problem.New(http.StatusUnauthorized, "session-not-accepted", "There is no such session", "").Write(w)
			return signed
		}
	}
	switch call {
	case "GET /v1/rates":
		fmt.Fprint(w, `{"rates":{}}`)
	case "GET /v1/accounts":
		accounts := map[string]string{
			"alice":   `{"id":"HB-1001","balance":500,"currency":"EUR"},{"id":"HB-1002","balance":5000,"currency":"EUR","frozen":true}`,
			"mallory": `{"id":"HB-3001","balance":9000,"currency":"EUR"}`,
		}
		list := accounts[user]
		if user == "" {
			list = accounts["alice"] + "," + accounts["mallory"]
		}
		fmt.Fprint(w, `{"accounts":[`+list+`]}`)
	case "GET /v1/accounts/HB-1001/transfers":
		fmt.Fprint(w, `{"transfers":[{"reference":"ref-canary"}]}`)
	case "POST /v1/transfers":
		b.book(w, body)
	default:
		problem.New(http.StatusNotFound, "no-such-resource", "There is nothing here", r.URL.Path).Write(w)
	}
	return signed
}

// verify checks the signature, the nonce and the device.
func (b *bank) verify(r *http.Request, body []byte) (*hawk.Received, *problem.Problem) {
	if b.stage.Call.AppProof != catalog.Hawk {
		return nil, nil
	}
	u, err := url.Parse(b.URL)
	if err != nil {
		return nil, problem.From(err, func(error) {})
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return nil, problem.From(err, func(error) {})
	}
	server := hawk.Verifier{Host: u.Hostname(), Port: port, Field: b.stage.Call.AppProofField(), Lookup: func(id string) (string, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if id != b.key {
			return "", errors.New("unknown")
		}
		return b.secret, nil
	}}
	signed, err := server.Verify(r, body, time.Now().Add(b.ahead))
	if err != nil {
		if (errors.Is(err, hawk.ErrMAC) || errors.Is(err, hawk.ErrHash)) && strings.HasSuffix(r.URL.Path, "/v1/transfers") {
			b.mu.Lock()
			b.forged++
			b.mu.Unlock()
		}
		status, authenticate := hawk.Refusal(err)
		return nil, problem.New(status, "client-not-accepted", "Not a known app", "").With("WWW-Authenticate", authenticate)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	proof := r.Header.Get(b.stage.Call.AppProofField())
	if b.stage.Call.Nonces == catalog.NoncesRemembered && b.nonces[proof] {
		return signed, problem.New(http.StatusUnauthorized, "client-not-accepted", "Seen before", "")
	}
	b.nonces[proof] = true
	if covered, err := session.Covered(r.Header); b.stage.Call.Binding == catalog.SessionOfCall && (err != nil || covered != signed.Ext) {
		return signed, problem.New(http.StatusUnauthorized, "client-not-accepted", "Signed for somebody else", "")
	}
	identifier, sent, _ := deviceid.From(r.Header)
	guid := b.devices[identifier]
	if !strings.HasSuffix(r.URL.Path, "/v1/devices") && (guid == "" || guid != sent) {
		return signed, problem.New(http.StatusForbidden, "device-not-accepted", "Not a known device", "")
	}
	return signed, nil
}

func (b *bank) register(w http.ResponseWriter, body []byte) {
	var device struct {
		Identifier string `json:"identifier"`
	}
	if err := json.Unmarshal(body, &device); err != nil || device.Identifier == "" {
		problem.New(http.StatusBadRequest, "bad-request", "Not a device", "").Write(w)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.devices[device.Identifier] = rand.Text()
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"identifier":%q,"guid":%q}`, device.Identifier, b.devices[device.Identifier])
}

func (b *bank) signIn(w http.ResponseWriter, r *http.Request) {
	user, password, err := session.BasicFrom(r.Header)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.throttle > 0 && b.failed >= b.throttle {
		problem.New(http.StatusTooManyRequests, "rate-limited", "Too many failed sign-ins", "").With("Retry-After", "600").Write(w)
		return
	}
	if err != nil || password != b.passwords[user] {
		b.failed++
		problem.New(http.StatusUnauthorized, "sign-in-failed", "Not signed in", "").Write(w)
		return
	}
	key := session.NewKey()
	b.sessions[key] = user
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"session_key":%q,"user":%q,"idle_seconds":900,"expires_at":"2030-01-01T00:00:00Z"}`, string(key), user)
}

func (b *bank) refuse(w http.ResponseWriter, r *http.Request) *problem.Problem {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return problem.New(http.StatusInternalServerError, "internal", "Something went wrong", "")
	}
	if !strings.HasPrefix(r.Header.Get("User-Agent"), "HarbourBank/") {
		return problem.New(http.StatusForbidden, "user-agent-not-accepted", "Not an app", "")
	}
	if b.announce {
		left := max(0, b.limit-b.served-1)
		w.Header().Add("RateLimit-Policy", fmt.Sprintf(`"address";q=%d;w=600`, b.limit))
		w.Header().Add("RateLimit", fmt.Sprintf(`"address";r=%d;t=1`, left))
	}
	if b.limit > 0 && b.served >= b.limit && !b.sealed {
		return problem.New(http.StatusTooManyRequests, "rate-limited", "Too many calls", "").With("Retry-After", "600")
	}
	if b.stage.Call.Transport == catalog.MutualTLS && len(r.TLS.PeerCertificates) == 0 {
		return problem.New(http.StatusForbidden, "client-certificate-required", "A certificate is missing", "")
	}
	key, inURL, err := appkey.FromRequest(r)
	if inURL && b.stage.API.KeyInURL != catalog.KeyInURLAccepted {
		return problem.New(http.StatusBadRequest, "key-in-url", "No keys in URLs", "")
	}
	if b.stage.Call.AppProof == catalog.AppKey && (err != nil || key != b.key) {
		return problem.New(http.StatusUnauthorized, "client-not-accepted", "Not a known app", "")
	}
	b.served++
	return nil
}

func (b *bank) book(w http.ResponseWriter, body []byte) {
	var payment device.Payment
	if err := json.Unmarshal(body, &payment); err != nil {
		problem.New(http.StatusBadRequest, "bad-request", "Not JSON", "").Write(w)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.onceEach && b.references[payment.Reference] || b.sealed && payment.To == "HB-3001" {
		problem.New(http.StatusUnauthorized, "client-not-accepted", "The proof is not good", "").Write(w)
		return
	}
	b.references[payment.Reference] = true
	b.booked = append(b.booked, payment)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(payment)
}

// payments are those with a reference.
func (b *bank) payments(reference string) []device.Payment {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []device.Payment
	for _, payment := range b.booked {
		if payment.Reference == reference {
			found = append(found, payment)
		}
	}
	return found
}

// robbed fails the test unless the attack booked its own transfer, or did not.
func (b *bank) robbed(t *testing.T, want bool) {
	t.Helper()
	got := b.payments(reference)
	to := "HB-3001"
	if len(got) > 0 && got[0].From == to {
		to = someAccount // from one's own account
	}
	if booked := len(got) == 1 && got[0].To == to; booked != want || len(got) > 1 {
		t.Errorf("booked for the attacker: %v, want %v", got, want)
	}
}

// pack makes a package with the bank's secrets, for attacks that don't run it.
func (b *bank) pack(t *testing.T, change func(*release.Settings)) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	write(t, program, []byte("ELF… json:\"CLIENT_ID\" HarbourBank/1.0 (…"))
	path, _ := b.publish(t, program, change)
	return path
}

// publish packs a program with the bank's secrets, signed by the bank's developer.
func (b *bank) publish(t *testing.T, program string, change func(*release.Settings)) (path string, developer ed25519.PublicKey) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(b.client.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	settings := release.Settings{
		ClientID: b.key, SharedSecret: b.secret, ServerPins: []string{string(b.pin)}, TransferCap: 100_000, APIPlain: b.URL, APITLS: b.URL,
		ClientCertificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.client.Certificate[0]})),
		ClientKey:         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		Stages:            map[string]catalog.Call{b.stage.Slug: b.stage.Call},
	}
	if change != nil {
		change(&settings)
	}
	bundle := release.BundleClear // which takes whatever the test made of the settings
	if b.stage.Package.Secrets == catalog.HiddenSecrets {
		bundle = scatter.Bundle
	}
	assets, err := bundle(settings)
	if err != nil {
		t.Fatal(err)
	}
	developer, signer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "app.pkg")
	if err := release.Pack(path, program, release.Manifest{Name: "com.harbourbank.app", Label: "Harbour Bank", Release: 1}, assets, signer); err != nil {
		t.Fatal(err)
	}
	return path, developer
}

// customer is somebody who pays bob with an app, seen from the network.
type customer struct {
	b           *bank
	accessPoint string
	trusting    bool // accepts any server certificate
	reference   string
}

func (c *customer) victim() *Victim {
	return &Victim{Join: func(accessPoint string) { c.accessPoint = accessPoint }, Pay: c.pay}
}

func (c *customer) pay(ctx context.Context) (device.Screen, error) {
	p, err := c.b.victimsApp()
	if err != nil {
		return device.Screen{}, err
	}
	transport := p.client.Transport.(*http.Transport)
	transport.DialContext = c.dial
	transport.TLSClientConfig.InsecureSkipVerify = c.trusting
	defer p.close()
	p.g.Reference = c.reference
	var got protect.Answer
	if err = p.enter(ctx); err == nil {
		got, err = p.call(ctx, protect.Call{Method: http.MethodPost, Path: "/v1/transfers", Body: c.payment()})
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

func (c *customer) payment() []byte {
	return []byte(`{"from":"HB-1001","to":"HB-2001","amount":100,"currency":"EUR","reference":"` + c.reference + `"}`)
}

// victimsApp is a program that does what alice's app does.
func (b *bank) victimsApp() (*program, error) {
	b.mu.Lock()
	as := protect.Identity{ClientID: b.key, Secret: b.secret, Certificate: b.client}
	b.mu.Unlock()
	return newProgram(&Given{Stage: b.stage, Plain: b.URL, TLS: b.URL, Roots: b.roots, User: "alice", Password: alicesPassword}, as)
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

// terminator is a bank's machine on which TLS ends, and whose administrator is bad.
type terminator struct {
	c       *customer
	calls   []Captured
	rewrite func(*Captured)
}

func (x *terminator) inside() *Inside {
	return &Inside{
		Calls:   func() []Captured { return x.calls },
		Send:    x.send,
		Rewrite: func(f func(*Captured)) { x.rewrite = f },
		VictimPays: func(ctx context.Context) error {
			call, err := x.payment(ctx)
			if err != nil {
				return err
			}
			if x.rewrite != nil {
				x.rewrite(&call)
			}
			x.calls = append(x.calls, call)
			status, body, err := x.send(ctx, call)
			if err == nil && status != http.StatusCreated {
				err = &Unpaid{device.Screen{Status: status, Body: body, Error: "It was not paid."}}
			}
			return err
		},
	}
}

// payment is the victim's, as it arrives behind the end of TLS.
func (x *terminator) payment(ctx context.Context) (Captured, error) {
	b := x.c.b
	p, err := b.victimsApp()
	if err != nil {
		return Captured{}, err
	}
	defer p.close()
	if err := p.enter(ctx); err != nil {
		return Captured{}, err
	}
	call, err := p.caller.Dress(protect.Call{Method: http.MethodPost, Path: "/v1/transfers", Body: x.c.payment()})
	if err != nil {
		return Captured{}, err
	}
	return Captured{Method: call.Method, Target: call.URL.RequestURI(), Header: call.Header, Body: call.Body, Certificate: b.client.Certificate[0]}, nil
}

func (x *terminator) send(ctx context.Context, call Captured) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, call.Method, x.c.b.URL+call.Target, bytes.NewReader(call.Body))
	if err != nil {
		return 0, nil, err
	}
	request.Header = call.Header.Clone()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(x.c.b.roots)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{*x.c.b.client}}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(bufio.NewReader(response.Body))
	return response.StatusCode, body, err
}
