package main

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/debugger"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/workshop/lab/testbank"
)

// challenged is a stage at which the app reports what it finds.
const challenged = "attested-challenge"

// attesting is a bank whose client integrity tokens last that long, and a phone with the app on it.
func attesting(t *testing.T, life time.Duration, change ...func(*bench)) *bench {
	t.Helper()
	processAlone(t)
	return newBenchAt(t, testbank.Start(t, testbank.Options{IntegrityTokens: life}), change...)
}

// evidence is what the app has told the attestation service, as the phone has recorded it.
func (b *bench) evidence(t *testing.T) (all []attestation.Evidence) {
	t.Helper()
	for _, m := range b.log.After(0) {
		if m.Kind != traffic.Request || m.To != "attestsvc" || strings.HasSuffix(m.Summary, "/sessions") {
			continue
		}
		var e attestation.Evidence
		if err := json.Unmarshal(m.Body, &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// TestAttestedOnce: however many calls begin at once, the app is attested once, and all of them carry
// what came of it.
func TestAttestedOnce(t *testing.T) {
	t.Parallel()
	b := attesting(t, 0)
	app := b.launch(t, challenged)
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			if screen, err := app.Rates(t.Context()); err != nil || !screen.OK {
				t.Errorf("%+v, %v", screen, err)
			}
		})
	}
	calls.Wait()
	told := b.evidence(t)
	if len(told) != 1 || string(told[0].Measurement) != app.Measurement() || len(told[0].Answer) != 32 || told[0].Findings == nil || *told[0].Findings != (attestation.Findings{}) {
		t.Errorf("told: %+v", told)
	}
	token := b.last(t).Header.Get(integrity.Field)
	for _, arrived := range b.bank.Arrived() {
		if got := arrived.Header.Get(integrity.Field); got == "" || got != token {
			t.Errorf("%s carries %q", arrived.Call(), got)
		}
	}
}

// TestIntegrityRenewedAhead: while the app is used, another token is there before the old one ends,
// and no call waits for it, even where the service is slow.
func TestIntegrityRenewedAhead(t *testing.T) {
	t.Parallel()
	b := attesting(t, 15*time.Second) // renewed after twelve
	app := b.launch(t, challenged)
	if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	first := b.last(t).Header.Get(integrity.Field)
	time.Sleep(11500 * time.Millisecond)
	b.bank.HoldAttestation(true)
	time.Sleep(time.Second) // the renewal has begun, and nobody answers it
	if screen := shown(t)(app.Rates(t.Context())); !screen.OK || b.last(t).Header.Get(integrity.Field) != first {
		t.Errorf("a call during the renewal: %+v", screen)
	}
	b.bank.HoldAttestation(false)
	for end := time.Now().Add(30 * time.Second); b.last(t).Header.Get(integrity.Field) == first && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
			t.Fatalf("after the renewal: %+v", screen)
		}
	}
	if n := len(b.evidence(t)); n != 2 {
		t.Errorf("the app was attested %d times", n)
	}
}

// TestIntegrityNotUsedToItsEnd: a token ends in whole seconds, up to one before the time that the service has
// said. One that was got ahead, and that no call has shown yet, is not shown in that second: the bank would
// refuse it, and the app take that for a refusal of itself.
func TestIntegrityNotUsedToItsEnd(t *testing.T) {
	t.Parallel()
	const life = 3 * time.Second
	b := attesting(t, life)
	app := b.launch(t, challenged)
	if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	time.Sleep(life - life/5) // now another is got
	time.Sleep(life - 100*time.Millisecond)
	if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
		t.Errorf("%+v", screen)
	}
}

// TestAttestationServiceIsDown: calls go on until the token ends. Then the app says what is wrong, and
// when the service is there again it works again.
func TestAttestationServiceIsDown(t *testing.T) {
	t.Parallel()
	const life = 6 * time.Second
	b := attesting(t, life)
	app := b.launch(t, challenged)
	if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
		t.Fatalf("%+v", screen)
	}
	begun := time.Now()
	b.bank.StopAttestation()
	if screen := shown(t)(app.Rates(t.Context())); !screen.OK && time.Since(begun) < life/2 {
		t.Errorf("with a token that is good: %+v", screen)
	}
	time.Sleep(time.Until(begun.Add(life + time.Second)))
	screen := shown(t)(app.Rates(t.Context()))
	if screen.OK || screen.Status != 0 || !strings.Contains(screen.Error, "attestation service") || !strings.Contains(screen.Error, "can't be reached") {
		t.Errorf("without one: %+v", screen)
	}
	b.bank.StartAttestation()
	for end := time.Now().Add(30 * time.Second); !screen.OK && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		screen = shown(t)(app.Rates(t.Context())) // the service learns its keys first
	}
	if !screen.OK {
		t.Errorf("afterwards: %+v", screen)
	}
}

