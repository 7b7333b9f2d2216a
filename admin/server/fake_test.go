package server

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"keyladder/admin/jobs"
	"keyladder/admin/programs"
	"keyladder/admin/programs/programtest"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
)

// clockwork is a clock that tests turn.
type clockwork struct {
	mu sync.Mutex
	at time.Time
}

func newClockwork() *clockwork {
	return &clockwork{at: time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)}
}

func (c *clockwork) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clockwork) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// fakeBank is the resource server's side, or the authorization server's.
type fakeBank struct {
	*programtest.Program
	fakePeople
	fakeTokens
	mu     sync.Mutex
	now    func() time.Time
	apps   []manage.App
	usage  []manage.Usage
	tiers  []manage.Tier
	asked  []string // queries for sources of calls
	resets int

	defences manage.CodeDefences
}

func newFakeBank(name string, now func() time.Time) *fakeBank {
	b := &fakeBank{Program: programtest.New(name), now: now}
	created := now().Add(-72 * time.Hour)
	for _, app := range []manage.App{
		{ID: "harbour-mobile", Name: "Harbour Bank for phones", UserAgent: "HarbourBank/", Scopes: []string{"rates:read", "accounts:read", "transfers:write"}, PerSecond: 20, Burst: 40},
		{ID: "harbour-ops", Name: "Harbour Bank operations", UserAgent: "HarbourOps/", Scopes: []string{"rates:read", "accounts:read", "accounts:freeze"}, PerSecond: 5, Burst: 10},
	} {
		app.CreatedAt = created
		app.Keys = []manage.Key{{ID: app.ID, App: app.ID, CreatedAt: created}}
		app.Certificates = []string{"sha256/qrvHNhfHXOQZNkXyF4Pny6QXEPMwmL4XYq9l1F0C6cs="}
		b.apps = append(b.apps, app)
	}
	for i := range 12 {
		day := now().UTC().AddDate(0, 0, -i).Format(time.DateOnly)
		b.usage = append(b.usage,
			manage.Usage{Day: day, App: "harbour-mobile", Stage: "tls", Route: "GET /v1/accounts", Served: int64(40 + 37*i%90), Refused: int64(i * i % 23)},
			manage.Usage{Day: day, App: "harbour-mobile", Stage: "app-id", Route: "POST /v1/transfers", Served: int64(i * 5), Refused: int64(i % 3)})
	}
	b.HandleFunc("GET /apps", func(w http.ResponseWriter, _ *http.Request) { b.locked(func() { programtest.Answer(w, b.apps) }) })
	b.HandleFunc("GET /usage", func(w http.ResponseWriter, _ *http.Request) { b.locked(func() { programtest.Answer(w, b.usage) }) })
	b.HandleFunc("POST /reset", func(http.ResponseWriter, *http.Request) { b.locked(func() { b.resets++ }) })
	b.HandleFunc("GET /codes/defences", func(w http.ResponseWriter, _ *http.Request) { b.locked(func() { programtest.Answer(w, b.defences) }) })
	b.HandleFunc("POST /codes/defences", func(w http.ResponseWriter, r *http.Request) {
		var wanted manage.CodeDefences
		_ = json.NewDecoder(r.Body).Decode(&wanted)
		b.locked(func() {
			if wanted.LifetimeSeconds > 60 {
				problem.New(http.StatusUnprocessableEntity, "unprocessable", "The request can't be carried out", "A code can be good for 1 to 60 seconds.").Write(w)
				return
			}
			b.defences = wanted
			programtest.Answer(w, wanted)
		})
	})
	b.HandleFunc("POST /apps", b.register)
	b.HandleFunc("PATCH /apps/{id}", b.change)
	b.HandleFunc("POST /apps/{id}/keys", func(w http.ResponseWriter, r *http.Request) { b.issue(w, r, false) })
	b.HandleFunc("POST /apps/{id}/rotate", func(w http.ResponseWriter, r *http.Request) { b.issue(w, r, true) })
	b.HandleFunc("POST /keys/{id}/revoke", func(w http.ResponseWriter, r *http.Request) { b.setRevoked(w, r, true) })
	b.HandleFunc("POST /keys/{id}/restore", func(w http.ResponseWriter, r *http.Request) { b.setRevoked(w, r, false) })
	b.welcome()
	b.grantTokens()
	b.count()
	b.countCalls()
	return b
}

func (b *fakeBank) locked(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do()
}

func (b *fakeBank) register(w http.ResponseWriter, r *http.Request) {
	var app manage.App
	_ = json.NewDecoder(r.Body).Decode(&app)
	b.locked(func() {
		if slices.ContainsFunc(b.apps, func(other manage.App) bool { return other.ID == app.ID }) {
			problem.New(http.StatusConflict, "taken", "This ID is taken", "choose another one").Write(w)
			return
		}
		app.CreatedAt = b.now()
		app.Keys = []manage.Key{{ID: app.ID, App: app.ID, CreatedAt: b.now()}}
		b.apps = append(b.apps, app)
		programtest.Answer(w, app)
	})
}

