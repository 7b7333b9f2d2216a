package server_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
)

func (w *world) references(t testing.TB) []manage.Reference {
	t.Helper()
	return testenv.Must[[]manage.Reference](t)(manage.References(t.Context(), w.admin))
}

// reference is the one of a package; nil: there is none.
func (w *world) reference(t testing.TB, pkg []byte) *manage.Reference {
	t.Helper()
	id := string(testenv.Must[attestation.Measurement](t)(attestation.Measure(bytes.NewReader(pkg))))
	all := w.references(t)
	if i := slices.IndexFunc(all, func(r manage.Reference) bool { return r.SHA256 == id }); i >= 0 {
		return &all[i]
	}
	return nil
}

func whats(events []manage.Event) (list []string) {
	for _, event := range events {
		list = append(list, event.What)
	}
	return list
}

func (w *world) attestsWell(t testing.TB, stage string, pkg []byte) bool {
	t.Helper()
	return w.good(t, stage, w.attests(t, stage, mine(), pkg, attestation.Findings{}).Token)
}

// A release that is withdrawn fails from the next attestation on; accepted again it is good, and its
// history says all of it.
func TestWithdrawnRelease(t *testing.T) {
	t.Parallel()
	w := start(t)
	before := w.attests(t, byChallenge, mine(), w.pkg, attestation.Findings{})
	id := w.reference(t, w.pkg).SHA256
	testenv.Must[manage.Reference](t)(manage.WithdrawReference(t.Context(), w.admin, id, false))
	for _, stage := range []string{byHash, byChallenge} {
		result := w.attests(t, stage, mine(), w.pkg, attestation.Findings{})
		shown := w.result(t, result).Claims[0]
		if w.good(t, stage, result.Token) || len(shown.Findings) != 1 || shown.Findings[0].What != "release" {
			t.Errorf("%s: of a withdrawn release: %+v", stage, shown)
		}
	}
	if !w.good(t, byChallenge, before.Token) {
		t.Error("the token of before is not good, while it lives")
	}
	w.advance(time.Minute)
	if w.good(t, byChallenge, before.Token) {
		t.Error("the token of before is good after its life")
	}
	testenv.Must[manage.Reference](t)(manage.WithdrawReference(t.Context(), w.admin, id, false)) // it is already
	restored := testenv.Must[manage.Reference](t)(manage.WithdrawReference(t.Context(), w.admin, id, true))
	if want := []string{"registered", "withdrawn", "accepted again"}; restored.WithdrawnAt != nil || !slices.Equal(whats(restored.History), want) {
		t.Errorf("%+v, want %q", restored, want)
	}
	if !w.attestsWell(t, byChallenge, w.pkg) {
		t.Error("accepted again, it is not good")
	}
	if _, err := manage.WithdrawReference(t.Context(), w.admin, "abc", false); err == nil {
		t.Error("a package that is no reference is withdrawn")
	}
}

// A package that is published is a reference within a second or so; one of nobody, one of a stranger
// and one that is damaged are not. An older build of the same release stays good.
func TestPublishedPackages(t *testing.T) {
	t.Parallel()
	w := start(t)
	anew := pack(t, appPackage, 2, noise(9, 300_000), developer)
	same := pack(t, appPackage, 2, noise(10, 200_000), developer) // as long as the first
	next := pack(t, appPackage, 3, noise(11, 100_000), developer)
	damaged := bytes.Clone(next)
	damaged[5]++
	w.publish(t, "a.pkg", pack(t, appPackage, 2, noise(12, 1000), stranger))
	w.publish(t, "b.pkg", pack(t, "com.example.nobody", 2, noise(12, 1000), developer))
	w.publish(t, "c.pkg", damaged)
	w.publish(t, "d.pkg", []byte("no package"))
	w.publish(t, "app-2.pkg", anew) // in the place of the first
	w.publish(t, "app-2b.pkg", same)
	w.publish(t, "app-3.pkg", next)
	testenv.Within(t, 20*time.Second, "all that are good are references", func() bool { return len(w.references(t)) == 5 })
	for _, stage := range []string{byHash, byChallenge} {
		for name, tt := range map[string]struct {
			pkg     []byte
			release int
		}{"the first": {w.pkg, 2}, "the one in its place": {anew, 2}, "one as long": {same, 2}, "the next release": {next, 3}} {
			o := mine()
			o.Release, o.Size = tt.release, int64(len(tt.pkg))
			result := w.attests(t, stage, o, tt.pkg, attestation.Findings{})
			if !w.good(t, stage, result.Token) {
				t.Errorf("%s, %s: %+v", stage, name, w.result(t, result).Claims[0])
			}
		}
	}
}

