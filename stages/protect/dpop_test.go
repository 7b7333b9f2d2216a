package protect_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
)

const boundStage = "device-bound"

// proving is a mediator that looks at proofs alone, and gives out its nonce with each refusal.
type proving struct {
	testing.TB
	server *httptest.Server

	mu     sync.Mutex
	nonce  string
	keys   []jwk.Key     // of the proofs that were good
	fields []http.Header // of these requests
	tokens string        // the type of those that it issues
	seen   int           // requests
}

func newProving(t testing.TB) *proving {
	t.Helper()
	p := &proving{TB: t, nonce: "one", tokens: "DPoP"}
	p.server = httptest.NewTLSServer(p)
	t.Cleanup(p.server.Close)
	return p
}

func (p *proving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	text, err := dpop.From(r.Header)
	_, access, _ := token.Shown(r.Header)
	verifier := dpop.Verifier{Skew: time.Minute, Nonce: func(text string) error {
		if text != p.nonce {
			return dpop.ErrNonce
		}
		return nil
	}}
	var proof dpop.Proof
	if err == nil {
		proof, err = verifier.Verify(text, dpop.Request{Method: r.Method, URL: p.server.URL + r.URL.Path, Token: access}, time.Now())
	}
	if err != nil {
		w.Header().Set(dpop.NonceField, p.nonce)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(map[bool]int{true: http.StatusUnauthorized, false: http.StatusBadRequest}[strings.Contains(r.URL.Path, "/v1/")])
		json.NewEncoder(w).Encode(map[string]string{"error": dpop.UseNonce})
		return
	}
	p.keys, p.fields = append(p.keys, proof.Key), append(p.fields, r.Header.Clone())
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/par") {
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(map[string]any{"request_uri": "urn:a", "expires_in": 60})
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"access_token": "a.b.c", "token_type": p.tokens, "expires_in": 60, "refresh_token": "r1"})
}

func (p *proving) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// holder is a caller with a key, before the mediator.
func (p *proving) holder(change func(*protect.Identity)) (*protect.Caller, *ecdsa.PrivateKey) {
	p.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.Fatal(err)
	}
	stage, _ := catalog.All().Lookup(boundStage)
	identity := protect.Identity{ClientID: "harbour-mobile", Integrity: "i.n.t", Attestation: "a.t.t", Token: "a.b.c", Key: key}
	if change != nil {
		change(&identity)
	}
	caller, err := protect.New(stage.Call, protect.API{Stage: boundStage, TLS: "https://localhost:8443", Mediator: p.server.URL}, identity)
	if err != nil {
		p.Fatal(err)
	}
	return caller, key
}

