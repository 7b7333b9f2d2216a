package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyladder/attestsvc/server"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/integrity"
)

// The genuine app gets a token that is good, at each level, and what is in it.
func TestGenuineApp(t *testing.T) {
	t.Parallel()
	w := start(t)
	for stage, level := range map[string]string{byHash: "package-hash", byChallenge: "package-challenge"} {
		result := w.attests(t, stage, mine(), w.pkg, attestation.Findings{})
		claims, err := w.verify(stage, result.Token)
		if err != nil {
			t.Errorf("%s: %v, because of %+v", stage, err, w.result(t, result).Claims)
			continue
		}
		if claims.ClientID != app || claims.Device != "device-1" || claims.Release != 2 || claims.Level != level || result.ExpiresIn != 60 {
			t.Errorf("%s: %+v, for %d s", stage, claims, result.ExpiresIn)
		}
		if shown := w.result(t, result); !shown.Good || shown.Token != claims.ID || shown.Policy != 1 || len(shown.Claims) != 4 {
			t.Errorf("%s: the admin sees %+v", stage, shown)
		}
	}
	if r := w.call(t, http.MethodPost, "/"+without+attestation.SessionsPath, mine()); r.StatusCode != http.StatusNotFound {
		t.Errorf("where nobody attests: %d %s", r.StatusCode, r.body)
	}
}

// A session waits, with a challenge of its own where there is one, and is complete once it was
// answered. Nobody is shown its token again.
func TestSessionIsShown(t *testing.T) {
	t.Parallel()
	w := start(t)
	for stage, ranges := range map[string]int{byHash: 0, byChallenge: 64} {
		one, other := w.opens(t, stage, mine()), w.opens(t, stage, mine())
		if one.State != attestation.Waiting || len(one.Ranges) != ranges || one.Result != nil || one.path == other.path || ranges > 0 && bytes.Equal(one.Nonce, other.Nonce) {
			t.Errorf("%s: %+v and %+v", stage, one, other)
		}
		if left := one.Expires.Sub(w.now()); left <= 0 || left > 5*time.Second {
			t.Errorf("%s: it can be answered for %v", stage, left)
		}
		if shown := decoded[attestation.Session](t, w.call(t, http.MethodGet, one.path, nil), http.StatusOK); shown.State != attestation.Waiting || !bytes.Equal(shown.Nonce, one.Nonce) {
			t.Errorf("%s: it waits, and is shown as %+v", stage, shown)
		}
		answer := w.call(t, http.MethodPost, one.path, evidence(t, w.pkg, one.Challenge, attestation.Findings{}))
		token := decoded[attestation.Session](t, answer, http.StatusOK).Result.Token
		again := w.call(t, http.MethodGet, one.path, nil)
		if shown := decoded[attestation.Session](t, again, http.StatusOK); shown.State != attestation.Complete || shown.Result != nil || bytes.Contains(again.body, []byte(token)) {
			t.Errorf("%s: it is complete, and is shown as %s", stage, again.body)
		}
	}
}

// What is not answered once, in time and at its stage is refused, and the record says by which
// check.
func TestSessionsThatDoNotWait(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path   func(t *testing.T, w *world, session opened) string
		status int
	}{
		"answered": {func(t *testing.T, w *world, s opened) string {
			decoded[attestation.Session](t, w.call(t, http.MethodPost, s.path, evidence(t, w.pkg, s.Challenge, attestation.Findings{})), http.StatusOK)
			return s.path
		}, http.StatusConflict},
		"too late": {func(_ *testing.T, w *world, s opened) string {
			w.advance(5 * time.Second)
			return s.path
		}, http.StatusConflict},
		"of another stage": {func(t *testing.T, w *world, s opened) string {
			return strings.Replace(s.path, byHash, byChallenge, 1)
		}, http.StatusNotFound},
		"made up": {func(_ *testing.T, _ *world, s opened) string { return s.path + "x" }, http.StatusNotFound},
		"of a service before it": {func(t *testing.T, w *world, s opened) string {
			w.reopen(t)
			return s.path
		}, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			session := w.opens(t, byHash, mine())
			path := tt.path(t, w, session)
			challenge := attestation.Challenge{}
			if strings.Contains(path, byChallenge) {
				challenge = w.opens(t, byChallenge, mine()).Challenge
			}
			results := testenv.Must[manage.AttestationList](t)(manage.Attestations(t.Context(), w.admin, manage.AttestationQuery{})).Total
			from := w.log.Last()
			r := w.call(t, http.MethodPost, path, evidence(t, w.pkg, challenge, attestation.Findings{}))
			if r.StatusCode != tt.status || bytes.Contains(r.body, []byte("token")) {
				t.Errorf("status %d, want %d: %s", r.StatusCode, tt.status, r.body)
			}
			if now := testenv.Must[manage.AttestationList](t)(manage.Attestations(t.Context(), w.admin, manage.AttestationQuery{})).Total; now != results {
				t.Errorf("%d results more", now-results)
			}
			testenv.Within(t, 10*time.Second, "a record says that the check refused it", func() bool {
				return slices.ContainsFunc(w.log.After(from), func(m traffic.Message) bool {
					return m.Verdict != nil && m.Verdict.Check == catalog.CheckAttestation && !m.Verdict.Allowed
				})
			})
		})
	}
}

