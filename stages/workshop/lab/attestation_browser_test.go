package lab_test

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/mobileclient/attacker/debugger"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

// integrityLifetime is that of client integrity tokens in this lab: long enough for a machine that does
// something else, too.
const integrityLifetime = 5 * time.Second

// attestedApp is an app that is attested, on a phone of its own, and an admin who looks after it.
type attestedApp struct {
	*admin
	lab   *lab.Lab
	stage catalog.Stage
	app   *device.App
	hash  string // of its package
	rates func() (device.Screen, error)
}

// What an admin can do about attestation, in one lab.
func TestAttestationInTheBrowser(t *testing.T) {
	t.Parallel()
	settings := testbank.ManyCalls()
	maps.Copy(settings, map[string]string{"integrity_lifetime": integrityLifetime.String(), "client_secret_overlap": overlap.String()})
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword, Settings: settings})
	stages := attestedStages()
	stage := stages[slices.IndexFunc(stages, func(s catalog.Stage) bool { return s.Call.ClientAuth == catalog.Mediated })]
	app := launch(t, newDevice(t, l, stage.Package.Release), stage.Slug)
	a := &attestedApp{admin: signIn(t, l), lab: l, stage: stage, app: app, hash: app.Measurement()}
	a.rates = func() (device.Screen, error) { return app.Rates(t.Context()) }
	a.isServed("the app's first call")
	a.takesBack()
	a.acceptsSigners()
	a.rotates()
	a.watches() // the last, as not every machine lets anybody debug
}

// What an admin can do about devices that vouch for apps, and their makers: within a lifetime of the token
// that the app has all its calls are refused, and it goes on when that is taken back.
func TestDevicesAreRevokedInTheBrowser(t *testing.T) {
	t.Parallel()
	settings := testbank.ManyCalls()
	settings["integrity_lifetime"] = integrityLifetime.String()
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword, Settings: settings})
	stages := attestedStages()
	stage := stages[slices.IndexFunc(stages, func(s catalog.Stage) bool { return s.Attestation.Level == catalog.DeviceEvidence })]
	app := launch(t, newDevice(t, l, stage.Package.Release), stage.Slug)
	a := &attestedApp{admin: signIn(t, l), lab: l, stage: stage, app: app, hash: app.Measurement()}
	a.rates = func() (device.Screen, error) { return app.Rates(t.Context()) }
	a.grace = integrityLifetime
	a.isServed("the app's first call")

	attested, err := manage.Attestations(t.Context(), l.Attestation, manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Stage: stage.Slug, Outcome: manage.GoodOutcome}})
	if err != nil || len(attested.Attestations) == 0 || attested.Attestations[0].Said == nil {
		t.Fatalf("%+v, %v", attested, err)
	}
	result := attested.Attestations[0]
	devices, err := manage.AttestedDevices(t.Context(), l.Attestation, manage.AttestedDeviceQuery{Search: result.Said.Certificates[0].Serial})
	if err != nil || devices.Total != 1 {
		t.Fatalf("%+v, %v", devices, err)
	}
	const makers = "/attestations/makers"
	certificate := func(i int, by string) string {
		return fmt.Sprintf("[data-%s=%q]", by, result.Said.Certificates[i].Serial)
	}
	reference, system := `[data-release="`+a.hash+`"]`, `[data-system="`+result.Said.SystemKey+`"]`
	for _, tt := range []struct{ name, page, revoke, revoked, restore, restored string }{
		{"the device's certificate", "/attestations/devices/" + devices.Devices[0].ID, certificate(0, "revoke"), certificate(0, "restore"), certificate(0, "restore"), certificate(0, "revoke")},
		{
			"the plant's certificate", "/attestations/" + result.Reference, certificate(1, "revoke"), certificate(1, "certificate") + `[data-revoked=true]`,
			certificate(1, "restore"), certificate(1, "certificate") + `[data-revoked=false]`,
		},
		{
			"the maker's root", makers, certificate(2, "revoke"), certificate(2, "certificate") + `[data-revoked=true]`,
			certificate(2, "restore"), certificate(2, "certificate") + `[data-revoked=false]`,
		},
		{
			"the boot key", makers, `[data-withdraw-system="` + result.Said.SystemKey + `"]`, system + `[data-withdrawn=true]`,
			`[data-accept-system="` + result.Said.SystemKey + `"]`, system + `[data-withdrawn=false]`,
		},
		{"the release", "/attestations/releases", `[data-withdraw="` + a.hash + `"]`, reference + `[data-withdrawn=true]`, `[data-restore="` + a.hash + `"]`, reference + `[data-withdrawn=false]`},
	} {
		took := a.refuses(tt.page, tt.revoke, seen(tt.revoked), a.rates, 401)
		t.Logf("%s: calls were served for %v", tt.name, took)
		a.do("take it back", a.page(tt.page), click(tt.restore), seen(tt.restored))
		a.isServed(tt.name + " is accepted again")
	}
}