// A package that is uploaded is a reference, if it is one of an app that the service knows, by a
// signer that it accepts.
func TestUploadedPackages(t *testing.T) {
	t.Parallel()
	w := start(t)
	next := pack(t, appPackage, 3, noise(11, 100_000), developer)
	others := pack(t, appPackage, 4, noise(12, 100_000), stranger)
	upload := func(pkg []byte) (manage.Reference, error) {
		return manage.RegisterPackage(t.Context(), w.admin, pkg)
	}
	registered, err := upload(next)
	if err != nil || registered.Release != 3 || registered.Client != app || registered.Size != int64(len(next)) {
		t.Fatalf("%+v, %v", registered, err)
	}
	o := mine()
	o.Release = 3
	if result := w.attests(t, byChallenge, o, next, attestation.Findings{}); !w.good(t, byChallenge, result.Token) {
		t.Errorf("an app of the package: %+v", w.result(t, result).Claims)
	}
	for name, pkg := range map[string][]byte{
		"of a stranger": others, "of nobody": pack(t, "com.example.nobody", 1, noise(1, 100), developer), "nothing": {}, "garbage": []byte("garbage"), "half a package": next[:1000],
	} {
		if _, err := upload(pkg); err == nil {
			t.Errorf("registered, though %s", name)
		}
	}
	// Withdrawn, it stays so when it comes again.
	testenv.Must[manage.Reference](t)(manage.WithdrawReference(t.Context(), w.admin, registered.SHA256, false))
	if again, err := upload(next); err != nil || again.WithdrawnAt == nil {
		t.Errorf("%+v, %v", again, err)
	}
	// The stranger's is one as soon as the stranger is accepted, and fails when not any more.
	signer := manage.SignerToAccept{Client: app, Signer: pinOf(t, stranger)}
	testenv.Must[manage.Signer](t)(manage.Post[manage.Signer](t.Context(), w.admin, manage.SignersPath, signer))
	if _, err := upload(others); err != nil {
		t.Fatal(err)
	}
	o.Release = 4
	if !w.good(t, byHash, w.attests(t, byHash, o, others, attestation.Findings{}).Token) {
		t.Error("a package of a signer who was accepted is not good")
	}
	signer.Withdraw = true
	gone := testenv.Must[manage.Signer](t)(manage.Post[manage.Signer](t.Context(), w.admin, manage.SignersPath, signer))
	if want := []string{"accepted", "withdrawn"}; gone.WithdrawnAt == nil || !slices.Equal(whats(gone.History), want) {
		t.Errorf("%+v, want %q", gone, want)
	}
	result := w.attests(t, byHash, o, others, attestation.Findings{})
	if shown := w.result(t, result).Claims[0]; w.good(t, byHash, result.Token) || shown.Findings[0].What != "signer of the release" {
		t.Errorf("a package of a signer who was withdrawn: %+v", shown)
	}
	for name, bad := range map[string]manage.SignerToAccept{"no pin": {Client: app, Signer: "abc"}, "no client": {Client: "nobody", Signer: pinOf(t, stranger)}} {
		if _, err := manage.Post[manage.Signer](t.Context(), w.admin, manage.SignersPath, bad); err == nil {
			t.Errorf("accepted: %s", name)
		}
	}
}

