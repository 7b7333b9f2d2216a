package server

import (
	"bytes"
	"html"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/internal/traffic"
)

func newAttested(t *testing.T) (*setting, *browser) {
	t.Helper()
	set := newSetting(t, attesting)
	set.attest.use()
	return set, newBrowser(t, set).signIn()
}

func TestPagesAboutAttestationAsTheyAre(t *testing.T) {
	t.Parallel()
	_, b := newAttested(t)
	for name, path := range map[string]string{
		"attestations": "/attestations", "attestation-good": "/attestations/GENUI-NECAL", "attestation-failing": "/attestations/PATCH-EDAPP",
		"attestation-sessions": "/attestations/sessions", "attestation-enforcement": "/attestations/enforcement",
		"attestation-enforcement-question": "/attestations/enforcement/change?stage=looked-at&claim=runtime&policy=enforced",
		"attestation-releases":             "/attestations/releases", "attestation-devices": "/attestations/devices", "attestation-device": "/attestations/devices/AD1",
		"attestation-answers": "/attestations/answers", "attestation-clock": "/attestations/clock",
	} {
		golden(t, name, b.get(path).Body)
	}
	b.get("/attestations/makers").want(t, http.StatusOK, `data-asks="false"`, "No stage that is built asks devices")
	if page := b.get("/attestations/GENUI-NECAL").Body; strings.Contains(page, "data-said") {
		t.Error("it says what a device said that was not asked")
	}

	set, b := newAskingDevices(t)
	for name, path := range map[string]string{
		"attestation-makers": "/attestations/makers", "attestation-by-device": "/attestations/GENUI-NECAL", "attestation-by-other-system": "/attestations/DEBUG-GEDAP",
		"attestation-not-believed": "/attestations/PATCH-EDAPP", "attestation-device-certified": "/attestations/devices/AD1",
		"attestation-revoke-question": "/attestations/makers/certificates/revoke?serial=" + deviceSerial,
	} {
		golden(t, name, b.get(path).Body)
	}
	set.attest.mu.Lock()
	set.attest.certified, set.attest.systems = nil, nil
	set.attest.mu.Unlock()
	b.get("/attestations/makers").want(t, http.StatusOK, "knows no maker of devices", "No boot key is known")
}

func newAskingDevices(t *testing.T) (*setting, *browser) {
	t.Helper()
	set := newSetting(t, askingDevices)
	set.attest.useDevices()
	return set, newBrowser(t, set).signIn()
}

