package lab_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
)

// TestPushedRequestsFromJavaScript: clients that others wrote find out from the metadata that requests
// are pushed, and that answers name their issuer. They push one, bind it to a verifier, redeem the code,
// call the API and renew; with the client integrity token of a genuine app, as a field beside what
// they know of. Without it, or with one that is no good, they get nowhere.
func TestPushedRequestsFromJavaScript(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	b := startForStrangers(t)
	for _, stage := range catalog.All().Built() {
		if stage.Auth.Requests != catalog.PushedRequests || stage.Auth.ClientAuth != catalog.ByIntegrity {
			continue
		}
		for _, library := range []string{"openid-client", "oauth4webapi"} {
			t.Run(library+"/"+stage.Slug, func(t *testing.T) {
				t.Parallel()
				b.pushes(t, library, stage)
			})
		}
	}
}

func (b *bank) pushes(t *testing.T, library string, stage catalog.Stage) {
	t.Helper()
	issuer := b.Addresses.Stage(deployment.MediatorService, stage.Slug)
	good, _ := b.attest(t, stage, true)
	failing, _ := b.attest(t, stage, false)
	b.signsIn(t, "pushed.js", library, map[string]any{
		"issuer": issuer, "api": issuer + "/v1", "id": "harbour-mobile", "redirectURI": deploy.RedirectURI(), "agent": "HarbourBank/3.0",
		"integrity": good.Token, "forged": failing.Token,
	}, map[string]any{
		"methods": "S256", "pushes": true, "announces": true, "nobody": challenged, "forged": challenged, "plain": "invalid_request",
		"unnamed": "OAUTH_INVALID_RESPONSE", "unproven": challenged, "unbound": "invalid_grant", "another": "invalid_grant",
		"scope": "rates:read accounts:read", "call": "200", "alone": "401", "rotated": true, "renewed": "200", "revoked": "invalid_grant", "again": "invalid_grant",
	})
}

// How the mediator refuses programs that no attestation service has looked at, and those that have not the
// key that it names.
const (
	challenged = "401 client-integrity-token"
	unattested = "401 oauth-client-attestation"
)

// TestBoundTokensFromJavaScript: clients that others wrote, which have the app's key and its client
// attestation, prove with each request that they have that key, learn the server's nonces, get tokens that
// are bound to it, call the API with them, and renew them. With another key, or none, they get nowhere.
func TestBoundTokensFromJavaScript(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	b := startForStrangers(t)
	for _, stage := range catalog.All().Built() {
		if stage.Call.Sender != catalog.DPoPProofs {
			continue
		}
		for _, library := range []string{"openid-client", "oauth4webapi"} {
			t.Run(library+"/"+stage.Slug, func(t *testing.T) {
				t.Parallel()
				issuer := b.Addresses.Stage(deployment.MediatorService, stage.Slug)
				given, key := b.attest(t, stage, true)
				b.signsIn(t, "bound.js", library, map[string]any{
					"issuer": issuer, "api": issuer + "/v1", "id": "harbour-mobile", "redirectURI": deploy.RedirectURI(), "agent": "HarbourBank/3.0",
					"integrity": given.Token, "attestation": given.Client, "key": key,
				}, map[string]any{
					"algorithms": "ES256", "attests": true, "nobody": unattested, "anotherPush": unattested,
					"anotherKey": unattested, "type": "dpop", "call": "200", "bearer": "401", "stolen": "401", "dpop": "200", "again": "401",
					"anotherRefresh": unattested, "rotated": true, "renewed": "200",
				})
			})
		}
	}
}

// signsIn runs a client that has alice sign in, and compares what came of all that it tried.
func (b *bank) signsIn(t *testing.T, script, library string, settings, want map[string]any) {
	t.Helper()
	argument, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	node := b.node(t, script, library, string(argument))
	var complaint bytes.Buffer
	node.Stderr = &complaint
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err == nil {
		err = node.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("%v\n%s", node.Wait(), &complaint)
	}
	address := lines.Text()
	if strings.Contains(address, "code_challenge") || strings.Contains(address, "state") {
		t.Errorf("the user agent is shown the request: %s", address)
	}
	alice := person.Person{Name: "alice", Password: b.people["alice"]}
	link, err := alice.Authorize(t.Context(), b.browser(t), address, deploy.RedirectURI())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(in, link); err != nil {
		t.Fatal(err)
	}
	lines.Scan()
	var got map[string]any
	if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v, %v\n%s", lines.Bytes(), err, node.Wait(), &complaint)
	}
	if err := node.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &complaint)
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
