package lab_test

import (
	"maps"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"keyladder/internal/manage"
	"keyladder/mobileclient/device"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

// An admin withdraws a release, and bans a device: the installed app is refused once its token has
// expired, its screen shows a code that leads the admin to the reason, and it is accepted again once
// that is taken back.
func TestAttestationIsTakenBackInTheBrowser(t *testing.T) {
	t.Parallel()
	const lifetime = 3 * time.Second
	settings := testbank.ManyCalls()
	maps.Copy(settings, map[string]string{"integrity_lifetime": lifetime.String()})
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword, Settings: settings})
	a := signIn(t, l)
	a.grace = lifetime
	stages := attestedStages()
	stage := stages[len(stages)-1]
	phone := newDevice(t, l, stage.Package.Release)
	app := launch(t, phone, stage.Slug)
	rates := func() (device.Screen, error) { return app.Rates(t.Context()) }
	served(t, "the app's rates", rates)
	code := regexp.MustCompile(`[A-Z2-7]{5}-[A-Z2-7]{5}`)

	// leads follows the code that the app's screen shows to what was found out.
	leads := func(claim manage.ClaimName, finding string) {
		t.Helper()
		screen, err := rates()
		reference := code.FindString(screen.Error)
		if err != nil || screen.OK || reference == "" {
			t.Fatalf("the app shows no code: %v, %+v", err, screen)
		}
		a.do("look for "+reference, a.page("/attestations"), seen("#search"), chromedp.SendKeys("#search", reference+"\r"),
			seen(`[data-attestation="`+reference+`"] h1`), seen(`[data-claim="`+string(claim)+`"][data-trust=contraindicated]`))
		if text := read[string](a, `document.querySelector("main").innerText`); !regexp.MustCompile(finding).MatchString(text) {
			t.Errorf("the page of %s does not say %q:\n%s", reference, finding, text)
		}
	}
	// recovers says that the app goes on by itself, within a lifetime and what it waits between tries.
	recovers := func(what string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			screen, err := rates()
			if err == nil && screen.OK {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %v, %+v", what, err, screen)
			}
		}
	}

	references, err := manage.References(t.Context(), l.Attestation)
	if err != nil {
		t.Fatal(err)
	}
	installed := slices.IndexFunc(references, func(r manage.Reference) bool { return r.SHA256 == app.Measurement() })
	if installed < 0 {
		t.Fatalf("the app's package is no reference: %+v", references)
	}
	hash := references[installed].SHA256
	release := `[data-release="` + hash + `"]`
	took := a.refuses("/attestations/releases", `[data-withdraw="`+hash+`"]`, seen(release+`[data-withdrawn=true]`), rates, 401)
	t.Logf("the withdrawal: calls were served for %v", took)
	leads(manage.Executables, "withdrawn")
	a.do("accept it again", a.page("/attestations/releases"), seen(release), click(`[data-restore="`+hash+`"]`), seen(release+`[data-withdrawn=false]`))
	recovers("a release that is accepted again")

	devices, err := manage.AttestedDevices(t.Context(), l.Attestation, manage.AttestedDeviceQuery{Stage: stage.Slug, Client: references[installed].Client, Part: manage.Part{Sort: "-seen", Limit: 1}})
	if err != nil || len(devices.Devices) != 1 {
		t.Fatalf("%+v, %v", devices, err)
	}
	id := devices.Devices[0].ID
	took = a.refuses("/attestations/devices/"+id, `[data-ban="`+id+`"]`, seen(`[data-device="`+id+`"][data-banned=true]`), rates, 401)
	t.Logf("the ban: calls were served for %v", took)
	leads(manage.Instance, "ban")
	a.do("lift the ban", a.page("/attestations/devices/"+id), click(`[data-lift="`+id+`"]`), seen(`[data-device="`+id+`"][data-banned=false]`), seen(`[data-event="ban lifted"]`))
	recovers("a device whose ban is lifted")
	a.do("see that its calls are counted", a.page("/attestations/enforcement"), seen(`[data-enforcement="`+stage.Slug+`"] [data-calls="0"]`))
	a.do("see its tokens", a.page("/attestations/clock?device="+id), seen(`[data-clock]`), seen(`[data-token][data-renewed=true]`))
}
