package results

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"keyladder/attestsvc/history"
	"keyladder/internal/manage"
	"keyladder/internal/store"
	"keyladder/stages/mechanism/jwk"
)

func open(t *testing.T, path string) *Store {
	t.Helper()
	db, err := store.Open(path, slices.Concat(history.Models(), Models())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	s, err := Open(t.Context(), db, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// attested is a result of a device.
func attested(device string, at time.Time, good bool) manage.Attestation {
	a := manage.Attestation{Reference: NewReference(), At: at, Stage: "a", Level: "package-hash", Client: "app", Release: 1, Device: device, Good: good, ExpiresAt: at}
	for _, name := range manage.ClaimNames() {
		a.Claims = append(a.Claims, manage.AttestedClaim{Claim: name, Trust: manage.Affirming, Findings: []manage.Finding{}})
	}
	return a
}

// What is too much goes, the oldest first; devices that are banned stay, so that they stay banned.
func TestForget(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "results.db"))
	s.most = 3
	var references []string
	begin := time.Now()
	for i := range 6 {
		a := attested(fmt.Sprint("device-", i), begin.Add(time.Duration(i)*time.Minute), true)
		references = append(references, a.Reference)
		if err := s.Add(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	devices, err := s.Devices(t.Context(), manage.AttestedDeviceQuery{Part: manage.Part{Sort: "seen"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ban(t.Context(), devices.Devices[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, reference := range references {
		if _, err := s.By(t.Context(), reference); i < 3 && !errors.Is(err, ErrNone) || i >= 3 && err != nil {
			t.Errorf("result %d: %v", i, err)
		}
	}
	left, err := s.Devices(t.Context(), manage.AttestedDeviceQuery{Part: manage.Part{Sort: "seen"}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range left.Devices {
		names = append(names, d.Device)
	}
	if want := []string{"device-0", "device-3", "device-4", "device-5"}; !slices.Equal(names, want) || !s.Banned("a", "app", "device-0") {
		t.Errorf("left are %q, want %q", names, want)
	}
}

// A device is one row, however many attest on it at the same time, and counts all of them.
func TestDevicesCount(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "results.db")
	s := open(t, path)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if err := s.Add(context.Background(), attested("device", time.Now(), i%4 > 0)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := s.Add(t.Context(), attested("", time.Now(), true)); err != nil { // of an app that names no device
		t.Fatal(err)
	}
	list, err := s.Devices(t.Context(), manage.AttestedDeviceQuery{})
	if err != nil || list.Total != 1 || list.Devices[0].Good != 30 || list.Devices[0].Failing != 10 {
		t.Errorf("%+v, %v", list, err)
	}
	results, err := s.Query(t.Context(), manage.AttestationQuery{})
	if err != nil || results.Total != 41 {
		t.Errorf("%d results, %v", results.Total, err)
	}
}

// A device keeps the certificate that was believed last, so that it can be revoked and is found by it,
// also once nothing of what it says is believed.
func TestCertificateOfADevice(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "results.db"))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	holder, err := jwk.OfSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, serial := range []string{"", "a1", "b2", ""} {
		a := attested("device", time.Now(), serial != "")
		if serial != "" {
			a.Holder, a.Said = &holder, &manage.DeviceEvidence{Model: "Keel 1", Certificates: []manage.ChainCertificate{{Serial: serial, Name: "a Keel 1"}, {Serial: "f0"}}}
		}
		if err := s.Add(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		kept, err := s.By(t.Context(), a.Reference)
		if err != nil || !reflect.DeepEqual(kept.Said, a.Said) || !reflect.DeepEqual(kept.Holder, a.Holder) {
			t.Errorf("%+v, %v", kept, err)
		}
	}
	for search, want := range map[string]int{"b2": 1, "a1": 0, "b": 0} {
		list, err := s.Devices(t.Context(), manage.AttestedDeviceQuery{Search: search})
		if err != nil || list.Total != want || want > 0 && list.Devices[0].Certificate != search {
			t.Errorf("by %s: %+v, %v", search, list, err)
		}
	}
}

// References are short enough to read out, and no two are equal.
func TestReferences(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 10_000 {
		reference := NewReference()
		if len(reference) != 11 || reference[5] != '-' || seen[reference] {
			t.Fatalf("%q", reference)
		}
		seen[reference] = true
	}
	s := open(t, filepath.Join(t.TempDir(), "results.db"))
	a := attested("device", time.Now(), true)
	if err := s.Add(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(t.Context(), a); err == nil {
		t.Error("two results have one reference")
	}
	if list, err := s.Devices(t.Context(), manage.AttestedDeviceQuery{}); err != nil || list.Devices[0].Good != 1 {
		t.Errorf("what could not be written was counted: %+v, %v", list, err)
	}
}