// isServed says that the app is served, or goes on by itself within a lifetime and what it waits between
// tries.
func (a *attestedApp) isServed(what string) {
	a.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		screen, err := a.rates()
		if err == nil && screen.OK {
			return
		}
		if time.Now().After(end) {
			a.t.Fatalf("%s: %v, %+v", what, err, screen)
		}
	}
}

// takesBack withdraws a release, and bans a device: the installed app is refused once its token has
// expired, its screen shows a code that leads the admin to the reason, and it is accepted again once
// that is taken back. The history of the device has all of it.
func (a *attestedApp) takesBack() {
	t := a.t
	t.Helper()
	a.grace = integrityLifetime
	code := regexp.MustCompile(`[A-Z2-7]{5}-[A-Z2-7]{5}`)

	// leads follows the code that the app's screen shows to what was found out.
	leads := func(claim manage.ClaimName, finding string) (reference string) {
		t.Helper()
		screen, err := a.rates()
		reference = code.FindString(screen.Error)
		if err != nil || screen.OK || reference == "" {
			t.Fatalf("the app shows no code: %v, %+v", err, screen)
		}
		a.do("look for "+reference, a.page("/attestations"), seen("#search"), chromedp.SendKeys("#search", reference+"\r"),
			seen(`[data-attestation="`+reference+`"] h1`), seen(`[data-claim="`+string(claim)+`"][data-trust=contraindicated]`))
		if text := read[string](a.admin, `document.querySelector("main").innerText`); !regexp.MustCompile(finding).MatchString(text) {
			t.Errorf("the page of %s does not say %q:\n%s", reference, finding, text)
		}
		return reference
	}
	reference := `[data-release="` + a.hash + `"]`
	took := a.refuses("/attestations/releases", `[data-withdraw="`+a.hash+`"]`, seen(reference+`[data-withdrawn=true]`), a.rates, 401)
	t.Logf("the withdrawal: calls were served for %v", took)
	ofRelease := leads(manage.Executables, "withdrawn")
	a.do("accept it again", a.page("/attestations/releases"), seen(reference), click(`[data-restore="`+a.hash+`"]`), seen(reference+`[data-withdrawn=false]`))
	a.isServed("a release that is accepted again")

	devices, err := manage.AttestedDevices(t.Context(), a.lab.Attestation, manage.AttestedDeviceQuery{Stage: a.stage.Slug, Client: "harbour-mobile", Part: manage.Part{Sort: "-seen", Limit: 1}})
	if err != nil || len(devices.Devices) != 1 {
		t.Fatalf("%+v, %v", devices, err)
	}
	id := devices.Devices[0].ID
	took = a.refuses("/attestations/devices/"+id, `[data-ban="`+id+`"]`, seen(`[data-device="`+id+`"][data-banned=true]`), a.rates, 401)
	t.Logf("the ban: calls were served for %v", took)
	ofDevice := leads(manage.Instance, "ban")
	a.do("lift the ban", a.page("/attestations/devices/"+id), click(`[data-lift="`+id+`"]`), seen(`[data-device="`+id+`"][data-banned=false]`))
	a.isServed("a device whose ban is lifted")
	history := []string{
		`[data-event="ban lifted"]`, `[data-attestation="` + ofDevice + `"][data-good=false]`, `[data-event=banned]`,
		`[data-event$=": accepted again"]`, `[data-attestation="` + ofRelease + `"][data-good=false]`, `[data-event$=": withdrawn"]`, `[data-event="first seen"]`,
	}
	a.do("see its history", a.page("/attestations/devices/"+id), seen(history[0]))
	var quoted []string
	for _, row := range history {
		quoted = append(quoted, fmt.Sprintf("%q", row))
	}
	if rows := read[[]int](a.admin, `[`+strings.Join(quoted, ",")+`].map((row) => document.querySelector("tr"+row)?.rowIndex ?? -1)`); !slices.IsSorted(rows) || rows[0] < 1 {
		t.Errorf("the history of the device has %q in the rows %v", history, rows)
	}
	a.do("see its tokens", a.page("/attestations/clock?device="+id), seen(`[data-clock]`), seen(`[data-token][data-renewed=true]`))
}