// Of 20 who answer a session at the same time, one is appraised.
func TestParallelAnswers(t *testing.T) {
	t.Parallel()
	w := start(t)
	session := w.opens(t, byChallenge, mine())
	answer := evidence(t, w.pkg, session.Challenge, attestation.Findings{})
	var appraised, refused atomic.Int32
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range 20 {
		all.Go(func() {
			<-begin
			switch r := w.call(t, http.MethodPost, session.path, answer); r.StatusCode {
			case http.StatusOK:
				appraised.Add(1)
			case http.StatusConflict:
				refused.Add(1)
			default:
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
		})
	}
	close(begin)
	all.Wait()
	if appraised.Load() != 1 || refused.Load() != 19 {
		t.Errorf("%d are appraised and %d refused", appraised.Load(), refused.Load())
	}
	if found := testenv.Must[manage.AttestationList](t)(manage.Attestations(t.Context(), w.admin, manage.AttestationQuery{})); found.Total != 1 {
		t.Errorf("there are %d results", found.Total)
	}
}

// What can't be read is told so, and does not use the session up.
func TestMalformed(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, body := range map[string]string{
		"nothing": "", "no object": "[]", "null": "null", "nobody": `{"release":2}`, "no release": `{"client_id":"` + app + `"}`,
		"release 0": `{"client_id":"` + app + `","release":0}`, "a huge release": `{"client_id":"` + app + `","release":1e10}`,
		"half a release": `{"client_id":"` + app + `","release":1.5}`, "unknown members": `{"client_id":"` + app + `","release":2,"good":true}`,
		"two values": `{"client_id":"` + app + `","release":2}{}`, "a device with spaces": `{"client_id":"` + app + `","release":2,"device":"a b"}`,
		"a long device": `{"client_id":"` + app + `","release":2,"device":"` + strings.Repeat("x", 129) + `"}`,
		"a long client": `{"client_id":"` + strings.Repeat("x", 65) + `","release":2}`, "a size below 0": `{"client_id":"` + app + `","release":2,"size":-1}`,
		"a client that is unknown": `{"client_id":"nobody","release":2}`, "a client without a shared key": `{"client_id":"` + unshared + `","release":2}`,
	} {
		if r := w.call(t, http.MethodPost, "/"+byHash+attestation.SessionsPath, body); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
	session := w.opens(t, byHash, mine())
	if r := w.call(t, http.MethodPost, session.path, `{"measurement":"abc"}`); r.StatusCode != http.StatusBadRequest {
		t.Errorf("malformed evidence: %d %s", r.StatusCode, r.body)
	}
	decoded[attestation.Session](t, w.call(t, http.MethodPost, session.path, evidence(t, w.pkg, session.Challenge, attestation.Findings{})), http.StatusOK)
}

// A package of which one byte is another, wherever it is, is refused, and so is one that somebody
// else has signed. The app is honest; one that lies is what challenges are for.
func TestChangedPackages(t *testing.T) {
	t.Parallel()
	w := start(t)
	program := noise(2, 200_000)
	assets := bytes.Index(w.pkg, []byte(`"thing"`))
	changed := map[string][]byte{"signed by somebody else": pack(t, appPackage, 2, program, stranger)}
	for name, at := range map[string]int{
		"the first byte": 0, "in the program": 100_000, "in its assets": assets, "in its signature": len(w.pkg) - 40, "the last byte": len(w.pkg) - 1,
	} {
		changed[name] = bytes.Clone(w.pkg)
		changed[name][at] ^= 1
	}
	for stage := range map[string]bool{byHash: true, byChallenge: true} {
		for name, pkg := range changed {
			result := w.attests(t, stage, mine(), pkg, attestation.Findings{})
			shown := w.result(t, result)
			if w.good(t, stage, result.Token) || shown.Good || shown.Claims[0].Trust != manage.Contraindicated || shown.Claims[0].Findings[0].What != "measurement of the package" {
				t.Errorf("%s, %s: good is %v, %+v", stage, name, shown.Good, shown.Claims[0])
			}
		}
	}
}

// Before the service knows any client, that is no fault of whoever asks.
func TestClientsAreNotKnownYet(t *testing.T) {
	t.Parallel()
	w := deploy(t)
	w.stopAuth() // before the service has ever asked it
	service := testenv.Must[*server.Server](t)(server.New(w.config(t)))
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- service.Serve(ctx, w.listen) }()
	if r := w.call(t, http.MethodPost, "/"+byHash+attestation.SessionsPath, mine()); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	cancel()
	if err := errors.Join(<-served, service.Close()); err != nil {
		t.Error(err)
	}
}

// Whoever claims what is not so fails: another release, another client's package.
func TestOthersClaims(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, o := range map[string]attestation.Opening{
		"a release that there is not": {ClientID: app, Release: 3, Device: "d"},
		"another client":              {ClientID: staff, Release: 1, Device: "d"},
	} {
		for stage := range map[string]bool{byHash: true, byChallenge: true} {
			result := w.attests(t, stage, o, w.pkg, attestation.Findings{})
			if shown := w.result(t, result); w.good(t, stage, result.Token) || shown.Good {
				t.Errorf("%s at %s is good: %+v", name, stage, shown)
			}
		}
	}
}

// Evidence of the genuine app is good another time where it is a hash, and only in its own session
// where it answers a challenge.
func TestReplayedEvidence(t *testing.T) {
	t.Parallel()
	w := start(t)
	for stage, good := range map[string]bool{byHash: true, byChallenge: false} {
		session := w.opens(t, stage, mine())
		captured := evidence(t, w.pkg, session.Challenge, attestation.Findings{})
		decoded[attestation.Session](t, w.call(t, http.MethodPost, session.path, captured), http.StatusOK)
		next := w.opens(t, stage, mine())
		answer := decoded[attestation.Session](t, w.call(t, http.MethodPost, next.path, captured), http.StatusOK)
		if w.good(t, stage, answer.Result.Token) != good {
			t.Errorf("%s: replayed, it is good: %v", stage, !good)
		}
	}
}

// Each finding fails where its claim is enforced, in the claim that it belongs to. Where it is only
// watched, the app gets a good token, and the admin sees the finding.
func TestFindingsAndEnforcement(t *testing.T) {
	t.Parallel()
	w := start(t)
	for claim, found := range map[manage.ClaimName]attestation.Findings{
		manage.Executables: {OtherSigner: true}, manage.Runtime: {Traced: true}, manage.Configuration: {Unlocked: true},
	} {
		of := func(shown manage.Attestation) manage.AttestedClaim {
			for _, c := range shown.Claims {
				if c.Claim == claim {
					return c
				}
			}
			return manage.AttestedClaim{}
		}
		for policy, want := range map[catalog.Claim]manage.Trust{
			catalog.Enforced: manage.Contraindicated, catalog.Watched: manage.Warning, catalog.NotLookedAt: manage.NotLookedAt,
		} {
			change := manage.EnforcementChange{Stage: byChallenge, Claim: claim, Policy: policy}
			now := testenv.Must[manage.Enforcement](t)(manage.Post[manage.Enforcement](t.Context(), w.admin, manage.EnforcementPath, change))
			result := w.attests(t, byChallenge, mine(), w.pkg, found)
			shown := w.result(t, result)
			if good := w.good(t, byChallenge, result.Token); good != (policy != catalog.Enforced) || good != shown.Good || shown.Watched != (policy == catalog.Watched) {
				t.Errorf("%s %s: good is %v, the admin sees %+v", claim, policy, good, shown)
			}
			if got := of(shown); got.Trust != want || got.Policy != policy || (len(got.Findings) == 0) != (policy == catalog.NotLookedAt) || shown.Policy != now.Version {
				t.Errorf("%s %s, version %d: %+v of version %d", claim, policy, now.Version, got, shown.Policy)
			}
		}
	}
}

// After a rotation the old secret signs until all servers know the new one, tokens that it has
// signed are good for the overlap, and a secret that never was the key's is good for nothing.
func TestRotatedKey(t *testing.T) {
	t.Parallel()
	w := start(t)
	before := w.attests(t, byHash, mine(), w.pkg, attestation.Findings{})
	old := testenv.Must[manage.Secret](t)(w.registry.Secret(app + "-servers")).Secret
	testenv.Must[manage.Secret](t)(w.registry.RotateSecret(t.Context(), app+"-servers"))
	if !w.good(t, byHash, before.Token) {
		t.Error("a token of before the rotation is not good")
	}
	signedBy := func(result attestation.Result) string {
		for name, secret := range map[string]string{"old": old, "new": testenv.Must[manage.Secret](t)(w.registry.Secret(app + "-servers")).Secret} {
			if signs(w, byHash, result.Token, secret) {
				return name
			}
		}
		return "nobody"
	}
	if by := signedBy(w.attests(t, byHash, mine(), w.pkg, attestation.Findings{})); by != "old" {
		t.Errorf("right after the rotation the %s secret signs", by)
	}
	testenv.Within(t, 20*time.Second, "the new secret signs", func() bool {
		return signedBy(w.attests(t, byHash, mine(), w.pkg, attestation.Findings{})) == "new"
	})
	w.advance(31 * time.Second)
	if w.good(t, byHash, before.Token) {
		t.Error("after the overlap a token of the old secret is good")
	}
	if !w.good(t, byHash, w.attests(t, byHash, mine(), w.pkg, attestation.Findings{}).Token) {
		t.Error("a token of the new secret is not good")
	}
	testenv.Must[manage.Key](t)(w.registry.Revoke(t.Context(), app+"-servers"))
	testenv.Within(t, 20*time.Second, "a client whose key is revoked can't attest", func() bool {
		return w.call(t, http.MethodPost, "/"+byHash+attestation.SessionsPath, mine()).StatusCode == http.StatusBadRequest
	})
}

// A key that is revoked while a session waits signs nothing: the app fails.
func TestKeyRevokedMeanwhile(t *testing.T) {
	t.Parallel()
	w := start(t)
	session := w.opens(t, byHash, mine())
	testenv.Must[manage.Key](t)(w.registry.Revoke(t.Context(), app+"-servers"))
	testenv.Within(t, 20*time.Second, "nobody can open a session", func() bool {
		return w.call(t, http.MethodPost, "/"+byHash+attestation.SessionsPath, mine()).StatusCode == http.StatusBadRequest
	})
	w.ahead.Store(int64(time.Until(session.Expires.Add(-time.Second))))
	answer := decoded[attestation.Session](t, w.call(t, http.MethodPost, session.path, evidence(t, w.pkg, session.Challenge, attestation.Findings{})), http.StatusOK)
	testenv.Must[manage.Key](t)(w.registry.Restore(t.Context(), app+"-servers"))
	if w.good(t, byHash, answer.Result.Token) || w.result(t, *answer.Result).Good {
		t.Error("a key that was revoked has signed")
	}
}

// signs says whether a secret has signed a token.
func signs(w *world, stage, text, secret string) bool {
	_, err := integrity.Verifier{
		Issuer: w.base + "/" + stage, Audience: "https://localhost:8443/" + stage + "/v1", Leeway: time.Second, Key: only(secret),
	}.Verify(text, w.now())
	return err == nil
}

// FuzzOpening: whatever is sent to open a session, it is opened or refused.
func FuzzOpening(f *testing.F) {
	w := start(f)
	f.Add([]byte(`{"client_id":"` + app + `","release":2,"device":"d","size":1000}`))
	f.Add([]byte(`{"client_id":"` + staff + `","release":2147483647}`))
	f.Add([]byte(`{"release":-1,"client_id":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, stage := range []string{byHash, byChallenge} {
			if r := w.call(t, http.MethodPost, "/"+stage+attestation.SessionsPath, string(body)); r.StatusCode != http.StatusCreated && r.StatusCode != http.StatusBadRequest {
				t.Errorf("%q: %d %s", body, r.StatusCode, r.body)
			}
			if r := w.call(t, http.MethodPost, fmt.Sprintf("/%s%s/%s", stage, attestation.SessionsPath, "AAAA"), string(body)); r.StatusCode != http.StatusNotFound && r.StatusCode != http.StatusBadRequest {
				t.Errorf("as evidence, %q: %d %s", body, r.StatusCode, r.body)
			}
		}
	})
}
