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
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/internal/problem"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/pin"
)

const (
	fakeKey   = "harbour-mobile"
	reference = "ref-attack"
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
}

func stage(t *testing.T, slug string, change ...func(*catalog.Policy)) catalog.Stage {
	t.Helper()
	set := catalog.All()
	for _, c := range change {
		set = set.WithPolicy(slug, c)
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
	b := &bank{stage: s, key: fakeKey, limit: 0, references: map[string]bool{}}
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
	if s.Policy.Transport == catalog.PlainHTTP {
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

func (b *bank) ground(t *testing.T) *Ground {
	t.Helper()
	return &Ground{
		Stage: b.stage, Plain: b.URL, TLS: b.URL, Roots: b.roots,
		Account: "HB-3001", Reference: reference, Dir: t.TempDir(), Log: traffic.New("attacker", 4096),
		Say: func(format string, args ...any) {
			line := fmt.Sprintf(format, args...)
			t.Log(line)
			if strings.Contains(line, fakeKey) || strings.Contains(line, "BEGIN") {
				t.Errorf("a step gives a secret away: %s", line)
			}
		},
	}
}

func (b *bank) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if p := b.refuse(w, r); p != nil {
		p.Write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/"+b.stage.Slug) {
	case "GET /v1/rates":
		fmt.Fprint(w, `{"rates":{}}`)
	case "GET /v1/accounts":
		fmt.Fprint(w, `{"accounts":[{"id":"HB-1001","balance":500,"currency":"EUR"},{"id":"HB-1002","balance":5000,"currency":"EUR","frozen":true},{"id":"HB-3001","balance":9000,"currency":"EUR"}]}`)
	case "GET /v1/accounts/HB-1001/transfers":
		fmt.Fprint(w, `{"transfers":[{"reference":"ref-canary"}]}`)
	case "POST /v1/transfers":
		b.book(w, body)
	default:
		problem.New(http.StatusNotFound, "no-such-resource", "There is nothing here", r.URL.Path).Write(w)
	}
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
	if b.stage.Policy.Transport == catalog.MutualTLS && len(r.TLS.PeerCertificates) == 0 {
		return problem.New(http.StatusForbidden, "client-certificate-required", "A certificate is missing", "")
	}
	key, inURL, err := appkey.FromRequest(r)
	if inURL && b.stage.Policy.KeyInURL != catalog.KeyInURLAccepted {
		return problem.New(http.StatusBadRequest, "key-in-url", "No keys in URLs", "")
	}
	if b.stage.Policy.AppProof == catalog.AppKey && (err != nil || key != b.key) {
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
	if booked := len(got) == 1 && got[0].To == "HB-3001"; booked != want || len(got) > 1 {
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
		ClientID: b.key, ServerPins: []string{string(b.pin)}, TransferCap: 100_000, APIPlain: b.URL, APITLS: b.URL,
		ClientCertificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.client.Certificate[0]})),
		ClientKey:         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		Stages:            map[string]catalog.Policy{b.stage.Slug: b.stage.Policy},
	}
	if change != nil {
		change(&settings)
	}
	encoded, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	developer, signer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "app.pkg")
	if err := release.Pack(path, program, release.Manifest{Name: "com.harbourbank.app", Label: "Harbour Bank", Release: 1},
		map[string][]byte{release.SettingsFile: encoded}, signer); err != nil {
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
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.b.roots)
	transport := &http.Transport{
		DialContext: c.dial,
		TLSClientConfig: &tls.Config{
			RootCAs: roots, InsecureSkipVerify: c.trusting, Certificates: []tls.Certificate{*c.b.client},
		},
	}
	defer transport.CloseIdleConnections()
	body, _ := json.Marshal(map[string]any{"from": "HB-1001", "to": "HB-2001", "amount": 100, "currency": "EUR", "reference": c.reference})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.b.URL+"/"+c.b.stage.Slug+"/v1/transfers", bytes.NewReader(body))
	if err != nil {
		return device.Screen{}, err
	}
	request.Header.Set("User-Agent", "HarbourBank/1.0")
	request.Header.Set("Content-Type", "application/json")
	appkey.Set(request, fakeKey)
	response, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Do(request)
	var invalid *tls.CertificateVerificationError
	switch {
	case errors.As(err, &invalid):
		return device.Screen{Check: "tls", Error: "The server can't be trusted."}, nil
	case err != nil:
		return device.Screen{Error: err.Error()}, nil
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return device.Screen{OK: response.StatusCode == http.StatusCreated, Status: response.StatusCode, Body: answer}, err
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
			x.c.b.mu.Lock()
			key := x.c.b.key
			x.c.b.mu.Unlock()
			call := Captured{
				Method: http.MethodPost, Target: "/" + x.c.b.stage.Slug + "/v1/transfers",
				Header: http.Header{"User-Agent": {"HarbourBank/1.0"}, "Authorization": {"key " + key}, "Content-Type": {"application/json"}},
				Body:   []byte(`{"from":"HB-1001","to":"HB-2001","amount":100,"currency":"EUR","reference":"` + x.c.reference + `"}`),
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