// acceptsSigners uploads a package of a signer who is not known, whose pin the refusal says; accepts the
// signer, and registers the package. The page says how likely a challenge misses a change in it.
func (a *attestedApp) acceptsSigners() {
	t := a.t
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := pin.OfKey(public)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := release.Assemble(make([]byte, 1_000_000), release.Manifest{Name: "com.harbourbank.app", Label: "Harbour Bank", Release: 99}, nil, private)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "app-99.pkg")
	if err := os.WriteFile(file, pkg, 0o600); err != nil {
		t.Fatal(err)
	}
	measured, err := attestation.Measure(strings.NewReader(string(pkg)))
	if err != nil {
		t.Fatal(err)
	}
	upload := func(done chromedp.Action[chromedp.Void]) {
		t.Helper()
		a.do("upload a package", a.page("/attestations/releases"), seen("#package"), chromedp.SetUploadFiles("#package", []string{file}), click("[data-test=register]"), done)
	}
	upload(seen("#upload-failure"))
	if said := read[string](a.admin, `document.querySelector("#upload-failure").textContent`); !strings.Contains(said, string(signer)) {
		t.Errorf("the package is refused with %q", said)
	}
	row := `[data-signer="` + string(signer) + `"]`
	a.do("accept its signer", chromedp.SendKeys("input#signer", string(signer)), chromedp.SetValue("select#client", "harbour-mobile"), click("[data-test=accept-signer]"), seen(row+`[data-withdrawn=false]`))
	upload(seen(`[data-release="` + string(measured) + `"][data-withdrawn=false]`))
	covered := read[string](a.admin, `document.querySelector('[data-coverage="`+string(measured)+`"]').textContent`)
	if want := fmt.Sprintf("%.4f", attestation.Missed(int64(len(pkg)), 64, 4096)); !strings.Contains(covered, want) {
		t.Errorf("the page does not say that a challenge misses one changed byte with %s: %s", want, covered)
	}
	a.do("withdraw the signer", click(`[data-withdraw-signer="`+string(signer)+`"]`), seen("[data-sure]"), click("[data-sure]"), seen(row+`[data-withdrawn=true]`))
}

