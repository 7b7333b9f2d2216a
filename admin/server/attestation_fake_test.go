package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"keyladder/admin/programs/programtest"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/jwk"
)

// lookedAt is a stage at which apps attest.
const lookedAt = "looked-at"

// referenceHash is the SHA-256 of the package that the fake service knows.
const referenceHash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// attesting has that stage in place of those of the catalog.
func attesting(c *Config) {
	c.Stages = slices.DeleteFunc(slices.Clone(c.Stages), func(s catalog.Stage) bool {
		return s.Attestation.Level != "" && s.Attestation.Level != catalog.NotAttested
	})
	built := c.Stages.Built()
	stage := built[len(built)-1]
	stage.Slug, stage.Title, stage.Number = lookedAt, "Looked at", 90
	stage.Attestation = catalog.Attestation{
		Level: catalog.PackageChallenge, Executables: catalog.Enforced, Runtime: catalog.Watched, Configuration: catalog.Watched, Instance: catalog.Enforced,
	}
	c.Stages = append(c.Stages, stage)
}

// askingDevices has a stage at which devices say what apps are.
func askingDevices(c *Config) {
	attesting(c)
	c.Stages[len(c.Stages)-1].Attestation.Level = catalog.DeviceEvidence
}

// Certificates and boot keys that the fake service knows, and some that it does not.
const (
	rootSerial, plantSerial, deviceSerial = "f00d", "9a37", "de71ce"
	makersKey                             = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	freeKey                               = "sha256/BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA="
)

// fakeAttestation is the attestation service's side.
type fakeAttestation struct {
	*programtest.Program
	mu         sync.Mutex
	now        func() time.Time
	results    []manage.Attestation // the latest first
	sessions   manage.AttestationSessionList
	enforced   manage.Enforcement
	references []manage.Reference
	signers    []manage.Signer
	devices    []manage.AttestedDevice
	certified  []manage.DeviceCertificate
	systems    []manage.AcceptedSystem
	answers    []manage.Latencies
	uploads    int
}

func newFakeAttestation(now func() time.Time) *fakeAttestation {
	f := &fakeAttestation{Program: programtest.New("attestsvc"), now: now}
	asItIs := map[manage.ClaimName]catalog.Claim{
		manage.Executables: catalog.Enforced, manage.Runtime: catalog.Watched, manage.Configuration: catalog.Watched, manage.Instance: catalog.Enforced,
	}
	f.enforced = manage.Enforcement{
		Stage: lookedAt, Level: catalog.PackageChallenge, Version: 1, Claims: asItIs, Catalog: asItIs, Reports: manage.ClaimNames(),
		History: []manage.EnforcementVersion{{Version: 1, Claims: asItIs}},
	}
	registered := now().Add(-48 * time.Hour)
	f.references = []manage.Reference{{
		Client: "harbour-mobile", Package: "com.harbourbank.app", Release: 2, SHA256: referenceHash, Size: 11_534_336, Signer: "sha256/abc=",
		RegisteredAt: registered, History: []manage.Event{{At: registered, What: "registered"}},
	}}
	f.signers = []manage.Signer{{Client: "harbour-mobile", Signer: "sha256/abc=", AcceptedAt: registered, History: []manage.Event{{At: registered, What: "accepted"}}}}
	known := []manage.Event{{At: registered, What: "known"}}
	f.certified = []manage.DeviceCertificate{
		{Serial: rootSerial, Root: true, Maker: true, Name: "Keel Devices", History: known},
		{Serial: plantSerial, Maker: true, Name: "Keel Devices, plant 1", History: known},
	}
	f.systems = []manage.AcceptedSystem{{
		Key: makersKey, Name: "KeelOS, by Keel Devices", AcceptedAt: registered, History: []manage.Event{{At: registered, What: "accepted"}},
	}}
	f.routes()
	return f
}