func (b *fakeBank) change(w http.ResponseWriter, r *http.Request) {
	var change manage.AppChange
	_ = json.NewDecoder(r.Body).Decode(&change)
	b.locked(func() {
		for i := range b.apps {
			if b.apps[i].ID == r.PathValue("id") {
				b.apps[i].Name, b.apps[i].UserAgent, b.apps[i].Scopes = *change.Name, *change.UserAgent, *change.Scopes
				b.enter(&b.apps[i], change)
				programtest.Answer(w, b.apps[i])
				return
			}
		}
		problem.New(http.StatusNotFound, "no-such-app", "There is no such app", "").Write(w)
	})
}

func (b *fakeBank) issue(w http.ResponseWriter, r *http.Request, alone bool) {
	b.locked(func() {
		for i := range b.apps {
			app := &b.apps[i]
			if app.ID != r.PathValue("id") {
				continue
			}
			now := b.now()
			for j := range app.Keys {
				if alone && app.Keys[j].RevokedAt == nil {
					app.Keys[j].RevokedAt = &now
				}
			}
			key := manage.Key{ID: fmt.Sprintf("%s-%d", app.ID, len(app.Keys)+1), App: app.ID, CreatedAt: now}
			app.Keys = append(app.Keys, key)
			programtest.Answer(w, key)
			return
		}
		problem.New(http.StatusNotFound, "no-such-app", "There is no such app", "").Write(w)
	})
}

func (b *fakeBank) setRevoked(w http.ResponseWriter, r *http.Request, revoked bool) {
	b.locked(func() {
		for i := range b.apps {
			for j := range b.apps[i].Keys {
				key := &b.apps[i].Keys[j]
				if key.ID != r.PathValue("id") {
					continue
				}
				key.RevokedAt = nil
				if revoked {
					now := b.now()
					key.RevokedAt = &now
				}
				return
			}
		}
		problem.New(http.StatusNotFound, "no-such-key", "There is no such key", "").Write(w)
	})
}

// accepts says whether the app's first key is good, and notes that it was shown.
func (b *fakeBank) accepts(app string) (ok bool) {
	b.locked(func() {
		for i := range b.apps {
			if b.apps[i].ID != app {
				continue
			}
			now, key := b.now(), &b.apps[i].Keys[0]
			if ok = key.RevokedAt == nil; ok {
				key.LastAccepted = &now
			} else {
				key.LastRefused, key.LastRefusal = &now, "the key was revoked"
			}
		}
	})
	return ok
}

// fakePhone runs an app that the bank serves or refuses.
type fakePhone struct {
	*programtest.Program
	mu       sync.Mutex
	bank     *fakeBank
	now      func() time.Time
	stage    string
	packages []manage.Package
	own      map[string]phoneInstallation // by stage
	hold     chan struct{}                // not nil: the app waits for it

	occasional string // identifier, where the app runs on a phone that is there for the occasion
}

func newFakePhone(bank *fakeBank, now func() time.Time) *fakePhone {
	p := &fakePhone{Program: programtest.New("phone"), bank: bank, now: now, stage: "app-id", own: map[string]phoneInstallation{}}
	p.HandleFunc("GET /phone", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		programtest.Answer(w, manage.Phone{Stage: p.stage, Packages: p.packages})
	})
	p.HandleFunc("POST /phone/stage", func(_ http.ResponseWriter, r *http.Request) {
		var in struct{ Stage string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stage = in.Stage
	})
	p.HandleFunc("POST "+manage.PairingPath, func(w http.ResponseWriter, _ *http.Request) {
		programtest.Answer(w, manage.Pairing{Code: "ONCE", Seconds: 600})
	})
	p.HandleFunc("POST /phone/run", p.run)
	return p
}

func (p *fakePhone) run(w http.ResponseWriter, r *http.Request) {
	var in struct{ Stage, Reference string }
	_ = json.NewDecoder(r.Body).Decode(&in)
	p.mu.Lock()
	hold := p.hold
	p.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	run, at := manage.Run{Stage: in.Stage, OK: true, Identifier: p.occasional}, p.now()
	for _, call := range []struct{ what, line, body string }{
		{"rates", "GET /" + in.Stage + "/v1/rates", ""},
		{"accounts", "GET /" + in.Stage + "/v1/accounts", ""},
		{"transfer", "POST /" + in.Stage + "/v1/transfers", `{"from":"HB-1001","to":"HB-2001","amount":100,"currency":"EUR","reference":"` + in.Reference + `"}`},
	} {
		p.mu.Lock()
		ok, text := p.bank.serves(p.own, in.Stage, call.what)
		p.mu.Unlock()
		result := manage.Call{What: call.what, Status: 200, OK: ok, Error: text}
		if !ok {
			result.Status, run.OK = 401, false
		}
		run.Calls = append(run.Calls, result)
		at = converse(p.Traffic(), p.bank.Traffic(), at, in.Stage, call.line, call.body, ok)
	}
	programtest.Answer(w, run)
}

