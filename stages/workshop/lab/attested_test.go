package lab_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/factory"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/lab"
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

// attest has the attestation service look at the app on a phone of its own, and is what that gives, with the
// app's private key as PKCS #8, where the stage binds tokens to one. An app that is not genuine says another
// thing than it was found to be.
func (b *bank) attest(t *testing.T, stage catalog.Stage, genuine bool) (given protect.Attested, key []byte) {
	t.Helper()
	caller, err := protect.New(stage.Call, protect.API{
		Stage: stage.Slug, TLS: b.Addresses.URL(deployment.API), Auth: b.Addresses.URL(deployment.AuthServer),
		Attestation: b.Addresses.URL(deployment.AttestationService), Mediator: b.Addresses.URL(deployment.MediatorService),
	}, protect.Identity{UserAgent: "HarbourBank/2.0", ClientID: "harbour-mobile"})
	if err != nil {
		t.Fatal(err)
	}
	folder, err := deployment.Open(b.Dir, deployment.Phone)
	if err != nil {
		t.Fatal(err)
	}
	phone := t.TempDir()
	plant, err := factory.Open(folder)
	if err == nil {
		err = plant.Make(phone)
	}
	if err != nil {
		t.Fatal(err)
	}
	published, err := deployment.Open(b.Dir, deployment.Attestation)
	if err != nil {
		t.Fatal(err)
	}
	app, err := deploy.OpenApp(published.Path(deploy.PackageName(stage.Package.Release)), "a-phone-of-the-test", phone)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	if caller, err = app.Equip(caller); err != nil {
		t.Fatal(err)
	}
	attester, err := app.Attester(caller)
	if err != nil {
		t.Fatal(err)
	}
	given, err = attester.Attest(t.Context(), &http.Client{Transport: b.browser(t)}, func(c attestation.Challenge) (attestation.Evidence, error) {
		evidence, err := app.Evidence(attestation.Findings{})(c)
		switch {
		case genuine:
		case evidence.ByDevice != "":
			evidence.Findings.Traced = true // which the phone has not signed
		default:
			evidence.Measurement = attestation.Measurement(strings.Repeat("0", 64))
		}
		return evidence, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if stage.Call.Binding != catalog.TokenOfKey {
		return given, nil
	}
	var kept struct{ Keys []struct{ Key []byte } }
	data, err := os.ReadFile(filepath.Join(phone, "keys.json"))
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil || len(kept.Keys) != 1 {
		t.Fatalf("%v, %d keys", err, len(kept.Keys))
	}
	return given, kept.Keys[0].Key
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
		good, _ := b.attest(t, stage, true)
		failing, _ := b.attest(t, stage, false)
		b.verifies(t, map[string]any{
			"token": good.Token, "typ": "client-integrity+jwt", "key": []byte(b.secrets["harbour-mobile-servers"]),
			"issuer": b.Addresses.URL(deployment.AttestationService) + "/" + stage.Slug, "audience": api + "/v1",
			"others": map[string]string{"of an app that was changed": failing.Token},
		})
	}
}

// TestAnotherSystemIsLetIn: a phone with a system of somebody else's, under a boot loader that was locked
// again, is refused until an admin accepts the key that the system is signed with, and again when that is
// withdrawn. What its owner unlocks is refused all the same.
func TestAnotherSystemIsLetIn(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	l := start(t, lab.Options{})
	tried := false
	for _, stage := range attestedStages() {
		if stage.Attestation.Level != catalog.DeviceEvidence {
			continue
		}
		tried = true
		t.Run(stage.Slug, func(t *testing.T) {
			p := atBankOf(t, l, stage, "alice")
			p.signIn()
			again := func() {
				t.Helper()
				if err := p.app.Close(); err != nil {
					t.Fatal(err)
				}
				p.app = launch(t, p.phone, stage.Slug)
			}
			other := testenv.Must[*device.System](t)(device.MakeSystem("FreeOS"))
			refused := func(what string, accepted, locked bool) {
				t.Helper()
				again()
				if screen, err := p.app.Rates(t.Context()); err != nil || screen.OK || !strings.Contains(screen.Error, "does not accept this app") {
					t.Fatalf("%s: %v, %+v", what, err, screen)
				}
				list, err := manage.Attestations(t.Context(), l.Attestation, manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Stage: stage.Slug}, Part: manage.Part{Sort: "-at", Limit: 1}})
				if err != nil || len(list.Attestations) != 1 {
					t.Fatalf("%s: %+v, %v", what, list, err)
				}
				latest := list.Attestations[0]
				if said := latest.Said; latest.Good || said == nil || said.System != "FreeOS" || said.OEM || said.SystemKey != string(other.Key) || said.Accepted != accepted || said.Locked != locked {
					t.Errorf("%s: %+v, said %+v", what, latest, said)
				}
			}
			accept := func(withdraw bool) {
				t.Helper()
				_, err := manage.AcceptSystem(t.Context(), l.Attestation, manage.SystemToAccept{Key: string(other.Key), Name: "FreeOS", Withdraw: withdraw})
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(p.phone.Unlock(true), p.phone.InstallSystem(other), p.phone.Unlock(false)); err != nil {
				t.Fatal(err)
			}
			refused("another system", false, true)
			accept(false)
			again()
			if screen, err := p.accounts(); err != nil || screen.OK { // her refresh token is bound to the key that is gone
				t.Fatalf("her session: %v, %+v", err, screen)
			}
			p.signIn()
			served(t, "rates", func() (device.Screen, error) { return p.app.Rates(t.Context()) })
			if err := p.phone.Unlock(true); err != nil {
				t.Fatal(err)
			}
			refused("unlocked", true, false)
			if err := p.phone.Unlock(false); err != nil {
				t.Fatal(err)
			}
			accept(true)
			refused("withdrawn", false, true)
		})
	}
	if !tried {
		t.Error("at no stage devices are asked")
	}
}