// useDevices has devices say what the apps are: a genuine one, and one with another system. What a third
// one says is not believed.
func (f *fakeAttestation) useDevices() {
	f.use()
	x, _ := base64.RawURLEncoding.DecodeString("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU") // of RFC 7515, appendix A.3
	y, _ := base64.RawURLEncoding.DecodeString("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		panic(err)
	}
	holder, err := jwk.Of(public)
	if err != nil {
		panic(err)
	}
	for i := range f.results {
		a := &f.results[i]
		a.Level, a.Holder = catalog.DeviceEvidence, &holder
		if a.Device == "THIEF" {
			continue
		}
		a.Said = &manage.DeviceEvidence{
			At: a.At, Device: "AVNqm9Dzb5xIYV1qNGSMO2Y", Maker: 32473, Model: "Keel 1", System: "KeelOS", Version: "1", OEM: true, Locked: true,
			SystemKey: makersKey, Accepted: true, Debug: "disabled", Package: "com.harbourbank.app", Measurement: referenceHash, Signer: "sha256/abc=",
			Certificates: []manage.ChainCertificate{{Serial: deviceSerial, Name: "a Keel 1"}, {Serial: plantSerial, Name: "Keel Devices, plant 1"}, {Serial: rootSerial, Name: "Keel Devices"}},
		}
		if a.Device == "DESK" {
			a.Claims[2].Trust, a.Claims[2].Findings = manage.Warning, []manage.Finding{
				{What: "boot loader", Reported: "unlocked", Expected: "locked"}, {What: "key of the system FreeOS", Reported: freeKey, Expected: "one that is accepted"},
			}
			a.Said.System, a.Said.SystemKey, a.Said.Accepted, a.Said.OEM, a.Said.Locked = "FreeOS", freeKey, false, false, false
		}
	}
	f.devices[0].Certificate = deviceSerial
}

func (f *fakeAttestation) revoke(w http.ResponseWriter, r *http.Request) {
	var asked manage.CertificateToRevoke
	_ = json.NewDecoder(r.Body).Decode(&asked)
	i := slices.IndexFunc(f.certified, func(c manage.DeviceCertificate) bool { return c.Serial == asked.Serial })
	if i < 0 {
		if strings.Trim(asked.Serial, "0123456789abcdef") != "" {
			problem.New(http.StatusUnprocessableEntity, "unprocessable", "That is not possible", "that is no serial number").Write(w)
			return
		}
		i = len(f.certified)
		f.certified = append(f.certified, manage.DeviceCertificate{Serial: asked.Serial, Name: "a device"})
	}
	now, found := f.now(), &f.certified[i]
	what := "accepted again"
	if found.RevokedAt = nil; !asked.Restore {
		found.RevokedAt, what = &now, "revoked"
	}
	found.History = append(slices.Clone(found.History), manage.Event{At: now, What: what})
	programtest.Answer(w, *found)
}

func (f *fakeAttestation) acceptSystem(w http.ResponseWriter, r *http.Request) {
	var asked manage.SystemToAccept
	_ = json.NewDecoder(r.Body).Decode(&asked)
	now := f.now()
	i := slices.IndexFunc(f.systems, func(s manage.AcceptedSystem) bool { return s.Key == asked.Key })
	if i < 0 {
		if !strings.HasPrefix(asked.Key, "sha256/") || asked.Withdraw {
			problem.New(http.StatusUnprocessableEntity, "unprocessable", "That is not possible", "that is no pin of a key").Write(w)
			return
		}
		i = len(f.systems)
		f.systems = append(f.systems, manage.AcceptedSystem{Key: asked.Key, Name: asked.Name, AcceptedAt: now})
	}
	what := "accepted"
	if f.systems[i].WithdrawnAt = nil; asked.Withdraw {
		f.systems[i].WithdrawnAt, what = &now, "withdrawn"
	}
	f.systems[i].History = append(f.systems[i].History, manage.Event{At: now, What: what})
	programtest.Answer(w, f.systems[i])
}