// rotates replaces the secret that servers share, while the app calls: it notices nothing, all servers
// change over, and the old secret is refused when the overlap is over.
func (a *attestedApp) rotates() {
	t := a.t
	t.Helper()
	r := newRotation(t, a.lab, a.stage)
	old := r.secret(serversKey)
	over, called := make(chan struct{}), make(chan int)
	go func() {
		calls := 0
		for ; ; calls++ {
			select {
			case <-over:
				called <- calls
				return
			case <-time.After(10 * time.Millisecond):
			}
			if screen, err := a.rates(); err != nil || !screen.OK {
				t.Errorf("call %d beside the rotation: %v, %+v", calls, err, screen)
			}
		}
	}()
	a.do("ask for another secret of servers", a.page("/auth/clients/harbour-mobile"), click(`[data-rotate-secret="`+serversKey+`"]`), seen("[data-sure]"))
	clicked := time.Now()
	a.do("be sure", click("[data-sure]"), seen("[data-notice=done]"))
	rotated := time.Now()
	made := r.secret(serversKey)
	if made == old {
		t.Error("it is the same")
	}
	waitFor(t, "all servers know the new secret", func() bool { return r.accepts(made) == everywhere })
	if got := r.accepts(old); got != everywhere && time.Since(clicked) < overlap {
		t.Errorf("in the overlap the old secret is accepted by %v", got)
	}
	time.Sleep(time.Until(rotated.Add(overlap)))
	if got := r.accepts(old); got != nowhere {
		t.Errorf("after the overlap the old secret is accepted by %v", got)
	}
	close(over)
	t.Logf("%d calls beside the rotation", <-called)
	if got := r.accepts(made); got != everywhere {
		t.Errorf("the new secret: %v", got)
	}
}

// watches has a claim only watched, in which something is wrong with the app then: it is served, and
// the page says what share of its calls enforcing would have refused.
func (a *attestedApp) watches() {
	t := a.t
	t.Helper()
	const debugged, others = 7, 3
	section := `[data-enforcement="` + a.stage.Slug + `"]`
	claim := section + ` [data-claim=runtime]`
	name := a.stage.Slug + "-" + string(manage.Runtime)
	a.do("only watch the runtime", a.page("/attestations/enforcement"), seen(claim), chromedp.SetValue("select#"+name, string(catalog.Watched)), click(`[data-change="`+name+`"]`),
		seen("[data-sure]"), click("[data-sure]"), seen(claim+`[data-policy=watched]`), seen(section+` [data-calls="0"]`))
	held, err := debugger.Attach(t.Context(), a.app.PID())
	if err != nil {
		t.Skip(err)
	}
	defer held.Detach()
	for range debugged {
		a.isServed("under a debugger")
	}
	held.Detach()
	for range others {
		a.isServed("without it")
	}
	counted, err := manage.Post[manage.IntegrityCalls](t.Context(), a.lab.Resource, manage.IntegrityCallsPath, manage.IntegrityCallsQuery{Stage: a.stage.Slug, Tokens: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	a.do("see what it would have refused", a.page("/attestations/enforcement"), seen(fmt.Sprintf(`%s [data-calls="%d"]`, section, debugged)))
	want := fmt.Sprintf("%d of %s calls (%.1f\u00a0%%)", debugged, ui.Thousands(counted.Total), 100*debugged/float64(counted.Total))
	for _, where := range []string{section + " [data-calls]", claim} {
		if said := read[string](a.admin, fmt.Sprintf(`document.querySelector(%q).textContent`, where)); !strings.Contains(said, want) {
			t.Errorf("%s says %q, and not %q", where, said, want)
		}
	}
	latest, err := manage.Attestations(t.Context(), a.lab.Attestation, manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Stage: a.stage.Slug, Outcome: manage.WatchedOutcome}})
	if err != nil || latest.Total == 0 {
		t.Fatalf("%+v, %v", latest, err)
	}
	reference := latest.Attestations[0].Reference
	a.do("see why", a.page("/attestations/"+reference), seen(`[data-claim=runtime][data-trust=warning]`))

	// Enforced again, the same app is refused.
	a.do("enforce it", a.page("/attestations/enforcement"), chromedp.SetValue("select#"+name, string(catalog.Enforced)), click(`[data-change="`+name+`"]`), seen("[data-sure]"), click("[data-sure]"), seen(claim+`[data-policy=enforced]`))
	if held, err = debugger.Attach(t.Context(), a.app.PID()); err != nil {
		t.Fatal(err)
	}
	defer held.Detach()
	if screen, err := a.rates(); err != nil || screen.OK || screen.Status != 401 {
		t.Errorf("under a debugger, where that is enforced: %v, %+v", err, screen)
	}
}
