package mediator_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/protect"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return testenv.Must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

func thumbprint(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	return testenv.Must[jwk.Key](t)(jwk.OfSigner(key)).Thumbprint()
}

// bound is a phone whose app has a key.
func (w *world) bound(device string) *phone {
	w.Helper()
	p := w.phone(device)
	p.stage, p.key = keyed, newKey(w)
	return p
}

// attest shows the attestation of a client.
func (p *phone) attest(r *http.Request, client string) {
	p.Helper()
	now := time.Now().Truncate(time.Second)
	clientattestation.Set(r.Header, testenv.Must[string](p)(clientattestation.Sign(p.attester, "", clientattestation.Claims{
		ClientID: client, Issued: now, Expires: now.Add(time.Minute), Key: testenv.Must[jwk.Key](p)(jwk.OfSigner(p.key)), Device: p.device, Release: 3,
	})))
}

// prove shows it with a DPoP proof: the combined mode.
func (p *phone) prove(r *http.Request) {
	p.Helper()
	p.attest(r, app)
	dpop.Set(r.Header, testenv.Must[string](p)(dpop.Sign(p.key, dpop.Request{Method: r.Method, URL: r.URL.String()}, p.nonce, time.Now())))
}

// TestBoundSignIn: all that comes of a sign-in belongs to the holder of the key that began it.
func TestBoundSignIn(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	of := w.provider("one", nil)
	p := w.bound("d1")
	got := p.signIn(of, "alice")
	given := claims(t, got["access_token"])
	if confirmed, _ := given["cnf"].(map[string]any); confirmed["jkt"] != thumbprint(t, p.key) || given["device"] != "d1" || got["token_type"] != "DPoP" {
		t.Errorf("%v, which says %v", got, given)
	}
	first := got["refresh_token"].(string)
	again := p.refresh(first)
	if again.status != http.StatusOK || object(t, again.body)["token_type"] != "DPoP" {
		t.Fatalf("refreshing: %d %s", again.status, again.body)
	}
	newest := object(t, again.body)["refresh_token"].(string)

	thief := w.bound("d1") // attested, too, on a device that calls itself the same
	refused := func(what string, got said, by catalog.Check) {
		t.Helper()
		if got.status != http.StatusBadRequest || object(t, got.body)["error"] != "invalid_grant" || w.verdict() != by {
			t.Errorf("%s: %d %s, by %q", what, got.status, got.body, w.verdict())
		}
	}
	refused("the newest, with another key", thief.refresh(newest), catalog.CheckFamilyDevice)
	latest, _ := object(t, p.refresh(newest).body)["refresh_token"].(string)
	if latest == "" {
		t.Error("the family has ended")
	}
	refused("an old one, with another key", thief.refresh(first), catalog.CheckRefresh)
	refused("the newest of its holder, after that", p.refresh(latest), catalog.CheckRefresh)

	code := p.back(p.open(of.agree(p.toProvider(of), "alice"))).Get("code")
	thief.verifier = p.verifier
	refused("the code, with another key", thief.redeem(code), catalog.CheckFamilyDevice)
	if got := p.redeem(code); got.status != http.StatusOK {
		t.Errorf("its holder, after the thief: %d %s", got.status, got.body)
	}
}

// TestPushedKeys: the key of a request is the one that its client has proven to have, in whichever way,
// and it can name no other.
func TestPushedKeys(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	of := w.provider("one", nil)
	p := w.bound("d1")
	for name, test := range map[string]struct {
		thumbprint, err string
	}{"its own": {thumbprint(t, p.key), ""}, "another": {thumbprint(t, newKey(t)), dpop.InvalidProof}} {
		got := p.post("/par", p.request(change("dpop_jkt", test.thumbprint)))
		if test.err == "" && got.status != http.StatusCreated || test.err != "" && (got.status != http.StatusBadRequest || object(t, got.body)["error"] != test.err) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}

	asked := w.do(testenv.Must[*http.Request](t)(http.NewRequest(http.MethodPost, p.at("/challenge"), nil)))
	given := object(t, asked.body)["attestation_challenge"].(string)
	if asked.status != http.StatusOK || given == "" || asked.header.Get(clientattestation.ChallengeField) != given || asked.header.Get(dpop.NonceField) != p.nonce ||
		asked.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the challenge: %d %s %v", asked.status, asked.body, asked.header)
	}
	r := p.form("/par", p.request(change("provider", "one")))
	r.Header.Del(dpop.Field)
	clientattestation.SetPoP(r.Header, testenv.Must[string](t)(clientattestation.SignPoP(p.key, p.at(""), given, time.Now())))
	pushed := w.do(r)
	if pushed.status != http.StatusCreated {
		t.Fatalf("with a proof of the attestation's own: %d %s", pushed.status, pushed.body)
	}
	page := leads(t, p.open(p.at("/authorize?")+url.Values{"client_id": {app}, "request_uri": {object(t, pushed.body)["request_uri"].(string)}}.Encode()))
	if got := p.redeem(p.back(p.open(of.agree(page, "alice"))).Get("code")); got.status != http.StatusOK || object(t, got.body)["token_type"] != "DPoP" {
		t.Errorf("redeeming: %d %s", got.status, got.body)
	}
}