// use has apps attest: a genuine one, whose token was renewed, one that is debugged, and one that
// was changed.
func (f *fakeAttestation) use() {
	now := f.now()
	claims := func(change func([]manage.AttestedClaim)) []manage.AttestedClaim {
		var all []manage.AttestedClaim
		for _, name := range manage.ClaimNames() {
			all = append(all, manage.AttestedClaim{Claim: name, Policy: f.enforced.Claims[name], Trust: manage.Affirming, Findings: []manage.Finding{}})
		}
		change(all)
		return all
	}
	add := func(reference, device string, ago time.Duration, change func([]manage.AttestedClaim)) {
		a := manage.Attestation{
			Reference: reference, At: now.Add(-ago), Stage: lookedAt, Level: catalog.PackageChallenge, Client: "harbour-mobile", Release: 2, Device: device,
			Address: "127.0.0.1", Good: true, Policy: 1, Token: "J-" + reference, ExpiresAt: now.Add(time.Minute - ago), TookMS: 14, Claims: claims(change),
			Issuer: "https://localhost:8445/" + lookedAt, Audience: []string{"https://localhost:8443/" + lookedAt + "/v1"}, Key: "harbour-mobile-servers",
		}
		for _, claim := range a.Claims {
			a.Good = a.Good && claim.Trust != manage.Contraindicated
			a.Watched = a.Watched || claim.Trust == manage.Warning
		}
		a.Watched = a.Watched && a.Good
		f.results = append(f.results, a)
	}
	add("GENUI-NECAL", "PHONE", 10*time.Second, func([]manage.AttestedClaim) {})
	add("DEBUG-GEDAP", "DESK", 30*time.Second, func(c []manage.AttestedClaim) {
		c[1].Trust, c[1].Findings = manage.Warning, []manage.Finding{{What: "traced by a debugger", Reported: "yes", Expected: "no"}}
	})
	add("PATCH-EDAPP", "THIEF", 40*time.Second, func(c []manage.AttestedClaim) {
		c[0].Trust, c[0].Findings = manage.Contraindicated, []manage.Finding{{What: "measurement", Reported: "0bad", Expected: referenceHash}}
	})
	add("GENUI-NEOLD", "PHONE", time.Minute, func([]manage.AttestedClaim) {})
	for i, device := range []string{"PHONE", "DESK", "THIEF"} {
		d := manage.AttestedDevice{
			ID: fmt.Sprintf("AD%d", i+1), Stage: lookedAt, Client: "harbour-mobile", Device: device, FirstSeen: now.Add(-time.Hour),
			LastSeen: now.Add(-time.Duration(i+1) * 10 * time.Second), Release: 2, Good: 71, LastGood: device != "THIEF", History: []manage.Event{},
		}
		if !d.LastGood {
			d.Good, d.Failing = 0, 4
		}
		f.devices = append(f.devices, d)
	}
	f.sessions = manage.AttestationSessionList{Opened: 1203, Answered: 1190, Refused: 3, Waiting: 1, Sessions: []manage.AttestationSession{
		{ID: "WAITI", Stage: lookedAt, Client: "harbour-mobile", Release: 2, Device: "PHONE", State: "waiting", OpenedAt: now.Add(-time.Second), ExpiresAt: now.Add(4 * time.Second), Ranges: 64},
		{ID: "ANSWE", Stage: lookedAt, Client: "harbour-mobile", Release: 2, Device: "PHONE", State: "answered", OpenedAt: now.Add(-11 * time.Second), ExpiresAt: now.Add(-6 * time.Second), Ranges: 64, Reference: "GENUI-NECAL"},
		{ID: "EXPIR", Stage: lookedAt, Client: "harbour-mobile", Release: 2, State: "expired", OpenedAt: now.Add(-time.Minute), ExpiresAt: now.Add(-55 * time.Second)},
	}}
	f.sessions.Total = len(f.sessions.Sessions)
	f.answers = []manage.Latencies{{
		Level: catalog.PackageChallenge, Bounds: []float64{0.5, 1, 2, 4, 8}, Good: []int64{0, 30, 50, 20, 0, 0}, Failing: []int64{0, 14, 26, 10, 0, 0},
		Shapes: []manage.AnswerShape{{
			Client: "harbour-mobile", Status: 200, Fields: []string{"Cache-Control", "Content-Type"}, Body: 812, Token: 640,
			Header: `{"alg":"HS256","kid":"harbour-mobile-servers","typ":"client-integrity+jwt"}`, Good: 100, Failing: 50,
		}},
	}}
}