// converse records one call in three lanes.
func converse(phone, bank *traffic.Log, at time.Time, stage, line, body string, ok bool) time.Time {
	step := func() time.Time { at = at.Add(3 * time.Millisecond); return at }
	exchange := "x" + strconv.FormatUint(phone.Last(), 36)
	head := line + " HTTP/1.1\r\nHost: localhost:8443\r\nUser-Agent: HarbourBank/1.0\r\nAuthorization: key harbour-mobile\r\nTraffic-Id: " + exchange + "\r\n\r\n"
	request := traffic.Message{Stage: stage, Exchange: exchange, Kind: traffic.Request, From: "app", To: "resource", Summary: line, Head: head, Body: []byte(body), Size: len(body)}
	status, verdict := "200 OK", &traffic.Verdict{Allowed: true, Check: "scope", Reason: "harbour-mobile may do this"}
	reply := `{"accounts":[{"id":"HB-1001","owner":"alice","balance":500000000}]}`
	if !ok {
		status, reply = "401 Unauthorized", `{"type":"urn:keyladder:problem:client-not-accepted","title":"This client is not accepted","status":401}`
		verdict = &traffic.Verdict{Check: "app-key", Reason: "the key harbour-mobile was revoked"}
	}
	response := traffic.Message{Stage: stage, Exchange: exchange, Kind: traffic.Response, From: "resource", To: "app", Summary: status, Head: "HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\n\r\n", Body: []byte(reply), Size: len(reply)}
	wire := func(from, to, summary string, size int) {
		phone.Add(traffic.Message{At: step(), Lane: traffic.Network, Stage: stage, Exchange: "c-" + exchange, Kind: traffic.Bytes, From: from, To: to, Summary: summary, Body: []byte("\x17\x03\x03\x01\x9c\x88"), Size: size})
	}
	request.At, request.Lane = step(), traffic.App
	phone.Add(request)
	if stage != "app-id" {
		wire("app", "resource", "TLS client hello, 312 bytes", 312)
		wire("resource", "app", "TLS server hello, 122 bytes", 122)
		wire("resource", "app", "TLS application data, 1044 bytes", 1044)
		wire("app", "resource", "TLS application data, 412 bytes", 412)
	} else {
		wire("app", "resource", "clear text, 212 bytes", 212)
	}
	request.At, request.Lane, request.Verdict = step(), traffic.Server, verdict
	bank.Add(request)
	response.At, response.Lane = step(), traffic.Server
	bank.Add(response)
	wire("resource", "app", "TLS application data, 530 bytes", 530)
	response.At, response.Lane = step(), traffic.App
	phone.Add(response)
	return at
}

// fakeReferee finds what is expected, unless it is told otherwise.
type fakeReferee struct {
	mu     sync.Mutex
	stages catalog.Set
	differ map[jobs.CellKey]catalog.Outcome
	hold   chan struct{} // not nil: attacks wait for it
	ran    []jobs.CellKey
}

func (r *fakeReferee) Genuine(_ context.Context, stage string) manage.Genuine {
	return manage.Genuine{Stage: stage, OK: true, MS: 210}
}

func (r *fakeReferee) Attack(ctx context.Context, slug, name string) manage.Cell {
	r.mu.Lock()
	hold := r.hold
	r.ran = append(r.ran, jobs.CellKey{Stage: slug, Attack: name})
	found, differs := r.differ[jobs.CellKey{Stage: slug, Attack: name}]
	r.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	stage, _ := r.stages.Lookup(slug)
	attack, _ := catalog.LookupAttack(name)
	cell := manage.Cell{
		Stage: slug, Attack: name, Expected: string(attack.Expected(stage)), Outcome: string(attack.Expected(stage)),
		Check: attack.BlockedBy(stage), MS: 830,
		Steps: []string{
			"Set up an access point that the victim's phone joins, and write down what goes through it.",
			"Waited until the victim had paid; heard 3 requests and 3 responses.",
			"Took the Authorization field of the first request and put it into a request of a program of its own.",
		},
		Evidence: []string{"transfer 4117: 1.00 EUR from HB-1001 to HB-3001, reference “wiretap 7QK2”, booked at 09:30:02"},
		Reason:   "A transfer to HB-3001 with the attacker's reference is on the ledger.",
	}
	if differs {
		cell.Outcome = string(found)
	}
	if cell.Outcome == string(catalog.Blocked) {
		cell.Reason, cell.Evidence = "Only ciphertext was heard: no request could be read.", []string{"no transfer with the attacker's reference is on the ledger"}
	}
	return cell
}