// send makes a call once.
func (p *proving) send(caller *protect.Caller, call protect.Call) protect.Answer {
	p.Helper()
	dressed, err := caller.Dress(call)
	if err != nil {
		p.Fatal(err)
	}
	request, err := dressed.HTTP(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	response, err := p.server.Client().Do(request)
	if err != nil {
		p.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.Fatal(err)
	}
	answer, err := dressed.Check(response, body)
	if err != nil {
		p.Fatal(err)
	}
	return answer
}

// TestProofs go with each call, for it and its token, with the nonce that the server has given last.
// The first call of all has none, and whoever makes it is told to make it again.
func TestProofs(t *testing.T) {
	t.Parallel()
	p := newProving(t)
	caller, key := p.holder(nil)
	accounts := protect.Call{Path: "/v1/accounts?limit=1"}
	for i, want := range []struct {
		status int
		told   bool
	}{{401, true}, {200, false}, {200, false}} {
		if got := p.send(caller, accounts); got.Status != want.status || got.ToldNonce != want.told {
			t.Errorf("call %d: %d, told a nonce: %v", i, got.Status, got.ToldNonce)
		}
	}
	p.nonce = "two"
	other, err := caller.As(func(as *protect.Identity) { as.Token = "d.e.f" }) // goes by the same nonces
	if err != nil {
		t.Fatal(err)
	}
	if got := p.send(other, accounts); got.Status != 401 || !got.ToldNonce {
		t.Errorf("with the old nonce: %d", got.Status)
	}
	if got := p.send(caller, protect.Call{Path: "/v1/rates", Public: true}); got.Status != 200 {
		t.Errorf("public data, with the nonce that another was told: %d", got.Status)
	}
	public, err := jwk.OfSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(p.keys, func(of jwk.Key) bool { return of != public }) {
		t.Error("another key has signed")
	}
	if first, last := p.fields[0], p.fields[len(p.fields)-1]; first.Get("Authorization") != "DPoP a.b.c" || last.Get("Authorization") != "" ||
		first.Get(integrity.Field) != "i.n.t" || first.Get(dpop.Field) == p.fields[1].Get(dpop.Field) {
		t.Errorf("%v\n%v", first, last)
	}
	without, _ := p.holder(func(as *protect.Identity) { as.Key = nil })
	if lacks := without.Lacks(); !slices.Contains(lacks, protect.DeviceKey) {
		t.Errorf("without a key it lacks %q", lacks)
	}
	if got := p.send(without, accounts); got.Status != 401 {
		t.Errorf("without a key: %d", got.Status)
	}
}

// TestProofsOfManyAtOnce: all that begin together, without a nonce or with an old one, are served when
// they are made once more.
func TestProofsOfManyAtOnce(t *testing.T) {
	t.Parallel()
	p := newProving(t)
	caller, _ := p.holder(nil)
	for _, nonce := range []string{"one", "two"} {
		p.mu.Lock()
		p.nonce = nonce
		p.mu.Unlock()
		var wait sync.WaitGroup
		for range 30 {
			wait.Go(func() {
				got := p.send(caller, protect.Call{Path: "/v1/accounts"})
				if got.ToldNonce {
					got = p.send(caller, protect.Call{Path: "/v1/accounts"})
				}
				if got.Status != http.StatusOK {
					t.Errorf("nonce %s: %d", nonce, got.Status)
				}
			})
		}
		wait.Wait()
	}
}

// TestProofsForTokens: the client proves its key to the mediator, too, beside its attestation, and asks
// again by itself where that has told it a nonce. Tokens that are bound to no key it does not take.
func TestProofsForTokens(t *testing.T) {
	t.Parallel()
	p := newProving(t)
	caller, _ := p.holder(nil)
	oauth, err := caller.OAuth(redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	if asked, err := oauth.Ask(t.Context(), p.server.Client()); err != nil || !strings.Contains(asked.URL, "request_uri=urn") || p.requests() != 2 {
		t.Fatalf("%v, %v, after %d requests", asked.URL, err, p.requests())
	}
	response := protect.Response{Code: "c", Verifier: strings.Repeat("v", 43)}
	if got, err := oauth.Exchange(t.Context(), p.server.Client(), response); err != nil || got.Token != "a.b.c" || p.requests() != 3 {
		t.Errorf("%v, after %d requests", err, p.requests())
	}
	if _, err := oauth.Refresh(t.Context(), p.server.Client(), "r1", ""); err != nil {
		t.Error(err)
	}
	revocation, err := caller.SignOutCall()
	if err != nil {
		t.Fatal(err)
	}
	if got := p.send(caller, revocation); got.Status != http.StatusOK {
		t.Errorf("giving a token back: %d", got.Status)
	}
	for i, header := range p.fields {
		if header.Get(clientattestation.Field) != "a.t.t" || header.Get(integrity.Field) != "" || header.Get(clientattestation.PoPField) != "" || header.Get("Authorization") != "" {
			t.Errorf("request %d: %v", i, header)
		}
	}
	p.mu.Lock()
	p.tokens = "Bearer"
	p.mu.Unlock()
	if got, err := oauth.Exchange(t.Context(), p.server.Client(), response); err == nil {
		t.Errorf("a bearer token was taken: %v", got)
	}
	p.mu.Lock()
	p.nonce = "" // which no proof has
	before := p.seen
	p.mu.Unlock()
	if _, err := oauth.Refresh(t.Context(), p.server.Client(), "r1", ""); err == nil || p.requests() > before+2 {
		t.Errorf("%v, after %d requests", err, p.requests()-before)
	}
}