func (f *fakeAttestation) routes() {
	locked := func(pattern string, handler func(w http.ResponseWriter, r *http.Request)) {
		f.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			handler(w, r)
		})
	}
	f.HandleFunc("POST /reset", func(http.ResponseWriter, *http.Request) {})
	locked("GET /attestations", func(w http.ResponseWriter, r *http.Request) {
		q, found := r.URL.Query(), []manage.Attestation{}
		for _, a := range f.results {
			outcome := manage.Outcome(q.Get("outcome"))
			fits := outcome == manage.AnyOutcome || outcome == manage.GoodOutcome && a.Good || outcome == manage.FailingOutcome && !a.Good || outcome == manage.WatchedOutcome && a.Watched
			if fits && (q.Get("device") == "" || a.Device == q.Get("device")) && strings.Contains(a.Device+a.Reference, q.Get("search")) {
				found = append(found, a)
			}
		}
		slices.SortStableFunc(found, func(a, b manage.Attestation) int { return b.At.Compare(a.At) })
		programtest.Answer(w, manage.AttestationList{Attestations: found, Total: len(found)})
	})
	locked("GET /attestations/{reference}", func(w http.ResponseWriter, r *http.Request) {
		for _, a := range f.results {
			if a.Reference == r.PathValue("reference") {
				programtest.Answer(w, a)
				return
			}
		}
		none(w)
	})
	locked("GET /attestations/watched", func(w http.ResponseWriter, _ *http.Request) {
		programtest.Answer(w, []manage.Watched{{
			Stage: lookedAt, Total: 400, Failing: 100, Would: 15, Claims: map[manage.ClaimName]manage.WatchedCounts{
				manage.Executables: {Contraindicated: 100}, manage.Runtime: {Warning: 15, Would: 15}, manage.Configuration: {}, manage.Instance: {},
			},
		}})
	})
	locked("GET /attestations/latencies", func(w http.ResponseWriter, _ *http.Request) { programtest.Answer(w, f.answers) })
	locked("GET /attestation-sessions", func(w http.ResponseWriter, _ *http.Request) { programtest.Answer(w, f.sessions) })
	locked("GET /enforcement", func(w http.ResponseWriter, _ *http.Request) { programtest.Answer(w, []manage.Enforcement{f.enforced}) })
	locked("POST /enforcement", f.enforce)
	locked("GET /references", func(w http.ResponseWriter, _ *http.Request) { programtest.Answer(w, f.references) })
	locked("GET /references/coverage", func(w http.ResponseWriter, _ *http.Request) {
		programtest.Answer(w, []manage.Coverage{{SHA256: referenceHash, Package: "com.harbourbank.app", Release: 2, Size: 11_534_336, Ranges: 64, Bytes: 4096, Missed: 0.9775, Seconds: 60}})
	})
	locked("POST /references", f.register)
	locked("POST /references/{sha256}/withdraw", func(w http.ResponseWriter, r *http.Request) { f.withdraw(w, r, true) })
	locked("POST /references/{sha256}/restore", func(w http.ResponseWriter, r *http.Request) { f.withdraw(w, r, false) })
	locked("GET /signers", func(w http.ResponseWriter, _ *http.Request) { programtest.Answer(w, f.signers) })
	locked("POST /signers", func(w http.ResponseWriter, r *http.Request) {
		var change manage.SignerToAccept
		_ = json.NewDecoder(r.Body).Decode(&change)
		now := f.now()
		i := slices.IndexFunc(f.signers, func(s manage.Signer) bool { return s.Client == change.Client && s.Signer == change.Signer })
		if i < 0 {
			if !strings.HasPrefix(change.Signer, "sha256/") || change.Client != "harbour-mobile" {
				problem.New(http.StatusUnprocessableEntity, "unprocessable", "That is not possible", "that is no pin of a signer's key").Write(w)
				return
			}
			i = len(f.signers)
			f.signers = append(f.signers, manage.Signer{Client: change.Client, Signer: change.Signer, AcceptedAt: now, History: []manage.Event{{At: now, What: "accepted"}}})
		}
		f.signers[i].WithdrawnAt = nil
		if change.Withdraw {
			f.signers[i].WithdrawnAt = &now
		}
		programtest.Answer(w, f.signers[i])
	})
	locked("GET /makers/certificates", func(w http.ResponseWriter, r *http.Request) {
		found := slices.Clone(f.certified)
		if asked := r.URL.Query()["serial"]; len(asked) > 0 {
			found = slices.DeleteFunc(found, func(c manage.DeviceCertificate) bool { return !slices.Contains(asked, c.Serial) })
		}
		programtest.Answer(w, found)
	})
	locked("POST /makers/certificates", f.revoke)
	locked("GET /makers/systems", func(w http.ResponseWriter, _ *http.Request) { programtest.Answer(w, f.systems) })
	locked("POST /makers/systems", f.acceptSystem)
	locked("GET /attested-devices", func(w http.ResponseWriter, r *http.Request) {
		found := slices.Clone(f.devices)
		if search := r.URL.Query().Get("search"); search != "" {
			found = slices.DeleteFunc(found, func(d manage.AttestedDevice) bool {
				return d.Certificate != search && !strings.Contains(d.Device, search)
			})
		}
		programtest.Answer(w, manage.AttestedDeviceList{Devices: found, Total: len(found)})
	})
	locked("GET /attested-devices/{id}", func(w http.ResponseWriter, r *http.Request) { f.device(w, r, func(*manage.AttestedDevice) {}) })
	locked("POST /attested-devices/{id}/ban", func(w http.ResponseWriter, r *http.Request) {
		f.device(w, r, func(d *manage.AttestedDevice) {
			now := f.now()
			d.BannedAt, d.History = &now, append(d.History, manage.Event{At: now, What: "banned"})
		})
	})
	locked("POST /attested-devices/{id}/lift", func(w http.ResponseWriter, r *http.Request) {
		f.device(w, r, func(d *manage.AttestedDevice) {
			d.BannedAt, d.History = nil, append(d.History, manage.Event{At: f.now(), What: "ban lifted"})
		})
	})
}