// TestIntegrityRefusedLater: a token that was good and is not any more, as when the bank has changed
// the secret, is exchanged for another at once, and the user notices nothing. One that was never good
// is not: the app shows by which reference the bank finds out why. Where answers are signed, such a one is
// not, and nobody pays twice for it.
func TestIntegrityRefusedLater(t *testing.T) {
	t.Parallel()
	b := attesting(t, 0)
	built := catalog.All().Built()
	i := slices.IndexFunc(built, func(s catalog.Stage) bool { return s.Call.Sender == catalog.SignedMessages })
	for _, stage := range []catalog.Stage{lookup(t, challenged), built[i]} {
		t.Run(stage.Slug, func(t *testing.T) {
			b.bank.Answer(nil)
			app := b.launch(t, stage.Slug)
			defer app.Close()
			b.signIn(t, app, stage.Call)
			if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
				t.Fatalf("%+v", screen)
			}
			refuse := func(which func(string) bool) {
				b.bank.Answer(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
					if !which(r.Header.Get(integrity.Field)) {
						return false
					}
					w.Header().Set("WWW-Authenticate", integrity.Field)
					w.Header().Set("Content-Type", "application/problem+json")
					w.WriteHeader(http.StatusUnauthorized)
					fmt.Fprint(w, `{"type":"urn:keyladder:problem:integrity-not-accepted","title":"No","status":401}`)
					return true
				})
			}
			latest := func() string { return b.last(t).Header.Get(integrity.Field) }
			old := latest()
			refuse(func(token string) bool { return token == old })
			if screen := shown(t)(app.Rates(t.Context())); !screen.OK || latest() == old {
				t.Errorf("it was not exchanged: %+v", screen)
			}
			old = latest()
			refuse(func(token string) bool { return token == old })
			calls := len(b.bank.Arrived())
			screen, signed := shown(t)(app.Transfer(t.Context(), payment())), stage.Call.Sender == catalog.SignedMessages
			if made := len(b.bank.Arrived()) - calls; screen.OK == signed || signed != (made == 1) || signed != strings.Contains(screen.Error, "It may have been booked") {
				t.Errorf("a payment was sent %d times: %+v", made, screen)
			}
			if screen := shown(t)(app.Rates(t.Context())); !screen.OK || latest() == old {
				t.Errorf("it was not exchanged after the payment: %+v", screen)
			}
			refuse(func(string) bool { return true })
			before := len(b.evidence(t))
			screen = shown(t)(app.Rates(t.Context()))
			if screen.OK || screen.Status != http.StatusUnauthorized || !strings.Contains(screen.Error, "the reference is ") {
				t.Errorf("refused: %+v", screen)
			}
			if n := len(b.evidence(t)) - before; n != 1 { // for the one that had been good
				t.Errorf("attested %d times more", n)
			}
		})
	}
}