func (r *fakeReferee) Matrix(ctx context.Context, stages, attacks []string, progress func(int, int, manage.Cell)) manage.Matrix {
	var matrix manage.Matrix
	done := 0
	for _, stage := range stages {
		matrix.Genuine = append(matrix.Genuine, r.Genuine(ctx, stage))
		for _, attack := range attacks {
			cell := r.Attack(ctx, stage, attack)
			done++
			if cell.Expected != string(catalog.NotApplicable) {
				progress(done, len(stages)*len(attacks), cell)
				matrix.Cells = append(matrix.Cells, cell)
			}
		}
	}
	return matrix
}

// Hijacks finds that only the newest code alone stops anybody: a thief who waits.
func (r *fakeReferee) Hijacks(ctx context.Context, times int, progress func(int, int, manage.HijackMeasurement)) ([]manage.HijackMeasurement, error) {
	r.mu.Lock()
	hold := r.hold
	r.mu.Unlock()
	var all []manage.HijackMeasurement
	for _, on := range []manage.CodeDefences{{}, {Newest: true}} {
		for _, late := range []int{0, 6} {
			if hold != nil {
				select {
				case <-hold:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			m := manage.HijackMeasurement{Stage: "mediated", On: on, LateBySeconds: late, Tries: times, Robbed: times}
			if on.Newest && late > 0 {
				m.Robbed, m.Blocked, m.Check = 0, times, catalog.CheckCode
			}
			all = append(all, m)
			progress(len(all), 4, m)
		}
	}
	return all, nil
}

// setting is an admin UI among fake programs.
type setting struct {
	*Server
	clock   *clockwork
	bank    *fakeBank
	auth    *fakeBank
	lite    *fakeBank
	mobile  *fakePhone
	foe     *programtest.Program
	attest  *fakeAttestation
	mediate *fakeMediator
	rates   *fakeRates
	referee *fakeReferee
	dir     string

	listening sync.Once // to the programs
}

// packed is a release of the app.
func packed(t *testing.T, program string) []byte {
	t.Helper()
	manifest := release.Manifest{Name: "com.harbourbank.app", Label: "Harbour Bank", Release: 1}
	data, err := release.Assemble([]byte(program), manifest, nil, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	must(t, err)
	return data
}

const testPassword = "correct horse battery"

// cheap is what its hash costs: tests are not about that, but for one.
var cheap = &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

func newSetting(t *testing.T, change ...func(*Config)) *setting {
	t.Helper()
	clock := newClockwork()
	bank, auth := newFakeBank("resource", clock.now), newFakeBank("auth", clock.now)
	auth.grantMore()
	lite := newFakeBank("lite", clock.now)
	lite.grantMore()
	set := &setting{
		clock: clock, bank: bank, auth: auth, lite: lite, mobile: newFakePhone(bank, clock.now), foe: programtest.New("attacker"), attest: newFakeAttestation(clock.now), mediate: newFakeMediator(clock.now), rates: newFakeRates(clock.now),
		referee: &fakeReferee{stages: declared(), differ: map[jobs.CellKey]catalog.Outcome{}}, dir: t.TempDir(),
	}
	writer, err := deployment.NewWriter(set.dir, deployment.Admin, "test", clock.now(), deployment.Addresses{})
	must(t, err)
	must(t, writer.File("roots.pem", []byte("-----BEGIN CERTIFICATE-----\n")))
	must(t, writer.File("harbour-bank-1.pkg", packed(t, "a program")))
	must(t, writer.Close())
	set.open(t, change...)
	return set
}

// open starts the server on the setting's folder, again where it ran before.
func (set *setting) open(t *testing.T, change ...func(*Config)) {
	t.Helper()
	folder, err := deployment.Open(set.dir, deployment.Admin)
	must(t, err)
	cfg := Config{
		Folder: folder, Stages: declared(), Referee: set.referee,
		Programs: programs.Programs{deployment.Auth: set.auth, deployment.Resource: set.bank, deployment.Phone: set.mobile, deployment.Attacker: set.foe, deployment.Attestation: set.attest, deployment.Mediator: set.mediate, deployment.Lite: set.lite, deployment.Rates: set.rates},
		Settings: deployment.DefaultSettings,
		Password: testPassword, PasswordCost: cheap, PhoneURL: "http://localhost:8090", Now: set.clock.now,
	}
	for _, c := range change {
		c(&cfg)
	}
	set.Server, err = New(cfg)
	must(t, err)
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// declared are the stages, of which the last is not built.
func declared() catalog.Set { return catalog.All().Unbuilt("signed-calls") }