// A certificate is revoked from every page that shows one, and accepted again.
func TestCertificatesAreRevoked(t *testing.T) {
	t.Parallel()
	_, b := newAskingDevices(t)
	const page, certificates = "/attestations/makers", "/attestations/makers/certificates"
	state := func(serial, revoked string) string {
		return `data-certificate="` + serial + `" data-revoked="` + revoked + `"`
	}
	if body := b.get(page).Body; strings.Contains(body, "data-asks") || strings.Contains(body, deviceSerial) {
		t.Error("no stage is said to ask devices, or one is known before it is revoked")
	}
	for _, tt := range []struct {
		name, serial, from string
		question           []string
		shown              []string
	}{
		{"a maker", rootSerial, page, []string{"Revoke the root of Keel Devices?", "Every device of this maker fails"}, []string{"Keel Devices (f00d)"}},
		{"a plant", plantSerial, "/attestations/GENUI-NECAL", []string{"Revoke the certificate of Keel Devices, plant 1?", "Every device that it has certified"}, []string{state(rootSerial, "false")}},
		{"a device", deviceSerial, "/attestations/devices/AD1", []string{"Revoke the certificate of a device?", "PHONE with harbour-mobile at looked-at"}, []string{`data-event="certificate de71ce: revoked"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.get(tt.from).want(t, http.StatusOK, `data-revoke="`+tt.serial+`"`)
			ask := certificates + "/revoke?serial=" + tt.serial + "&back=" + tt.from
			b.get(ask).want(t, http.StatusOK, tt.question...)
			if r := b.sure(ask); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != tt.from {
				t.Errorf("leads to %d %q", r.StatusCode, r.Header.Get("Location"))
			}
			b.get(tt.from).want(t, http.StatusOK, append(tt.shown, "data-undo", `data-restore="`+tt.serial+`"`)...)
			b.get("/attestations/GENUI-NECAL").want(t, http.StatusOK, state(tt.serial, "true"))
			b.get(page).want(t, http.StatusOK, state(tt.serial, "true"), `data-event="revoked"`)
			b.post(certificates+"/"+tt.serial+"/restore", "back", tt.from).want(t, http.StatusSeeOther)
			b.get(page).want(t, http.StatusOK, state(tt.serial, "false"), `data-event="accepted again"`)
		})
	}
	b.get("/attestations/devices?search="+deviceSerial).want(t, http.StatusOK, `data-device="AD1"`)
	// As people copy one, from a program that shows certificates.
	b.sure(certificates+"/revoke?serial=+0B:AD:C0%20").want(t, http.StatusSeeOther)
	b.get(page).want(t, http.StatusOK, state("badc0", "true"))
	b.sure(certificates+"/revoke?serial=xyz&back="+page).want(t, http.StatusSeeOther)
	b.get(page).want(t, http.StatusOK, "That is no serial number", "notice failed")
	b.get(certificates+"/revoke?serial=0").want(t, http.StatusNotFound, "without a serial number")
	b.get("/audit").want(t, http.StatusOK, `data-audit="revoke a certificate" data-audit-outcome="done"`, `data-audit="revoke a certificate" data-audit-outcome="failed"`,
		`data-audit="accept a certificate again" data-audit-outcome="done"`, "Keel Devices, plant 1 (9a37)", deviceSerial)
}

// A boot key is accepted from the page of the attestation that failed for it, and withdrawn.
func TestBootKeysAreAccepted(t *testing.T) {
	t.Parallel()
	_, b := newAskingDevices(t)
	const page, systems = "/attestations/makers", "/attestations/makers/systems"
	form := regexp.MustCompile(`href="([^"]+)" data-test="accept-system"`).FindStringSubmatch(b.get("/attestations/DEBUG-GEDAP").Body)
	if form == nil {
		t.Fatal("no way from the attestation to the form")
	}
	b.get(html.UnescapeString(form[1])).want(t, http.StatusOK, `value="FreeOS"`, `value="`+freeKey+`"`, "Accepting a key means to trust whoever has it")
	b.post(systems, "key", " "+freeKey+" ", "name", "FreeOS", "back", page).want(t, http.StatusSeeOther)
	b.get(page).want(t, http.StatusOK, `data-system="`+freeKey+`" data-withdrawn="false"`, "The boot key is accepted from now on.")
	ask := systems + "/withdraw?" + url.Values{"key": {freeKey}, "back": {page}}.Encode()
	b.get(ask).want(t, http.StatusOK, "Withdraw the boot key of FreeOS?")
	b.sure(ask).want(t, http.StatusSeeOther)
	b.get(page).want(t, http.StatusOK, `data-system="`+freeKey+`" data-withdrawn="true"`, `data-accept-system="`+freeKey+`"`, `data-system="`+makersKey+`" data-withdrawn="false"`)
	b.post(systems, "key", freeKey, "back", page).want(t, http.StatusSeeOther)
	b.get(page).want(t, http.StatusOK, `data-system="`+freeKey+`" data-withdrawn="false"`)
	b.post(systems, "key", "abc", "name", "x", "back", page).want(t, http.StatusSeeOther)
	b.get(page).want(t, http.StatusOK, "That is no pin of a key", "notice failed")
	b.get(systems+"/withdraw?key=sha256/none").want(t, http.StatusNotFound, "no such boot key")
	b.get("/audit").want(t, http.StatusOK, `data-audit="accept a boot key" data-audit-outcome="done"`, `data-audit="accept a boot key" data-audit-outcome="failed"`,
		`data-audit="withdraw a boot key" data-audit-outcome="done"`, freeKey+" FreeOS")
}

func TestAttestationsAreFound(t *testing.T) {
	t.Parallel()
	_, b := newAttested(t)
	for _, tt := range []struct {
		name, path string
		want       []string
	}{
		{"all", "/attestations", []string{"GENUI-NECAL", "DEBUG-GEDAP", "PATCH-EDAPP", "GENUI-NEOLD"}},
		{"failing", "/attestations?outcome=failing", []string{"PATCH-EDAPP"}},
		{"watched", "/attestations?outcome=watched", []string{"DEBUG-GEDAP"}},
		{"of a device", "/attestations?device=PHONE", []string{"GENUI-NECAL", "GENUI-NEOLD"}},
		{"none", "/attestations?search=NOBODY", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := b.rows(tt.path, "data-attestation"); strings.Join(got, " ") != strings.Join(tt.want, " ") {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	// What an app's screen shows is typed by a person.
	if r := b.get("/attestations?search=patch-edapp"); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/attestations/PATCH-EDAPP" {
		t.Errorf("a reference code leads to %d %q", r.StatusCode, r.Header.Get("Location"))
	}
	b.get("/attestations?search=AAAAA-BBBBB").want(t, http.StatusOK, "No attestation fits.")
	b.get("/attestations/AAAAA-BBBBB").want(t, http.StatusNotFound, "no attestation with this reference code")
}

func TestPageOfAnAttestation(t *testing.T) {
	t.Parallel()
	set, b := newAttested(t)
	page := b.get("/attestations/PATCH-EDAPP")
	page.want(t, http.StatusOK, `data-claim="executables" data-trust="contraindicated"`, `data-claim="runtime" data-trust="affirming"`, "0bad", referenceHash,
		"a secret that nobody knows", "version 1", "not among the traffic any more", "J-PATCH-EDAPP")
	b.get("/attestations/DEBUG-GEDAP").want(t, http.StatusOK, `data-claim="runtime" data-trust="warning"`, "traced by a debugger", "only watched")
	set.bank.Traffic().Add(traffic.Message{Lane: traffic.Server, Stage: lookedAt, Kind: traffic.Response, Summary: "200 OK", Body: []byte(`{"reference":"PATCH-EDAPP"}`)})
	hear(t, b, set)
	b.get("/attestations/PATCH-EDAPP").want(t, http.StatusOK, `href="/traffic/1" data-test="message"`)
	b.get("/attestations/GENUI-NECAL").want(t, http.StatusOK, "not among the traffic any more", "harbour-mobile-servers")
}

func TestAttestationRowsAreLive(t *testing.T) {
	t.Parallel()
	set, b := newAttested(t)
	page := b.get("/attestations?outcome=good")
	last := set.attest.results[0].At
	page.want(t, http.StatusOK, `data-live="/attestations/rows?live=1&amp;outcome=good"`, `data-last="`+last.Format(time.RFC3339Nano)+`"`)
	b.get("/attestations?sort=stage").want(t, http.StatusOK)
	if strings.Contains(b.get("/attestations?sort=stage").Body, "data-live=") {
		t.Error("a list in another order asks for what is new")
	}
	got := make(chan reply, 1)
	go func() { got <- b.get("/attestations/rows?live=1&outcome=good&after=" + last.Format(time.RFC3339Nano)) }()
	set.attest.mu.Lock()
	for i, reference := range []string{"NEWGO-ODONE", "NEWFA-ILING"} {
		fresh := set.attest.results[0]
		fresh.Reference, fresh.At, fresh.Good = reference, last.Add(time.Duration(i+3)*time.Second), i == 0
		set.attest.results = append(set.attest.results, fresh)
	}
	set.attest.mu.Unlock()
	rows := <-got
	rows.want(t, http.StatusOK, `data-attestation="NEWGO-ODONE"`)
	// One that was there may come again: it can be on record before one that is older.
	if strings.Contains(rows.Body, "NEWFA-ILING") || strings.Contains(rows.Body, "GENUI-NEOLD") {
		t.Errorf("rows that do not fit, or are old: %s", rows.Body)
	}
	if got, want := rows.Header.Get("Live-Last"), last.Add(3*time.Second).Format(time.RFC3339Nano); got != want {
		t.Errorf("the next ones are asked for after %s, want %s", got, want)
	}
	if got := rows.Header.Get("Live-Count"); got != "4 attestations" {
		t.Errorf("the list has %q", got)
	}
	b.get("/attestations/rows?after=yesterday").want(t, http.StatusBadRequest)
}

func TestEnforcementIsChanged(t *testing.T) {
	t.Parallel()
	_, b := newAttested(t)
	b.get("/attestations/enforcement").want(t, http.StatusOK, `data-claim="runtime" data-policy="watched"`, "15 of 300 good ones would have failed (5.0\u00a0%)", "100 of 400 attestations failed for it (25.0\u00a0%)")
	b.get("/attestations/enforcement").want(t, http.StatusOK, `data-calls="60"`, "60 of 800 calls (7.5\u00a0%)")
	const change = "/attestations/enforcement/change?stage=looked-at&claim=runtime&policy="
	b.get(change+"enforced").want(t, http.StatusOK, "Enforce runtime at looked-at?", "15 would have failed: 5.0\u00a0%")
	b.sure(change+"enforced&back=/attestations/enforcement").want(t, http.StatusSeeOther)
	b.get("/attestations/enforcement").want(t, http.StatusOK, `data-version="2"`, `data-claim="runtime" data-policy="enforced"`, "runtime: enforced, was watched", "version 2 of its policy")
	b.get("/audit").want(t, http.StatusOK, `data-audit="change what is enforced" data-audit-outcome="done"`, "runtime at looked-at: enforced")
	for _, wrong := range []string{"stage=tls&claim=runtime&policy=enforced", "stage=looked-at&claim=nothing&policy=enforced", "stage=looked-at&claim=runtime&policy=perhaps"} {
		b.get("/attestations/enforcement/change?"+wrong).want(t, http.StatusNotFound)
	}
}

func TestReferencesAreWithdrawn(t *testing.T) {
	t.Parallel()
	_, b := newAttested(t)
	b.get("/attestations/releases").want(t, http.StatusOK, `data-withdrawn="false"`, "97.8 times of 100", "at least 60 challenges", "25.5 times of 100")
	b.sure("/attestations/releases/"+referenceHash+"/withdraw?back=/attestations/releases").want(t, http.StatusSeeOther)
	b.get("/attestations/releases").want(t, http.StatusOK, `data-release="`+referenceHash+`" data-withdrawn="true"`, `data-event="withdrawn"`, "data-undo")
	b.post("/attestations/releases/"+referenceHash+"/restore").want(t, http.StatusSeeOther)
	b.get("/attestations/releases").want(t, http.StatusOK, `data-release="`+referenceHash+`" data-withdrawn="false"`, `data-event="accepted again"`)
	b.get("/attestations/releases/0000/withdraw").want(t, http.StatusNotFound)
	b.sure("/attestations/signers/withdraw?client=harbour-mobile&signer=sha256/abc%3D").want(t, http.StatusSeeOther)
	b.get("/attestations/releases").want(t, http.StatusOK, `data-signer="sha256/abc=" data-withdrawn="true"`)
	b.post("/attestations/signers", "client", "harbour-mobile", "signer", "sha256/abc=").want(t, http.StatusSeeOther)
	b.get("/attestations/releases").want(t, http.StatusOK, `data-signer="sha256/abc=" data-withdrawn="false"`)
	b.get("/audit").want(t, http.StatusOK, `data-audit="withdraw a release"`, `data-audit="accept a release again"`, `data-audit="withdraw a signer"`, `data-audit="accept a signer"`)
}

// A signer whom nobody has known is accepted by the pin, and what is none is refused.
func TestNewSignersAreAccepted(t *testing.T) {
	t.Parallel()
	_, b := newAttested(t)
	const page = "/attestations/releases"
	b.get(page).want(t, http.StatusOK, `<option value="harbour-mobile">`)
	if r := b.post("/attestations/signers", "client", "harbour-mobile", "signer", " sha256/new= ", "back", page+"#signers"); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != page+"#signers" {
		t.Errorf("leads to %d %q", r.StatusCode, r.Header.Get("Location"))
	}
	b.get(page).want(t, http.StatusOK, `data-signer="sha256/new=" data-withdrawn="false"`, "The signer is accepted from now on.")
	b.post("/attestations/signers", "client", "harbour-mobile", "signer", "abc", "back", page).want(t, http.StatusSeeOther)
	b.get(page).want(t, http.StatusOK, "no pin of a signer", "notice failed")
	b.get("/audit").want(t, http.StatusOK, "sha256/new= of harbour-mobile", `data-audit="accept a signer" data-audit-outcome="failed"`)
}

// upload sends a file in a form, as a browser without JavaScript does.
func (b *browser) upload(path, token, file string) reply {
	b.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	must(b.t, form.WriteField("csrf", token))
	must(b.t, form.WriteField("page", "/attestations/releases"))
	part, err := form.CreateFormFile("package", "harbour-bank-2.pkg")
	must(b.t, err)
	_, err = part.Write([]byte(file))
	must(b.t, err)
	must(b.t, form.Close())
	req, err := http.NewRequest(http.MethodPost, b.server.URL+path, &body)
	must(b.t, err)
	req.Header.Set("Content-Type", form.FormDataContentType())
	return b.do(req)
}

func TestPackagesAreUploaded(t *testing.T) {
	t.Parallel()
	set, b := newAttested(t)
	const path = "/attestations/releases"
	token := b.token(path)
	b.upload(path, strings.Repeat("0", 64), "a package").want(t, http.StatusForbidden, "out of date")
	b.upload(path, token, "").want(t, http.StatusUnprocessableEntity, "Choose the file of a package first")
	b.upload(path, token, "no package").want(t, http.StatusUnprocessableEntity, "This is no package. It has no signature.", `aria-invalid="true"`)
	if set.attest.uploads != 0 {
		t.Fatal("it was registered all the same")
	}
	if r := b.upload(path, token, "a package"); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != path+"#release-"+referenceHash {
		t.Errorf("leads to %d %q", r.StatusCode, r.Header.Get("Location"))
	}
	if set.attest.uploads != 1 {
		t.Errorf("it was registered %d times", set.attest.uploads)
	}
	b.get(path).want(t, http.StatusOK, "release 2, is a reference")
	b.upload(path, token, strings.Repeat("x", 17<<20)).want(t, http.StatusRequestEntityTooLarge, "16384 KiB at most")
	b.upload("/reset", token, strings.Repeat("x", 65<<10)).want(t, http.StatusRequestEntityTooLarge, "64 KiB at most")
}

func TestAttestedDevicesAreBanned(t *testing.T) {
	t.Parallel()
	_, b := newAttested(t)
	b.post("/attestations/devices/AD1/ban", "back", "/attestations/devices").want(t, http.StatusSeeOther)
	b.get("/attestations/devices").want(t, http.StatusOK, `data-device="AD1" data-banned="true"`, "data-undo", "PHONE is banned")
	b.get("/attestations/devices/AD1").want(t, http.StatusOK, `data-event="banned"`, "GENUI-NECAL", `href="/attestations/clock?device=AD1"`)
	b.post("/attestations/devices/AD1/lift").want(t, http.StatusSeeOther)
	b.get("/attestations/devices/AD1").want(t, http.StatusOK, `data-banned="false"`, `data-event="ban lifted"`)
	// Its history is one list: also of what became of its releases and signers since it is known.
	b.sure("/attestations/releases/"+referenceHash+"/withdraw").want(t, http.StatusSeeOther)
	history := b.get("/attestations/devices/AD1")
	history.want(t, http.StatusOK, `data-event="com.harbourbank.app, release 2, 9f86d081884c…: withdrawn"`, `data-event="first seen"`)
	var order []int
	for _, what := range []string{": withdrawn\"", `"ban lifted"`, `"banned"`, "GENUI-NECAL", "GENUI-NEOLD", `"first seen"`} {
		order = append(order, strings.Index(history.Body, what))
	}
	if !slices.IsSorted(order) || strings.Contains(history.Body, `: registered"`) || strings.Contains(history.Body, "PATCH-EDAPP") {
		t.Errorf("the history is in the order %v, or has what is not this device's:\n%s", order, history.Body)
	}
	b.post("/attestations/devices/AD9/ban").want(t, http.StatusNotFound, "There is no such device")
	b.get("/audit").want(t, http.StatusOK, `data-audit="ban a device from attesting"`, `data-audit="lift the ban of a device"`, "PHONE with harbour-mobile at looked-at (AD1)")
}

func TestAnswersSideBySide(t *testing.T) {
	t.Parallel()
	set, b := newAttested(t)
	b.get("/attestations/answers").want(t, http.StatusOK, `data-chart="package-challenge"`, "does not tell which kind it is", "Every shape has occurred with both kinds")
	set.attest.mu.Lock()
	set.attest.answers[0].Failing = []int64{0, 0, 0, 0, 50, 0}
	set.attest.answers[0].Shapes[0].Failing = 0
	set.attest.mu.Unlock()
	b.get("/attestations/answers").want(t, http.StatusOK, "so there is a difference", "No shape has occurred with both kinds yet")
	set.attest.mu.Lock()
	set.attest.answers[0].Failing = []int64{0, 1, 2, 0, 0, 0}
	set.attest.mu.Unlock()
	b.get("/attestations/answers").want(t, http.StatusOK, "It takes 20 answers of each kind")
}

func TestTokensAsAClock(t *testing.T) {
	t.Parallel()
	_, b := newAttested(t)
	page := b.get("/attestations/clock")
	page.want(t, http.StatusOK, `data-clock="2"`, `data-token="GENUI-NEOLD" data-renewed="true"`, "10s before it expired", "not yet", `class="now"`)
	if strings.Contains(page.Body, `data-token="PATCH-EDAPP"`) {
		t.Error("it shows a token of another device")
	}
	b.get("/attestations/clock?device=AD3").want(t, http.StatusOK, `data-clock="1"`, "PATCH-EDAPP", `class="refused"`)
	b.get("/attestations/clock?device=AD9").want(t, http.StatusNotFound, "There is no such device")
}

func TestPagesAboutAttestationStandWithoutTheService(t *testing.T) {
	t.Parallel()
	set, b := newAttested(t)
	set.attest.Stop(true)
	for _, path := range []string{"", "/sessions", "/enforcement", "/releases", "/devices", "/makers", "/answers", "/clock"} {
		b.get("/attestations"+path).want(t, http.StatusOK, "The attestation service does not answer")
	}
	b.get("/attestations/GENUI-NECAL").want(t, http.StatusBadGateway, "The attestation service does not answer")
	b.post("/attestations/devices/AD1/ban").want(t, http.StatusBadGateway)
	b.sure("/attestations/signers/withdraw?client=harbour-mobile&signer=x").want(t, http.StatusBadGateway)
	b.post("/attestations/makers/certificates/"+plantSerial+"/revoke").want(t, http.StatusBadGateway)
	b.post("/attestations/makers/systems", "key", freeKey).want(t, http.StatusBadGateway)
	b.get("/audit").want(t, http.StatusOK, `data-audit="withdraw a signer" data-audit-outcome="failed"`)
}

func TestMarkupOfAppsIsText(t *testing.T) {
	t.Parallel()
	set, b := newAskingDevices(t)
	const evil = `"><script>alert(1)</script>`
	set.attest.mu.Lock()
	a := &set.attest.results[0]
	a.Device, a.Client, a.Token, a.Claims[0].Findings = evil, evil, evil, []manage.Finding{{What: evil, Reported: evil, Expected: evil}}
	set.attest.devices[0].Device, set.attest.devices[0].Certificate = evil, evil
	said := a.Said
	said.Model, said.System, said.Version, said.Device, said.Debug, said.Package, said.Certificates[0] = evil, evil, evil, evil, evil, evil, manage.ChainCertificate{Serial: evil, Name: evil}
	set.attest.certified[0].Name, set.attest.systems[0].Name = evil, evil
	set.attest.mu.Unlock()
	for _, path := range []string{"/attestations", "/attestations/GENUI-NECAL", "/attestations/devices", "/attestations/devices/AD1", "/attestations/clock", "/attestations/makers", "/attestations/makers/certificates/revoke?serial=" + url.QueryEscape(evil)} {
		if strings.Contains(b.get(path).Body, "<script>alert") {
			t.Errorf("%s holds markup of others", path)
		}
	}
}
