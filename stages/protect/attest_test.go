package protect_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/protect"
)

const attestedStage = "attested"

// attestedCaller is one of an app that is attested, by the service at an address.
func attestedCaller(t *testing.T, service string) *protect.Caller {
	t.Helper()
	stage, _ := catalog.All().Lookup("refresh")
	policy := stage.Call
	policy.AppProof, policy.Nonces, policy.Binding = catalog.IntegrityToken, catalog.NoNonces, catalog.TokenOfClient
	caller, err := protect.New(policy, protect.API{Stage: attestedStage, TLS: "https://localhost:8443", Attestation: service},
		protect.Identity{UserAgent: "HarbourBank/2.0", ClientID: "harbour-mobile"})
	if err != nil {
		t.Fatal(err)
	}
	return caller
}

// service is an attestation service that says what it is told to.
type service struct {
	opened, answered string // bodies
	location         string
	refusal          string // of evidence; empty: none

	opening  attestation.Opening
	evidence attestation.Evidence
	paths    []string
	agent    string
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.paths, s.agent = append(s.paths, r.Method+" "+r.URL.Path), r.Header.Get("User-Agent")
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/sessions") {
		_ = json.NewDecoder(r.Body).Decode(&s.opening)
		w.Header().Set("Location", s.location)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, s.opened)
		return
	}
	_ = json.NewDecoder(r.Body).Decode(&s.evidence)
	if s.refusal != "" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, s.refusal)
		return
	}
	fmt.Fprint(w, s.answered)
}

const (
	waiting  = `{"state":"waiting","expiry":"2026-11-27T10:00:05Z"}`
	complete = `{"state":"complete","expiry":"2026-11-27T10:00:05Z","result":{"token":"a.b.c","expires_in":60,"reference":"Q7"}}`
	place    = "/attested/v1/sessions/s1"
)

func (s *service) attester(t *testing.T) (*protect.Attester, *http.Client) {
	t.Helper()
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	attester, err := attestedCaller(t, server.URL).Attester(2, "D1")
	if err != nil {
		t.Fatal(err)
	}
	return attester, server.Client()
}

// TestAttest has an honest app answer what it is asked, and keep what it is given.
func TestAttest(t *testing.T) {
	t.Parallel()
	pkg := bytes.Repeat([]byte("package "), 1000)
	measured, err := protect.Measure(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		t.Fatal(err)
	}
	challenge, err := attestation.NewChallenge(int64(len(pkg)), 4, 100)
	if err != nil {
		t.Fatal(err)
	}
	challenged, err := json.Marshal(attestation.Session{State: attestation.Waiting, Expires: time.Now(), Challenge: challenge})
	if err != nil {
		t.Fatal(err)
	}
	found := attestation.Findings{Traced: true}
	answer, err := challenge.Answer(bytes.NewReader(pkg), int64(len(pkg)), found)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		opened string
		want   attestation.Evidence
	}{
		"the hash is asked for":   {waiting, attestation.Evidence{Measurement: measured.Measurement}},
		"parts of it are as well": {string(challenged), attestation.Evidence{Measurement: measured.Measurement, Answer: answer, Findings: &found}},
	} {
		s := &service{opened: c.opened, answered: complete, location: place}
		attester, client := s.attester(t)
		before := time.Now()
		attester.Size = measured.Size
		got, err := attester.Attest(t.Context(), client, measured.Evidence(found))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, s.evidence); diff != "" {
			t.Errorf("%s: the evidence:\n%s", name, diff)
		}
		if got.Token != "a.b.c" || got.Reference != "Q7" || cmp.Diff(c.want.Findings, got.Reported) != "" {
			t.Errorf("%s: %+v", name, got)
		}
		if ahead := got.ExpiresAt.Sub(got.RenewAt); ahead != 10*time.Second || got.ExpiresAt.Before(before.Add(time.Minute)) {
			t.Errorf("%s: expires %v after it is renewed", name, ahead)
		}
		if want := (attestation.Opening{ClientID: "harbour-mobile", Release: 2, Device: "D1", Size: measured.Size}); s.opening != want || s.agent != "HarbourBank/2.0" {
			t.Errorf("%s: opened by %+v, %q", name, s.opening, s.agent)
		}
		if diff := cmp.Diff([]string{"POST /attested/v1/sessions", "POST " + place}, s.paths); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if text := fmt.Sprintf("%v %#v %+v", got, got, got); strings.Contains(text, "a.b.c") {
			t.Errorf("%s: a token in the log: %s", name, text)
		}
	}
}