// countCalls has the resource server count the calls with tokens.
func (b *fakeBank) countCalls() {
	b.HandleFunc("POST "+manage.IntegrityCallsPath, func(w http.ResponseWriter, r *http.Request) {
		var asked manage.IntegrityCallsQuery
		_ = json.NewDecoder(r.Body).Decode(&asked)
		counted := manage.IntegrityCalls{Total: 800, Of: map[string]int64{}}
		for _, token := range asked.Tokens {
			counted.Of[token] = 60
		}
		programtest.Answer(w, counted)
	})
}

func none(w http.ResponseWriter) {
	problem.New(http.StatusNotFound, "no-such-resource", "There is none", "").Write(w)
}

func (f *fakeAttestation) device(w http.ResponseWriter, r *http.Request, change func(*manage.AttestedDevice)) {
	for i := range f.devices {
		if f.devices[i].ID == r.PathValue("id") {
			change(&f.devices[i])
			programtest.Answer(w, f.devices[i])
			return
		}
	}
	none(w)
}

func (f *fakeAttestation) enforce(w http.ResponseWriter, r *http.Request) {
	var change manage.EnforcementChange
	_ = json.NewDecoder(r.Body).Decode(&change)
	now, claims := f.now(), map[manage.ClaimName]catalog.Claim{}
	for name, policy := range f.enforced.Claims {
		claims[name] = policy
	}
	claims[change.Claim] = change.Policy
	f.enforced.Version++
	f.enforced.Claims, f.enforced.Since = claims, &now
	f.enforced.History = append(f.enforced.History, manage.EnforcementVersion{Version: f.enforced.Version, At: &now, Claims: claims})
	programtest.Answer(w, f.enforced)
}

func (f *fakeAttestation) register(w http.ResponseWriter, r *http.Request) {
	pkg, _ := io.ReadAll(r.Body)
	if r.Header.Get("Content-Type") != manage.PackageType || string(pkg) != "a package" {
		problem.New(http.StatusUnprocessableEntity, "no-package", "This is no package", "it has no signature").Write(w)
		return
	}
	f.uploads++
	programtest.Answer(w, f.references[0])
}

func (f *fakeAttestation) withdraw(w http.ResponseWriter, r *http.Request, withdraw bool) {
	reference := &f.references[0]
	if reference.SHA256 != r.PathValue("sha256") {
		none(w)
		return
	}
	now := f.now()
	reference.WithdrawnAt = nil
	what := "accepted again"
	if withdraw {
		reference.WithdrawnAt, what = &now, "withdrawn"
	}
	reference.History = append(reference.History, manage.Event{At: now, What: what})
	programtest.Answer(w, *reference)
}
