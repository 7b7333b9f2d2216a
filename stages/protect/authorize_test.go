package protect_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pkce"
	"keyladder/stages/protect"
)

// pushingStage is the stage whose app knows the mediator alone.
func pushingStage(t *testing.T) catalog.Stage {
	t.Helper()
	for _, stage := range catalog.All() {
		if stage.Call.ClientAuth == catalog.ByIntegrity {
			return stage
		}
	}
	t.Fatal("no stage pushes authorization requests")
	return catalog.Stage{}
}

func pushingClient(t *testing.T, mediator string) (*protect.Caller, *protect.OAuth) {
	t.Helper()
	stage := pushingStage(t)
	as := protect.Identity{ClientID: "harbour-mobile", UserAgent: "HarbourBank/3.0", Integrity: "genuine", Token: "access"}
	caller, err := protect.New(stage.Call, protect.API{
		Stage: stage.Slug, TLS: "https://localhost:8443", Auth: "https://localhost:8444", Attestation: "https://localhost:8445", Mediator: mediator,
	}, as)
	if err != nil {
		t.Fatal(err)
	}
	client, err := caller.OAuth(redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	return caller, client
}

// TestPushedRequest: the parameters go to the issuer, with the integrity token, and the page's address
// has none of them.
func TestPushedRequest(t *testing.T) {
	t.Parallel()
	var form url.Values
	var header http.Header
	var path string
	status, body := http.StatusCreated, `{"request_uri":"urn:ietf:params:oauth:request_uri:r1","expires_in":60}`
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form, header, path = r.PostForm, r.Header, r.URL.Path
		w.Header().Set("Content-Type", protect.JSON)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	caller, client := pushingClient(t, server.URL)
	base := server.URL + "/" + pushingStage(t).Slug
	if u, err := caller.URL("/v1/rates"); err != nil || u.String() != base+"/v1/rates" || client.Issuer() != base {
		t.Errorf("the API is at %s, the issuer is %s, %v", u, client.Issuer(), err)
	}
	asked, err := client.Ask(t.Context(), server.Client(), protect.Provider("lite")...)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"response_type": {"code"}, "client_id": {"harbour-mobile"}, "redirect_uri": {redirectURI}, "state": {asked.State}, "provider": {"lite"},
		"code_challenge": {pkce.Challenge(pkce.S256, asked.Verifier)}, "code_challenge_method": {"S256"},
	}
	if form.Encode() != want.Encode() || path != "/"+pushingStage(t).Slug+"/par" || header.Get("Client-Integrity-Token") != "genuine" || pkce.CheckVerifier(asked.Verifier) != nil {
		t.Errorf("%s with %q: %q", path, header, form)
	}
	if asked.URL != base+"/authorize?client_id=harbour-mobile&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Ar1" {
		t.Error(asked.URL)
	}
	for _, test := range []struct {
		name   string
		status int
		body   string
		code   string // of the issuer's error
		says   string
	}{
		{name: "an app that is not genuine", status: 401, body: `{"error":"invalid_client"}`, code: "invalid_client"},
		{name: "no JSON", status: 502, body: "<p>", says: "502"},
		{name: "an error without a code", status: 400, body: `{}`, says: "400"},
		{name: "no reference", status: 201, body: `{"expires_in":60}`, says: "no reference"},
		{name: "a reference that has expired", status: 201, body: `{"request_uri":"urn:x"}`, says: "no reference"},
		{name: "the status of another request", status: 200, body: `{"request_uri":"urn:x","expires_in":60}`, says: "200"},
	} {
		status, body = test.status, test.body
		_, err := client.Ask(t.Context(), server.Client())
		var refused *protect.GrantError
		switch {
		case err == nil, test.code != "" && (!errors.As(err, &refused) || refused.Code != test.code), !strings.Contains(err.Error(), test.says):
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestSignOutAtTheMediator: what stands for a user is given back where it was issued, with the
// integrity token in place of a secret.
func TestSignOutAtTheMediator(t *testing.T) {
	t.Parallel()
	caller, _ := pushingClient(t, "https://localhost:8447")
	call, err := caller.SignOutCall()
	if err != nil {
		t.Fatal(err)
	}
	dressed, err := caller.Dress(call)
	if err != nil {
		t.Fatal(err)
	}
	if dressed.URL.String() != "https://localhost:8447/"+pushingStage(t).Slug+"/revoke" || dressed.Header.Get("Client-Integrity-Token") != "genuine" ||
		dressed.Header.Get("Authorization") != "" || !strings.Contains(string(dressed.Body), "client_id=harbour-mobile") {
		t.Errorf("%s %q %s", dressed.URL, dressed.Header, dressed.Body)
	}
}