// TestAttestFails says what is wrong with what the service said.
func TestAttestFails(t *testing.T) {
	t.Parallel()
	measured, err := protect.Measure(strings.NewReader("package"), 7)
	if err != nil {
		t.Fatal(err)
	}
	evidence := measured.Evidence(attestation.Findings{})
	for name, c := range map[string]struct {
		service service
		want    string
	}{
		"another server's session": {service{opened: waiting, location: "https://mallory.test/attested/v1/sessions/s1"}, "none of its own addresses"},
		"another path":             {service{opened: waiting, location: "/attested/v1/else"}, "none of its own addresses"},
		"no place":                 {service{opened: waiting}, "none of its own addresses"},
		"one that was answered":    {service{opened: complete, location: place}, `a new session is "complete"`},
		"no JSON":                  {service{opened: "<html>", location: place}, "can't be used"},
		"no result":                {service{opened: waiting, location: place, answered: waiting}, `is "waiting", and brings no token`},
		"no time": {
			service{opened: waiting, location: place, answered: strings.Replace(complete, "60", "0", 1)},
			"how long the token is good",
		},
		"no challenge of that package": {
			service{location: place, opened: `{"state":"waiting","nonce":"AA==","ranges":[{"offset":0,"length":1}]}`},
			attestation.ErrChallenge.Error(),
		},
	} {
		attester, client := c.service.attester(t)
		if _, err := attester.Attest(t.Context(), client, evidence); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	s := service{opened: waiting, location: place, refusal: `{"type":"urn:keyladder:problem:attestation-session","title":"Too late","status":409,"detail":"Open another."}`}
	attester, client := s.attester(t)
	var refused *protect.ServiceError
	_, err = attester.Attest(t.Context(), client, evidence)
	if !errors.As(err, &refused) || *refused != (protect.ServiceError{Status: 409, Kind: "attestation-session", Title: "Too late", Detail: "Open another."}) {
		t.Errorf("refused: %v", err)
	}
	s.refusal = "no"
	if _, err = attester.Attest(t.Context(), client, evidence); err == nil || !strings.Contains(err.Error(), "the status 409, and does not say why") {
		t.Errorf("refused without a reason: %v", err)
	}
}

func TestNoAttester(t *testing.T) {
	t.Parallel()
	if _, err := attestedCaller(t, "").Attester(1, ""); err == nil || !strings.Contains(err.Error(), "attestation service") {
		t.Errorf("nobody knows where it is: %v", err)
	}
	if _, err := oauthCaller(t, catalog.CodeGrant, catalog.NoClientAuth, "https://localhost:8444", protect.Identity{}).Attester(1, ""); !errors.Is(err, protect.ErrNotAttested) {
		t.Errorf("at a stage without: %v", err)
	}
}

// TestMediated: where a mediator has the secret, codes, refresh tokens and what is given back go to
// it, with the client integrity token and without a secret. The page is the issuer's.
func TestMediated(t *testing.T) {
	t.Parallel()
	var seen []string
	mediator := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		seen = append(seen, fmt.Sprint(r.URL.Path, " ", r.Header.Get(integrity.Field), " ", r.Header.Get("Authorization"), " ", r.Form.Get("client_id"), r.Form.Get("client_secret")))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"abc","token_type":"Bearer","expires_in":60,"refresh_token":"r2"}`)
	}))
	defer mediator.Close()
	stage, _ := catalog.All().Lookup("refresh")
	policy := stage.Call
	policy.AppProof, policy.Nonces, policy.Binding, policy.ClientAuth = catalog.IntegrityToken, catalog.NoNonces, catalog.TokenOfClient, catalog.Mediated
	api := protect.API{Stage: attestedStage, TLS: "https://localhost:8443", Auth: "https://localhost:8444", Mediator: mediator.URL}
	who := protect.Identity{ClientID: "harbour-mobile", Secret: "secret", Integrity: "d.e.f", Refresh: "r1"}
	caller, err := protect.New(policy, api, who)
	if err != nil {
		t.Fatal(err)
	}
	oauth, err := caller.OAuth(redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(oauth.Draft().URL, "https://localhost:8444/attested/authorize?") || oauth.TokenURL() != mediator.URL+"/attested/token" {
		t.Errorf("%s, %s", oauth.Draft().URL, oauth.TokenURL())
	}
	if _, err := oauth.Exchange(t.Context(), mediator.Client(), protect.Response{Code: "c1"}); err != nil {
		t.Error(err)
	}
	if got, err := oauth.Refresh(t.Context(), mediator.Client(), "r1", "k1"); err != nil || got.Refresh != "r2" {
		t.Errorf("%+v, %v", got, err)
	}
	call, err := caller.SignOutCall()
	if err != nil {
		t.Fatal(err)
	}
	dressed, err := caller.Dress(call)
	if err != nil {
		t.Fatal(err)
	}
	request, err := dressed.HTTP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	response, err := mediator.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	want := []string{"/attested/token d.e.f  harbour-mobile", "/attested/token d.e.f  harbour-mobile", "/attested/revoke d.e.f  harbour-mobile"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
	api.Mediator = ""
	if caller, err = protect.New(policy, api, who); err != nil {
		t.Fatal(err)
	}
	if _, err := caller.OAuth(redirectURI); err == nil || !strings.Contains(err.Error(), "mediator") {
		t.Errorf("nobody knows where it is: %v", err)
	}
	if _, err := caller.SignOutCall(); err == nil || !strings.Contains(err.Error(), "mediator") {
		t.Errorf("nobody knows where it is: %v", err)
	}
}
