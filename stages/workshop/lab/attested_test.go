package lab_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/deploy"
)

// attestedStages are those at which an attestation service looks at the app.
func attestedStages() (attested catalog.Set) {
	for _, stage := range catalog.All().Built() {
		if stage.Call.AppProof == catalog.IntegrityToken {
			attested = append(attested, stage)
		}
	}
	return attested
}

// attest asks the attestation service for a token, with a package and the evidence over it, as it is
// after change.
func (b *bank) attest(t *testing.T, stage catalog.Stage, change func(*attestation.Evidence)) string {
	t.Helper()
	caller, err := protect.New(stage.Call, protect.API{
		Stage: stage.Slug, TLS: b.Addresses.URL(deployment.API), Auth: b.Addresses.URL(deployment.AuthServer),
		Attestation: b.Addresses.URL(deployment.AttestationService), Mediator: b.Addresses.URL(deployment.MediatorService),
	}, protect.Identity{UserAgent: "HarbourBank/2.0", ClientID: "harbour-mobile"})
	if err != nil {
		t.Fatal(err)
	}
	attester, err := caller.Attester(stage.Package.Release, "a-phone-of-the-test")
	if err != nil {
		t.Fatal(err)
	}
	folder, err := deployment.Open(b.Dir, deployment.Attestation)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(folder.Path(deploy.PackageName(stage.Package.Release)))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	own, err := protect.Measure(file, about.Size())
	if err != nil {
		t.Fatal(err)
	}
	attested, err := attester.Attest(t.Context(), &http.Client{Transport: b.browser(t)}, func(c attestation.Challenge) (attestation.Evidence, error) {
		evidence, err := own.Evidence(attestation.Findings{})(c)
		change(&evidence)
		return evidence, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return attested.Token
}

// TestIntegrityTokensFromJavaScript: verifiers that others wrote accept the token of an app that is
// genuine, and none that is forged or that an app got which is not.
func TestIntegrityTokensFromJavaScript(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	b := startForStrangers(t)
	for _, stage := range attestedStages() {
		api := b.Addresses.Stage(deployment.API, stage.Slug)
		if stage.Call.Gateway == catalog.ThroughGateway {
			api = b.Addresses.Stage(deployment.MediatorService, stage.Slug)
		}
		failing := b.attest(t, stage, func(e *attestation.Evidence) { e.Measurement = attestation.Measurement(strings.Repeat("0", 64)) })
		b.verifies(t, map[string]any{
			"token": b.attest(t, stage, func(*attestation.Evidence) {}), "typ": "client-integrity+jwt", "key": []byte(b.secrets["harbour-mobile-servers"]),
			"issuer": b.Addresses.URL(deployment.AttestationService) + "/" + stage.Slug, "audience": api + "/v1",
			"others": map[string]string{"of an app that was changed": failing},
		})
	}
}