// A device that is banned fails from its next attestation on, at its stage, and no other does.
func TestBannedDevice(t *testing.T) {
	t.Parallel()
	w := start(t)
	other := mine()
	other.Device = "device-2"
	w.attests(t, byHash, mine(), w.pkg, attestation.Findings{})
	w.attests(t, byHash, mine(), w.pkg[1:], attestation.Findings{})
	w.attests(t, byHash, other, w.pkg, attestation.Findings{})
	list := testenv.Must[manage.AttestedDeviceList](t)(manage.AttestedDevices(t.Context(), w.admin, manage.AttestedDeviceQuery{Part: manage.Part{Sort: "device"}}))
	if list.Total != 2 || list.Devices[0].Device != "device-1" || list.Devices[0].Good != 1 || list.Devices[0].Failing != 1 || list.Devices[0].LastGood || list.Devices[0].LastReference == "" {
		t.Fatalf("%+v", list)
	}
	id := list.Devices[0].ID
	if banned := testenv.Must[manage.AttestedDevice](t)(manage.BanAttestedDevice(t.Context(), w.admin, id, false)); banned.BannedAt == nil {
		t.Errorf("%+v", banned)
	}
	result := w.attests(t, byHash, mine(), w.pkg, attestation.Findings{})
	if shown := w.result(t, result).Claims[3]; w.good(t, byHash, result.Token) || shown.Trust != manage.Contraindicated {
		t.Errorf("a banned device: %+v", shown)
	}
	if !w.good(t, byHash, w.attests(t, byHash, other, w.pkg, attestation.Findings{}).Token) || !w.attestsWell(t, byChallenge, w.pkg) {
		t.Error("another device, or the device at another stage, is banned, too")
	}
	lifted := testenv.Must[manage.AttestedDevice](t)(manage.BanAttestedDevice(t.Context(), w.admin, id, true))
	if want := []string{"banned", "ban lifted"}; lifted.BannedAt != nil || !slices.Equal(whats(lifted.History), want) {
		t.Errorf("%+v, want %q", lifted, want)
	}
	if !w.attestsWell(t, byHash, w.pkg) {
		t.Error("the ban is lifted, and the device fails")
	}
	if _, err := manage.BanAttestedDevice(t.Context(), w.admin, "nobody", false); err == nil {
		t.Error("a device that is unknown is banned")
	}
}