// TestFindings has the app find what there is to be found, reports it, and is refused. When it is gone,
// the app is served again.
func TestFindings(t *testing.T) {
	t.Parallel()
	evil := newCA(t, "Mallory's CA")
	for name, test := range map[string]struct {
		happens func(*testing.T, *bench, *device.App) (ends func())
		found   attestation.Findings
	}{
		"a debugger holds it": {func(t *testing.T, _ *bench, app *device.App) func() {
			held, err := debugger.Attach(t.Context(), app.PID())
			if err != nil {
				t.Skip(err)
			}
			return held.Detach
		}, attestation.Findings{Traced: true}},
		"the phone is unlocked": {func(t *testing.T, b *bench, _ *device.App) func() {
			unlock := func(unlocked bool) {
				if err := b.device.Unlock(unlocked); err != nil {
					t.Fatal(err)
				}
			}
			unlock(true)
			return func() { unlock(false) }
		}, attestation.Findings{Unlocked: true}},
		"somebody is in between": {func(t *testing.T, b *bench, app *device.App) func() {
			if err := b.device.Trust(evil.Certificate); err != nil {
				t.Fatal(err)
			}
			if err := b.device.SetNetwork(device.Network{Proxy: middle(t, evil).URL}); err != nil {
				t.Fatal(err)
			}
			if screen := shown(t)(app.Rates(t.Context())); screen.Check != catalog.CheckPins {
				t.Errorf("through the proxy: %+v", screen)
			}
			if err := b.device.SetNetwork(device.Network{}); err != nil {
				t.Fatal(err)
			}
			return func() {}
		}, attestation.Findings{Intercepted: true}},
		"somebody whom the phone does not trust is": {func(t *testing.T, b *bench, app *device.App) func() {
			if err := b.device.SetNetwork(device.Network{Proxy: middle(t, newCA(t, "Another CA")).URL}); err != nil {
				t.Fatal(err)
			}
			if screen := shown(t)(app.Rates(t.Context())); screen.Check != catalog.CheckTLS {
				t.Errorf("through the proxy: %+v", screen)
			}
			if err := b.device.SetNetwork(device.Network{}); err != nil {
				t.Fatal(err)
			}
			return func() {}
		}, attestation.Findings{Intercepted: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := attesting(t, 0)
			app := b.launch(t, challenged)
			if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
				t.Fatalf("before: %+v", screen)
			}
			ends := test.happens(t, b, app)
			b.refused(t, app, test.found)
			ends()
			if screen := shown(t)(app.Rates(t.Context())); !screen.OK {
				t.Errorf("afterwards: %+v", screen)
			}
		})
	}
}

// refused has the app report what it has found, and be refused for that.
func (b *bench) refused(t *testing.T, app *device.App, found attestation.Findings) {
	t.Helper()
	screen := shown(t)(app.Rates(t.Context()))
	if screen.OK || screen.Status != http.StatusUnauthorized || !strings.Contains(screen.Error, "the reference is ") {
		t.Errorf("served, or refused otherwise: %+v", screen)
	}
	told := b.evidence(t)
	if len(told) == 0 || told[len(told)-1].Findings == nil || *told[len(told)-1].Findings != found {
		t.Errorf("told: %+v, want %+v", told, found)
	}
}

// TestInjected runs the app as a program that loads libraries into itself, and which the bank has
// published: so there is nothing wrong with its package.
func TestInjected(t *testing.T) {
	t.Parallel()
	b := attesting(t, 0)
	stage := lookup(t, challenged)
	program := filepath.Join(t.TempDir(), "program")
	command := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-tags=secrets_hidden", "-o", program, ".")
	command.Env = append(os.Environ(), "CGO_ENABLED=1")
	if output, err := command.CombinedOutput(); err != nil {
		t.Skipf("there is no C compiler: %v %s", err, output)
	}
	settings := b.settings
	settings.Stages = map[string]catalog.Call{stage.Slug: stage.Call}
	app := b.started(t, program, settings, stage)
	b.refused(t, app, attestation.Findings{Injected: true})
}

// started packs a program of the bank's with settings, publishes it and starts it.
func (b *bench) started(t *testing.T, program string, settings release.Settings, stage catalog.Stage) *device.App {
	t.Helper()
	assets, err := build.Bundle(settings, stage.Package.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "app.pkg")
	manifest := release.Manifest{Name: appName, Label: "Harbour Bank", Release: stage.Package.Release, Schemes: []string{appName}}
	if err := release.Pack(path, program, manifest, assets, b.bank.Developer); err != nil {
		t.Fatal(err)
	}
	b.bank.Publish(path)
	if _, err := b.device.Install(path); err != nil {
		t.Fatal(err)
	}
	app, err := b.device.Launch(t.Context(), appName, stage.Slug)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// TestOtherSigner signs the genuine app anew.
func TestOtherSigner(t *testing.T) {
	t.Parallel()
	b := attesting(t, 0)
	program, manifest, assets, err := release.Read(b.pack(t, lookup(t, challenged), appName))
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := release.Assemble(program, manifest, assets, stranger)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "app.pkg")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.device.AllowSideloading(true); err != nil {
		t.Fatal(err)
	}
	if _, err := b.device.Install(path); err != nil {
		t.Fatal(err)
	}
	app, err := b.device.Launch(t.Context(), appName, challenged)
	if err != nil {
		t.Fatal(err)
	}
	b.refused(t, app, attestation.Findings{OtherSigner: true})
}
