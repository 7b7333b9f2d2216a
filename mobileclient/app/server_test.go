package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
)

const (
	testSecret   = "QZ3M5V7KXO2RCN4A6TJWLBYEHDIUPSFGQ5MXZ"
	testPassword = "correct horse: battery"
)

// fakeBank notes what it is asked. It has the server's halves of the mechanisms, and
// no more than that of a bank.
type fakeBank struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string        // as they were before they were sealed
	wire     []string        // as they travelled
	conns    map[string]bool // addresses that calls came from
	devices  map[string]string
	sessions map[session.Digest]string // users
	last401  string

	// What a test may set.
	address string           // URL, for the signatures
	secret  string           // empty: testSecret
	ahead   time.Duration    // of the server's clock
	respond http.HandlerFunc // instead of the bank's own answer
	seal    func(content []byte, media string) ([]byte, string)
	meddle  func(resp *http.Response, body []byte) []byte // with the answer, on its way
}

func newFakeBank() *fakeBank {
	return &fakeBank{conns: map[string]bool{}, devices: map[string]string{}, sessions: map[session.Digest]string{}}
}

func (b *fakeBank) set(change func(*fakeBank)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

func (b *fakeBank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	answer := httptest.NewRecorder()
	b.guard(answer, r, body)
	resp := answer.Result()
	content := answer.Body.Bytes()
	if b.meddle != nil {
		content = b.meddle(resp, content)
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(content)
}

// guard checks a request as its stage demands, and protects the answer.
func (b *fakeBank) guard(w *httptest.ResponseRecorder, r *http.Request, body []byte) {
	slug, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	stage, _ := catalog.All().Lookup(slug)
	secret := b.secret
	if secret == "" {
		secret = testSecret
	}
	wire := string(body)
	var received *hawk.Received
	refused := func(status int, kind string) { problemOf(w, status, kind) }
	if stage.Call.AppProof == catalog.Hawk {
		u, _ := url.Parse(b.address)
		port, _ := strconv.Atoi(u.Port())
		v := &hawk.Verifier{Host: u.Hostname(), Port: port, Field: stage.Call.AppProofField(), Lookup: func(id string) (string, error) {
			if _, ok := products[id]; !ok {
				return "", errors.New("unknown")
			}
			return secret, nil
		}}
		var err error
		received, err = v.Verify(r, body, time.Now().Add(b.ahead))
		if err != nil {
			status, authenticate := hawk.Refusal(err)
			b.last401 = err.Error()
			w.Header().Set("WWW-Authenticate", authenticate)
			refused(status, "client-not-accepted")
			return
		}
		if covered, err := session.Covered(r.Header); stage.Call.Binding == catalog.SessionOfCall && (err != nil || covered != received.Ext) {
			refused(http.StatusUnauthorized, "client-not-accepted")
			return
		}
	}
	inner := httptest.NewRecorder()
	opened := body
	if stage.Call.Bodies == catalog.SealedBodies && len(body) > 0 {
		keys, _ := sealed.DeriveKeys(secret)
		var err error
		if opened, _, err = keys.Requests.Open(body); err != nil || r.Header.Get("Content-Type") != sealed.MediaType {
			problemOf(inner, http.StatusBadRequest, "sealed-body")
		}
	}
	if inner.Body.Len() == 0 {
		b.serve(inner, r, opened, wire, stage.Call)
	}
	content := inner.Body.Bytes()
	for name, values := range inner.Header() {
		w.Header()[name] = values
	}
	if stage.Call.Bodies == catalog.SealedBodies && len(content) > 0 {
		media := w.Header().Get("Content-Type")
		if b.seal != nil {
			content, media = b.seal(content, media)
		} else {
			keys, _ := sealed.DeriveKeys(secret)
			content, _ = keys.Responses.Seal(content, media)
			media = sealed.MediaType
		}
		w.Header().Set("Content-Type", media)
	}
	if received != nil {
		if err := received.SignResponse(w.Header(), content, ""); err != nil {
			panic(err)
		}
	}
	w.WriteHeader(inner.Code)
	_, _ = w.Write(content)
}

// forgetDevices sets the bank back: it knows no devices.
func (b *fakeBank) forgetDevices() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.devices)
}

// banDevices refuses all devices from now on. Their identifiers stay taken.
func (b *fakeBank) banDevices() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.devices {
		b.devices[id] = "banned"
	}
}

// serve is the API. The caller holds b.mu.
func (b *fakeBank) serve(w http.ResponseWriter, r *http.Request, body []byte, wire string, policy catalog.Call) {
	b.requests, b.bodies, b.wire = append(b.requests, r), append(b.bodies, string(body)), append(b.wire, wire)
	b.conns[r.RemoteAddr] = true
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	stage := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/"+path)
	if policy.Devices == catalog.RegisteredDevices {
		if path == "v1/devices" {
			var claim struct{ Identifier string }
			_ = json.Unmarshal(body, &claim)
			if _, taken := b.devices[stage+claim.Identifier]; taken || claim.Identifier == "" {
				problemOf(w, http.StatusConflict, "device-taken")
				return
			}
			guid := fmt.Sprintf("guid-%d", len(b.devices)+1)
			b.devices[stage+claim.Identifier] = guid
			created(w, map[string]string{"guid": guid})
			return
		}
		if id := r.Header.Get("Device-Id"); id == "" || b.devices[stage+id] != r.Header.Get("Device-Guid") {
			problemOf(w, http.StatusForbidden, "device-not-accepted")
			return
		}
	}
	if policy.UserProof == catalog.UserSession && path != "v1/rates" {
		if path == "v1/session" && r.Method == http.MethodPost {
			user, password, err := session.BasicFrom(r.Header)
			if err != nil || password != testPassword {
				w.Header().Set("WWW-Authenticate", session.BasicChallenge("Harbour Bank"))
				problemOf(w, http.StatusUnauthorized, "sign-in-refused")
				return
			}
			key := session.NewKey()
			b.sessions[key.Digest()] = user
			created(w, map[string]any{"session_key": string(key), "user": user, "idle_seconds": 900, "expires_at": time.Now().Add(12 * time.Hour)})
			return
		}
		key, err := session.KeyFrom(r.Header)
		if _, ok := b.sessions[key.Digest()]; err != nil || !ok {
			w.Header().Set("WWW-Authenticate", session.Challenge("Harbour Bank"))
			problemOf(w, http.StatusUnauthorized, "session-not-accepted")
			return
		}
		if path == "v1/session" {
			delete(b.sessions, key.Digest())
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	if b.respond != nil {
		b.respond(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
}

func created(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(v)
}

func problemOf(w http.ResponseWriter, status int, kind string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"urn:keyladder:problem:%s","title":"Refused","detail":"This is %s.","status":%d}`, kind, kind, status)
}

func (b *fakeBank) last(t *testing.T) (*http.Request, string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.requests) == 0 {
		t.Fatalf("the bank was not asked (%s)", b.last401)
	}
	return b.requests[len(b.requests)-1], b.bodies[len(b.bodies)-1]
}

// asked are the calls, as "GET /v1/rates".
func (b *fakeBank) asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var calls []string
	for _, r := range b.requests {
		_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
		calls = append(calls, r.Method+" /"+path)
	}
	return calls
}

func (b *fakeBank) count() int { return len(b.asked()) }