// What the admin decided, and what was found out, is there after a restart.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := start(t)
	next := pack(t, appPackage, 3, noise(11, 100_000), developer)
	testenv.Must[manage.Reference](t)(manage.RegisterPackage(t.Context(), w.admin, next))
	result := w.attests(t, byHash, mine(), w.pkg, attestation.Findings{})
	before := w.result(t, result)
	device := testenv.Must[manage.AttestedDeviceList](t)(manage.AttestedDevices(t.Context(), w.admin, manage.AttestedDeviceQuery{})).Devices[0]
	banned := testenv.Must[manage.AttestedDevice](t)(manage.BanAttestedDevice(t.Context(), w.admin, device.ID, false))
	withdrawn := testenv.Must[manage.Reference](t)(manage.WithdrawReference(t.Context(), w.admin, w.reference(t, next).SHA256, false))
	change := manage.EnforcementChange{Stage: byChallenge, Claim: manage.Runtime, Policy: catalog.Watched}
	testenv.Must[manage.Enforcement](t)(manage.Post[manage.Enforcement](t.Context(), w.admin, manage.EnforcementPath, change))
	w.reopen(t)
	if after := w.result(t, result); after.Reference != before.Reference || !after.At.Equal(before.At) || after.Token != before.Token || len(after.Claims) != 4 {
		t.Errorf("the result is %+v, and was %+v", after, before)
	}
	if after := testenv.Must[manage.AttestedDevice](t)(manage.Get[manage.AttestedDevice](t.Context(), w.admin, manage.AttestedDevicesPath+"/"+device.ID)); after.BannedAt == nil || len(after.History) != len(banned.History) {
		t.Errorf("the device is %+v, and was %+v", after, banned)
	}
	if w.attestsWell(t, byHash, w.pkg) {
		t.Error("the banned device is good")
	}
	if after := w.reference(t, next); after == nil || after.WithdrawnAt == nil || len(after.History) != len(withdrawn.History) {
		t.Errorf("the reference is %+v, and was %+v", after, withdrawn)
	}
	enforced := testenv.Must[[]manage.Enforcement](t)(manage.Get[[]manage.Enforcement](t.Context(), w.admin, manage.EnforcementPath))
	i := slices.IndexFunc(enforced, func(e manage.Enforcement) bool { return e.Stage == byChallenge })
	if enforced[i].Claims[manage.Runtime] != catalog.Watched || enforced[i].Catalog[manage.Runtime] != catalog.Enforced || enforced[i].Version != 2 {
		t.Errorf("enforced is %+v", enforced[i])
	}
	// The database is not made anew in silence.
	w.stop()
	if err := os.Remove(filepath.Join(w.dir, string(deployment.Attestation), "attestsvc.db")); err != nil {
		t.Fatal(err)
	}
	if err := w.tryOpen(t); err == nil {
		t.Error("without its database, in which devices are banned, the service starts")
	}
}

// TestPackagesAreKnownAfterARestart: what is published still is not registered once more, and a file
// that somebody has written into since is read.
func TestPackagesAreKnownAfterARestart(t *testing.T) {
	t.Parallel()
	w := start(t)
	before := w.references(t)
	var log bytes.Buffer
	w.logger = slog.New(slog.NewTextHandler(&log, nil))
	w.reopen(t)
	after := w.references(t)
	if w.stop(); strings.Contains(log.String(), ".pkg") {
		t.Errorf("after a restart:\n%s", log.String())
	}
	if diff := cmp.Diff(before, after); len(before) != 2 || diff != "" {
		t.Errorf("%d references, and after a restart\n%s", len(before), diff)
	}
	changed := filepath.Join(w.dir, string(deployment.Attestation), "app-2.pkg")
	file, err := os.OpenFile(changed, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = file.Write([]byte("more"))
		err = errors.Join(err, file.Close(), os.Chtimes(changed, time.Time{}, w.now().Add(time.Second)))
	}
	if err != nil {
		t.Fatal(err)
	}
	w.reopen(t)
	if w.stop(); !strings.Contains(log.String(), "app-2.pkg") || strings.Contains(log.String(), "ops-1.pkg") {
		t.Errorf("after a restart with a package that was written into:\n%s", log.String())
	}
}

// reset has all as it was at first.
func TestReset(t *testing.T) {
	t.Parallel()
	w := start(t)
	result := w.attests(t, byHash, mine(), w.pkg, attestation.Findings{})
	testenv.Must[manage.Reference](t)(manage.WithdrawReference(t.Context(), w.admin, w.reference(t, w.pkg).SHA256, false))
	change := manage.EnforcementChange{Stage: byHash, Claim: manage.Executables, Policy: catalog.Watched}
	testenv.Must[manage.Enforcement](t)(manage.Post[manage.Enforcement](t.Context(), w.admin, manage.EnforcementPath, change))
	if err := w.admin.Do(t.Context(), http.MethodPost, "/reset", nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := manage.AttestationBy(t.Context(), w.admin, result.Reference); err == nil {
		t.Error("a result is left")
	}
	if !w.attestsWell(t, byHash, w.pkg) || w.attestsWell(t, byHash, append(bytes.Clone(w.pkg), 1)) || len(w.references(t)) != 2 {
		t.Error("after a reset it is not as it was at first")
	}
}