// TestAttestedClient: the client of a request is the one that its attestation is about, at every
// endpoint, and nothing else takes its place.
func TestAttestedClient(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	of := w.provider("one", nil)
	p := w.bound("d1")
	got := p.signIn(of, "alice")
	for _, to := range []struct {
		path string
		form url.Values
	}{ // in this order, as what is revoked can't be refreshed
		{"/par", p.request(nil)},
		{"/token", refreshing(got["refresh_token"].(string))},
		{"/revoke", url.Values{"client_id": {app}, "token": {got["refresh_token"].(string)}}},
	} {
		path, form := to.path, to.form
		r := p.form(path, form)
		p.attest(r, other)
		if got := w.do(r); got.status != http.StatusBadRequest || object(t, got.body)["error"] != "invalid_request" || w.verdict() != catalog.CheckClient {
			t.Errorf("%s, attested as another: %d %s, by %q", path, got.status, got.body, w.verdict())
		}
		r = p.form(path, form)
		r.Header.Del(clientattestation.Field)
		if got := w.do(r); got.status != http.StatusUnauthorized || object(t, got.body)["error"] != "invalid_client" || w.verdict() != catalog.CheckAttested {
			t.Errorf("%s, not attested: %d %s, by %q", path, got.status, got.body, w.verdict())
		}
		r = p.form(path, form)
		sent := w.do(r)
		if sent.status >= 300 {
			t.Errorf("%s: %d %s", path, sent.status, sent.body)
		}
		again := p.form(path, form)
		again.Header = r.Header.Clone()
		if got := w.do(again); got.status != http.StatusBadRequest || object(t, got.body)["error"] != dpop.InvalidProof || w.verdict() != catalog.CheckProofNew {
			t.Errorf("%s, with the same proof again: %d %s, by %q", path, got.status, got.body, w.verdict())
		}
	}
}

// TestMetadataOfKeys is what clients find out about proofs and attestations, where there are any.
func TestMetadataOfKeys(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	of := func(stage string) map[string]any {
		got := w.do(testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, w.base+"/.well-known/oauth-authorization-server/"+stage, nil)))
		return object(t, got.body)
	}
	algorithms := []any{jwk.Algorithm}
	want := map[string][]any{
		"dpop_signing_alg_values_supported": algorithms, "client_attestation_signing_alg_values_supported": algorithms,
		"client_attestation_pop_signing_alg_values_supported": algorithms, "client_attestation_pop_methods_supported": {"attestation_pop_jwt", "dpop_combined"},
		"token_endpoint_auth_methods_supported": {"attest_jwt_client_auth", "attest_jwt_client_auth_dpop"},
	}
	with, without := of(keyed), of(issuing)
	for name, values := range want {
		if got, _ := with[name].([]any); !slices.Equal(got, values) {
			t.Errorf("%s is %v, want %v", name, with[name], values)
		}
		if got, there := without[name]; there && name != "token_endpoint_auth_methods_supported" {
			t.Errorf("without keys %s is %v", name, got)
		}
	}
	if with["challenge_endpoint"] != w.base+"/"+keyed+"/challenge" || without["challenge_endpoint"] != nil {
		t.Errorf("the challenge endpoints are %v and %v", with["challenge_endpoint"], without["challenge_endpoint"])
	}
}

// TestKeysOfAnswers: apps find the key with which the API signs its answers, the same at every start, where
// it signs any.
func TestKeysOfAnswers(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	get := func(address string) said {
		return w.do(testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, address, nil)))
	}
	metadata := func(stage string) map[string]any {
		return object(t, get(w.base+"/.well-known/oauth-authorization-server/"+stage).body)
	}
	if uri := metadata(keyed)["jwks_uri"]; uri != nil {
		t.Errorf("without signed calls there are keys at %v", uri)
	}
	if got := get(w.base + "/" + keyed + "/jwks"); got.status != http.StatusNotFound {
		t.Errorf("without signed calls: %d %s", got.status, got.body)
	}
	address, _ := metadata(signed)["jwks_uri"].(string)
	if address != w.base+"/"+signed+"/jwks" {
		t.Fatalf("the keys are at %q", address)
	}
	got := get(address)
	keys, err := protect.ReadAnswerKeys([]byte(got.body))
	if got.status != http.StatusOK || err != nil || len(keys) != 1 || !strings.Contains(string(got.body), `"kid":"`+keys[0].Thumbprint()+`","use":"sig","alg":"ES256"`) || strings.Contains(string(got.body), `"d"`) {
		t.Fatalf("%d %s, %v", got.status, got.body, err)
	}
}
