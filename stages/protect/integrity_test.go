package protect

import (
	"net/http"
	"testing"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/integrity"
)

// attested is a stage that the catalog does not have: that of refresh tokens, with client integrity
// tokens in place of signed calls.
func attested(t *testing.T) catalog.Stage {
	t.Helper()
	stage := lookup(t, "refresh")
	stage.Call.AppProof, stage.Call.Nonces, stage.Call.Binding = catalog.IntegrityToken, catalog.NoNonces, catalog.TokenOfClient
	return stage
}

// TestIntegrityTokens go with every call, of users and of nobody, and no other proof of the app
// does. An app that has none yet says nothing.
func TestIntegrityTokens(t *testing.T) {
	t.Parallel()
	stage := attested(t)
	who := whole()
	who.Integrity = "d.e.f"
	for name, call := range map[string]Call{"public": {Path: "/v1/rates", Public: true}, "a user's": {Path: "/v1/accounts"}} {
		d := dress(t, caller(t, stage, who), call)
		if text, err := integrity.From(d.Header); err != nil || text != "d.e.f" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		if d.Header.Get(catalog.AppAuthorization) != "" || call.Public != (d.Header.Get("Authorization") == "") || d.Verifies() {
			t.Errorf("%s: %v", name, d.Header)
		}
	}
	if header := dress(t, caller(t, stage, whole()), Call{Path: "/v1/rates"}).Header; header.Get(integrity.Field) != "" {
		t.Errorf("without one: %v", header)
	}
	who.Proof = "stolen"
	if got := dress(t, caller(t, stage, who), Call{Path: "/v1/rates"}).Header.Get(integrity.Field); got != "stolen" {
		t.Errorf("a stolen one: %q", got)
	}
	if lacks := caller(t, stage, whole()).Lacks(); len(lacks) != 0 {
		t.Errorf("an app lacks %q, which it gets by calling", lacks)
	}
	if catalog.ClientIntegrityToken != integrity.Field {
		t.Error("catalog and mechanism name another field")
	}
}

// TestIntegrityRefused tells that refusal from all others.
func TestIntegrityRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer Answer
		want   bool
	}{
		"it is":                {Answer{Status: 401, Header: http.Header{"Www-Authenticate": {"Client-Integrity-Token"}}}, true},
		"beside another":       {Answer{Status: 401, Header: http.Header{"Www-Authenticate": {"Bearer realm=\"a\"", "client-integrity-token x=1"}}}, true},
		"the access token is":  {Answer{Status: 401, Header: http.Header{"Www-Authenticate": {"Bearer realm=\"Client-Integrity-Token\""}}}, false},
		"it is not understood": {Answer{Status: 400, Header: http.Header{"Www-Authenticate": {"Client-Integrity-Token"}}}, false},
	} {
		if got := test.answer.IntegrityRefused(); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
